"""Which way and how far each action unit moves the landmarks of a face, measured on human FACS codes.

A face's landmarks are those of the mean face, laid on the photo by an affine frame, plus what is the person's own::

    mean face (shares of the crop's side)  ── frame, fitted to landmarks that no muscle moves ──▶  photo

An AU of intensity 1 moves landmark i by ``frame[:, :2] @ displacements[k, i]``; changes of several AUs add up. Lids
are the exception: AU45 moves them by the eye's own opening, so that it closes every eye. Lids and lips stop where they
meet. The displacements are the asset ``au_displacements.npz``, made by ``tools/fit_au_geometry.py``; how much of
human movement they explain is in docs/instruments.md.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ganimation.assets import read_asset

Array = NDArray[np.float64]

#: Landmarks that no muscle of the face moves: eye corners, bridge and tip of the nose, temples.
STILL = (33, 133, 362, 263, 6, 168, 197, 195, 5, 4, 127, 356, 234, 454)

#: Upper and lower rims from corner to corner: the eye on the picture's left, the one on its right, the inner lips.
LIDS = (
    (
        (33, 246, 161, 160, 159, 158, 157, 173, 133),
        (33, 7, 163, 144, 145, 153, 154, 155, 133),
    ),
    (
        (362, 398, 384, 385, 386, 387, 388, 466, 263),
        (362, 382, 381, 380, 374, 373, 390, 249, 263),
    ),
)
LIPS = ((78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308), (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308))
#: All openings of a face; each is bounded by an upper and a lower rim.
APERTURES = (*LIDS, LIPS)

#: Width of the strip between a face's two sides, as a share of the template's side.
MIDDLE = 0.16

#: Landmarks of the fold above each point of an upper rim between the corners; it follows a closing lid halfway.
_FOLDS = ((247, 30, 29, 27, 28, 56, 190), (414, 286, 258, 257, 259, 260, 467))
_FOLLOW = 0.5

#: The share of an eye's opening that the upper lid travels when it closes; the lower lid travels the rest.
_UPPER_LID = 0.92

#: How far the visible rim of a lower lid is below its landmarks, as a share of the eye's opening.
_WATERLINE = 0.2

#: Intensity of AU45 above which the opening of an eye is too small to serve as the scale of its closing.
_NEARLY_CLOSED = 0.7


#: The landmarker follows a lid by a part of its way, in people as in pictures whose lids were moved. Displacements are
#: as it reads them in people; to be read so after an edit, lids have to move this much further.
UNDERREAD: Mapping[str, float] = {"AU05": 1.7, "AU06": 1.6, "AU07": 1.7}


@dataclass(frozen=True)
class Displacements:
    """The mean face and what each AU does to it.

    Attributes:
        aus: codes, in order.
        mean: (478, 2), landmarks of the mean neutral face in shares of the default template's side.
        mirror: (478,), the landmark on the other side of the face.
        triangles: (T, 3), landmarks at the corners of each triangle of the mesh; holes where the apertures are.
        values: (AUs, 478, 2), displacement at intensity 1 in shares of the default template's side.
    """

    aus: tuple[str, ...]
    mean: Array
    mirror: NDArray[np.intp]
    triangles: NDArray[np.intp]
    values: Array

    def matrix(self, codes: tuple[str, ...]) -> Array:
        """Return the displacements of some AUs, (codes, 478, 2); 0 of those that are not known, and of AU45."""
        known = {code: index for index, code in enumerate(self.aus)}
        return np.stack([self.values[known[code]] if code in known else np.zeros((478, 2)) for code in codes])


@cache
def displacements() -> Displacements:
    """Return the displacements that ship."""
    with np.load(io.BytesIO(read_asset("ganimation.faces", "au_displacements.npz")), allow_pickle=False) as data:
        return Displacements(
            tuple(data["aus"].tolist()),
            data["mean"].astype(np.float64),
            data["mirror"].astype(np.intp),
            data["triangles"].astype(np.intp),
            data["values"].astype(np.float64),
        )


def measured() -> tuple[str, ...]:
    """Return the AUs whose displacement is known."""
    return (*displacements().aus, "AU45")


def frame(points: NDArray[np.floating]) -> Array:
    """Return the affine transform from the mean face to a face, (2, 3), a least-squares fit over :data:`STILL`.

    Args:
        points: (478, 2) landmarks in any unit.
    """
    still = list(STILL)
    mean = np.column_stack([displacements().mean[still], np.ones(len(still))])
    return np.asarray(np.linalg.lstsq(mean, np.asarray(points, np.float64)[still], rcond=None)[0].T, np.float64)


def sides(points: NDArray[np.floating]) -> Array:
    """Return the weight of the person's left side at points of the mean face, (N,): 0 right, 1 left, smooth between.

    Args:
        points: (N, 2) in shares of the default template's side; the person's left is on the picture's right.
    """
    ramp = np.clip((np.asarray(points, np.float64)[:, 0] - 0.5) / MIDDLE + 0.5, 0.0, 1.0)
    return np.asarray(ramp * ramp * (3 - 2 * ramp), np.float64)


def move(
    points: NDArray[np.floating],
    change: NDArray[np.floating],
    codes: tuple[str, ...],
    shown_closed: float = 0.0,
    *,
    as_read: bool = False,
) -> Array:
    """Return where landmarks go under a change of AUs, (478, 2) in the unit of ``points``.

    Args:
        points: (478, 2), landmarks of the face as it is.
        change: (AUs,), target minus shown intensities; or (2, AUs) of the person's right and left side.
        codes: of the AUs.
        shown_closed: intensity of AU45 that the face shows.
        as_read: as the landmarker would read them afterwards, and not as they have to move, see :data:`UNDERREAD`.
    """
    basis, start = displacements(), np.asarray(points, np.float64)
    change, placed = np.atleast_2d(np.asarray(change, np.float64)), frame(start)
    left = sides(basis.mean)[:, None]
    further = np.array([1.0 if as_read else UNDERREAD.get(code, 1.0) for code in codes])
    values = (further[:, None, None] * basis.matrix(codes)) @ placed[:, :2].T
    shifts = [np.tensordot(side, values, axes=1) for side in change]
    moved = start + (shifts[0] if len(shifts) == 1 else (1 - left) * shifts[0] + left * shifts[1])
    if "AU45" in codes:
        closing = change[:, codes.index("AU45")]
        for eye, asked in enumerate(closing if len(closing) == 2 else closing.repeat(2)):
            _close(moved, eye, float(asked), shown_closed, placed)
    for upper, lower in APERTURES:
        _stop(start, moved, upper, lower, placed)
    return moved


def _close(moved: Array, eye: int, asked: float, shown: float, placed: Array) -> None:
    """Close, or for a negative ``asked`` open, an eye in place; 0 is the person's right, on the picture's left."""
    if asked == 0:
        return
    upper, lower = (list(rim[1:-1]) for rim in LIDS[eye])
    opening = moved[lower] - moved[upper]
    if asked > 0:
        share = min(1.0, asked / (1.0 - min(shown, _NEARLY_CLOSED)))
        travel = share * opening
    else:
        mean = displacements().mean
        wide = (mean[lower] - mean[upper]) @ placed[:, :2].T
        share = min(1.0, asked / min(-0.3, -shown)) if shown else 0.0
        heights = (np.linalg.norm(rims, axis=1, keepdims=True) for rims in (opening, wide))
        travel = -share * np.maximum(0.0, 1.0 - np.divide(*heights)) * wide
    moved[upper] += _UPPER_LID * travel
    moved[lower] -= (1 - _UPPER_LID) * travel
    moved[list(_FOLDS[eye])] += _FOLLOW * _UPPER_LID * travel


def _stop(points: Array, moved: Array, upper: tuple[int, ...], lower: tuple[int, ...], placed: Array) -> None:
    """Move rims that newly cross to their middle, in place; a slight crossing of closed lips before is kept."""
    down = placed[:, 1] / np.linalg.norm(placed[:, 1])
    above, below = list(upper[1:-1]), list(lower[1:-1])
    before, after = (np.minimum(0.0, (at[below] - at[above]) @ down) for at in (points, moved))
    crossed = np.minimum(0.0, after - before)[:, None] * down
    moved[above] += crossed / 2
    moved[below] -= crossed / 2


def kept(
    points: NDArray[np.floating],
    moved: NDArray[np.floating],
    rims: tuple[tuple[int, ...], tuple[int, ...]],
    margin: float,
) -> tuple[Array, Array]:
    """Return two outlines of an aperture, (N, 2) each: after a change, and of the visible part that is kept unchanged.

    A rim casts a shadow on what lies behind it, so where a rim opens, the kept part is narrower by the width of the
    opening, at most by ``margin``.

    Args:
        points: (478, 2), landmarks before.
        moved: (478, 2), after.
        rims: one of :data:`APERTURES`.
        margin: in the unit of the points.
    """
    upper, lower = (list(rim) for rim in rims)
    across = points[lower] - points[upper]
    width = np.linalg.norm(across, axis=1, keepdims=True)
    towards = across / np.maximum(width, 1e-9)
    opened = [sign * ((moved[rim] - points[rim]) * towards).sum(axis=1) for rim, sign in ((upper, -1), (lower, 1))]
    lost = [np.minimum(np.clip(amount, 0.0, margin)[:, None], width / 2) for amount in opened]
    rest = np.concatenate([points[upper] + lost[0] * towards, (points[lower] - lost[1] * towards)[::-1]])
    return np.concatenate([moved[upper], moved[lower][::-1]]), rest


def mirrored(points: NDArray[np.floating], size: int) -> Array:
    """Return the landmarks of the mirror image of a picture, (478, 2) in pixels.

    Args:
        points: (478, 2) in pixels.
        size: width of the picture.
    """
    turned = np.asarray(points, np.float64)[displacements().mirror]
    turned[:, 0] = size - 1 - turned[:, 0]
    return turned


def opening(points: NDArray[np.floating], rims: tuple[tuple[int, ...], tuple[int, ...]]) -> float:
    """Return the largest distance between the rims of an aperture, in the unit of the points."""
    upper, lower = (list(rim) for rim in rims)
    return float(np.linalg.norm(np.asarray(points)[lower] - np.asarray(points)[upper], axis=1).max())


def expected_points(points: NDArray[np.floating], shown: Mapping[str, float], target: Mapping[str, float]) -> Array:
    """Return where the landmarks of a face are expected at other intensities, (478, 2) in the unit of ``points``.

    Args:
        points: (478, 2), of the face as it is.
        shown: intensities by AU that it shows; 0 of AUs that are not named.
        target: intensities by AU that are asked; AUs that are not named stay.
    """
    codes = tuple(target)
    change = np.array([target[code] - shown.get(code, 0.0) for code in codes])
    return move(points, change, codes, shown.get("AU45", 0.0), as_read=True)


def visible(points: NDArray[np.floating]) -> Array:
    """Return landmarks whose lower lids are where a closing upper lid ends, (478, 2) in the unit of ``points``.

    The landmarker puts a lower lid at the eyeball. The pale rim below it is hidden when the eye closes: it belongs to
    what an upper lid covers.
    """
    seen = np.array(points, np.float64)
    for upper, lower in LIDS:
        above, below = list(upper[1:-1]), list(lower[1:-1])
        seen[below] += _WATERLINE * (seen[below] - seen[above])
    return seen
