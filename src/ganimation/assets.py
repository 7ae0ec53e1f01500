"""Files that ship inside the package: read whole, and checked against the ``SHA256SUMS`` beside them.

A damaged network often still loads and computes nonsense, so nothing is used whose digest differs. After replacing a
file, regenerate the list: ``cd src/ganimation/faces/assets && sha256sum *.onnx *.npz > SHA256SUMS``.
"""

import hashlib
from importlib.resources import files

from ganimation.errors import ModelError

SUMS = "SHA256SUMS"


def read_asset(package: str, name: str) -> bytes:
    """Return a file of ``PACKAGE/assets``.

    Args:
        package: ``ganimation.faces`` or ``ganimation.evaluation``.
        name: of the file.

    Raises:
        ModelError: it is missing, or not the file that was shipped.
    """
    folder = files(package).joinpath("assets")
    path = folder.joinpath(name)
    try:
        content = path.read_bytes()
        lines = folder.joinpath(SUMS).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); install ganimation again") from error
    if f"{hashlib.sha256(content).hexdigest()}  {name}" not in lines:
        raise ModelError(f"{path}: damaged (its SHA-256 is not in {SUMS}); install ganimation again")
    return content
