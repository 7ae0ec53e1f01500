"""Drive a photo by live frames, without access to later ones."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ganimation.action_units import ACTION_UNITS, REGIONS
from ganimation.editing.session import Session
from ganimation.errors import ActionUnitError
from ganimation.faces.reader import FaceReader
from ganimation.faces.tracker import FaceTracker

Pixels = NDArray[np.uint8]

#: Seconds over which the driver's neutral expression is measured, before the photo moves.
SETTLE = 1.0


class LiveDriver:
    """A photo whose faces are changed by the difference of a driver's face to its neutral expression.

    The neutral expression is the mean over the first second with a face; until then the photo is unchanged. While the
    driver's face is not found, the photo keeps its last expression.

    Args:
        session: the photo, see :meth:`ganimation.editing.editor.Editor.session`.
        reader: detects and measures the driver's face.
        strength: factor of the change, in [0, 2].
        regions: of the face that move.
        number: of the driver's face, see :class:`ganimation.faces.tracker.FaceTracker`.

    Raises:
        ActionUnitError: a strength out of range.
    """

    def __init__(
        self,
        session: Session,
        reader: FaceReader,
        strength: float = 1.0,
        regions: Sequence[str] = REGIONS,
        number: int = 1,
    ) -> None:
        if not 0.0 <= strength <= 2.0:
            raise ActionUnitError(f"strength {strength:g}: it lies in [0, 2]")
        self._session, self._tracker, self._strength = session, FaceTracker(reader, number), strength
        self._moving = [code for code in reader.aus if ACTION_UNITS[code].region in regions]
        self._rest: list[dict[str, float]] = []
        self._neutral: dict[str, float] | None = None
        self._began: float | None = None
        self._image: Pixels = session.photo.pixels
        self.seen = 0

    def __call__(self, pixels: Pixels, time: float) -> Pixels:
        """Return the photo with the driver's current expression.

        Args:
            pixels: the driver, RGB uint8, (H, W, 3).
            time: in seconds, rising.
        """
        face = self._tracker(pixels, time)
        if face is None:
            return self._image
        self.seen += 1
        self._began = time if self._began is None else self._began
        if self._neutral is None:
            self._rest.append(face.aus)
            if time - self._began < SETTLE:
                return self._image
            self._neutral = {code: float(np.mean([aus[code] for aus in self._rest])) for code in self._moving}
        change = {code: self._strength * (face.aus[code] - rest) for code, rest in self._neutral.items()}
        self._image = self._session.changed(change).image
        return self._image
