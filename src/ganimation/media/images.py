"""Read and write photographs without losing what an edit does not touch.

A :class:`Photo` carries what a picture file holds beside its 8-bit colours: alpha, 16-bit samples, greyness, the colour
profile and EXIF. Edits see upright RGB uint8 only; :func:`write_image` puts the rest back.
"""

import io
import os
import tempfile
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from ganimation.errors import GanimationError, MediaError
from ganimation.files import atomic
from ganimation.media.credentials import add_credentials
from ganimation.media.deep import bits, decode_16_bit, encode_16_bit
from ganimation.media.formats import open_picture
from ganimation.media.provenance import Provenance, packet, sidecar

#: Pictures with more pixels than this are refused unless the caller raises the limit.
MAX_PIXELS = 100_000_000

_WRITERS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
#: Endings that photos are written with.
WRITABLE = tuple(_WRITERS)
_HOLDS_ALPHA = frozenset({"PNG", "WEBP", "TIFF"})
_EXIF_ORIENTATION = 0x0112

_TIFF_XMP, _TIFF_TILE_WIDTH, _TIFF_TILE_LENGTH = 700, 322, 323

# Tags by which a TIFF says how its pixels lie in the file; Pillow lists them with the EXIF.
_TIFF_LAYOUT = (254, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 282, 283, 284, 296, 317, 320, 338, 339, 34675)

# Transformation that turns an image of each EXIF orientation upright.
_TURNS: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: np.fliplr,
    3: lambda samples: np.rot90(samples, 2),
    4: np.flipud,
    5: lambda samples: np.swapaxes(samples, 0, 1),
    6: lambda samples: np.rot90(samples, -1),
    7: lambda samples: np.rot90(np.swapaxes(samples, 0, 1), 2),
    8: np.rot90,
}

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Photo:
    """A picture as edits see it, with everything needed to write it back.

    Attributes:
        pixels: upright RGB, uint8, (H, W, 3).
        alpha: (H, W), uint8 or, beside ``deep``, uint16; ``None`` where the file has none.
        deep: the 16-bit samples behind ``pixels``, (H, W, 3) uint16; ``None`` for 8-bit files.
        grey: the file holds one channel; it is written with one again.
        icc_profile: the embedded colour profile of ``pixels``, which are never converted to another space.
        dpi: resolution for print, horizontal and vertical.
        exif: the EXIF block with its orientation reset, since ``pixels`` are upright.
        source: the file it was read from.
        unchanged: ``pixels`` are what ``source`` decodes to.
    """

    pixels: Pixels
    alpha: NDArray[np.uint8] | NDArray[np.uint16] | None = None
    deep: NDArray[np.uint16] | None = None
    grey: bool = False
    icc_profile: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    source: Path | None = None
    unchanged: bool = False

    def __repr__(self) -> str:
        height, width = self.pixels.shape[:2]
        kind = (
            ("grey" if self.grey else "RGB") + ("" if self.alpha is None else "A") + ("" if self.deep is None else "16")
        )
        return f"<Photo {width}x{height} {kind}{'' if self.source is None else f' from {self.source.name}'}>"

    def with_pixels(self, pixels: Pixels) -> "Photo":
        """Return this photo with other colours, RGB uint8 of the same size; what did not change keeps its 16 bits."""
        if pixels.shape != self.pixels.shape or pixels.dtype != np.uint8:
            raise ValueError(f"expected {self.pixels.shape} uint8, got {pixels.shape} {pixels.dtype}")
        if np.array_equal(pixels, self.pixels):
            return self
        if self.grey:
            pixels = np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
        deep = None if self.deep is None else np.empty_like(self.deep)
        if deep is not None and self.deep is not None:
            for row in range(len(deep)):  # row by row: the numbers in between take twice the memory
                change = (pixels[row].astype(np.int32) - self.pixels[row]) * 257
                deep[row] = np.clip(self.deep[row] + change, 0, 65535)
        return replace(self, pixels=pixels, deep=deep, unchanged=False)


