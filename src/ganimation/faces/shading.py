"""How each action unit darkens and brightens a face, measured on photos of the same people with other expressions.

Maps in the mean face, the asset ``au_shading.npz``, made by ``tools/fit_au_shading.py``: expression ratio images (Liu,
Shan & Zhang 2001), one an AU. A generator of kind ``muscles`` adds person-specific fields.
"""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ganimation.assets import read_asset

#: Pixels of a map, along a side of the default template.
SIDE = 96
#: Largest logarithm that is stored.
LARGEST = 0.8


def measured_shading(aus: Sequence[str]) -> NDArray[np.float32]:
    """Return the logarithm of the factor on brightness at intensity 1, (AUs, SIDE, SIDE); 0 of AUs not measured."""
    with np.load(io.BytesIO(read_asset("ganimation.faces", "au_shading.npz")), allow_pickle=False) as data:
        values = dict(zip(data["aus"].tolist(), data["values"].astype(np.float32) * (LARGEST / 127), strict=True))
    return np.stack([values.get(code, np.zeros((SIDE, SIDE), np.float32)) for code in aus])
