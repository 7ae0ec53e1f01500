"""Fit the exam's AU judge to human FACS codes, and measure it on people that the fit never saw.

Reads a CSV of codes (see ``tools/facs.py``) and a data set that ``ganimation prepare`` made of the photos it names, all
splits; writes ``src/ganimation/evaluation/assets/au_judge.npz`` and the table between the ``au-judge`` marks of
docs/results.md.

    python -m tools.fit_au_judge CODES.csv DATASET
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganimation.data.dataset import DatasetInfo, FaceDataset
from ganimation.evaluation.judges import Features, Verdicts
from tools.facs import CODED, FOLDS, ROOT, agreement, cross_validate, fit, read_codes, write_between

#: Share of each block (see ``evaluation/judges.py``) and ridge, chosen among a dozen settings on the same folds.
SHARES, RIDGE = ((40 * 49, 0.5), (112 * 49, 1.0)), 1.5


def main() -> None:
    """Look, cross-validate, fit on everybody, write."""
    parser = argparse.ArgumentParser(description="Fit the AU judge to human FACS codes.")
    parser.add_argument("codes", type=Path, help="CSV of codes")
    parser.add_argument("dataset", type=Path, help="data set that holds the photos it names")
    arguments = parser.parse_args()
    files, people, codes, _ = read_codes(arguments.codes)
    found: dict[str, NDArray[np.uint8]] = {}
    for split in DatasetInfo.read(arguments.dataset).counts:
        faces = FaceDataset(arguments.dataset, split)
        found |= {name: faces.image(row) for row, name in enumerate(faces.sources) if name in set(files)}
    inputs = Features()(np.stack([found[name] for name in files])).astype(np.float64)
    shares = np.concatenate([np.full(count, share / count) for count, share in SHARES])
    scores = agreement(cross_validate(inputs, codes, people, shares, RIDGE), codes)
    lines = ["| AU | photos that show it | ICC(3,1) | PCC |", "|---|--:|--:|--:|"]
    for code, column, score in zip(CODED, codes.T, scores, strict=True):
        lines.append(f"| {code} | {int((column > 0).sum())} | {score[0]:.2f} | {score[1]:.2f} |")
    means = np.mean(scores, axis=0)
    lines.append(f"| **mean** | | **{means[0]:.3f}** | **{means[1]:.3f}** |")
    write_between("au-judge", "\n".join(lines))
    print(f"{len(files)} photos of {len(set(people))} people, {FOLDS} folds by person", *lines, sep="\n")
    weights, bias = fit(inputs, codes, shares, RIDGE)
    icc = {code: score[0] for code, score in zip(CODED, scores, strict=True)}
    Verdicts(CODED, weights, bias, icc).save(ROOT / "src" / "ganimation" / "evaluation" / "assets" / "au_judge.npz")


if __name__ == "__main__":
    main()
