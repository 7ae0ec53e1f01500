"""State and edits of one visitor's photo, independent of Gradio: faces, target expression, undo, drawing, saving."""

import json
import shlex
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganimation.editing.editor import Editor
from ganimation.editing.result import SAME, Edit
from ganimation.editing.session import Session
from ganimation.errors import FaceError
from ganimation.faces.reader import Face
from ganimation.media.images import Photo, to_srgb, write_image
from ganimation.media.provenance import packet
from ganimation.media.video import shrink
from ganimation.pixels import denormalize
from ganimation.web.media import open_photo
from ganimation.web.store import remove

Pixels = NDArray[np.uint8]

#: Longest side in pixels of the preview, which is redrawn while a slider moves.
PREVIEW = 720
#: Pictures drawn for a visitor that are kept: some eight drawings with their masks.
RECENT = 24


@dataclass
class PhotoState:
    """A visitor's photo.

    Attributes:
        source: the file that was given.
        before: file of the unedited preview, written once and shown beside every drawing.
        preview: session on the reduced photo, with all its faces.
        scale: width of the preview divided by the width of the photo.
        number: of the chosen face, from 1, the largest first.
        history: target expressions (intensity by AU) for undo and redo, the oldest first.
        at: index in ``history`` of the current expression.
        closed: whether the visitor has opened another photo; late results for this one are then discarded.
    """

    source: Path
    before: Path
    preview: Session
    scale: float
    number: int = 1
    history: list[dict[str, float]] = field(default_factory=list)
    at: int = 0
    closed: bool = False
    drawn: deque[Path] = field(default_factory=deque)

    @property
    def name(self) -> str:
        """The name of the file that was given."""
        return self.source.name

    @property
    def shown(self) -> dict[str, float]:
        """Measured intensities of the chosen face, by AU."""
        return self.preview.faces[self.number - 1].shown

    @property
    def asked(self) -> dict[str, float]:
        """Current target intensities, by AU."""
        return self.history[self.at]

    def changes(self, asked: Mapping[str, float]) -> dict[str, float]:
        """Return the target intensities that differ from the measured ones, rounded to two digits."""
        return {code: round(value, 2) for code, value in asked.items() if abs(value - self.shown[code]) > SAME}

    def choose(self, number: int) -> None:
        """Choose another face; its history starts at its measured intensities."""
        self.number = number
        self.history, self.at = [dict(self.shown)], 0

    def remember(self, asked: Mapping[str, float]) -> None:
        """Append an expression to the history if it differs from the current one; undone ones are discarded."""
        if not is_same(asked, self.asked):
            self.history = [*self.history[: self.at + 1], dict(asked)]
            self.at += 1

    def was_undone(self, asked: Mapping[str, float]) -> bool:
        """Return whether an expression is the one that was undone last."""
        return self.at + 1 < len(self.history) and is_same(asked, self.history[self.at + 1])

    def step(self, by: int) -> dict[str, float]:
        """Move back (-1) or forward (1) in the history, within its ends; return the expression there."""
        self.at = min(max(0, self.at + by), len(self.history) - 1)
        return self.asked

    def face_at(self, x: float, y: float) -> int | None:
        """Return the number of the face at a point of the preview, or ``None``."""
        for number, planned in enumerate(self.preview.faces, start=1):
            left, top, width, height = planned.face.box
            if left <= x <= left + width and top <= y <= top + height:
                return number
        return None


