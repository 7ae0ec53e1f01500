"""Decode and encode images of 16 bits per channel by OpenCV, because Pillow reduces colour images to 8 bits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganimation.errors import MediaError
from ganimation.media.formats import png_chunks

Samples = NDArray[np.uint16]
Turn = Callable[[NDArray[Any]], NDArray[Any]]


def bits(image: Image.Image) -> int:
    """Return the bits per sample of a PNG or TIFF, which Pillow's ``mode`` hides for colour; 8 for other formats."""
    tiles = getattr(image, "tile", None)
    tile = tiles[0] if tiles else None
    if image.format == "PNG" and tile is not None and isinstance(tile[3], str):
        return 16 if tile[3].endswith(";16B") else 8
    tags = getattr(image, "tag_v2", None)
    return int(max(tags.get(258, (8,)))) if tags is not None else 8


def decode_16_bit(path: Path, turn: Turn) -> tuple[Samples, Samples | None]:
    """Decode a 16-bit PNG or TIFF.

    Args:
        path: of the file.
        turn: function that rotates the samples upright.

    Returns:
        Samples, RGB (H, W, 3), and alpha, (H, W), or ``None``.

    Raises:
        MediaError: it is damaged.
    """
    for kind, length, left in png_chunks(path):
        if length > left:  # OpenCV takes the memory that a chunk says, up to four gigabytes
            raise MediaError(f"{path}: damaged, cut short or unreadable (chunk {kind!r} is longer than the file)")
    samples = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)  # its warnings contain no file name
    if samples is None or samples.dtype != np.uint16:
        raise MediaError(f"{path}: damaged, cut short or unreadable")
    if samples.ndim == 2:
        samples = np.repeat(samples[:, :, None], 3, axis=2)
    alpha = np.ascontiguousarray(turn(samples[:, :, 3])).astype(np.uint16) if samples.shape[2] == 4 else None
    deep = np.ascontiguousarray(turn(samples[:, :, 2::-1])).astype(np.uint16, copy=False)
    return deep, alpha


def encode_16_bit(samples: Samples, suffix: str, icc_profile: bytes | None, exif: bytes | None, xmp: bytes) -> Any:
    """Return a 16-bit picture as a file of a format holds it, uint8; ``None`` if it cannot be encoded.

    Args:
        samples: BGR, BGRA or grey, (H, W, 3, 4 or 1).
        suffix: of the format, ``.png`` or ``.tif``.
        icc_profile: the colour profile.
        exif: the EXIF block.
        xmp: the packet; TIFFs are given none.
    """
    metadata_types, metadata = [], []
    if icc_profile:
        metadata_types.append(cv2.IMAGE_METADATA_ICCP)
        metadata.append(np.frombuffer(icc_profile, np.uint8))
    if exif:
        metadata_types.append(cv2.IMAGE_METADATA_EXIF)
        metadata.append(np.frombuffer(exif.removeprefix(b"Exif\0\0"), np.uint8))
    if xmp and suffix == ".png":
        metadata_types.append(cv2.IMAGE_METADATA_XMP)
        metadata.append(np.frombuffer(xmp, np.uint8))
    done, encoded = cv2.imencodeWithMetadata(suffix, samples, metadata_types, metadata)
    return encoded if done else None
