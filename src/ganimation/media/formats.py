"""Which pictures are opened. Others that Pillow knows run programs (EPS) or decode before their size is known (ICO)."""

from pathlib import Path

from PIL import Image

#: By Pillow's names; what is not installed is left out.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF")


def open_picture(path: Path) -> Image.Image:
    """Return a picture of which the header has been read, whatever its size.

    Raises:
        UnidentifiedImageError: it is in none of the formats.
        OSError: it cannot be read.
    """
    import pi_heif

    pi_heif.register_heif_opener(thumbnails=False)
    Image.init()
    Image.MAX_IMAGE_PIXELS = None  # readers have limits of their own, checked from the header, with a better message
    return Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN])