def is_same(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Return whether two expressions are the same to two digits."""
    return all(abs(value - other[code]) <= SAME for code, value in one.items())


def open_photo_state(editor: Editor, source: Path, before: Path, max_pixels: int) -> PhotoState:
    """Return a visitor's photo, measured, and write its preview to ``before``.

    Raises:
        MediaError: not a picture, or too large.
        FaceError: no face in it.
    """
    photo = open_photo(source, max_pixels)
    small = Photo(shrink(to_srgb(photo), PREVIEW))
    scale = small.pixels.shape[1] / photo.pixels.shape[1]
    work = PhotoState(source, before, editor.session(small, {}, "all"), scale)
    work.choose(1)
    write_image(small, before)
    return work


def draw(work: PhotoState, asked: Mapping[str, float]) -> Edit:
    """Return the preview with the target intensities applied to its chosen face."""
    changes = work.changes(asked)
    return chosen(work).towards(lambda shown: dict(shown) | changes)


def chosen(work: PhotoState) -> Session:
    """Return the preview with its chosen face alone."""
    return replace(work.preview, faces=[work.preview.faces[work.number - 1]])


def show(work: PhotoState, edit: Edit, path: Path) -> Path:
    """Write a drawing to ``path``."""
    for used in (work.source, work.before):
        used.touch()  # the store keeps files that were used lately
    return keep(work, edit.image, path, packet(edit.provenance) if edit.provenance else b"")


def keep(work: PhotoState, image: Pixels, path: Path, xmp: bytes = b"") -> Path:
    """Write a picture to ``path``; keep the last :data:`RECENT`, which a browser may still load, delete older ones."""
    Image.fromarray(image).save(path, "JPEG", quality=88, xmp=xmp)
    work.drawn.append(path)
    while len(work.drawn) > RECENT:
        remove(work.drawn.popleft())
    return path


def masks(edit: Edit, size: int = 256) -> tuple[Pixels, Pixels]:
    """Return C and A of an edit as pictures; bright is changed.

    Where nothing is asked, C is the face itself and A is 1.
    """
    import cv2

    face = edit.faces[0]
    if face.color is None or face.attention is None:
        from ganimation.faces.crop import CropTemplate, cut

        crop = cut(edit.image, face.face.crop_from_photo(size, CropTemplate()), size)
        return crop, np.zeros_like(crop)
    color = denormalize(face.color)
    change = np.rint((1 - face.attention) * 255).astype(np.uint8)
    large = [cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC) for image in (color, change)]
    return np.asarray(large[0], np.uint8), np.repeat(large[1][:, :, None], 3, axis=2).astype(np.uint8)


def finish(editor: Editor, work: PhotoState, asked: Mapping[str, float], path: Path, max_pixels: int) -> None:
    """Edit the photo at full size with the target intensities, and write it.

    The face is matched to the preview's by position, since numbers may differ at another size.

    Raises:
        As :meth:`ganimation.editing.editor.Editor.edit`.
    """
    photo, changes = open_photo(work.source, max_pixels), work.changes(asked)
    session = editor.session(photo, {}, "all")
    middle = _middle(work.preview.faces[work.number - 1].face) / work.scale
    nearest = min(session.faces, key=lambda planned: float(np.linalg.norm(_middle(planned.face) - middle)))
    replace(session, faces=[nearest]).towards(lambda shown: dict(shown) | changes).save(path)


def _middle(face: Face) -> NDArray[np.float64]:
    left, top, width, height = face.box
    return np.array([left + width / 2, top + height / 2])


def recipe(work: PhotoState, asked: Mapping[str, float]) -> tuple[str, str]:
    """Return what is asked as JSON for ``--expression``, and as a command line."""
    changes = work.changes(asked)
    words = ["ganimation", "edit", work.name]
    words += ["--au", *(f"{code}={value:.2f}" for code, value in changes.items())] if changes else []
    words += ["--face", str(work.number)] if work.number > 1 else []
    return json.dumps(changes, indent=1), shlex.join([*words, "-o", f"{Path(work.name).stem}-edited.jpg"])


def emotion(editor: Editor, work: PhotoState, name: str, strength: float) -> dict[str, float]:
    """Return the target intensities of an emotion for all AUs; those it does not set keep the measured values.

    Raises:
        ActionUnitError: an unknown emotion, or one that the model cannot make.
    """
    asked = dict(work.shown)
    for request in editor.emotion(name, strength):
        asked[request.code] = request.resolve(work.shown[request.code])
    return asked


def by_codes(codes: Sequence[str], values: Sequence[object]) -> dict[str, float]:
    """Return sliders' values by AU, within [0, 1]; one that was cleared is 0."""
    numbers = [value if isinstance(value, int | float) else 0.0 for value in values]
    return {code: min(1.0, max(0.0, number)) for code, number in zip(codes, numbers, strict=True)}


def need(work: PhotoState | None) -> PhotoState:
    """Return the visitor's photo.

    Raises:
        FaceError: there is none yet.
    """
    if work is None:
        raise FaceError("no photo yet; drop one on the left, or take an example")
    return work
