"""Methods compared by emotions (Sec. 6.3): models with AUs, and rivals that translate to emotions.

Neutral faces of people that nobody was trained on are asked for every emotion that a vote of three classifiers knows.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganimation.action_units import EMOTIONS as RECIPES
from ganimation.data.dataset import DatasetInfo, FaceDataset
from ganimation.errors import DatasetError
from ganimation.evaluation.evaluators import Evaluators
from ganimation.evaluation.exam import choose_split, named
from ganimation.evaluation.judges import EMOTIONS
from ganimation.evaluation.measures import frechet, interval
from ganimation.evaluation.methods import Method, Model, Warp
from ganimation.files import atomic
from ganimation.model import GENERATOR

Pixels = NDArray[np.uint8]
Array = NDArray[np.float64]
Ranged = tuple[float, float, float]

#: Emotions that are asked for.
ASKED = EMOTIONS[1:]


@dataclass(frozen=True)
class Row:
    """A method's results; a range is a mean with its 95 % bootstrap interval over faces.

    Attributes:
        name: of the method.
        recognised: share of the edited faces in which the vote sees the emotion that was asked.
        by_emotion: the same of each emotion.
        identity: distance of dlib's embedding to the photo; the same person: below .6.
        sharpness: gradient of the edited faces, as a share of the photos' own; blur takes it below 1, noise above.
        frechet: distance of the edited faces to photos with these emotions, by EfficientNet-lite0's features.
        zero_edit: PSNR in dB of the face that is asked to stay as it is; at most 99.
        parameters: millions of trainable numbers of the generator; 0 of a copy.
        milliseconds: of one edit of an aligned face, median, one thread.
    """

    name: str
    recognised: Ranged
    by_emotion: Mapping[str, float]
    identity: Ranged
    sharpness: float
    frechet: float
    zero_edit: float
    parameters: float
    milliseconds: float


def compare(
    models: Sequence[Path],
    folder: Path,
    split: str = "",
    faces: int = 24,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Row]:
    """Return a row a method, after those of a copy of the photo and of a warp of its landmarks.

    Args:
        models: folders, with AUs or emotions.
        folder: a data set with emotions.
        split: of it; test, else validation, else train if empty.
        faces: at most so many neutral faces.
        progress: called with methods done and their number.

    Raises:
        DatasetError: the data set has no neutral faces in the split, or none with the emotions.
        ModelError: a folder cannot be used, or two have the same name.
    """
    info = DatasetInfo.read(folder)
    dataset = FaceDataset(folder, split or choose_split(info))
    emotions = np.array([name or "" for name in dataset.emotions])
    neutral = np.flatnonzero(emotions == "neutral")[:faces]
    if len(neutral) < 2:
        raise DatasetError(f"{folder}: {len(neutral)} neutral faces, 2 are needed; docs/data.md: the column emotion")
    true = np.flatnonzero(np.isin(emotions, ASKED))
    if len(true) < 2:
        raise DatasetError(f"{folder}: no faces with {', '.join(ASKED)} to compare with")
    evaluators = Evaluators(info.template)
    crops = np.stack([dataset.image(int(row)) for row in neutral])
    photos = evaluators.features(np.stack([dataset.image(int(row)) for row in true])).pooled
    known = [evaluators.look(crop, emotions=False, identity=True).identity for crop in crops]
    points = np.stack([dataset.landmarks(row) for row in range(len(dataset))])
    warp = Warp(dataset.aus.astype(np.float64), points)
    methods: list[tuple[str, Method | None, Path | None]] = [("copy", None, None), ("warp", warp, None)]
    methods += [(name, model, path) for path, (name, model) in zip(models, named(models), strict=True)]
    rows = []
    for number, (name, model, path) in enumerate(methods):
        progress(number, len(methods))
        rows.append(
            _examine(name, _EmotionEdits(model, path, info.aus), crops, dataset.aus[neutral], known, photos, evaluators)
        )
    progress(len(methods), len(methods))
    return rows


def _examine(
    name: str,
    edits: "_EmotionEdits",
    crops: Pixels,
    shown: NDArray[np.float32],
    known: Sequence[Array],
    photos: Array,
    evaluators: Evaluators,
) -> Row:
    """Ask a method for every emotion of every face; return its row."""
    pictures, (recognised, distances, sharp) = [], np.full((3, len(crops), len(ASKED)), np.nan)
    for face, crop in enumerate(crops):
        for column, emotion in enumerate(ASKED):
            image = edits.edit(crop, shown[face], emotion)
            if image is None:
                continue
            look = evaluators.look(image, emotions=True, identity=True)
            recognised[face, column] = EMOTIONS[int(look.emotions.mean(axis=0).argmax())] == emotion
            distances[face, column] = np.linalg.norm(look.identity - known[face])
            sharp[face, column] = _gradient(image) / _gradient(crop)
            pictures.append(image)
    still = [edits.edit(crop, own, "") for crop, own in zip(crops, shown, strict=True)]
    psnr = [_psnr(image, crop) for image, crop in zip(still, crops, strict=True) if image is not None]
    distance = frechet(evaluators.features(np.stack(pictures)).pooled, photos)
    asked = np.isfinite(recognised).all(axis=0)
    means = np.where(asked, np.nan_to_num(recognised).mean(axis=0), np.nan)
    by_emotion = dict(zip(ASKED, means.tolist(), strict=True))
    return Row(
        name, _ranged(recognised), by_emotion, _ranged(distances), float(np.nanmean(sharp)), distance,
        float(np.mean(psnr)), edits.parameters, edits.milliseconds,
    )  # fmt: skip


class _EmotionEdits:
    """A method that is asked for emotions by their names, whether it knows AUs or emotions; a copy if ``None``."""

    def __init__(self, model: Method | None, path: Path | None, aus: Sequence[str]) -> None:
        self._model, self._aus, self._seconds = model, aus, list[float]()
        self.parameters = 0.0 if path is None else (path / GENERATOR).stat().st_size / 2e6  # in half precision

    @property
    def milliseconds(self) -> float:
        """The median of an edit."""
        return 1000 * float(np.median(self._seconds)) if self._seconds else 0.0

    def edit(self, crop: Pixels, shown: NDArray[np.float32], emotion: str) -> Pixels | None:
        """Return a face with an emotion, or as it is where that is empty; ``None`` where it is not known."""
        if self._model is None:
            return crop
        emotions: tuple[str, ...] = ()
        aus = tuple(self._aus)
        if isinstance(self._model, Model):
            emotions, aus = self._model.config.emotions, self._model.config.aus
        own = dict(zip(self._aus, shown.tolist(), strict=True))
        source = np.array([own.get(name, 0.0) for name in emotions or aus])
        target = source
        if emotions:
            if emotion and emotion not in emotions:
                return None
            target = np.array([float(name == (emotion or "neutral")) for name in emotions])
        elif emotion:
            recipe = RECIPES[emotion]
            rest = [source[i] if code == "AU45" else 0.0 for i, code in enumerate(aus)]
            target = np.array([recipe.get(code, rest[i]) for i, code in enumerate(aus)])
        began = time.perf_counter()
        image: Pixels = self._model(crop, source, target).image
        self._seconds.append(time.perf_counter() - began)
        return image


def _ranged(values: Array) -> Ranged:
    of_faces = np.nanmean(values, axis=1)
    low, high = interval(of_faces, lambda some: float(some.mean()))
    return float(of_faces.mean()), low, high


def _gradient(image: Pixels) -> float:
    """Return the mean difference of neighbouring grey levels."""
    grey = image.astype(np.float64).mean(axis=2)
    return float(np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()) or 1.0


def _psnr(image: Pixels, crop: Pixels) -> float:
    error = float(np.square(image.astype(np.float64) - crop).mean())
    return min(99.0, float(10 * np.log10(255**2 / error))) if error else 99.0


def table(rows: Sequence[Row]) -> str:
    """Return the results as a Markdown table."""
    head = [
        "method",
        "recognised",
        *ASKED,
        "identity",
        "sharpness",
        "Fréchet",
        "zero edit, dB",
        "parameters, millions",
        "ms",
    ]
    lines = [f"| {' | '.join(head)} |", "|---" + "|--:" * (len(head) - 1) + "|"]
    for row in rows:
        cells = [row.name, _text(row.recognised), *(_part(row.by_emotion[name]) for name in ASKED), _text(row.identity)]
        cells += [
            f"{row.sharpness:.2f}",
            f"{row.frechet:.0f}",
            f"{row.zero_edit:.1f}",
            f"{row.parameters:.1f}",
            f"{row.milliseconds:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _part(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def _text(value: Ranged) -> str:
    return f"{value[0]:.2f} ({value[1]:.2f} to {value[2]:.2f})"


def write(rows: Sequence[Row], folder: Path) -> None:
    """Write ``comparison.md`` and ``comparison.json`` into a folder that is there."""
    content: list[dict[str, Any]] = [asdict(row) for row in rows]
    for name, text in (("comparison.md", table(rows)), ("comparison.json", json.dumps(content, indent=1))):
        with atomic(folder / name) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
