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
SIDES = ("L", "R")


@dataclass
class PhotoState:
    """A visitor's photo.

    Attributes:
        source: the file that was given.
        before: file of the unedited preview, written once and shown beside every drawing.
        preview: session on the reduced photo, with all its faces.
        scale: width of the preview divided by the width of the photo.
        number: of the chosen face, from 1, the largest first.
        history: target expressions for undo and redo, the oldest first: intensity by AU, and of AUs whose sides differ
            also that of the person's left side, as ``AU12L``; ``AU12`` is then the right side's.
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
        """Current target intensities, see ``history``."""
        return self.history[self.at]

    def changes(self, asked: Mapping[str, float]) -> dict[str, float]:
        """Return the requests that differ from what is measured, to two digits: ``AU12``, or ``AU12L``, ``AU12R``."""
        found: dict[str, float] = {}
        for code, shown in self.shown.items():
            right, left = asked[code], asked.get(f"{code}L", asked[code])
            sides = {code: right} if abs(right - left) <= SAME else {f"{code}R": right, f"{code}L": left}
            found |= {name: round(value, 2) for name, value in sides.items() if abs(value - shown) > SAME}
        return found

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
    return all(
        abs(of_side(one, side)[code] - of_side(other, side)[code]) <= SAME
        for side in SIDES
        for code in of_side(one, side)
    )


def of_side(asked: Mapping[str, float], side: str) -> dict[str, float]:
    """Return the intensities of a side, ``L`` or ``R``, by AU."""
    whole = {code: value for code, value in asked.items() if not code.endswith("L")}
    return {code: asked.get(f"{code}L", value) if side == "L" else value for code, value in whole.items()}


def with_side(asked: Mapping[str, float], values: Mapping[str, float], side: str) -> dict[str, float]:
    """Return an expression with the intensities of a side replaced, ``L`` or ``R``, or of both."""
    if side not in SIDES:
        return dict(values)
    right, left = (dict(values) if own == side else of_side(asked, own) for own in ("R", "L"))
    return right | {f"{code}L": value for code, value in left.items() if abs(value - right[code]) > SAME}


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
    return towards(chosen(work), work, asked)


def towards(session: Session, work: PhotoState, asked: Mapping[str, float]) -> Edit:
    """Return a session's photo with the target intensities; those that are as measured stay as the session's own."""
    sides = []
    for side in ("R", "L"):
        own = of_side(asked, side)
        sides.append({code: round(x, 2) for code, x in own.items() if abs(x - work.shown[code]) > SAME})
    right, left = (lambda shown, own=own: dict(shown) | own for own in sides)
    return session.towards(right) if sides[0] == sides[1] else session.towards(right, left)


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
    photo = open_photo(work.source, max_pixels)
    session = editor.session(photo, {}, "all")
    middle = _middle(work.preview.faces[work.number - 1].face) / work.scale
    nearest = min(session.faces, key=lambda planned: float(np.linalg.norm(_middle(planned.face) - middle)))
    towards(replace(session, faces=[nearest]), work, asked).save(path)


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
        raise FaceError("no photo yet; drop one at Photo, or take an example")
    return work
