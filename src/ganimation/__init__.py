"""Animate a face from a single photo by FACS action units.

The public names are here and nothing else; each is imported when it is first used, so that ``import ganimation`` is
quick and needs no torch. Importing the package switches off the telemetry of the libraries that it uses, which most of
them only allow before they are imported; see :mod:`ganimation.privacy`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ganimation.privacy import disable_telemetry
from ganimation.version import __version__ as __version__

if TYPE_CHECKING:
    from ganimation.action_units import ACTION_UNITS, EMOTIONS, ActionUnit
    from ganimation.editing.animation import alphas
    from ganimation.editing.editor import Editor
    from ganimation.editing.films import drive_photo, watch
    from ganimation.editing.result import Edit
    from ganimation.errors import GanimationError
    from ganimation.faces.reader import Face, FaceReader
    from ganimation.media.clip import Clip
    from ganimation.media.images import Photo, read_image, write_image
    from ganimation.media.video import write_film, write_timed

disable_telemetry()

_HOME = {
    "ACTION_UNITS": "ganimation.action_units",
    "EMOTIONS": "ganimation.action_units",
    "ActionUnit": "ganimation.action_units",
    "Clip": "ganimation.media.clip",
    "Edit": "ganimation.editing.result",
    "Editor": "ganimation.editing.editor",
    "Face": "ganimation.faces.reader",
    "FaceReader": "ganimation.faces.reader",
    "GanimationError": "ganimation.errors",
    "Photo": "ganimation.media.images",
    "alphas": "ganimation.editing.animation",
    "drive_photo": "ganimation.editing.films",
    "read_image": "ganimation.media.images",
    "watch": "ganimation.editing.films",
    "write_film": "ganimation.media.video",
    "write_image": "ganimation.media.images",
    "write_timed": "ganimation.media.video",
}

__all__ = [
    "ACTION_UNITS",
    "EMOTIONS",
    "ActionUnit",
    "Clip",
    "Edit",
    "Editor",
    "Face",
    "FaceReader",
    "GanimationError",
    "Photo",
    "alphas",
    "drive_photo",
    "read_image",
    "watch",
    "write_film",
    "write_image",
    "write_timed",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ganimation' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
