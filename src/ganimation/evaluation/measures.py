"""Measures of edited faces. An unedited copy fails all but those of unwanted changes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganimation.action_units import half_of
from ganimation.errors import require
from ganimation.evaluation import metrics, movement
from ganimation.evaluation.judges import CLASSIFIERS, EMOTIONS
from ganimation.evaluation.trials import LEVELS, Answers, Faces, Trial, is_full

Array = NDArray[np.float64]
Pixels = NDArray[np.uint8]

#: Readers of AUs: the annotator that made the labels, and two judges fitted to human codes: pixels and landmarks.
READERS = ("annotator", "judge", "geometry")
#: Names (or their beginnings) of measures for which higher is better; :func:`error_scores` negates them.
GOOD = ("expression gain", "zero edit", "PSNR")
#: What is measured of a mask.
MASK = ("mean", "spread", "changed")
#: Resamples of a bootstrap.
RESAMPLES = 500


def singles(trials: Sequence[Trial], read: Array, count: int) -> Array:
    """Return what was read of the single AUs, (faces, AUs asked, levels, AUs read).

    Args:
        trials: all.
        read: (trials, AUs read).
        count: AUs that were asked.
    """
    rows = [number for number, trial in enumerate(trials) if trial.kind == "single"]
    return read[rows].reshape(-1, count, len(LEVELS), read.shape[1])


def by_au(after: Array, before: Array, asked: Sequence[str], read: Sequence[str]) -> list[dict[str, Any]]:
    """Return for each AU that was asked and can be read its correlation, slope, monotonicity and rise at full strength.

    Args:
        after: from :func:`singles`.
        before: (faces, AUs read), of the photos.
        asked: codes.
        read: codes.
    """
    levels = np.broadcast_to(np.array(LEVELS), (len(after), len(LEVELS)))
    rows: list[dict[str, Any]] = []
    for index, code in enumerate(asked):
        if code not in read:
            continue
        column = read.index(code)
        values = after[:, index, :, column]
        rows.append(
            {
                "au": code,
                "pcc": metrics.pcc(levels.ravel(), values.ravel()),
                "slope": metrics.slope(levels.ravel(), values.ravel()),
                "monotonicity": metrics.monotonicity(values),
                "rise": _mean(values[:, -1] - before[:, column]),
            }
        )
    return rows


def leakage(after: Array) -> Array:
    """Return (AUs asked, AUs read), the mean change of what is read between nothing and full strength."""
    change = after[:, :, -1] - after[:, :, 0]
    seen = np.isfinite(change).sum(axis=0)
    return np.asarray(np.where(seen, np.nansum(change, axis=0) / np.maximum(seen, 1), np.nan), np.float64)


def gains(
    trials: Sequence[Trial], read: Array, before: Array, shown: Array, asked: Sequence[str], seen: Sequence[str]
) -> Array:
    """Return the expression gain of each trial, (trials,): 0 for a copy of the photo, 1 for an exact response.

    The regression, through the origin, of the change that is read on the change that was asked; NaN where the squared
    requested changes sum to 0.01 or less.

    Args:
        trials: all.
        read: (trials, AUs read).
        before: (faces, AUs read), of the photos.
        shown: (faces, AUs asked).
        asked: codes.
        seen: codes that are read.
    """
    both = [(asked.index(code), seen.index(code)) for code in asked if code in seen]
    ask, see = (list(column) for column in zip(*both, strict=True))
    faces = [trial.face for trial in trials]
    wanted = (np.stack([trial.target for trial in trials]) - shown[faces])[:, ask]
    change = (read - before[faces])[:, see]
    power = np.square(wanted).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(power > 0.01, (wanted * change).sum(axis=1) / power, np.nan), np.float64)


def region_locality(trials: Sequence[Trial], change: Array, aus: Sequence[str]) -> dict[str, float]:
    """Return the share of the change inside the half of the face, upper or lower, to which the requested AU belongs.

    Args:
        trials: all.
        change: (trials, 2), of the upper and the lower face.
        aus: codes that were asked.
    """
    found: dict[str, float] = {}
    for half, name in enumerate(("upper", "lower")):
        rows = [
            number
            for number, trial in enumerate(trials)
            if trial.kind == "single" and trial.level == LEVELS[-1] and half_of(aus[trial.au]) == half
        ]
        total = change[rows].sum()
        found[name] = float(change[rows, half].sum() / total) if total else float("nan")
    return found


def truth(
    trials: Sequence[Trial], pictures: Pixels, crops: Pixels, distance: Callable[[Pixels, Pixels], float]
) -> dict[str, Any]:
    """Return the distances of edited faces to their paired ground truth: PSNR, SSIM and a perceptual distance.

    Args:
        trials: all.
        pictures: the answers.
        crops: the photos, among them the true pictures.
        distance: of two pictures, see :meth:`ganimation.evaluation.features.Features.distance`.

    Returns:
        ``pairs``, their number, and of each distance its mean and 95 % interval; empty where no pair is known.
    """
    ssim = require("skimage.metrics", "evaluate").structural_similarity
    pairs = [(picture, crops[t.truth]) for picture, t in zip(pictures, trials, strict=True) if t.kind == "true"]
    if not pairs:
        return {}
    found = {
        "PSNR": [min(99.0, metrics.psnr(*pair)) for pair in pairs],
        "SSIM": [float(ssim(*pair, channel_axis=2)) for pair in pairs],
        "perceptual": [distance(*pair) for pair in pairs],
    }
    return {"pairs": len(pairs)} | {name: _with_interval(np.array(values)) for name, values in found.items()}


def votes(trials: Sequence[Trial], emotions: Array) -> dict[str, Any]:
    """Return how often the emotion that was asked is the one that is recognised.

    Args:
        trials: all.
        emotions: (trials, 3, 7), see :class:`ganimation.evaluation.judges.EmotionVote`.

    Returns:
        ``vote`` (the mean of the three classifiers' probabilities), its interval, each classifier, and ``by emotion``
        the vote for each; empty where no emotion was asked.
    """
    rows = [number for number, trial in enumerate(trials) if trial.kind == "emotion" and trial.name in EMOTIONS]
    if not rows:
        return {}
    asked = np.array([EMOTIONS.index(trials[number].name) for number in rows])
    opinions = {"vote": emotions[rows].mean(axis=1)}
    opinions |= {name: emotions[rows, number] for number, name in enumerate(CLASSIFIERS)}
    right = {name: (values.argmax(axis=1) == asked).astype(np.float64) for name, values in opinions.items()}
    found: dict[str, Any] = {"vote": _with_interval(right["vote"])}
    found |= {name: float(right[name].mean()) for name in CLASSIFIERS}
    found["by emotion"] = {
        EMOTIONS[number]: float(right["vote"][asked == number].mean()) for number in sorted(set(asked.tolist()))
    }
    return found


def error_scores(
    trials: Sequence[Trial], answers: Answers, faces: Faces, aus: Sequence[str], seen: Mapping[str, Sequence[str]]
) -> dict[str, Array]:
    """Return how bad each answer is by each measure, (trials,): the higher the worse, NaN where it does not apply.

    Args:
        trials: all.
        answers: of a method.
        faces: of the exam.
        aus: codes that were asked.
        seen: by reader, codes that it reads.
    """
    place = np.array([trial.face for trial in trials])
    asked = np.abs(np.stack([trial.target for trial in trials]) - faces.shown[place])
    much = asked.max(axis=1) > 0.4
    found = {
        f"expression gain ({reader})": np.where(
            much, -gains(trials, answers.read[reader], faces.read[reader], faces.shown, aus, seen[reader]), np.nan
        )
        for reader in READERS
    }
    found["identity distance"] = answers.identity
    full = np.array([is_full(trial) for trial in trials])
    known = [index for index, code in enumerate(aus) if code in seen["annotator"]]
    columns = [seen["annotator"].index(aus[index]) for index in known]
    moved = np.abs(answers.read["annotator"] - faces.read["annotator"][place])[:, columns]
    found["other AUs that move"] = np.where(full, np.where(asked[:, known] > 0.01, 0.0, moved).max(axis=1), np.nan)
    half = np.array([half_of(aus[trial.au]) if trial.kind == "single" else None for trial in trials])
    wrong = np.array([np.nan if own is None else row[1 - own] for own, row in zip(half, answers.change, strict=True)])
    found["change in the wrong half"] = np.where(full, wrong, np.nan)
    found["zero edit"] = np.where([trial.kind == "zero" for trial in trials], -answers.psnr, np.nan)
    known_true = [
        metrics.psnr(picture, faces.crops[trial.truth]) if trial.kind == "true" else np.nan
        for picture, trial in zip(answers.pictures, trials, strict=True)
    ]
    found["PSNR to the true picture"] = -np.minimum(known_true, 99.0)
    return found


def frechet(first: Array, second: Array) -> float:
    """Return the Fréchet distance of two sets of features, each taken as a normal distribution (Heusel et al. 2017).

    Args:
        first: (N, F).
        second: (M, F).
    """
    means = first.mean(axis=0), second.mean(axis=0)
    left, right = (np.cov(values, rowvar=False) for values in (first, second))
    roots = np.linalg.eigvals(left @ right)  # the trace of the root of a product is the sum of its eigenvalues' roots
    cross = np.sqrt(np.maximum(roots.real, 0)).sum()
    return float(np.square(means[0] - means[1]).sum() + np.trace(left) + np.trace(right) - 2 * cross)


def kernel_distance(first: Array, second: Array) -> float:
    """Return the squared maximum mean discrepancy with a cubic kernel, unbiased (Binkowski et al. 2018); as above."""

    def kernel(a: Array, b: Array) -> Array:
        return np.asarray((a @ b.T / a.shape[1] + 1) ** 3, np.float64)

    own = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (kernel(first, first), kernel(second, second))]
    return float(sum(own) - 2 * kernel(first, second).mean())


def interval(values: Array, statistic: Callable[[Array], float], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a statistic of values, whose first axis is resampled."""
    rng = np.random.default_rng(seed)
    found = [statistic(values[rng.integers(0, len(values), len(values))]) for _ in range(RESAMPLES)]
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def report(
    trials: Sequence[Trial], answers: Answers, faces: Faces, aus: Sequence[str], seen: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Return all measures of a method, but for distances that need a network, as plain JSON values.

    Args:
        trials: all.
        answers: of the method.
        faces: of the exam.
        aus: codes that were asked.
        seen: by reader, codes that it reads.
    """
    kinds = np.array([trial.kind for trial in trials])
    full = [is_full(trial) for trial in trials]
    moved = ~np.isin(kinds, ("zero", "single", "step"))
    return {
        "readers": {
            reader: _of_reader(trials, answers.read[reader], faces.read[reader], faces.shown, aus, seen[reader])
            for reader in READERS
        },
        "emotions": votes(trials, answers.emotions),
        "identity": {
            "single AUs": _with_interval(answers.identity[full]),
            "emotions": _with_interval(answers.identity[kinds == "emotion"]),
        },
        "zero edit PSNR": _with_interval(answers.psnr[kinds == "zero"]),
        "change in place": region_locality(trials, answers.change, aus),
        "mask": dict(zip(MASK, map(_mean, answers.mask[moved].T), strict=True)),
        "mask of single AUs": {
            code: dict(zip(MASK, map(_mean, answers.mask[rows].T), strict=True))
            for index, code in enumerate(aus)
            if any(rows := [is_full(trial) and trial.au == index for trial in trials])
        },
        "movement": movement.report(
            trials, answers.points, np.stack([look.points for look in faces.looks]), faces.shown, aus
        ),
        "faces lost": int(np.isnan(answers.read["annotator"]).any(axis=1).sum()),
    }


def comparison(
    trials: Sequence[Trial], first: Answers, second: Answers, aus: Sequence[str], seen: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Return by reader the difference in mean PCC of single AUs, first minus second, with its bootstrap interval.

    Args:
        trials: all, the same for both.
        first: answers.
        second: answers.
        aus: codes that were asked.
        seen: by reader, codes that it reads.
    """
    found = {}
    for reader in READERS:
        both = np.stack([singles(trials, answers.read[reader], len(aus)) for answers in (first, second)], axis=1)

        def lead(some: Array, codes: Sequence[str] = seen[reader]) -> float:
            means = [np.mean([row["pcc"] for row in by_au(x, x[:, 0, 0], aus, codes)]) for x in np.moveaxis(some, 1, 0)]
            return float(means[0] - means[1])

        found[reader] = {"mean": lead(both), "interval": interval(both, lead)}
    return found


def _of_reader(
    trials: Sequence[Trial], read: Array, photos: Array, shown: Array, asked: Sequence[str], seen: Sequence[str]
) -> dict[str, Any]:
    """Return the measures of a method by one reader of AUs."""
    faces = list(dict.fromkeys(trial.face for trial in trials if trial.kind == "single"))
    after = singles(trials, read, len(asked))
    rows = by_au(after, photos[faces], asked, seen)

    def mean_pcc(some: Array) -> float:
        return float(np.mean([row["pcc"] for row in by_au(some, photos[faces][: len(some)], asked, seen)]))

    gain = gains(trials, read, photos, shown, asked, seen)
    kinds = np.array([trial.kind for trial in trials])
    return {
        "singles": rows,
        "pcc": float(np.mean([row["pcc"] for row in rows])),
        "pcc interval": interval(after, mean_pcc),
        "aus at .7": sum(row["pcc"] >= 0.7 for row in rows),
        "rise": float(np.mean([row["rise"] for row in rows])),
        "leakage": leakage(after).tolist(),
        "gain": {
            kind: _with_interval(gain[kinds == kind])
            for kind in dict.fromkeys(kinds.tolist())
            if kind not in ("zero", "step")
        },
    }


def _with_interval(values: Array) -> dict[str, Any]:
    return {"mean": _mean(values), "interval": interval(values, _mean)}


def _mean(values: Array) -> float:
    """Return the mean of the values that are not NaN; NaN if there are none."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")
