"""The exam: evaluate models, a copy and a warp on the same trials, and collect all results."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ganimation import __version__
from ganimation.data.dataset import DatasetInfo, FaceDataset
from ganimation.errors import DatasetError, ModelError, require
from ganimation.evaluation import measures
from ganimation.evaluation.evaluators import Evaluators
from ganimation.evaluation.methods import Method, Model, Warp, copy
from ganimation.evaluation.trials import Answers, Faces, Trial, plan, run_trials

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Exam:
    """Everything a report is made of.

    Attributes:
        about: settings that are needed to repeat the exam.
        faces: that were edited.
        trials: the requested edits.
        answers: readings of the edited faces, by method.
        results: measures by method, plain JSON values.
        comparison: by model after the first and by reader, how much higher the first's mean PCC of single AUs is.
    """

    about: dict[str, Any]
    faces: Faces
    trials: list[Trial]
    answers: dict[str, Answers]
    results: dict[str, dict[str, Any]]
    comparison: dict[str, dict[str, Any]]

    def to_json(self) -> str:
        """Return ``about``, ``results`` and ``comparison`` as JSON; what could not be measured is null."""
        return (
            json.dumps(_plain({"about": self.about, "results": self.results, "comparison": self.comparison}), indent=1)
            + "\n"
        )


#: Largest number of neutral faces for trials of kind ``step``.
STEPPED = 8


def examine(
    models: Sequence[Path],
    folder: Path,
    split: str = "",
    faces: int = 100,
    neutral: int = 24,
    jobs: int = 2,
    seed: int = 0,
    progress: Progress = lambda done, total: None,
) -> Exam:
    """Run models, a copy and a warp on the same trials, and compute all measures.

    Args:
        models: model folders; they must know the data set's AUs.
        folder: of the data set.
        split: of the data set; empty for one that is not trained on, see :func:`choose_split`.
        faces: largest number of faces, spread evenly over the split.
        neutral: number of faces, the most neutral ones, for trials of single AUs.
        jobs: threads.
        seed: of the random trials.
        progress: called with trials done and in all, of all methods.

    Raises:
        DatasetError: the data set cannot be read, has fewer than two faces, or other AUs than a model.
        ModelError: a model cannot be read.
        MissingExtraError: the extra ``evaluate`` is not installed.
    """
    for module in ("torch", "pyarrow", "skimage", "scipy", "matplotlib", "dlib"):
        require(module, "evaluate")
    info = DatasetInfo.read(folder)
    split = split or choose_split(info)
    methods: dict[str, Method] = dict(_models(models, info))
    evaluators = Evaluators(info.template)
    if not set(info.aus) & set(evaluators.aus["annotator"]):
        raise DatasetError(f"{folder}: the annotator can read none of {', '.join(info.aus)}; nothing can be examined")
    looked = look_at_faces(folder, info, split, faces, evaluators)
    methods |= {
        "copy": copy,
        "warp": Warp(looked.shown, np.stack([evaluators.points(crop) for crop in looked.crops])),
    }
    trials = plan(looked.shown, info.aus, neutral, looked.sessions, seed, min(neutral, STEPPED))
    answers = _run_all(methods, trials, looked, evaluators, jobs, progress)
    results = {name: _results(trials, answer, looked, info, evaluators) for name, answer in answers.items()}
    about: dict[str, Any] = {
        "ganimation": __version__,
        "models": {name: dict(model.config.training) for name, model in methods.items() if isinstance(model, Model)},
        "dataset": folder.resolve().name,
        "split": split,
        "annotator": info.annotator,
        "faces": len(looked.crops),
        "asked for": faces,
        "neutral": neutral,
        "trials": len(trials),
        "seed": seed,
        "aus": list(info.aus),
        "readers": {reader: list(codes) for reader, codes in evaluators.aus.items()},
        "icc": {judge: dict(icc) for judge, icc in evaluators.icc.items()},
        "names": looked.names,
    }
    first, *others = about["models"]
    comparison = {
        other: measures.comparison(trials, answers[first], answers[other], info.aus, evaluators.aus) for other in others
    }
    return Exam(about, looked, trials, answers, results, comparison)


def _run_all(
    methods: Mapping[str, Method],
    trials: Sequence[Trial],
    faces: Faces,
    evaluators: Evaluators,
    jobs: int,
    progress: Progress,
) -> dict[str, Answers]:
    """Return the answers of all methods, and tell progress over all of them."""
    done, total = 0, len(trials) * len(methods)

    def count() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    torch = require("torch", "evaluate")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # trials already run in parallel; torch's own threads would compete with them
    try:
        return {name: run_trials(method, trials, faces, evaluators, jobs, count) for name, method in methods.items()}
    finally:
        torch.set_num_threads(threads)


def _models(paths: Sequence[Path], info: DatasetInfo) -> Iterator[tuple[str, Model]]:
    """Yield the name and model of each folder."""
    for path, (name, model) in zip(paths, named(paths), strict=True):
        if model.config.aus != info.aus:
            raise DatasetError(
                f"the data set has {' '.join(info.aus)}, {path} {' '.join(model.config.aus)}; prepare it anew"
            )
        yield name, model


def named(paths: Sequence[Path]) -> Iterator[tuple[str, Model]]:
    """Yield the name and model of each folder.

    Raises:
        ModelError: a folder cannot be used, or two have the same name.
    """
    seen = {"copy", "warp"}
    for path in paths:
        model, name = Model(path), path.resolve().name
        if name in seen:
            raise ModelError(f"{path}: two methods of the name {name}; rename the folder")
        seen.add(name)
        yield name, model


def look_at_faces(folder: Path, info: DatasetInfo, split: str, count: int, evaluators: Evaluators) -> Faces:
    """Load and measure ``count`` faces spread over a split; those that the annotator does not detect are left out.

    Source AUs (``shown``) are the data set's labels; edited faces are compared with what the readers measure in the
    photos (``read``).
    """
    dataset = FaceDataset(folder, split)
    rows = np.unique(np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int)).tolist()
    looks = {row: evaluators.look(dataset.image(row), emotions=True, identity=True) for row in rows}
    rows = [row for row in rows if np.isfinite(looks[row].annotator).all()]
    if len(rows) < 2:
        raise DatasetError(f"{folder}: {len(rows)} faces in {split}; an exam needs two and more")
    crops = np.stack([dataset.image(row) for row in rows])
    seen = evaluators.features(crops)
    read = evaluators.read([looks[row] for row in rows], seen.cells)
    return Faces(
        crops,
        dataset.sessions[rows],
        [dataset.sources[row] for row in rows],
        dataset.aus[rows].astype(np.float64),
        [looks[row] for row in rows],
        read,
        seen.cells,
        seen.pooled,
    )


def _results(
    trials: Sequence[Trial], answers: Answers, faces: Faces, info: DatasetInfo, evaluators: Evaluators
) -> dict[str, Any]:
    """Return all measures of a method."""
    found = measures.report(trials, answers, faces, info.aus, evaluators.aus)
    found["truth"] = measures.truth(trials, answers.pictures, faces.crops, evaluators.features.distance)
    made = answers.pooled[[trial.kind in ("pair", "random", "emotion") for trial in trials]]
    found["realism"] = {
        "frechet": measures.frechet(made, faces.pooled),
        "kernel": measures.kernel_distance(made, faces.pooled),
    }
    return found


def choose_split(info: DatasetInfo) -> str:
    """Return a split that is not trained on: test, else validation; train if there is neither."""
    return next((split for split in ("test", "validation") if info.counts.get(split)), "train")


def _plain(value: Any) -> Any:
    """Return a value with NaN as ``None`` and short numbers, so that any JSON reader takes it."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return round(value, 5) if math.isfinite(value) else None
    return value
