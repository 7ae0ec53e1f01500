"""Ask a model whom it serves worse: expressions of every face of a data set, by groups of people that a CSV names.

    python -m tools.by_group DATASET GROUPS.csv [--model MODEL] [--mark groups]

``tools/portrait_groups.csv`` has the groups of the exam's 210 portraits, judged by eye, each once. Every face is asked
two emotions, two pairs and two random expressions; ``gain`` is the change that is read for a change of 1.
Prints a table with 95 % bootstrap intervals and with ``--mark`` writes it between those marks of docs/results.md.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganimation.data.dataset import DatasetInfo
from ganimation.evaluation import measures
from ganimation.evaluation.evaluators import Evaluators
from ganimation.evaluation.exam import choose_split, look_at_faces
from ganimation.evaluation.judges import EMOTIONS
from ganimation.evaluation.methods import Model
from ganimation.evaluation.trials import plan, run_trials
from tools.facs import ROOT, write_between

FEWEST = 10
Array = NDArray[np.float64]


def main() -> None:
    """Print a table, a row a group of ten faces and more."""
    parser = argparse.ArgumentParser(description="Whom does a model serve worse?")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("groups", type=Path)
    parser.add_argument("--model", type=Path, default=ROOT / "src/ganimation/weights")
    parser.add_argument("--mark")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    with options.groups.open(encoding="utf-8", newline="") as file:
        groups = {row.pop("file"): row for row in csv.DictReader(file)}
    info = DatasetInfo.read(options.dataset)
    evaluators = Evaluators(info.template)
    faces = look_at_faces(options.dataset, info, choose_split(info), len(groups), evaluators)
    trials = [
        trial
        for seed in (0, 1)
        for trial in plan(faces.shown, info.aus, 0, seed=seed)
        if trial.kind not in ("zero", "true")
    ]
    answers = run_trials(Model(options.model), trials, faces, evaluators, options.jobs)
    columns = {
        f"gain, {reader}": measures.gains(
            trials, answers.read[reader], faces.read[reader], faces.shown, info.aus, evaluators.aus[reader]
        )
        for reader in ("annotator", "judge")
    }
    named = [EMOTIONS.index(trial.name) if trial.kind == "emotion" else -1 for trial in trials]
    seen = answers.emotions.mean(axis=1).argmax(axis=1)
    columns["emotion recognised"] = np.where(np.array(named) >= 0, seen == named, np.nan)
    columns["identity distance, emotions"] = np.where(np.array(named) >= 0, answers.identity, np.nan)
    who = np.array([trial.face for trial in trials])
    lines = [f"| group | faces | {' | '.join(columns)} |", f"|---|--:|{'--:|' * len(columns)}"]
    for trait in next(iter(groups.values())):
        for value in dict.fromkeys(row[trait] for row in groups.values()):
            members = np.array([groups[name][trait] == value for name in faces.names])
            if members.sum() >= FEWEST:
                cells = [_cell(column, who, np.flatnonzero(members)) for column in columns.values()]
                lines.append(f"| {trait.replace('_', ' ')}: {value} | {members.sum()} | {' | '.join(cells)} |")
    everybody = [_cell(column, who, np.arange(len(faces.names))) for column in columns.values()]
    lines.append(f"| all | {len(faces.names)} | {' | '.join(everybody)} |")
    print("\n".join(lines))
    if options.mark:
        write_between(options.mark, "\n".join(lines))


def _cell(values: Array, who: NDArray[np.int64], members: NDArray[np.int64]) -> str:
    """Return a mean over faces and its interval, faces resampled."""
    of_faces = np.array([np.nanmean(values[who == face]) for face in members])
    low, high = measures.interval(of_faces, lambda some: float(some.mean()))
    return f"{of_faces.mean():.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
