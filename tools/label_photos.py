"""Write the LABELS.csv of the photos that the bundled weights were trained on, from the naming of their sources.

Reads a folder with the subfolders ``cfee`` (identities from its CSV of codes), ``taiwan`` and ``lfw`` among others;
writes the CSV that ``ganimation prepare --labels`` takes.

    python tools/label_photos.py PHOTOS CODES.csv -o LABELS.csv
"""

import argparse
import csv
import re
from pathlib import Path

#: Of the sorted CFEE identities, every twelfth validates; these Taiwanese performers are kept for tests.
VALIDATION_EVERY = 12
TEST_PERFORMERS = frozenset({"06", "14", "22", "30"})


def label(name: str, people: dict[str, str], kept: set[str]) -> tuple[str, str, str]:
    """Return identity, session and split of a photo by its path relative to the folder."""
    source, _, file = name.partition("/")
    if source == "cfee":
        person = people[name]
        return f"cfee-{person}", f"cfee-{person}", "validation" if person in kept else "train"
    if source == "taiwan" and (found := re.search(r"_(\d\d)\d\d\w\d\d", file)):
        return f"taiwan-{found[1]}", f"taiwan-{found[1]}", "test" if found[1] in TEST_PERFORMERS else "train"
    if source == "lfw":  # the name stands twice before the number
        words = file.rpartition("_")[0].split("_")
        return "lfw-" + "_".join(words[: len(words) // 2]), "", "train"
    return "", "", "train"


def main() -> None:
    """Label every photo of the folder."""
    parser = argparse.ArgumentParser(description="Write the labels of the bundled weights' photos.")
    parser.add_argument("photos", type=Path)
    parser.add_argument("codes", type=Path, help="CSV with the columns file and identity")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    with arguments.codes.open(newline="", encoding="utf-8") as stream:
        people = {row["file"]: row["identity"] for row in csv.DictReader(stream)}
    kept = set(sorted(set(people.values()), key=int)[::VALIDATION_EVERY])
    names = sorted(path.relative_to(arguments.photos).as_posix() for path in arguments.photos.rglob("*.jpg"))
    with arguments.output.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "identity", "session", "split"])
        writer.writerows([name, *label(name, people, kept)] for name in names)
    print(f"{arguments.output}: {len(names)} photos")


if __name__ == "__main__":
    main()
