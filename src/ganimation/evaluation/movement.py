"""Displacements of landmarks in edited faces, compared with those of human expressions.

Expected are the displacements of :mod:`ganimation.faces.geometry`, which were fitted on people that are not in
an exam. Landmarks are read again in every edited picture. A copy of the photo has a gain of 0 and an error of 1.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganimation.evaluation.trials import LEVELS, STEPS, Trial
from ganimation.faces.geometry import LIDS, opening
from ganimation.faces.pose import expect

Array = NDArray[np.float64]

#: Landmarks that an AU moves by less than this share of the side do not count: the landmarker's own noise.
LEAST = 0.002
#: Gains within this band count as natural.
BAND = (0.6, 1.4)
#: Landmarks of both irises.
IRISES = slice(468, 478)
#: A movement at an intensity of .2 is visible if it is a share of this of the distance between the eyes.
VISIBLE = 0.004


def report(trials: Sequence[Trial], points: Array, before: Array, shown: Array, aus: Sequence[str]) -> dict[str, Any]:
    """Return the landmark-based measures of a method's single AUs.

    Args:
        trials: all.
        points: (trials, 478, 2), landmarks of the answers in shares of the side; NaN where no face is seen.
        before: (faces, 478, 2), of the photos.
        shown: (faces, AUs).
        aus: codes.

    Returns:
        ``by au``: gain, error and iris shift at full strength, and the movement at each of :data:`STEPS` as a share of
        that at 1; ``error``, its mean; ``in band``, how many gains are within :data:`BAND`; ``response``, the median
        movement over AUs at each step; ``visible at .2``, the share of faces that move visibly; ``monotone``, the share
        of steps that move further than the one before; ``iris shift`` under AU05, and ``lid aperture`` under AU45.
    """
    rows = [_of_au(code, index, trials, points, before, shown, aus) for index, code in enumerate(aus)]
    response = np.array([row["response"] for row in rows if row["response"]], np.float64)
    known = [row for row in rows if np.isfinite(row["gain"])]
    by_code = {row["au"]: row for row in rows}
    return {
        "by au": rows,
        "error": float(np.mean([row["error"] for row in known])) if known else float("nan"),
        "in band": sum(BAND[0] <= row["gain"] <= BAND[1] for row in known),
        "of": len(known),
        "response": np.nanmedian(response, axis=0).tolist() if len(response) else [],
        "visible at .2": float(np.nanmean([row["visible"] for row in rows])) if len(response) else float("nan"),
        "monotone": float(np.nanmean([row["monotone"] for row in rows])) if len(response) else float("nan"),
        "iris shift": by_code["AU05"]["iris"] if "AU05" in by_code else float("nan"),
        "lid aperture": _aperture(trials, points, before, aus),
    }


def _of_au(
    code: str, index: int, trials: Sequence[Trial], points: Array, before: Array, shown: Array, aus: Sequence[str]
) -> dict[str, Any]:
    full = [n for n, t in enumerate(trials) if t.kind == "single" and t.au == index and t.level == LEVELS[-1]]
    gains, errors, irises = [], [], []
    for number in full:
        face = trials[number].face
        wanted = expect(before[face], shown[face], trials[number].target, aus, as_read=True) - before[face]
        moved = points[number] - before[face]
        there = np.linalg.norm(wanted, axis=1) > LEAST
        apart = np.linalg.norm(before[face, 263] - before[face, 33])
        irises.append(np.linalg.norm(moved[IRISES], axis=1).mean() / apart)
        if there.any():
            gains.append((wanted[there] * moved[there]).sum() / np.square(wanted[there]).sum())
            lengths = np.linalg.norm(wanted[there], axis=1).sum()
            errors.append(np.linalg.norm(moved[there] - wanted[there], axis=1).sum() / lengths)
    return {
        "au": code,
        "gain": _mean(gains),
        "error": _mean(errors),
        "iris": _mean(irises),
        **_steps(index, trials, points, before, shown, aus),
    }


def _steps(
    index: int, trials: Sequence[Trial], points: Array, before: Array, shown: Array, aus: Sequence[str]
) -> dict[str, Any]:
    """Return movement along the expected direction at each step as a share of that at 1, and what follows from it."""
    curves, visible = [], []
    by_face: dict[int, dict[float, int]] = {}
    for number, trial in enumerate(trials):
        if trial.kind == "step" and trial.au == index:
            by_face.setdefault(trial.face, {})[trial.level] = number
    for face, numbers in by_face.items():
        wanted = expect(before[face], shown[face], trials[numbers[STEPS[-1]]].target, aus, as_read=True) - before[face]
        power = np.square(wanted).sum()
        if power < LEAST**2:
            continue
        along = [float((wanted * (points[numbers[level]] - before[face])).sum() / power) for level in STEPS]
        if along[-1] > 0.1:
            curves.append([value / along[-1] for value in along])
        largest = np.linalg.norm(points[numbers[STEPS[1]]] - before[face], axis=1).max()
        visible.append(largest > VISIBLE * np.linalg.norm(before[face, 263] - before[face, 33]))
    if not curves:
        return {"response": [], "visible": float("nan"), "monotone": float("nan")}
    rising = np.diff(np.array(curves), axis=1) > 0
    return {
        "response": np.nanmedian(curves, axis=0).tolist(),
        "visible": float(np.mean(visible)),
        "monotone": float(rising.mean()),
    }


def _aperture(trials: Sequence[Trial], points: Array, before: Array, aus: Sequence[str]) -> float:
    """Return the height of the eyes when AU45 is 1, as a share of that in the photo."""
    if "AU45" not in aus:
        return float("nan")
    index = list(aus).index("AU45")
    shares = [
        np.mean([opening(points[number], lids) / opening(before[trial.face], lids) for lids in LIDS])
        for number, trial in enumerate(trials)
        if trial.kind == "single" and trial.au == index and trial.level == LEVELS[-1]
    ]
    return _mean(shares)


def _mean(values: Sequence[Any]) -> float:
    there = [float(value) for value in values if np.isfinite(value)]
    return float(np.mean(there)) if there else float("nan")
