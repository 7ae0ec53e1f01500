"""Write the LABELS.csv of the photos that the bundled weights were trained on, from the naming of their sources.

Reads a folder with the subfolders ``cfee`` (identities and emotions from its CSV of codes), ``taiwan`` and ``lfw``
among others; writes the CSV that ``ganimation prepare --labels`` takes.

    python tools/label_photos.py PHOTOS CODES.csv -o LABELS.csv
"""

import argparse
import csv
import re
from pathlib import Path

#: Of the sorted CFEE identities, every twelfth validates; these Taiwanese performers are kept for tests.
VALIDATION_EVERY = 12
TEST_PERFORMERS = frozenset({"06", "14", "22", "30"})
#: Emotions by the names that CFEE gives them; its compound ones are left out.
CFEE_EMOTIONS = {
    "Neutral": "neutral", "Happy": "happiness", "Sad": "sadness", "Surprised": "surprise", "Fearful": "fear",
    "Angry": "anger", "Disgusted": "disgust",
}  # fmt: skip
#: The same by the letter in the Taiwanese performers' file names.
TAIWAN_EMOTIONS = dict(
    zip("abcdefg", ("neutral", "happiness", "sadness", "anger", "disgust", "fear", "surprise"), strict=True)
)


def label(name: str, people: dict[str, tuple[str, str]], kept: set[str]) -> tuple[str, str, str, str]:
    """Return identity, session, split and emotion of a photo by its path relative to the folder.

    Args:
        name: the path.
        people: identity and CFEE's emotion by path.
        kept: identities that validate.
    """
    source, _, file = name.partition("/")
    if source == "cfee":
        person, emotion = people[name]
        split = "validation" if person in kept else "train"
        return f"cfee-{person}", f"cfee-{person}", split, CFEE_EMOTIONS.get(emotion, "")
    if source == "taiwan" and (found := re.search(r"_(\d\d)\d\d([a-g])\d\d", file)):
        split = "test" if found[1] in TEST_PERFORMERS else "train"
        return f"taiwan-{found[1]}", f"taiwan-{found[1]}", split, TAIWAN_EMOTIONS[found[2]]
    if source == "lfw":  # the name stands twice before the number
        words = file.rpartition("_")[0].split("_")
        return "lfw-" + "_".join(words[: len(words) // 2]), "", "train", ""
    return "", "", "train", ""


def main() -> None:
    """Label every photo of the folder."""
    parser = argparse.ArgumentParser(description="Write the labels of the bundled weights' photos.")
    parser.add_argument("photos", type=Path)
    parser.add_argument("codes", type=Path, help="CSV with the columns file, identity and emotion")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    with arguments.codes.open(newline="", encoding="utf-8") as stream:
        people = {row["file"]: (row["identity"], row["emotion"]) for row in csv.DictReader(stream)}
    kept = set(sorted({person for person, _ in people.values()}, key=int)[::VALIDATION_EVERY])
    names = sorted(path.relative_to(arguments.photos).as_posix() for path in arguments.photos.rglob("*.jpg"))
    with arguments.output.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "identity", "session", "split", "emotion"])
        writer.writerows([name, *label(name, people, kept)] for name in names)
    print(f"{arguments.output}: {len(names)} photos")


if __name__ == "__main__":
    main()
