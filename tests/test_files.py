"""Files that are there whole or not at all, also where programs are killed and disks are full."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ganimation.errors import MediaError
from ganimation.files import sweep
from ganimation.media.images import Photo, write_image
from ganimation.media.provenance import Provenance
from ganimation.media.video import write_film
from tests.conftest import Pixels


@pytest.fixture
def small(astronaut: Pixels) -> Pixels:
    return np.ascontiguousarray(astronaut[100:160, 180:260])


def test_what_killed_programs_left_is_swept(tmp_path: Path, small: Pixels) -> None:
    """A real process that is killed in the middle of writing; a second one that still writes is left alone."""
    code = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from ganimation.files import atomic\n"
        "with atomic(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_bytes(b'half')\n"
        "    print(temporary, flush=True)\n"
        "    time.sleep(60)"
    )
    writers = []
    for name in ("one.png", "two.png"):
        command = [sys.executable, "-c", code, str(tmp_path / name)]
        writers.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    left = [Path(str(writer.stdout and writer.stdout.readline()).strip()) for writer in writers]
    users = [tmp_path / ".own.partial.txt.bak", tmp_path / ".mine.png", tmp_path / "x.partial.png"]
    for path in users:
        path.write_text("a user's")
    for path in [*left, *users]:
        os.utime(path, (0, 0))
    writers[0].kill()
    writers[0].wait()
    young = tmp_path / ".new-abc.partial.png"
    young.write_bytes(b"")
    write_image(Photo(small), tmp_path / "three.png")
    assert not left[0].exists()
    assert left[1].exists()
    assert young.exists()
    assert all(path.exists() for path in users)
    writers[1].kill()
    writers[1].wait()
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.close()
    sweep(tmp_path, time.time())
    assert not left[1].exists()


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A disk of a megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False, capture_output=True
    ).returncode:
        pytest.skip("only root can make a small disk")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".mp4", ".gif"])
def test_a_full_disk_is_called_full(suffix: str, full: Path, small: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    """Filled to every degree, so that it ends in the picture, in its metadata and in its signature."""
    monkeypatch.setenv("GANIMATION_C2PA", "on")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(full.parent))
    noise = np.random.default_rng(0).integers(0, 255, (*small.shape[:2], 3), np.uint8)
    seen = []
    for left in (4, 20, 40, 60, 80, 120, 200, 300, 500):
        (full / "fill").write_bytes(b"\0" * (1_048_576 - left * 1024 - 8192))
        path = full / f"out{suffix}"
        try:
            if suffix in (".mp4", ".gif"):
                write_film([noise, noise], path, 10, Provenance("animate"))
            else:
                write_image(Photo(noise), path, Provenance("edit"))
            seen.append("")
            path.unlink()
        except MediaError as error:
            seen.append(str(error))
        assert [entry.name for entry in full.iterdir()] == ["fill"]
    assert {"No space left on device" in reason for reason in seen if reason} == {True}
    assert "" in seen
