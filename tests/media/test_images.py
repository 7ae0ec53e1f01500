import io
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from ganimation.errors import MediaError
from ganimation.media.images import Photo, read_image, write_image
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
