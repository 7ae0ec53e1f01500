"""From an expression to the alphas of a film. Knows nothing of pixels."""

import math
from collections.abc import Callable, Mapping

from ganimation.errors import GanimationError

Easing = Callable[[float], float]


def _linear(t: float) -> float:
    return t


def _smooth(t: float) -> float:
    return (1.0 - math.cos(math.pi * t)) / 2.0


#: How alpha moves from 0 to 1 as time does; ``smooth`` starts and stops gently, as muscles do.
EASINGS: Mapping[str, Easing] = {"smooth": _smooth, "linear": _linear}


def alphas(seconds: float, fps: float, easing: str = "smooth", *, back: bool = True, hold: float = 0.2) -> list[float]:
    """Return the alpha of every frame of a film.

    Args:
        seconds: length of the film, in (0, 600].
        fps: frames a second, in [1, 120].
        easing: a name of :data:`EASINGS`.
        back: return to the photo's own expression, so that the film loops.
        hold: share of the film that stays at the target.

    Raises:
        GanimationError: a value out of range, or an unknown easing.
    """
    if easing not in EASINGS:
        raise GanimationError(f"unknown easing {easing!r}; it is one of {', '.join(EASINGS)}")
    if not 0.0 < seconds <= 600.0:
        raise GanimationError(f"{seconds:g} seconds: the length of a film lies in (0, 600]")
    if not 1.0 <= fps <= 120.0:
        raise GanimationError(f"{fps:g} frames a second: it lies in [1, 120]")
    count = max(2, round(seconds * fps))
    rise = (1.0 - hold) / (2.0 if back else 1.0)
    ease = EASINGS[easing]
    frames = []
    for index in range(count):
        time = index / (count - 1)
        falling = (1.0 - time) / rise if back else 1.0
        frames.append(ease(min(1.0, time / rise, falling)))
    return frames
