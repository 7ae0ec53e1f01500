"""The exception tree. Every message is one line that names the value, the limit and the remedy.

    GanimationError
    ├── ActionUnitError      an AU, an intensity or an emotion that cannot be understood
    ├── MediaError           a picture or film that cannot be read or written
    ├── FaceError            no usable face, or not the one that was asked for
    ├── DatasetError         a data set that is missing, damaged or of another format
    ├── ModelError           a model folder that is missing, damaged or of another format
    ├── TrainingError        a run that cannot start, go on or be resumed
    └── MissingExtraError    an optional dependency that is not installed

The command line turns each of them into that line on stderr and exit status 2; anything else is a bug and shows its
traceback.
"""

import importlib
from types import ModuleType


class GanimationError(Exception):
    """Base of everything this package raises on purpose."""


class ActionUnitError(GanimationError):
    """An action unit, an intensity or an emotion that cannot be understood."""


class MediaError(GanimationError):
    """A picture or film that cannot be read or written."""


class FaceError(GanimationError):
    """No usable face in the picture, or not the one that was asked for."""


class DatasetError(GanimationError):
    """A data set that is missing, damaged or of another format."""


class ModelError(GanimationError):
    """A model folder that is missing, damaged or of another format."""


class TrainingError(GanimationError):
    """A training run that cannot start, go on or be resumed."""


class MissingExtraError(GanimationError):
    """An optional dependency that is not installed; the message names the extra that brings it."""


def first_line(error: BaseException) -> str:
    """Return the first line of another library's error message, or the error's class name if the message is empty."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def require(module: str, extra: str) -> ModuleType:
    """Import ``module``, or raise an error that names the extra that installs it.

    Raises:
        MissingExtraError: ``module`` is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or module.partition(".")[0] != error.name.partition(".")[0]:
            raise
        raise MissingExtraError(f"{module} is not installed: pip install 'ganimation[{extra}]' brings it") from error
