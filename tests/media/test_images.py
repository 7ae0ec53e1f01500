import io
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from ganimation.errors import MediaError, MissingExtraError
from ganimation.media.formats import find_photos
from ganimation.media.images import Photo, read_image, write_image
from ganimation.media.provenance import Provenance, read_provenance
from tests.conftest import Pixels


@pytest.fixture
def small(astronaut: Pixels) -> Pixels:
    return np.ascontiguousarray(astronaut[:60, :80])


def test_exif_orientation_is_applied_and_reset(tmp_path: Path, small: Pixels) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    Image.fromarray(small).save(tmp_path / "turned.png", exif=exif)
    photo = read_image(tmp_path / "turned.png")
    assert np.array_equal(photo.pixels, np.rot90(small, -1))
    changed = photo.pixels.copy()
    changed[0, 0] = 255 - changed[0, 0]
    write_image(photo.with_pixels(changed), tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as again:
        assert again.getexif().get(0x0112, 1) == 1
        assert again.getexif()[0x010F] == "maker"
        assert np.array_equal(np.asarray(again), changed)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_16_bits_are_turned_as_8_bits_are(tmp_path: Path, small: Pixels, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(small).save(tmp_path / "8.png", exif=exif)
    deep = small.astype(np.uint16)[:, :, ::-1] * 257
    done, content = cv2.imencodeWithMetadata(
        ".png", deep, [cv2.IMAGE_METADATA_EXIF], [np.frombuffer(exif.tobytes().removeprefix(b"Exif\0\0"), np.uint8)]
    )
    assert done
    (tmp_path / "16.png").write_bytes(content.tobytes())
    photo = read_image(tmp_path / "16.png")
    assert photo.deep is not None
    assert np.array_equal(photo.pixels, read_image(tmp_path / "8.png").pixels)


def test_alpha_and_profile_survive_an_edit(tmp_path: Path, small: Pixels) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    alpha = np.arange(60 * 80, dtype=np.uint8).reshape(60, 80)
    Image.fromarray(np.dstack([small, alpha])).save(tmp_path / "in.png", icc_profile=profile)
    photo = read_image(tmp_path / "in.png")
    write_image(photo.with_pixels(255 - photo.pixels), tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as out:
        assert out.info["icc_profile"] == profile
        assert np.array_equal(np.asarray(out), np.dstack([255 - small, alpha]))
    with pytest.raises(MediaError, match="transparency"):
        write_image(photo, tmp_path / "out.jpg")
    assert not (tmp_path / "out.jpg").exists()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bits_survive_where_nothing_changed(tmp_path: Path, suffix: str, channels: int) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (40, 50, channels)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / f"in{suffix}"), deep)
    photo = read_image(tmp_path / f"in{suffix}")
    colours = np.repeat(deep, 3, axis=2) if channels == 1 else deep[:, :, 2::-1]
    assert np.array_equal(photo.pixels, colours >> 8)
    changed = photo.pixels.copy()
    changed[10:20, 10:20] = 100
    write_image(photo.with_pixels(changed), tmp_path / f"out{suffix}")
    written = cv2.imread(str(tmp_path / f"out{suffix}"), cv2.IMREAD_UNCHANGED)
    assert written is not None
    assert written.dtype == np.uint16
    out = written.reshape(40, 50, channels).astype(int)
    same = np.ones((40, 50), bool)
    same[10:20, 10:20] = False
    assert np.array_equal(out[same], deep[same])
    inside = out[10:20, 10:20, 0] >> 8
    assert np.abs(inside - 100).max() <= 1


@pytest.mark.parametrize("exif", [b"Exif\0\0garbagegarbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0"])
def test_odd_exif_does_not_cost_the_picture(tmp_path: Path, small: Pixels, exif: bytes) -> None:
    Image.fromarray(small).save(tmp_path / "in.jpg", exif=exif, quality=100, subsampling=0)
    assert np.abs(read_image(tmp_path / "in.jpg").pixels.astype(int) - small).mean() < 2


def test_a_damaged_file_is_an_error_of_ours_whatever_the_decoder_raises(tmp_path: Path, small: Pixels) -> None:
    rng = np.random.default_rng(0)
    for suffix in (".jpg", ".png", ".webp", ".avif", ".tif"):
        Image.fromarray(small).save(tmp_path / f"whole{suffix}", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0")
        whole = np.frombuffer((tmp_path / f"whole{suffix}").read_bytes(), np.uint8)
        for _ in range(40):
            damaged = whole.copy()
            damaged[rng.integers(0, len(whole), 12)] = rng.integers(0, 256, 12)
            (tmp_path / f"damaged{suffix}").write_bytes(damaged.tobytes())
            with suppress(MediaError):
                read_image(tmp_path / f"damaged{suffix}")


def test_resolution_for_print_is_kept_and_what_cannot_be_kept_is_refused(tmp_path: Path, small: Pixels) -> None:
    Image.fromarray(small).save(tmp_path / "in.jpg", dpi=(300, 300))
    photo = read_image(tmp_path / "in.jpg")
    write_image(photo.with_pixels(255 - photo.pixels), tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as out:
        assert out.info["dpi"] == (300, 300)
    deep = Photo(small, deep=small.astype(np.uint16) * 257, icc_profile=b"profile")
    with pytest.raises(MediaError, match=r"TIFF of 16 bits.*write .png"):
        write_image(deep, tmp_path / "out.tif")
    with pytest.raises(MediaError, match="WEBP"):
        write_image(Photo(np.zeros((2, 17_000, 3), np.uint8)), tmp_path / "out.webp")
    with pytest.raises(MediaError, match="at most 200"):
        write_image(photo, tmp_path / ("x" * 300 + ".png"))


def test_grey_stays_grey(tmp_path: Path, small: Pixels) -> None:
    Image.fromarray(small).convert("L").save(tmp_path / "in.jpg")
    photo = read_image(tmp_path / "in.jpg")
    coloured = photo.pixels.copy()
    coloured[:30, :, 0] = 255
    write_image(photo.with_pixels(coloured), tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as out:
        assert out.mode == "L"


@pytest.mark.parametrize("mode", ["CMYK", "P", "1", "LA", "RGB"])
def test_odd_modes_are_read(tmp_path: Path, small: Pixels, mode: str) -> None:
    suffix = {"CMYK": ".jpg"}.get(mode, ".png")
    Image.fromarray(small).convert(mode).save(tmp_path / f"in{suffix}")
    photo = read_image(tmp_path / f"in{suffix}")
    assert photo.pixels.shape == small.shape
    assert photo.grey == (mode in ("1", "LA"))
    if mode in ("CMYK", "RGB"):
        assert np.abs(photo.pixels.astype(int) - small).mean() < 6


@pytest.mark.parametrize("suffix", [".webp", ".avif", ".bmp", ".gif"])
def test_other_formats_are_read(tmp_path: Path, small: Pixels, suffix: str) -> None:
    Image.fromarray(small).save(tmp_path / f"in{suffix}")
    assert np.abs(read_image(tmp_path / f"in{suffix}").pixels.astype(int) - small).mean() < 12


def test_heic_is_read(small: Pixels) -> None:
    """The file is this corner of the astronaut, written by another program."""
    photo = read_image(Path(__file__).parent.parent / "files" / "astronaut.heic")
    assert np.abs(photo.pixels.astype(int) - small).mean() < 6


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_an_unchanged_photo_is_copied_byte_for_byte(tmp_path: Path, small: Pixels, suffix: str) -> None:
    Image.fromarray(small).save(tmp_path / f"in{suffix}", quality=40)
    photo = read_image(tmp_path / f"in{suffix}")
    write_image(photo.with_pixels(photo.pixels.copy()), tmp_path / f"out{suffix}")
    assert (tmp_path / f"out{suffix}").read_bytes() == (tmp_path / f"in{suffix}").read_bytes()


def test_what_is_no_picture_is_refused_in_one_line(tmp_path: Path, small: Pixels) -> None:
    (tmp_path / "text.jpg").write_text("hello")
    Image.fromarray(np.tile(small, (4, 4, 1))).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:3000])
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    (tmp_path / "empty.png").touch()
    for name, reason in (
        ("text.jpg", "not a picture"),
        ("cut.jpg", "cut short"),
        ("dot.png", "too small"),
        ("empty.png", "not a picture"),
        ("none.png", "no such file"),
        (".", "a folder"),
    ):
        with pytest.raises(MediaError, match=reason) as caught:
            read_image(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    Image.new("1", (30_000, 30_000)).save(tmp_path / "huge.png")
    with pytest.raises(MediaError, match="30000x30000 is 900 megapixels, the limit is 100; --max-megapixels"):
        read_image(tmp_path / "huge.png")
    Image.new("L", (300, 200)).save(tmp_path / "large.png")
    with pytest.raises(MediaError, match="300x200"):
        read_image(tmp_path / "large.png", max_pixels=50_000)
    assert read_image(tmp_path / "large.png", max_pixels=60_000).pixels.shape == (200, 300, 3)


def test_unwritable_places(tmp_path: Path, small: Pixels) -> None:
    photo = Photo(small)
    for name, reason in (("out.xyz", "cannot write"), ("no/out.png", "no such folder"), ("out", "file without ending")):
        with pytest.raises(MediaError, match=reason):
            write_image(photo, tmp_path / name)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(MediaError, match="a folder"):
        write_image(photo, tmp_path / "folder.png")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def test_a_failed_write_leaves_nothing(tmp_path: Path, small: Pixels) -> None:
    photo = Photo(small, exif=b"x" * 70_000)  # more than a JPEG can hold
    with pytest.raises(MediaError, match="cannot be written as JPEG"):
        write_image(photo, tmp_path / "out.jpg")
    assert list(tmp_path.iterdir()) == []


def test_cmyk_with_a_profile_becomes_srgb(tmp_path: Path, small: Pixels) -> None:
    buffer = io.BytesIO()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()  # not one for CMYK: fall back
    Image.fromarray(small).convert("CMYK").save(buffer, "JPEG", icc_profile=profile)
    (tmp_path / "in.jpg").write_bytes(buffer.getvalue())
    assert read_image(tmp_path / "in.jpg").icc_profile is None


def test_formats_that_run_programs_are_not_opened(tmp_path: Path, small: Pixels) -> None:
    Image.fromarray(small).save(tmp_path / "a.eps")
    Image.fromarray(small).save(tmp_path / "a.ico")
    for name in ("a.eps", "a.ico"):
        (tmp_path / name).rename(tmp_path / "photo.jpg")
        with pytest.raises(MediaError, match="not a picture in a format"):
            read_image(tmp_path / "photo.jpg")


@pytest.mark.parametrize("source", [".jpg", ".tif"])
@pytest.mark.parametrize("said", [None, Provenance("edit")])
@pytest.mark.parametrize("target", [".tif", ".jpg", ".png"])
def test_exif_and_gps_survive_an_edit(
    source: str, target: str, said: Provenance | None, tmp_path: Path, small: Pixels
) -> None:
    exif, tags = Image.Exif(), Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:01 00:00:00"
    exif.get_ifd(0x8825).update({1: "N", 2: (1.0, 2.0, 3.0)})
    tags.load(exif.tobytes())
    Image.fromarray(small).save(tmp_path / f"in{source}", exif=tags)
    photo = read_image(tmp_path / f"in{source}")
    write_image(photo.with_pixels(255 - photo.pixels), tmp_path / f"out{target}", said, credentials=False)
    with Image.open(tmp_path / f"out{target}") as image:
        found = image.getexif()
        assert found[0x010F] == "Maker"
        assert found.get_ifd(0x8769)[0x9003] == "2020:01:01 00:00:00"
        assert found.get_ifd(0x8825)[2] == (1.0, 2.0, 3.0)
    if target != ".jpg":
        assert np.array_equal(read_image(tmp_path / f"out{target}").pixels, 255 - photo.pixels)
    assert read_provenance(tmp_path / f"out{target}")[0] == said


def test_photos_are_bounded_by_their_bytes(tmp_path: Path, small: Pixels) -> None:
    height, width = small.shape[:2]
    pixels = width * height
    cv2.imwrite(str(tmp_path / "deep.png"), small.astype(np.uint16) * 257)
    Image.fromarray(np.dstack([small, small[:, :, 0]])).save(tmp_path / "alpha.png")
    Image.fromarray(small).save(tmp_path / "plain.png")
    for name, factor, what in (
        ("plain", 1.0, ","),
        ("deep", 2.0, " of 16 bits"),
        ("alpha", 4 / 3, " of 8 bits with alpha"),
    ):
        read_image(tmp_path / f"{name}.png", int(pixels * factor + 1))
        with pytest.raises(MediaError, match=rf"{width}x{height} is .* megapixels{what}.*--max-megapixels raises it"):
            read_image(tmp_path / f"{name}.png", int(pixels * factor - 1))


def test_tiles_of_a_tiff_count(tmp_path: Path, small: Pixels) -> None:
    """A picture of 60x80 may be decoded by tiles of 4,096 pixels a side."""
    path = tmp_path / "tiled.tif"
    Image.fromarray(small).save(path, tiffinfo={40322: 4096, 40323: 4096})
    content = path.read_bytes()
    for tag in (322, 323):
        content = content.replace((40_000 + tag).to_bytes(2, "little"), tag.to_bytes(2, "little"))
    path.write_bytes(content)
    with pytest.raises(MediaError, match="in tiles of 17, which count as 17, the limit is 10"):
        read_image(path, 10_000_000)


#: Prints what the statements before it took at their highest, in bytes.
HIGHEST = "print(int(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1]) * 1024)"


def highest(code: str, *arguments: object) -> list[str]:
    """Run statements in a process of its own; return what they print and, last, its highest memory in bytes."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc to read the highest memory of a process")
    command = [sys.executable, "-c", f"import sys\n{code}\n{HIGHEST}", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def test_16_bits_take_no_more_memory_than_they_need(tmp_path: Path) -> None:
    """A photo of 12 megapixels is read, changed and written in 25 bytes a pixel; it took 47."""
    cv2.imwrite(str(tmp_path / "deep.png"), np.zeros((3000, 4000, 3), np.uint16), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    code = (
        "from ganimation.media.images import read_image, write_image\n"
        "from ganimation.media.provenance import Provenance\n"
        "if len(sys.argv) > 1:\n"
        "    photo = read_image(sys.argv[1])\n"
        "    write_image(photo.with_pixels(photo.pixels + 1), sys.argv[2], Provenance('edit'), credentials=False)"
    )
    taken = int(highest(code, tmp_path / "deep.png", tmp_path / "out.png")[0]) - int(highest(code)[0])
    assert taken < 30 * 12_000_000


def test_a_png_that_promises_more_than_it_holds_takes_no_memory(tmp_path: Path, small: Pixels) -> None:
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), small.astype(np.uint16) * 257)
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") - 4] = 0xDC  # its length, in bytes: 3.7 billion
    path.write_bytes(content)
    code = (
        "from ganimation.errors import MediaError\n"
        "from ganimation.media.images import read_image\n"
        "try: read_image(sys.argv[1])\n"
        "except MediaError as error: print(error)"
    )
    message, taken = highest(code, path)
    assert "is longer than the file" in message
    assert int(taken) < 400_000_000


def test_an_unreadable_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "a.jpg").write_bytes(b"")
    assert find_photos(tmp_path) == [tmp_path / "a.jpg"]
    scan = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("below"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(MediaError, match=r"below: cannot be read \(Permission denied\)"):
        find_photos(tmp_path)


def test_heic_without_its_extra_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    heic = Path(__file__).parent.parent / "files" / "astronaut.heic"
    monkeypatch.setattr("ganimation.media.formats.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ganimation\[heic\]'"):
        read_image(heic)
