"""Results of an edit."""

import os
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganimation.faces.crop import Moved, Transform
from ganimation.faces.reader import Face
from ganimation.media.images import Photo, to_srgb, write_image
from ganimation.media.provenance import Provenance

#: Intensities this close count as equal, so that requesting the two-digit values that `read` prints changes nothing.
SAME = 0.0051


@dataclass(frozen=True)
class EditedFace:
    """An edited face.

    Attributes:
        face: as it was measured in the photo.
        target: AU intensities asked for, by code, in [0, 1]; those not named are the face's own.
        color: C, (S, S, 3) float32 in [-1, 1]; ``None`` if the target equals the measured intensities.
        attention: A, (S, S) float32 in [0, 1], 1 keeps the photo; ``None`` likewise.
        transform: ``crop_from_photo`` of the two.
        moved: which part of C is warped photo; ``None`` for a model that does not warp.
        left: target of the person's left side, if the sides were requested separately; ``target`` is the right side's.
    """

    face: Face
    target: dict[str, float]
    color: NDArray[np.float32] | None
    attention: NDArray[np.float32] | None
    transform: Transform
    moved: Moved | None = None
    left: dict[str, float] | None = None

    def __repr__(self) -> str:
        return f"<EditedFace: {self._summary()}>"

    def _summary(self) -> str:
        changes = (f"{name} {shown:.2f} to {asked:.2f}" for name, (shown, asked) in self.changes().items())
        return ", ".join(changes) or "nothing changes"

    def changes(self) -> dict[str, list[float]]:
        """Return measured and target intensity of each AU that changes; ``AU12L`` and ``AU12R`` where sides differ."""
        found: dict[str, list[float]] = {}
        for code, asked in self.target.items():
            shown, left = self.face.aus.get(code, 0.0), asked if self.left is None else self.left[code]
            sides = {code: asked} if left == asked else {f"{code}R": asked, f"{code}L": left}
            found |= {
                name: [round(shown, 4), round(value, 4)] for name, value in sides.items() if abs(value - shown) > SAME
            }
        return found


@dataclass(frozen=True)
class Edit:
    """An edited photo.

    Attributes:
        photo: the result with all that the source file held beside its colours.
        faces: the faces that were asked to change, largest first.
        model: fingerprint of the model.
        changed: whether any pixel differs from the source's.
    """

    photo: Photo
    faces: tuple[EditedFace, ...]
    model: str = ""
    changed: bool = True

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        return f"<Edit {width}x{height}: {'; '.join(face._summary() for face in self.faces)}>"

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

    @property
    def notice(self) -> str:
        """One sentence where the result is the source, pixel by pixel; empty where something changed."""
        if self.changed:
            return ""
        asked = {name: change for face in self.faces for name, change in face.changes().items()}
        if not asked:
            return "the photo is as it was: it shows what was asked already"
        changes = ", ".join(f"{name} from {shown:.2f} to {value:.2f}" for name, (shown, value) in asked.items())
        return f"the photo is as it was: {changes} changes no pixel with this model; ask for more"

    @property
    def doubts(self) -> tuple[str, ...]:
        """A sentence for each face whose intensities, and hence whose edit, are unsure, see :attr:`Face.doubt`."""
        return tuple(
            f"face {number} is doubtful: {edited.face.doubt}"
            for number, edited in enumerate(self.faces, start=1)
            if edited.face.doubt
        )

    def _repr_png_(self) -> bytes:
        """Show the result in a notebook, at most 1,024 pixels a side."""
        image = Image.fromarray(to_srgb(self.photo))
        image.thumbnail((1024, 1024))
        buffer = BytesIO()
        image.save(buffer, "PNG")
        return buffer.getvalue()

    def save(self, path: str | os.PathLike[str], *, credentials: bool = True) -> None:
        """Write the result with what it is made of, see :func:`ganimation.media.images.write_image`."""
        write_image(self.photo, path, self.provenance, credentials=credentials)

    @property
    def provenance(self) -> Provenance | None:
        """What the result is made of; ``None`` where no face changed."""
        faces = tuple({"aus": changes} for face in self.faces if face.color is not None and (changes := face.changes()))
        return Provenance("edit", self.model, faces) if faces else None
