"""From answers to numbers. A copy of the photo scores nothing, but in the measures of leaving it alone."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganimation.errors import require
from ganimation.evaluation import metrics
from ganimation.evaluation.trials import LEVELS, Answers, Trial, half_of

Array = NDArray[np.float64]
Pixels = NDArray[np.uint8]

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
    return np.asarray(np.nanmean(after[:, :, -1] - after[:, :, 0], axis=0), np.float64)


def gains(
    trials: Sequence[Trial], read: Array, before: Array, shown: Array, asked: Sequence[str], seen: Sequence[str]
) -> Array:
    """Return the expression gain of each trial, (trials,): 0 for a copy of the photo, 1 for perfect obedience.

    The regression, through the origin, of the change that is read on the change that was asked; NaN where hardly
    anything was asked.

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


def in_place(trials: Sequence[Trial], change: Array, aus: Sequence[str]) -> dict[str, float]:
    """Return the share of the change that falls into the right half of the face, for AUs of the upper and the lower.

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


def truth(trials: Sequence[Trial], pictures: Pixels, crops: Pixels) -> dict[str, float]:
    """Return PSNR and SSIM of the answers to the true pictures, where they are known; means over trials.

    Args:
        trials: all.
        pictures: the answers.
        crops: the photos, among them the true pictures.
    """
    ssim = require("skimage.metrics", "evaluate").structural_similarity
    pairs = [(picture, crops[t.truth]) for picture, t in zip(pictures, trials, strict=True) if t.kind == "true"]
    if not pairs:
        return {}
    return {
        "pairs": len(pairs),
        "PSNR": float(np.mean([metrics.psnr(*pair) for pair in pairs])),
        "SSIM": float(np.mean([ssim(*pair, channel_axis=2) for pair in pairs])),
    }


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
    trials: Sequence[Trial],
    answers: Answers,
    before: Mapping[str, Array],
    shown: Array,
    aus: Sequence[str],
    seen: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """Return all measures of a subject as plain JSON values.

    Args:
        trials: all.
        answers: of the subject.
        before: by reader, (faces, AUs read), of the photos.
        shown: (faces, AUs), what the subject was told that they show.
        aus: codes that were asked.
        seen: by reader, codes that it reads.
    """
    found: dict[str, Any] = {"readers": {}}
    faces = list(dict.fromkeys(trial.face for trial in trials if trial.kind == "single"))
    for reader, read in (("annotator", answers.annotator), ("judge", answers.judge)):
        after = singles(trials, read, len(aus))
        photos = before[reader]
        rows = by_au(after, photos[faces], aus, seen[reader])

        def mean_pcc(some: Array, photos: Array = photos[faces], codes: Sequence[str] = seen[reader]) -> float:
            return float(np.mean([row["pcc"] for row in by_au(some, photos[: len(some)], aus, codes)]))

        gain = gains(trials, read, photos, shown, aus, seen[reader])
        found["readers"][reader] = {
            "singles": rows,
            "pcc": float(np.mean([row["pcc"] for row in rows])),
            "pcc interval": interval(after, mean_pcc),
            "aus at .7": sum(row["pcc"] >= 0.7 for row in rows),
            "rise": float(np.mean([row["rise"] for row in rows])),
            "leakage": leakage(after).tolist(),
            "gain": {
                kind: {
                    "mean": _mean(gain[chosen := [t.kind == kind for t in trials]]),
                    "interval": interval(gain[chosen], _mean),
                }
                for kind in dict.fromkeys(trial.kind for trial in trials)
                if kind != "zero" and any(trial.kind == kind for trial in trials)
            },
        }
    zero = [trial.kind == "zero" for trial in trials]
    moved = [trial.kind not in ("zero", "single") for trial in trials]
    found["zero edit PSNR"] = _mean(answers.psnr[zero])
    found["change in place"] = in_place(trials, answers.change, aus)
    found["mask"] = dict(zip(("mean", "spread", "changed"), map(_mean, answers.mask[moved].T), strict=True))
    found["faces lost"] = int(np.isnan(answers.annotator).any(axis=1).sum())
    return found


def _mean(values: Array) -> float:
    """Return the mean of what is there; NaN if nothing is."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")
