"""What is asked of whom, and what is seen in the answers."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganimation.action_units import ACTION_UNITS, EMOTIONS
from ganimation.evaluation.judges import AUJudge, PooledFeatures
from ganimation.evaluation.subjects import Edited, Subject
from ganimation.faces.crop import CropTemplate
from ganimation.faces.reader import FaceReader

LEVELS = (0.0, 0.5, 1.0)
#: Where the upper face ends in the crop template, as a share of its side: between the eyes and the mouth.
WAIST = 0.54

Pixels = NDArray[np.uint8]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Trial:
    """One thing asked of one face.

    Attributes:
        kind: ``single``, ``pair``, ``random``, ``emotion``, ``zero`` or ``true`` (the target is another photo of the
            session, and known).
        face: row in the exam's faces.
        target: (AUs,) in [0, 1].
        name: for people.
        au: of a ``single``, its place among the AUs; else -1.
        level: of a ``single``.
        truth: of a ``true``, the row of the photo that has the target's AUs; else -1.
    """

    kind: str
    face: int
    target: Array
    name: str
    au: int = -1
    level: float = 0.0
    truth: int = -1


def plan(
    shown: Array, aus: Sequence[str], neutral: int, sessions: NDArray[np.int64] | None = None, seed: int = 0
) -> list[Trial]:
    """Return all trials: single AUs of the most neutral faces, and one of every other kind of every face.

    Args:
        shown: (faces, AUs) in [0, 1].
        aus: codes.
        neutral: how many faces sit the single AUs; those that show least.
        sessions: (faces,), equal where the true picture of another expression is known, -1 where not.
        seed: of what is drawn.
    """
    rng = np.random.default_rng(seed)
    trials = []
    for face in np.argsort(shown.sum(axis=1), kind="stable")[:neutral].tolist():
        for au, code in enumerate(aus):
            for level in LEVELS:
                target = shown[face].copy()
                target[au] = level
                trials.append(Trial("single", face, target, f"{code} {level:g}", au, level))
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
    """What was seen in a subject's answers, a row a trial; NaN where nothing could be seen.

    Attributes:
        annotator: (T, AUs) read by the annotator that made the labels.
        judge: (T, 15) read by the judge.
        change: (T, 2), mean absolute change of the upper and of the lower face, in grey levels of 255.
        psnr: (T,), of the answer against the photo, in dB, at most 99.
        mask: (T, 3), mean and spread of A, and the share of pixels that change by more than 8 grey levels.
        pictures: the answers themselves, (T, S, S, 3), if they were kept.
    """

    annotator: Array
    judge: Array
    change: Array
    psnr: Array
    mask: Array
    pictures: Pixels


class Readers:
    """Those who look at faces.

    Args:
        template: of the crops.
        jobs: threads.
    """

    def __init__(self, template: CropTemplate, jobs: int) -> None:
        self.jobs = jobs
        self._template = template
        self._reader = FaceReader(threads=1)
        self.judge = AUJudge()
        self.features = PooledFeatures()
        self.aus = self._reader.aus

    def annotate(self, crop: Pixels) -> Array:
        """Return what the annotator reads in a face, (AUs,); NaN if it sees none."""
        return np.asarray(self._reader.measure_crops(crop[None], self._template)[0], np.float64)

    def points(self, crop: Pixels) -> Array:
        """Return the landmarks of a face, (478, 2), as shares of the crop's side."""
        return self._reader.points_of_crop(crop, self._template) / len(crop)


def sit(
    subject: Subject,
    trials: Sequence[Trial],
    crops: Pixels,
    shown: Array,
    readers: Readers,
    count: Callable[[], None] = lambda: None,
) -> Answers:
    """Let a subject answer all trials and look at the answers.

    Args:
        subject: who answers.
        trials: what is asked.
        crops: the faces, (faces, S, S, 3) RGB uint8.
        shown: (faces, AUs), what they show.
        readers: who look.
        count: called after each trial.
    """

    def one(trial: Trial) -> tuple[Edited, Array]:
        edited = subject(crops[trial.face], shown[trial.face], trial.target)
        return edited, readers.annotate(edited.image)

    pictures, rows = np.empty((len(trials), *crops.shape[1:]), np.uint8), []
    with ThreadPoolExecutor(readers.jobs) as pool:
        for number, (edited, read) in enumerate(pool.map(one, trials)):
            pictures[number] = edited.image
            rows.append((read, *_differences(edited, crops[trials[number].face])))
            count()
    columns = [np.array(column, np.float64) for column in zip(*rows, strict=True)]
    return Answers(columns[0], readers.judge(pictures), columns[1], columns[2], columns[3], pictures)


def _differences(edited: Edited, crop: Pixels) -> tuple[Array, float, Array]:
    difference = np.abs(edited.image.astype(np.float64) - crop)
    waist = round(WAIST * len(crop))
    error = np.square(difference).mean()
    psnr = min(99.0, float(10 * np.log10(255**2 / error))) if error else 99.0
    changed = float((difference.max(axis=2) > 8).mean())
    mask = [np.nan, np.nan] if edited.attention is None else [edited.attention.mean(), edited.attention.std()]
    return np.array([difference[:waist].mean(), difference[waist:].mean()]), psnr, np.array([*mask, changed])


def half_of(code: str) -> int | None:
    """Return 0 for an AU of the upper face, 1 for one of the lower, ``None`` for nose and cheeks."""
    return {"brows": 0, "eyes": 0, "mouth and chin": 1}.get(ACTION_UNITS[code].region)
