"""The exam: models, a copy and a warp before the same trials, and one report of them all."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganimation import __version__
from ganimation.data.dataset import DatasetInfo, FaceDataset
from ganimation.errors import DatasetError, ModelError, require
from ganimation.evaluation import measures
from ganimation.evaluation.judges import PooledFeatures
from ganimation.evaluation.subjects import Model, Subject, Warp, copy
from ganimation.evaluation.trials import Answers, Readers, Trial, plan, sit
from ganimation.media.images import atomic

Pixels = NDArray[np.uint8]
Array = NDArray[np.float64]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Exam:
    """Everything a report is made of.

    Attributes:
        about: what is needed to do it again.
        crops: the faces, (faces, S, S, 3) RGB uint8.
        before: (faces, AUs), what the annotator reads in them.
        trials: what was asked.
        answers: by subject.
        results: by subject, plain JSON values.
    """

    about: dict[str, Any]
    crops: Pixels
    before: Array
    trials: list[Trial]
    answers: dict[str, Answers]
    results: dict[str, dict[str, Any]]

    def to_json(self) -> str:
        """Return ``about`` and ``results`` as JSON; what could not be measured is null."""
        return json.dumps(_plain({"about": self.about, "results": self.results}), indent=1) + "\n"

    def write(self, folder: Path) -> None:
        """Write ``results.json`` and ``index.html``, a page that needs nothing beside it."""
        from ganimation.evaluation.page import page

        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (("results.json", self.to_json()), ("index.html", page(self))):
            with atomic(folder / name) as temporary:
                temporary.write_text(text, encoding="utf-8")


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
    """Let models, a copy and a warp sit the same trials.

    Args:
        models: model folders; they must know the data set's AUs.
        folder: of the data set.
        split: of it; empty for the one that models have not learned from, see :func:`choose_split`.
        faces: how many at most, spread evenly over the split.
        neutral: how many of them sit the single AUs, the most neutral.
        jobs: threads.
        seed: of what is drawn.
        progress: called with trials done and in all, of all subjects.

    Raises:
        DatasetError: the data set cannot be read, has fewer than two faces, or other AUs than a model.
        ModelError: a model cannot be read.
        MissingExtraError: the extra ``evaluate`` is not installed.
    """
    for module in ("torch", "pyarrow", "skimage", "scipy", "matplotlib"):
        require(module, "evaluate")
    info = DatasetInfo.read(folder)
    split = split or choose_split(info)
    crops, sessions, names = _faces(folder, split, faces)
    subjects: dict[str, Subject] = {}
    for path in models:
        model = Model(path)
        if model.config.aus != info.aus:
            raise DatasetError(
                f"{folder} has {' '.join(info.aus)}, {path} {' '.join(model.config.aus)}; prepare it anew"
            )
        if _name(path) in subjects:
            raise ModelError(f"{path}: two models of the name {_name(path)}; rename a folder")
        subjects[_name(path)] = model
    readers = Readers(info.template, jobs)
    before = {"annotator": np.stack([readers.annotate(crop) for crop in crops]), "judge": readers.judge(crops)}
    seen_all = np.asarray(np.isfinite(before["annotator"]).all(axis=1))
    crops, sessions = crops[seen_all], sessions[seen_all]
    before = {reader: read[seen_all] for reader, read in before.items()}
    columns = [readers.aus.index(code) for code in info.aus]
    shown = before["annotator"][:, columns]
    subjects |= {"copy": copy, "warp": Warp(shown, np.stack([readers.points(crop) for crop in crops]))}
    trials = plan(shown, info.aus, neutral, sessions, seed)
    features = PooledFeatures()
    real = features(crops)
    answers: dict[str, Answers] = {}
    results: dict[str, dict[str, Any]] = {}
    done, total = 0, len(trials) * len(subjects)

    def count() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    for name, subject in subjects.items():
        answers[name] = sit(subject, trials, crops, shown, readers, count)
        found = measures.report(
            trials, answers[name], before, shown, info.aus, {"annotator": readers.aus, "judge": readers.judge.aus}
        )
        found["truth"] = measures.truth(trials, answers[name].pictures, crops)
        moved = [trial.kind in ("pair", "random", "emotion") for trial in trials]
        made = features(answers[name].pictures[moved])
        found["realism"] = {"frechet": measures.frechet(made, real), "kernel": measures.kernel_distance(made, real)}
        results[name] = found
    about = {
        "ganimation": __version__,
        "models": {_name(path): json.loads(Model(path).config.to_json())["training"] for path in models},
        "dataset": folder.resolve().name,
        "split": split,
        "annotator": info.annotator,
        "faces": len(crops),
        "neutral": neutral,
        "trials": len(trials),
        "seed": seed,
        "aus": list(info.aus),
        "judge": {"aus": list(readers.judge.aus), "icc": dict(readers.judge.icc)},
        "names": [name for name, there in zip(names, seen_all, strict=True) if there],
    }
    return Exam(about, crops, shown, trials, answers, results)


def choose_split(info: DatasetInfo) -> str:
    """Return the split that models have not learned from: test, or validation, or what there is."""
    return next((split for split in ("test", "validation") if info.counts.get(split)), "train")


def _faces(folder: Path, split: str, count: int) -> tuple[Pixels, NDArray[np.int64], list[str]]:
    """Return crops, sessions and names of ``count`` faces spread over a split."""
    dataset = FaceDataset(folder, split)
    if len(dataset) < 2:
        raise DatasetError(f"{folder}: {len(dataset)} faces in {split}; an exam needs two and more")
    rows = np.unique(np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int))
    crops = np.stack([dataset.image(int(row)) for row in rows])
    return crops, dataset.sessions[rows], [dataset.sources[row] for row in rows]


def _name(path: Path) -> str:
    return path.resolve().name


def _plain(value: Any) -> Any:
    """Return a value with NaN as ``None`` and short numbers, so that any JSON reader takes it."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return round(value, 5) if math.isfinite(value) else None
    return value
