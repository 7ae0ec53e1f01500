"""Ground truth for restored apertures: open mouths and eyes whose inside is partly erased."""

import numpy as np
from numpy.typing import NDArray

from ganimation.faces import mesh
from ganimation.faces.geometry import APERTURES, LIPS
from ganimation.faces.pose import Maps, union

#: How often the whole inside of a mouth is erased, and of an eye; else it is what a rim that moves uncovers.
WHOLE_MOUTH, WHOLE_EYE = 0.6, 0.1
#: A rim uncovers up to this share of an aperture's height.
UNCOVERED = 0.7


def erase(points: NDArray[np.float64], size: int, rng: np.random.Generator) -> Maps:
    """Return the geometry maps of a face that does not move and whose apertures are partly erased, (size, size, 7).

    Args:
        points: (478, 2) landmarks in pixels.
        size: of the picture.
        rng: what to draw from.

    Returns:
        maps as of :func:`ganimation.faces.pose.pose`; the flow is 0.
    """
    after, before = [], []
    for upper, lower in APERTURES:
        above, below = points[list(upper)], points[list(lower)]
        after.append(np.concatenate([above, below[::-1]]))
        whole = rng.random() < (WHOLE_MOUTH if (upper, lower) == LIPS else WHOLE_EYE)
        top, bottom = rng.uniform(0, UNCOVERED, 2) * (rng.random(2) < 0.7)
        if not whole:
            across = below - above
            rest = below - bottom * (1 - top) * across
            before.append(np.concatenate([above + top * across, rest[::-1]]))
    masks = np.stack([union(after, size), union(before, size)], axis=2)
    return np.concatenate([mesh.guide(points, size), np.zeros((size, size, 2), np.float32), masks], axis=2)
