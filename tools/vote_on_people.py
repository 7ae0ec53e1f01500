"""Ask the exam's vote about photographs of people: count the emotions that they acted and that it names.

    python -m tools.vote_on_people DATASET [--mark vote]

What it does not name of people it need not name of edits: the share is what an edit can be compared with. People are
divided in thirds by the brightness of their faces: a vote that reads dark skin worse would blame a generator for it.
Prints a table with 95 % bootstrap intervals over people and with ``--mark`` writes it between those marks of
docs/instruments.md.
"""

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ganimation.data.dataset import DatasetInfo, FaceDataset
from ganimation.evaluation import measures
from ganimation.evaluation.evaluators import Evaluators
from ganimation.evaluation.judges import EMOTIONS
from ganimation.faces import mesh
from ganimation.faces.geometry import visible
from tools.facs import write_between

GROUPS = ("darkest third", "middle third", "lightest third")


def brightness(face: NDArray[np.uint8], landmarks: NDArray[np.float64]) -> float:
    """Return the mean grey level of a face without what is around it, in [0, 1]."""
    size = len(face)
    inside = mesh.guide(visible(landmarks * size - 0.5), size)[:, :, 2] > 0.99
    return float(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)[inside].mean() / 255)


def main() -> None:
    """Print a table, a row a group of people."""
    parser = argparse.ArgumentParser(description="How many emotions of people does the exam's vote name?")
    parser.add_argument("dataset", type=Path, help="a data set with emotions and sessions")
    parser.add_argument("--mark")
    options = parser.parse_args()
    info = DatasetInfo.read(options.dataset)
    evaluators = Evaluators(info.template)
    acted, named, people, light = [], [], [], []
    for split in info.counts:
        dataset = FaceDataset(options.dataset, split)
        for row, emotion in enumerate(dataset.emotions):
            if emotion in EMOTIONS:
                face = dataset.image(row)
                acted.append(EMOTIONS.index(emotion))
                named.append(int(evaluators.look(face, True, False).emotions.mean(axis=0).argmax()))
                people.append(f"{split} {dataset.sessions[row]}")
                light.append(brightness(face, dataset.landmarks(row)))
    codes, who = np.unique(people, return_inverse=True)
    of_people = np.array([np.median(np.array(light)[who == person]) for person in range(len(codes))])
    third = np.searchsorted(np.quantile(of_people, [1 / 3, 2 / 3]), of_people, side="right")
    right, asked = np.equal(acted, named), np.array(acted)
    shown = [number for number in range(len(EMOTIONS)) if (asked == number).any()]

    def shares(some: NDArray[Any]) -> NDArray[np.float64]:
        rows = np.concatenate([np.flatnonzero(who == person) for person in some])
        return np.array([right[rows][asked[rows] == number].mean() for number in shown])

    lines = [f"| people | photos | {' | '.join(EMOTIONS[number] for number in shown)} | mean |"]
    lines += [f"|---|--:|{'--:|' * (len(shown) + 1)}"]
    for name, group in (*zip(GROUPS, range(3), strict=True), ("all", None)):
        members = np.flatnonzero((third == group) if group is not None else np.ones(len(codes), bool))

        found, count = shares(members), int(np.isin(who, members).sum())
        low, high = measures.interval(members.astype(np.float64), lambda some: float(np.nanmean(shares(some))))
        cells = " | ".join(f"{share:.2f}" for share in found)
        lines.append(f"| {name} | {count} | {cells} | {found.mean():.2f} ({low:.2f} to {high:.2f}) |")
    print("\n".join(lines))
    if options.mark:
        write_between(options.mark, "\n".join(lines))


if __name__ == "__main__":
    main()
