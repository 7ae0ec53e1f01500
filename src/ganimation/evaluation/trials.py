"""Trials (requested edits of faces), and what the evaluators read from the edited faces."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganimation.action_units import EMOTIONS
from ganimation.evaluation.evaluators import Evaluators, Look
from ganimation.evaluation.features import Seen
from ganimation.evaluation.methods import Edited, Method
from ganimation.faces.crop import WAIST

LEVELS = (0.0, 0.5, 1.0)
#: Changes of a single AU, as shares of the way from what a face shows to 1, by which the response is measured.
STEPS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0)

Pixels = NDArray[np.uint8]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Trial:
    """One requested edit of one face.

    Attributes:
        kind: ``single``, ``step``, ``pair``, ``random``, ``emotion``, ``zero`` or ``true`` (the target AUs are
            those of another photo of the session, which is the ground truth).
        face: row in the exam's faces.
        target: (AUs,) in [0, 1].
        name: label for the report.
        au: of a ``single`` and a ``step``, the index of the AU; else -1.
        level: of a ``single``, the intensity; of a ``step``, the share of the way to 1.
        truth: of a ``true``, the row of the ground-truth photo among the exam's faces; else -1.
    """

    kind: str
    face: int
    target: Array
    name: str
    au: int = -1
    level: float = 0.0
    truth: int = -1


def plan(
    shown: Array,
    aus: Sequence[str],
    neutral: int,
    sessions: NDArray[np.int64] | None = None,
    seed: int = 0,
    steps: int = 0,
) -> list[Trial]:
    """Return all trials: single AUs of the most neutral faces, and one of every other kind of every face.

    Args:
        shown: (faces, AUs) in [0, 1].
        aus: codes.
        neutral: number of faces for trials of single AUs, those with the lowest sum of intensities.
        sessions: (faces,), code of the session, whose photos are ground truth for each other; -1 where unknown.
        seed: of the random trials.
        steps: number of the neutral faces for trials of kind ``step``.
    """
    rng = np.random.default_rng(seed)
    trials = []
    for face in np.argsort(shown.sum(axis=1), kind="stable")[:neutral].tolist():
        for au, code in enumerate(aus):
            for level in LEVELS:
                target = shown[face].copy()
                target[au] = level
                trials.append(Trial("single", face, target, f"{code} {level:g}", au, level))
    for face in np.argsort(shown.sum(axis=1), kind="stable")[: min(steps, neutral)].tolist():
        for au, code in enumerate(aus):
            for share in STEPS:
                target = shown[face].copy()
                target[au] += share * (1 - target[au])
                trials.append(Trial("step", face, target, f"{code} +{share:g}", au, share))
    recipes = {name: recipe for name, recipe in EMOTIONS.items() if recipe and set(recipe) <= set(aus)}
    for face, own in enumerate(shown):
        trials.append(Trial("zero", face, own.copy(), "as it is"))
        first, second = rng.choice(len(aus), 2, replace=False).tolist()
        target = own.copy()
        target[[first, second]] = rng.uniform(0.4, 1.0, 2)
        trials.append(Trial("pair", face, target, f"{aus[first]} {aus[second]}"))
        target = np.clip(own + np.where(rng.random(len(aus)) < 0.3, rng.uniform(-0.6, 0.6, len(aus)), 0.0), 0.0, 1.0)
        trials.append(Trial("random", face, target, "random"))
        if recipes:
            name = list(recipes)[int(rng.integers(len(recipes)))]
            wanted = [recipes[name].get(code, own[i] if code == "AU45" else 0.0) for i, code in enumerate(aus)]
            trials.append(Trial("emotion", face, np.array(wanted), name))
        others = _mates(sessions, face)
        if others:
            truth = int(rng.choice(others))
            trials.append(Trial("true", face, shown[truth].copy(), "another photo", truth=truth))
    return trials


def _mates(sessions: NDArray[np.int64] | None, face: int) -> list[int]:
    if sessions is None or sessions[face] < 0:
        return []
    return [row for row in np.flatnonzero(sessions == sessions[face]).tolist() if row != face]


@dataclass(frozen=True)
class Answers:
    """What the evaluators read from a method's edited faces, a row a trial; NaN where nothing was or could be read.

    Attributes:
        read: by reader, (T, AUs read).
        emotions: (T, 3, 7), probabilities by classifier; of emotions that were asked.
        identity: (T,), dlib's distance to the photo; of full-strength single AUs and emotions.
        change: (T, 2), mean absolute change of the upper and of the lower face, in grey levels of 255.
        psnr: (T,), of the answer against the photo, in dB, at most 99.
        mask: (T, 3), mean and spread of A, and the share of pixels that change by more than 8 grey levels.
        pooled: (T, 320), features for distances between sets.
        pictures: the answers themselves, (T, S, S, 3).
        points: (T, 478, 2), landmarks in shares of the side.
    """

    read: Mapping[str, Array]
    emotions: Array
    identity: Array
    change: Array
    psnr: Array
    mask: Array
    pooled: Array
    pictures: Pixels
    points: Array


@dataclass(frozen=True)
class Faces:
    """The faces of an exam, and their measurements before any edit.

    Attributes:
        crops: (N, S, S, 3) RGB uint8.
        sessions: (N,), equal where the photos are of one person in one session, -1 where that is not known.
        names: of the photos.
        shown: (N, AUs), source AUs, which methods are given; in the data set's order.
        looks: (N,), what the evaluators read.
        read: by reader, (N, AUs read).
        cells: (N, F), features that the judge reads.
        pooled: (N, 320), features for distances between sets.
    """

    crops: Pixels
    sessions: NDArray[np.int64]
    names: list[str]
    shown: Array
    looks: list[Look]
    read: Mapping[str, Array]
    cells: NDArray[np.float32]
    pooled: Array


def run_trials(
    method: Method,
    trials: Sequence[Trial],
    faces: Faces,
    evaluators: Evaluators,
    jobs: int = 1,
    count: Callable[[], None] = lambda: None,
) -> Answers:
    """Run a method on all trials and evaluate the edited faces.

    An edited face that equals the photo is not evaluated again.

    Args:
        method: edits the faces.
        trials: the edits.
        faces: the photos.
        evaluators: of the edited faces.
        jobs: threads.
        count: called after each trial.
    """

    def one(trial: Trial) -> tuple[Edited, Look, Seen | None]:
        crop = faces.crops[trial.face]
        edited = method(crop, faces.shown[trial.face], trial.target)
        if np.array_equal(edited.image, crop):
            return edited, faces.looks[trial.face], None
        look = evaluators.look(edited.image, trial.kind == "emotion", is_full(trial) or trial.kind == "emotion")
        return edited, look, evaluators.features(edited.image[None])

    pictures = np.empty((len(trials), *faces.crops.shape[1:]), np.uint8)
    cells = faces.cells[[trial.face for trial in trials]]
    pooled = faces.pooled[[trial.face for trial in trials]]
    looks, differences = [], []
    with ThreadPoolExecutor(jobs) as pool:
        for number, (edited, look, seen) in enumerate(pool.map(one, trials)):
            pictures[number] = edited.image
            if seen is not None:
                cells[number], pooled[number] = seen.cells[0], seen.pooled[0]
            looks.append(look)
            differences.append(_differences(edited, faces.crops[trials[number].face]))
            count()
    change, psnr, mask = (np.array(column, np.float64) for column in zip(*differences, strict=True))
    before = np.stack([faces.looks[trial.face].identity for trial in trials])
    identity = np.linalg.norm(np.stack([look.identity for look in looks]) - before, axis=1)
    identity[[not (is_full(trial) or trial.kind == "emotion") for trial in trials]] = np.nan
    emotions = np.stack([look.emotions for look in looks])
    points = np.stack([look.points for look in looks])
    return Answers(evaluators.read(looks, cells), emotions, identity, change, psnr, mask, pooled, pictures, points)


def is_full(trial: Trial) -> bool:
    """Return whether a single AU is asked at full strength."""
    return trial.kind == "single" and trial.level == LEVELS[-1]


def _differences(edited: Edited, crop: Pixels) -> tuple[Array, float, Array]:
    difference = np.abs(edited.image.astype(np.float64) - crop)
    waist = round(WAIST * len(crop))
    error = np.square(difference).mean()
    psnr = min(99.0, float(10 * np.log10(255**2 / error))) if error else 99.0
    changed = float((difference.max(axis=2) > 8).mean())
    mask = [np.nan, np.nan] if edited.attention is None else [edited.attention.mean(), edited.attention.std()]
    return np.array([difference[:waist].mean(), difference[waist:].mean()]), psnr, np.array([*mask, changed])
