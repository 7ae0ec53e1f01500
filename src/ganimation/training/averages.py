"""Averages of the generator over its training, of any width, chosen after the run (Karras et al. 2024, Sec. 3).

During the run two averages are kept whose window grows with the number of updates t, a share ``width`` of it wide:

    theta_t = (1 - 1/t)^(gamma + 1) theta_{t-1} + (1 - (1 - 1/t)^(gamma + 1)) theta

and written now and then as snapshots. An average of another width is a linear combination of snapshots: the one whose
profile over time is closest in the least-squares sense.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ganimation.errors import TrainingError, require
from ganimation.files import atomic

#: Widths of the averages that are kept, as shares of the run.
WIDTHS = (0.05, 0.1)
#: Snapshots of each that a run writes.
SNAPSHOTS = 16

_NAME = re.compile(r"updates-(\d{8,})-(\d)\.safetensors")


def exponent(width: float) -> float:
    """Return gamma of an average whose profile's standard deviation is ``width`` of its updates, in (0, 0.25)."""
    inverse = width**-2
    return float(np.roots([1, 7, 16 - inverse, 12 - inverse]).real.max())


@torch.no_grad()
def move(average: nn.Module, generator: nn.Module, updates: int, width: float) -> None:
    """Move an average towards the generator.

    Args:
        average: to change.
        generator: after its update.
        updates: of the generator, this one included.
        width: of the average; 0 is the generator itself.
    """
    keep = (1 - 1 / updates) ** (exponent(width) + 1) if width else 0.0
    for averaged, value in zip(average.parameters(), generator.parameters(), strict=True):
        averaged.lerp_(value, 1 - keep)


def write_snapshot(folder: Path, updates: int, averages: Sequence[nn.Module]) -> None:
    """Write the averages after so many updates, in half precision.

    Raises:
        MediaError: the disk refuses.
    """
    safetensors = require("safetensors.torch", "train")
    folder.mkdir(exist_ok=True)
    for number, average in enumerate(averages):
        halves = {name: value.half().contiguous() for name, value in average.state_dict().items()}
        with atomic(folder / f"updates-{updates:08d}-{number}.safetensors") as temporary:
            temporary.write_bytes(safetensors.save(halves))


def synthesize(folder: Path, width: float, updates: int) -> dict[str, Tensor]:
    """Return the weights of an average of any width, from the snapshots of a run.

    Args:
        folder: of the snapshots.
        width: of the average, as a share of the run.
        updates: of the generator in the run so far; snapshots of later ones are left out.

    Raises:
        TrainingError: there are no snapshots, one is damaged, or the width is out of range.
    """
    if not min(WIDTHS) <= width <= 0.25:
        raise TrainingError(f"--average {width:g}: it lies in [{min(WIDTHS)}, 0.25], a share of the run")
    safetensors = require("safetensors.torch", "train")
    matches = [(match, path) for path in sorted(folder.glob("*.safetensors")) if (match := _NAME.fullmatch(path.name))]
    found = [(int(match[1]), WIDTHS[int(match[2])], path) for match, path in matches if int(match[1]) <= updates]
    if not found:
        raise TrainingError(f"{folder}: no snapshots to average yet; train further, or export without --average")
    shares = combine([(count, own) for count, own, _ in found], (found[-1][0], width))
    total: dict[str, Tensor] = {}
    for share, (_, _, path) in zip(shares.tolist(), found, strict=True):
        try:
            weights = safetensors.load(path.read_bytes())
        except (OSError, ValueError, require("safetensors", "train").SafetensorError) as error:
            raise TrainingError(f"{path}: cannot be read ({error}); remove it to average without it") from error
        for name, value in weights.items():
            total[name] = total.get(name, torch.zeros(())) + share * value.float()
    return total


def combine(snapshots: Sequence[tuple[int, float]], wanted: tuple[int, float]) -> NDArray[np.float64]:
    """Return the shares of snapshots, each of (updates, width), that come closest to another average.

    The least-squares solution over profiles (Karras et al. 2024, Algorithm 3): A x = b with the inner products of all
    pairs of profiles.
    """
    ends, gammas = (
        np.array(column, np.float64) for column in zip(*((t, exponent(w)) for t, w in snapshots), strict=True)
    )
    square = _product(ends[:, None], gammas[:, None], ends[None], gammas[None])
    right = _product(ends, gammas, np.float64(wanted[0]), np.float64(exponent(wanted[1])))
    return np.asarray(np.linalg.lstsq(square, right, rcond=1e-12)[0], np.float64)


def _product(end: Any, gamma: Any, other_end: Any, other_gamma: Any) -> NDArray[np.float64]:
    """Return the inner product of two profiles p(t) = (gamma + 1) t^gamma / end^(gamma + 1) on [0, end]."""
    shorter = np.minimum(end, other_end)
    power = gamma + other_gamma + 1
    return np.asarray(
        (gamma + 1)
        * (other_gamma + 1)
        / power
        * (shorter / end) ** (gamma + 1)
        * (shorter / other_end) ** (other_gamma + 1)
        / shorter,
        np.float64,
    )
