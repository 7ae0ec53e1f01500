"""Photos prepared for rendering: faces are measured, cropped and ready to be drawn at any intensity."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ganimation.action_units import Request
from ganimation.editing.portraits import Portrait, PortraitFactory
from ganimation.editing.result import SAME, Edit, EditedFace
from ganimation.errors import ActionUnitError, FaceError
from ganimation.faces.crop import Transform, apply, cut, paste_back
from ganimation.faces.reader import Face
from ganimation.media.images import Photo
from ganimation.model import ModelConfig
from ganimation.text import parse_count, shorten

Which = Literal["largest", "all"] | int


@dataclass(frozen=True)
class PlannedFace:
    """A face of a photo, ready to be drawn, and what is asked of it.

    Attributes:
        face: as it was measured.
        shown: measured intensities of the model's AUs, by code.
        target: target intensities, by code.
        transform: ``crop_from_photo``.
        portrait: of the crop.
        left: target of the person's left side, if the sides are requested separately; ``target`` is the right side's.
    """

    face: Face
    shown: dict[str, float]
    target: dict[str, float]
    transform: Transform
    portrait: Portrait
    left: dict[str, float] | None = None

    def draw(self, alpha: float) -> EditedFace:
        """Return the face at ``alpha * y_g + (1 - alpha) * y_r``; the generator does not run if that is the source."""
        targets = [
            {code: alpha * target[code] + (1.0 - alpha) * shown for code, shown in self.shown.items()}
            for target in (self.target, self.left)
            if target is not None
        ]
        if all(abs(target[code] - shown) <= SAME for target in targets for code, shown in self.shown.items()):
            return EditedFace(self.face, targets[0], None, None, self.transform)
        drawn = self.portrait.draw([np.array(list(target.values())) for target in targets])
        left = targets[1] if len(targets) > 1 else None
        return EditedFace(self.face, targets[0], drawn.color, drawn.attention, self.transform, drawn.moved, left)


@dataclass(frozen=True)
class Session:
    """A photo whose faces are measured and cut out, ready to be rendered at any alpha.

    Attributes:
        photo: the source.
        faces: of the photo, with their targets.
        model: fingerprint of the model.
    """

    photo: Photo
    faces: Sequence[PlannedFace]
    model: str = ""

    def changed(self, change: Mapping[str, float]) -> Edit:
        """Return the photo with its faces' AUs changed by ``change``, by AU, in [-1, 1]."""
        return self.towards(
            lambda shown: {code: min(1.0, max(0.0, own + change.get(code, 0.0))) for code, own in shown.items()}
        )

    def towards(
        self,
        target: Callable[[Mapping[str, float]], dict[str, float]],
        left: Callable[[Mapping[str, float]], dict[str, float]] | None = None,
    ) -> Edit:
        """Return the photo with the target that a function computes from each face's measured AUs, both in [0, 1].

        Args:
            target: of the whole face, or with ``left`` of its right side.
            left: of the person's left side, where it differs.
        """
        faces = [
            replace(face, target=target(face.shown), left=None if left is None else left(face.shown))
            for face in self.faces
        ]
        return replace(self, faces=faces).at(1.0)

    def at(self, alpha: float) -> Edit:
        """Return the photo at ``alpha`` in [0, 1]; where no face changes, the photo itself, bit for bit."""
        edited = [face.draw(alpha) for face in self.faces]
        pixels = self.photo.pixels
        for face in edited:
            if face.color is not None and face.attention is not None:
                pixels = paste_back(pixels, face.color, face.attention, face.transform, face.moved)
        result = self.photo.with_pixels(pixels)
        return Edit(result, tuple(edited), self.model, result is not self.photo)


class Planner:
    """Prepares faces to be drawn by a model.

    Args:
        config: of the model.
        painter: with its networks.
        model: fingerprint of the model.
    """

    def __init__(self, config: ModelConfig, painter: PortraitFactory, model: str = "") -> None:
        self._config, self._painter, self._model = config, painter, model

    def session(self, photo: Photo, faces: Sequence[Face], requests: Sequence[Request] = ()) -> Session:
        """Return a session: a photo, some of its faces, and the requests."""
        return Session(photo, [self._plan(photo, face, requests) for face in faces], self._model)

    def _plan(self, photo: Photo, face: Face, requests: Sequence[Request]) -> PlannedFace:
        for request in requests:
            if request.relative and request.code not in face.aus:
                raise ActionUnitError(
                    f"{request.code}: the annotator cannot measure it, so a change from what the photo shows is not "
                    f"known; ask for an intensity, such as {request.code}=0.5"
                )
        shown = {name: face.aus.get(name, 0.0) for name in self._config.entries}
        targets = [
            shown
            | {r.code: r.resolve(shown[r.code]) for r in sorted(requests, key=lambda r: r.side) if r.side in ("", own)}
            for own in ("R", "L")
        ]
        left = targets[1] if any(request.side for request in requests) else None
        transform = face.crop_from_photo(self._config.size, self._config.template)
        crop = cut(photo.pixels, transform, self._config.size)
        portrait = self._painter.portrait(crop, apply(transform, face.points), np.array(list(shown.values())))
        return PlannedFace(face, shown, targets[0], transform, portrait, left)


def choose(faces: Sequence[Face], which: Which) -> Sequence[Face]:
    """Return the faces that were asked for.

    Raises:
        FaceError: there is none, or not as many.
    """
    if not faces:
        raise FaceError("no face found; the face must be turned to the camera and at least about 20 pixels wide")
    if which == "all":
        return faces
    number = 1 if which == "largest" else which
    if not isinstance(number, int) or not 1 <= number <= len(faces):
        raise FaceError(
            f"face {which}: the photo has {len(faces)}, numbered from 1, the largest first; or say largest or all"
        )
    return faces[number - 1 : number]


def parse_which(text: str, name: str) -> Which:
    """Return which faces a text means: ``largest``, ``all``, or a number from 1.

    Args:
        text: what was written.
        name: of the option or column where it was written.

    Raises:
        FaceError: it is something else.
    """
    if text == "largest":
        return "largest"
    if text == "all":
        return "all"
    if number := parse_count(text):
        return number
    raise FaceError(f"{name} {shorten(text)}: write largest, all, or a number from 1")