def read_image(path: str | os.PathLike[str], max_pixels: int = MAX_PIXELS) -> Photo:
    """Read a photograph: JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF or HEIC; grey, palette, alpha, 16-bit and CMYK too.

    Args:
        path: the file.
        max_pixels: width times height above which the picture is refused before it is decoded. It bounds memory: a
            pixel of 16 bits a colour counts twice, one with alpha a third more.

    Raises:
        MediaError: no such file, not a picture, damaged or cut short, too large, or smaller than 2x2.
    """
    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of what is an error or harmless here: size, odd EXIF
            if path.exists() and not path.is_file() and not path.is_dir():
                raise MediaError(f"{path}: a device or a pipe, not a picture")
            with open_picture(path) as image:
                _check_size(path, image, max_pixels)
                if bits(image) != 16:
                    return replace(decode(image), source=path, unchanged=True)
                header = _header_of_16_bit(image)
            del image  # frees Pillow's buffers before OpenCV decodes
            return _fill(path, *header)
    except FileNotFoundError:
        raise MediaError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise MediaError(f"{path}: a folder, not a picture") from None
    except UnidentifiedImageError:
        raise MediaError(f"{path}: not a picture in a format that can be read (JPEG, PNG, WebP, TIFF, HEIC)") from None
    except GanimationError:
        raise
    except OSError as error:  # without errno it comes from a decoder
        what = f"cannot be read ({error.strerror})" if error.errno else f"damaged, cut short or unreadable ({error})"
        raise MediaError(f"{path}: {what}") from error
    except Exception as error:  # a damaged file makes the decoders raise nearly anything
        raise MediaError(f"{path}: damaged, cut short or unreadable ({error})") from error


def read_image_bytes(content: bytes | bytearray | memoryview, max_pixels: int = MAX_PIXELS) -> Photo:
    """Read a photograph that is in memory as the bytes of a file; see :func:`read_image`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "the picture"
        path.write_bytes(content)
        try:
            return replace(read_image(path, max_pixels), source=None, unchanged=False)
        except MediaError as error:
            raise MediaError(str(error).replace(str(path), path.name)) from None


def _check_size(path: Path, image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    depth, alpha, tile = bits(image), image.has_transparency_data, _tile(image)
    counted = max(width * height, tile) * (2 if depth > 8 else 1) * (4 / 3 if alpha else 1)
    if counted > max_pixels:
        kind = f" of {depth} bits{' with alpha' if alpha else ''}" if depth > 8 or alpha else ""
        kind += f" in tiles of {tile / 1e6:.0f}" if tile > width * height else ""
        what = f"{kind}, which count as {counted / 1e6:.0f}" if kind else ""
        raise MediaError(
            f"{path}: {width}x{height} is {width * height / 1e6:.0f} megapixels{what}, "
            f"the limit is {max_pixels / 1e6:g}; --max-megapixels raises it"
        )
    if min(image.size) < 2:
        raise MediaError(f"{path}: {width}x{height} is too small to hold a face; the least is 2x2")


def _tile(image: Image.Image) -> int:
    """Return the pixels of a part that a TIFF is decoded by, which may be larger than the picture."""
    tags = getattr(image, "tag_v2", {})
    sides = [tags.get(number, 0) for number in (_TIFF_TILE_WIDTH, _TIFF_TILE_LENGTH)]
    return int(sides[0]) * int(sides[1]) if all(isinstance(side, int) for side in sides) else 0


def decode(image: Image.Image) -> Photo:
    """Return an opened picture of at most 8 bits a colour; of more, what Pillow makes of it.

    Raises:
        Nearly anything, where the file is damaged.
    """
    mode, icc_profile = image.mode, image.info.get("icc_profile")
    image.load()
    orientation, exif = _read_exif(image)
    turn = _TURNS.get(orientation, np.asarray)
    if mode == "CMYK":
        image, icc_profile = _from_cmyk(image, icc_profile)
    dpi = image.info.get("dpi")
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = np.ascontiguousarray(turn(np.asarray(image.getchannel("A"))))
    pixels = np.array(turn(np.asarray(image.convert("RGB"))), order="C")
    return Photo(pixels, alpha, None, _is_grey(mode), icc_profile, exif, dpi)


def photo_from_array(array: NDArray[Any]) -> Photo:
    """Return a photo of an array: uint8, RGB (H, W, 3), RGBA (H, W, 4), or grey (H, W) or (H, W, 1).

    Raises:
        MediaError: another type or shape, or smaller than 2x2; the message names what was given and what is accepted.
    """
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or array.dtype != np.uint8 or min(array.shape[:2]) < 2:
        hint = "; multiply floats in [0, 1] by 255 and convert them" if array.dtype.kind == "f" else ""
        raise MediaError(
            f"an image of shape {array.shape}, {array.dtype}: expected uint8, (height, width, 3) for RGB, "
            f"(height, width, 4) for RGBA or (height, width) for grey, at least 2x2{hint}"
        )
    alpha = np.ascontiguousarray(array[:, :, 3]) if array.shape[2] == 4 else None
    grey = array.shape[2] == 1
    pixels = np.repeat(array, 3, axis=2) if grey else np.ascontiguousarray(array[:, :, :3])
    return Photo(pixels, alpha, grey=grey)


def _is_grey(mode: str) -> bool:
    return mode in ("L", "LA", "1") or mode.startswith("I")


def _read_exif(image: Image.Image) -> tuple[int, bytes | None]:
    """Return the orientation, and the EXIF block with that reset; 1 and nothing where it cannot be understood."""
    try:
        exif = image.getexif()
        orientation = int(exif.pop(_EXIF_ORIENTATION, 1))
        for tag in _TIFF_LAYOUT:
            exif.pop(tag, None)
        return orientation, exif.tobytes() if len(exif) else None
    except Exception:  # malformed EXIF may raise any exception and must not make the image unreadable
        return 1, None


def _header_of_16_bit(image: Image.Image) -> tuple[Photo, int]:
    """Return the metadata of a 16-bit image as a photo without pixels, and its orientation."""
    known = (_is_grey(image.mode), image.info.get("icc_profile"))
    orientation, exif = _read_exif(image)
    if image.format == "TIFF":
        orientation = 1  # OpenCV applies the orientation of TIFFs, but of no other format
    return Photo(np.empty((0, 0, 3), np.uint8), None, None, *known, exif, image.info.get("dpi")), orientation


def _fill(path: Path, header: Photo, orientation: int) -> Photo:
    """Return a 16-bit photo: the metadata from :func:`_header_of_16_bit`, with the samples decoded from the file."""
    deep, alpha = decode_16_bit(path, _TURNS.get(orientation, np.asarray))
    pixels = np.empty(deep.shape, np.uint8)
    np.right_shift(deep, 8, out=pixels, casting="unsafe")
    return replace(header, pixels=pixels, alpha=alpha, deep=deep, source=path, unchanged=True)


def _from_cmyk(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, bytes | None]:
    """Convert print colours to sRGB, by the file's own profile if that is usable."""
    if profile is not None:
        srgb = ImageCms.createProfile("sRGB")
        try:
            converted = ImageCms.profileToProfile(
                image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), srgb, outputMode="RGB"
            )
        except (ImageCms.PyCMSError, OSError):
            converted = None
        if converted is not None:
            return converted, ImageCms.ImageCmsProfile(srgb).tobytes()
    return image.convert("RGB"), None


