"""What an edit gives back."""

import os
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganimation.faces.crop import Moved, Transform
from ganimation.faces.reader import Face
from ganimation.media.images import Photo, to_srgb, write_image


@dataclass(frozen=True)
class EditedFace:
    """One face and what was done to it.

    Attributes:
        face: as it was measured in the photo.
        target: AU intensities asked for, by code, in [0, 1]; those not named are the face's own.
        color: C, (S, S, 3) float32 in [-1, 1]; ``None`` if nothing was asked that the face does not show already.
        attention: A, (S, S) float32 in [0, 1], 1 keeps the photo; ``None`` likewise.
        transform: ``crop_from_photo`` of the two.
        moved: which part of C is the photo's own pixels, moved; ``None`` of a model that only paints.
    """

    face: Face
    target: dict[str, float]
    color: NDArray[np.float32] | None
    attention: NDArray[np.float32] | None
    transform: Transform
    moved: Moved | None = None


@dataclass(frozen=True)
class Edit:
    """An edited photo.

    Attributes:
        photo: the result with all that the source file held beside its colours.
        faces: the faces that were asked to change, largest first.
    """

    photo: Photo
    faces: tuple[EditedFace, ...]

    @property
    def image(self) -> NDArray[np.uint8]:
        """The result, RGB uint8, (H, W, 3)."""
        return self.photo.pixels

    @property
    def color(self) -> NDArray[np.float32] | None:
        """C of the first face, see :class:`EditedFace`."""
        return self.faces[0].color

    @property
    def attention(self) -> NDArray[np.float32] | None:
        """A of the first face, see :class:`EditedFace`."""
        return self.faces[0].attention

    def _repr_png_(self) -> bytes:
        """Show the result in a notebook, at most 1,024 pixels a side."""
        image = Image.fromarray(to_srgb(self.photo))
        image.thumbnail((1024, 1024))
        buffer = BytesIO()
        image.save(buffer, "PNG")
        return buffer.getvalue()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the result, see :func:`ganimation.media.images.write_image`."""
        write_image(self.photo, path)
