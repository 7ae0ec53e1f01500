"""Fit the exam's two AU judges to human FACS codes, and measure them, and the emotion vote, on people they never saw.

Reads a CSV of codes (see ``tools/facs.py``) and a data set that ``ganimation prepare`` made of the photos it names, all
splits; writes ``au_judge.npz`` (pixels) and ``au_geometry.npz`` (68 landmarks) in ``src/ganimation/evaluation/assets``,
and the tables between the ``au-judge`` and ``emotion-vote`` marks of docs/instruments.md.

    python -m tools.fit_au_judge CODES.csv DATASET
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganimation.data.dataset import DatasetInfo, FaceDataset
from ganimation.evaluation.features import Features
from ganimation.evaluation.judges import CLASSIFIERS, EMOTIONS, EmotionVote, Landmarks68, LinearAuModel
from tools.facs import CODED, FOLDS, ROOT, agreement, cross_validate, fit, read_codes, read_emotions, write_between

#: Share of each block (see ``evaluation/features.py``) and ridge, chosen among a dozen settings on the same folds.
SHARES, RIDGE = ((40 * 49, 0.5), (112 * 49, 1.0)), 1.5
#: Of the landmarks, the best of six on the same folds.
GEOMETRY_SHARES, GEOMETRY_RIDGE = ((136, 1.0),), 0.02

Pixels = NDArray[np.uint8]
Array = NDArray[np.float64]


def main() -> None:
    """Look, cross-validate, fit on everybody, write."""
    parser = argparse.ArgumentParser(description="Fit the AU judges to human FACS codes.")
    parser.add_argument("codes", type=Path, help="CSV of codes")
    parser.add_argument("dataset", type=Path, help="data set that holds the photos it names")
    arguments = parser.parse_args()
    files, people, codes, _ = read_codes(arguments.codes)
    found: dict[str, Pixels] = {}
    for split in DatasetInfo.read(arguments.dataset).counts:
        faces = FaceDataset(arguments.dataset, split)
        found |= {name: faces.image(row) for row, name in enumerate(faces.sources) if name in set(files)}
    crops = np.stack([found[name] for name in files])
    pixels = judge("au_judge.npz", Features()(crops).cells.astype(np.float64), codes, people, SHARES, RIDGE)
    points = judge("au_geometry.npz", Landmarks68()(crops), codes, people, GEOMETRY_SHARES, GEOMETRY_RIDGE)
    lines = [
        "| AU | photos that show it | pixels: ICC(3,1) | PCC | landmarks: ICC(3,1) | PCC |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for code, column, one, other in zip(CODED, codes.T, pixels, points, strict=True):
        scores = " | ".join(f"{score:.2f}" for score in (*one, *other))
        lines.append(f"| {code} | {int((column > 0).sum())} | {scores} |")
    means = [*np.mean(pixels, axis=0), *np.mean(points, axis=0)]
    lines.append(f"| **mean** | | {' | '.join(f'**{mean:.3f}**' for mean in means)} |")
    write_between("au-judge", "\n".join(lines))
    print(f"{len(files)} photos of {len(set(people))} people, {FOLDS} folds by person", *lines, sep="\n")
    vote(crops, read_emotions(arguments.codes))


def judge(
    name: str, inputs: Array, codes: Array, people: NDArray[np.str_], parts: tuple[tuple[int, float], ...], ridge: float
) -> list[tuple[float, float]]:
    """Write one judge; return its ICC and PCC by AU on people that it never saw."""
    shares = np.concatenate([np.full(count, share / count) for count, share in parts])
    scores = agreement(cross_validate(inputs, codes, people, shares, ridge), codes)
    weights, bias = fit(inputs, codes, shares, ridge)
    icc = {code: score[0] for code, score in zip(CODED, scores, strict=True)}
    LinearAuModel(CODED, weights, bias, icc).save(ROOT / "src" / "ganimation" / "evaluation" / "assets" / name)
    return scores


def vote(crops: Pixels, emotions: list[str]) -> None:
    """Write how often each emotion classifier, and their vote, is right on photos of one acted emotion."""
    rows = [row for row, emotion in enumerate(emotions) if emotion]
    said = EmotionVote()
    votes = np.stack([said(crops[row]) for row in rows])
    truth = np.array([EMOTIONS.index(emotions[row]) for row in rows])
    opinions = [*np.moveaxis(votes, 1, 0), votes.mean(axis=1)]
    right = np.stack([opinion.argmax(axis=1) == truth for opinion in opinions])
    lines = [f"| emotion | photos | {' | '.join(CLASSIFIERS)} | vote |", "|---|--:|--:|--:|--:|--:|"]
    for number, emotion in enumerate(EMOTIONS):
        shares = " | ".join(f"{share:.2f}" for share in right[:, truth == number].mean(axis=1))
        lines.append(f"| {emotion} | {(truth == number).sum()} | {shares} |")
    lines.append(f"| **all** | {len(rows)} | {' | '.join(f'**{share:.2f}**' for share in right.mean(axis=1))} |")
    write_between("emotion-vote", "\n".join(lines))
    print(*lines, sep="\n")


if __name__ == "__main__":
    main()