def to_srgb(photo: Photo) -> Pixels:
    """Return the colours in sRGB, for films, which carry no colour profile; unchanged where the profile is unusable."""
    if photo.icc_profile is None:
        return photo.pixels
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(photo.icc_profile))
        image = Image.fromarray(photo.pixels)
        converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return photo.pixels
    return photo.pixels if converted is None else np.array(converted)


def check_writable(path: str | os.PathLike[str], suffixes: Collection[str] = tuple(_WRITERS)) -> Path:
    """Return ``path`` if a file of one of these formats can be made there, before any work is done for it.

    Raises:
        MediaError: a format that is not written, a folder that is missing or read-only, or a folder in its place.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise MediaError(
            f"{path}: cannot write {path.suffix or 'a file without ending'}; use one of {' '.join(sorted(suffixes))}"
        )
    if len(os.fsencode(path.name)) > 200:
        raise MediaError(f"{path.name[:20]}...: a file name of {len(path.name)} characters; choose one of at most 200")
    if path.is_dir():
        raise MediaError(f"{path}: a folder; name a file in it")
    if not path.parent.is_dir():
        raise MediaError(f"{path.parent}: no such folder to write {path.name} to")
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise MediaError(f"{path}: not writable; choose another place with -o")
    return path


def write_image(
    photo: Photo, path: str | os.PathLike[str], provenance: Provenance | None = None, *, credentials: bool = True
) -> None:
    """Write a photo with its size, colour profile, EXIF, alpha and depth; whole or not at all.

    A photo that no edit changed is copied byte for byte if the format stays the same. JPEG is written at quality 95
    without chroma subsampling.

    Args:
        photo: to write.
        path: its ending says the format.
        provenance: written into the file; a file that is copied unchanged gets none.
        credentials: sign it, where that can be done, see :mod:`ganimation.media.credentials`; no two signatures are
            the same.

    Raises:
        MediaError: the place or the format cannot hold it.
    """
    path = check_writable(path)
    format_ = _WRITERS[path.suffix.lower()]
    if photo.unchanged and photo.source is not None and _WRITERS.get(photo.source.suffix.lower()) == format_:
        content = photo.source.read_bytes()
        with atomic(path) as temporary:
            temporary.write_bytes(content)
        return
    if photo.alpha is not None and format_ not in _HOLDS_ALPHA:
        raise MediaError(f"{path}: JPEG cannot hold this picture's transparency; write .png, .webp or .tif")
    if photo.deep is not None and format_ == "TIFF" and (photo.icc_profile or photo.exif):
        raise MediaError(f"{path}: a TIFF of 16 bits cannot be given its colour profile and EXIF here; write .png")
    xmp = packet(provenance) if provenance else b""
    with atomic(path) as temporary:
        if photo.deep is not None and format_ in ("PNG", "TIFF"):
            temporary.write_bytes(_encoded_16_bit(photo, path, xmp))
        else:
            _write_8_bit(photo, temporary, format_, xmp)
        if provenance and credentials:
            add_credentials(temporary, provenance, path.suffix.lower())
    if photo.deep is not None and format_ == "TIFF" and xmp:
        with atomic(sidecar(path)) as temporary:
            temporary.write_bytes(xmp)


def _write_8_bit(photo: Photo, path: Path, format_: str, xmp: bytes) -> None:
    image = Image.fromarray(photo.pixels)
    if photo.grey:
        image = image.convert("L")
    if photo.alpha is not None:
        alpha = photo.alpha if photo.alpha.dtype == np.uint8 else (photo.alpha >> 8).astype(np.uint8)
        image.putalpha(Image.fromarray(alpha))
    kept = {"icc_profile": photo.icc_profile, "exif": photo.exif, "dpi": photo.dpi}
    options: dict[str, Any] = {name: value for name, value in kept.items() if value}
    if format_ == "JPEG":
        options |= {"quality": 95, "subsampling": 0}
    elif format_ == "WEBP":
        options |= {"lossless": True}
    elif format_ == "TIFF":
        options |= _tiff_options(photo.exif, xmp)
    if xmp and format_ == "PNG":
        options["pnginfo"] = png_info(xmp)
    elif xmp and format_ != "TIFF":
        options["xmp"] = xmp
    encoded = io.BytesIO()  # so that a full disk raises the system's error and not an encoder's
    try:
        image.save(encoded, format=format_, **options)
    except (ValueError, OSError) as error:
        raise MediaError(f"this picture cannot be written as {format_} ({error}); write .png") from error
    path.write_bytes(encoded.getbuffer())


def _tiff_options(exif: bytes | None, xmp: bytes) -> dict[str, Any]:
    """Return how Pillow writes a TIFF with its metadata.

    EXIF and GPS lie in directories of their own, which libtiff, the compressing encoder, cannot write.
    """
    tags = Image.Exif()
    if exif:
        tags.load(exif)
    if xmp:
        tags[_TIFF_XMP] = xmp
    return {"exif": tags, "compression": "raw" if exif else "tiff_deflate"}


def png_info(xmp: bytes) -> PngInfo:
    """Return a packet as PNG holds it."""
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp.decode())
    return info


def _encoded_16_bit(photo: Photo, path: Path, xmp: bytes) -> memoryview:
    assert photo.deep is not None
    samples = photo.deep[:, :, :1] if photo.grey and photo.alpha is None else photo.deep[:, :, ::-1]
    if photo.alpha is not None:
        samples = np.dstack([samples, photo.alpha])
    encoded = encode_16_bit(samples, path.suffix.lower(), photo.icc_profile, photo.exif, xmp)
    if encoded is None:
        raise MediaError(f"{path}: this picture cannot be written as {path.suffix} of 16 bits; write .png")
    return memoryview(encoded)
