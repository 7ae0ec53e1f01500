"""The exam: models, a copy and a warp before the same trials, and one report of them all."""

import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganimation import __version__
from ganimation.data.dataset import DatasetInfo, FaceDataset
from ganimation.errors import DatasetError, MediaError, ModelError, require
from ganimation.evaluation import measures
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

        for name, text in (("results.json", self.to_json), ("index.html", lambda: page(self))):
            with atomic(folder / name) as temporary:
                temporary.write_text(text(), encoding="utf-8")


def make_folder(folder: Path) -> None:
    """Make the folder of a report, before the exam that it is for.

    Raises:
        MediaError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"{folder}: cannot be made ({error.strerror}); choose another place with -o") from error
    if not os.access(folder, os.W_OK):
        raise MediaError(f"{folder}: cannot be written to; choose another place with -o")


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
    subjects: dict[str, Subject] = dict(_models(models, info))
    readers = Readers(info.template, jobs)
    unread = [code for code in info.aus if code not in readers.aus]
    if unread:
        raise DatasetError(f"{folder}: {', '.join(unread)} cannot be read by the annotator, and so not be examined")
    looked = _look(folder, info, split, faces, readers)
    subjects |= {
        "copy": copy,
        "warp": Warp(looked.shown, np.stack([readers.points(crop) for crop in looked.crops])),
    }
    trials = plan(looked.shown, info.aus, neutral, looked.sessions, seed)
    done, total = 0, len(trials) * len(subjects)

    def count() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    answers = {
        name: sit(subject, trials, looked.crops, looked.shown, readers, count) for name, subject in subjects.items()
    }
    results = {name: _results(trials, answer, looked, info, readers) for name, answer in answers.items()}
    about = {
        "ganimation": __version__,
        "models": {name: dict(model.config.training) for name, model in subjects.items() if isinstance(model, Model)},
        "dataset": folder.resolve().name,
        "split": split,
        "annotator": info.annotator,
        "faces": len(looked.crops),
        "asked for": faces,
        "neutral": neutral,
        "trials": len(trials),
        "seed": seed,
        "aus": list(info.aus),
        "judge": {"aus": list(readers.judge.aus), "icc": dict(readers.judge.icc)},
        "names": looked.names,
    }
    return Exam(about, looked.crops, looked.shown, trials, answers, results)


def _models(paths: Sequence[Path], info: DatasetInfo) -> Iterator[tuple[str, Model]]:
    """Yield the name and model of each folder."""
    seen = {"copy", "warp"}
    for path in paths:
        model, name = Model(path), path.resolve().name
        if model.config.aus != info.aus:
            raise DatasetError(
                f"the data set has {' '.join(info.aus)}, {path} {' '.join(model.config.aus)}; prepare it anew"
            )
        if name in seen:
            raise ModelError(f"{path}: two subjects of the name {name}; rename the folder")
        seen.add(name)
        yield name, model


@dataclass(frozen=True)
class _Faces:
    """The faces of an exam, those that the annotator sees.

    Attributes:
        crops: (N, S, S, 3) RGB uint8.
        sessions: (N,).
        names: of the photos.
        shown: (N, AUs), what the annotator reads, in the data set's order.
        before: by reader, (N, AUs read).
        features: (N, F), for distances between sets.
    """

    crops: Pixels
    sessions: NDArray[np.int64]
    names: list[str]
    shown: Array
    before: dict[str, Array]
    features: Array


def _look(folder: Path, info: DatasetInfo, split: str, count: int, readers: Readers) -> _Faces:
    """Read ``count`` faces spread over a split."""
    dataset = FaceDataset(folder, split)
    rows = np.unique(np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int))
    annotated = np.stack([readers.annotate(dataset.image(int(row))) for row in rows])
    there = np.asarray(np.isfinite(annotated).all(axis=1))
    rows, annotated = rows[there], annotated[there]
    if len(rows) < 2:
        raise DatasetError(f"{folder}: {len(rows)} faces in {split}; an exam needs two and more")
    crops = np.stack([dataset.image(int(row)) for row in rows])
    return _Faces(
        crops,
        dataset.sessions[rows],
        [dataset.sources[row] for row in rows],
        annotated[:, [readers.aus.index(code) for code in info.aus]],
        {"annotator": annotated, "judge": readers.judge(crops)},
        readers.features(crops),
    )


def _results(
    trials: Sequence[Trial], answers: Answers, faces: _Faces, info: DatasetInfo, readers: Readers
) -> dict[str, Any]:
    """Return all measures of a subject."""
    seen = {"annotator": readers.aus, "judge": readers.judge.aus}
    found = measures.report(trials, answers, faces.before, faces.shown, info.aus, seen)
    found["truth"] = measures.truth(trials, answers.pictures, faces.crops)
    made = readers.features(answers.pictures[[trial.kind in ("pair", "random", "emotion") for trial in trials]])
    found["realism"] = {
        "frechet": measures.frechet(made, faces.features),
        "kernel": measures.kernel_distance(made, faces.features),
    }
    return found


def choose_split(info: DatasetInfo) -> str:
    """Return the split that models have not learned from: test, or validation, or what there is."""
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
