"""Files that take gigabytes or hours to open are opened by a child process alone, which ends."""

import io
import shutil
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganimation.errors import MediaError
from ganimation.web import media
from ganimation.web.media import MAX_PIXELS, Opener, open_clip, open_photo
from tests.media.films import film, stripes

limited = pytest.mark.skipif(sys.platform != "linux", reason="needs limits of memory and an alarm")


@pytest.fixture
def opener() -> Iterator[Opener]:
    found = Opener(seconds=6)
    yield found
    found.close()


def tags_that_share_a_value(path: Path) -> None:
    """A TIFF of 64x64 with 300 tags of 10 MB each, which are the same 10 MB."""
    size, count = 10_000_000, 300
    entries = [(256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    entries += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, 64), (279, 4, 1, 4096)]
    entries += [(40_000 + number, 1, size, 8) for number in range(count)]
    table = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", size + 8) + bytes(size) + table)


def samples_that_are_not_there(path: Path) -> None:
    """An MP4 of three frames whose index speaks of 200 million."""
    count = 200_000_000

    def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
        place = 0
        while place + 8 <= len(data):
            length = int.from_bytes(data[place : place + 4], "big")
            yield data[place + 4 : place + 8], data[place + 8 : place + length]
            place += length

    def built(kind: bytes, body: bytes) -> bytes:
        if kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
            body = b"".join(built(*box) for box in boxes(body) if box[0] not in (b"edts", b"ctts", b"stss"))
        body = {
            b"stsz": bytes(4) + struct.pack(">II", 100, count),
            b"stsc": bytes(4) + struct.pack(">IIII", 1, 1, count, 1),
            b"stts": bytes(4) + struct.pack(">III", 1, count, 1),
            b"stco": bytes(4) + struct.pack(">II", 1, 48),
        }.get(kind, body)
        return struct.pack(">I", len(body) + 8) + kind + body

    film(path, stripes(3), codec="mjpeg", format_="yuvj420p")
    path.write_bytes(b"".join(built(*box) for box in boxes(path.read_bytes())))


def scans_without_end(path: Path) -> None:
    """A progressive JPEG of 4,000 pixels a side whose last scan comes 20,000 times."""
    encoded = io.BytesIO()
    Image.fromarray(np.zeros((4000, 4000), np.uint8)).save(encoded, "JPEG", progressive=True)
    data = encoded.getvalue()
    last = data.rindex(b"\xff\xda")
    path.write_bytes(data[:-2] + data[last:-2] * 20_000 + b"\xff\xd9")


@limited
@pytest.mark.parametrize(
    ("name", "make"),
    [("a.tif", tags_that_share_a_value), ("a.mp4", samples_that_are_not_there), ("a.jpg", scans_without_end)],
)
def test_what_takes_too_much_is_refused_and_ends(
    name: str, make: Callable[[Path], None], opener: Opener, tmp_path: Path, portrait: Path
) -> None:
    path = tmp_path / name
    make(path)
    begun = time.monotonic()
    with pytest.raises(MediaError, match=rf"{name}: (takes too|damaged|a film without a single frame)"):
        opener.check(path)
    assert time.monotonic() - begun < 20
    with pytest.raises(MediaError):  # known, and not tried again
        opener.check(path)
    assert time.monotonic() - begun < 20
    opener.check(portrait)  # the next one is opened


@limited
def test_a_child_that_is_killed_is_started_again(opener: Opener, portrait: Path, tmp_path: Path) -> None:
    opener.check(portrait)
    assert opener._process is not None
    opener._process.kill()
    opener._process.wait()
    copy = tmp_path / "copy.jpg"
    shutil.copy(portrait, copy)
    with pytest.raises(MediaError, match=r"copy.jpg: takes too long or too much"):
        opener.check(copy)
    other = tmp_path / "other.jpg"
    shutil.copy(portrait, other)
    opener.check(other)


def test_photos_and_films_of_visitors_are_opened_after_the_child(portrait: Path, tmp_path: Path) -> None:
    assert open_photo(portrait, MAX_PIXELS).pixels.shape == (720, 720, 3)
    path = film(tmp_path / "film.mp4", stripes(3))
    assert len(list(open_clip(path, 60.0))) == 3
    bad = tmp_path / "bad.jpg"
    bad.write_text("no")
    with pytest.raises(MediaError, match=r"bad.jpg: not a picture"):
        open_photo(bad, MAX_PIXELS)
    media.OPENER.close()
