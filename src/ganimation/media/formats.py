"""Image formats that are searched for and opened.

Other formats of Pillow are excluded: some run external programs (EPS) or decode before their size is known (ICO).
"""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from ganimation.errors import MediaError, require

#: What a folder of photos is searched for.
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".gif"})
#: Extra that installs the decoder of HEIC; it is optional because of its licence (LGPL).
HEIC_EXTRA = "heic"
_HEIC = (".heic", ".heif")
_PNG = b"\x89PNG\r\n\x1a\n"
#: Bytes of a chunk of metadata in a PNG: a colour profile, text, EXIF.
MAX_CHUNK = 32_000_000

#: By Pillow's names; what is not installed is left out.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF")


def open_picture(path: Path) -> Image.Image:
    """Return a picture of which the header has been read, whatever its size.

    Raises:
        UnidentifiedImageError: it is in none of the formats.
        MediaError: a PNG with more metadata than any picture has.
        OSError: it cannot be read.
        MissingExtraError: a HEIC, and the extra ``heic`` is not installed.
    """
    if find_spec("pi_heif"):
        require("pi_heif", HEIC_EXTRA).register_heif_opener(thumbnails=False)
    elif path.suffix.lower() in _HEIC and path.exists():
        require("pi_heif", HEIC_EXTRA)
    for kind, length, _ in png_chunks(path):
        if length > MAX_CHUNK and kind != b"IDAT":  # Pillow takes it whole, several times, before it complains
            raise MediaError(
                f"{path}: {length / 1e6:.0f} MB of metadata ({kind!r}), the limit is {MAX_CHUNK / 1e6:.0f}"
            )
    Image.init()
    Image.MAX_IMAGE_PIXELS = None  # readers have limits of their own, checked from the header, with a better message
    return Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN])


def png_chunks(path: Path) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, declared length and remaining bytes of the file for each chunk of a PNG; nothing for other files.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        place, size = len(_PNG), path.stat().st_size
        if stream.read(place) != _PNG:
            return
        while place + 8 <= size:
            stream.seek(place)
            head = stream.read(8)
            length = int.from_bytes(head[:4], "big")
            yield head[4:], length, size - place - 8
            place += 12 + length  # length, kind and checksum take four bytes each


def find_photos(folder: Path) -> list[Path]:
    """Return the photos of a folder and its subfolders, by their endings, in order.

    Raises:
        MediaError: a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise MediaError(f"{error.filename}: cannot be read ({error.strerror}); give read permission, or move it")

    return sorted(
        Path(place, name)
        for place, _, names in os.walk(folder, onerror=refuse)
        for name in names
        if Path(name).suffix.lower() in SUFFIXES
    )
