"""Commands that write, killed, on full disks and disks that cannot be written, with clocks that jump, without workers.

The rule: whatever happens, a file under a final name is whole, a file of before is as it was or replaced by a whole
one, an error is one line and exit status 2, and the same command run again afterwards succeeds.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ganimation.errors import MediaError

#: Of one command, started anew; a machine that does other things beside is slow.
SECONDS = 120.0
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")

PORTRAIT = str(Path(__file__).resolve().parents[2] / "examples" / "portrait.jpg")
_TINY = ["size=64", "generator_width=4", "generator_blocks=1", "critic_width=4", "batch=2"]


@dataclass(frozen=True)
class Command:
    """A command line, and the names that it writes in the folder it runs in."""

    words: tuple[str, ...]
    output: str


#: Each writes something of its own; photos, film, data set and run are there before (:func:`material`).
COMMANDS = {
    "edit": Command(("edit", "photo.png", "--au", "AU12=0.8", "-o", "out.png", "--overwrite"), "out.png"),
    "edit of a folder": Command(("edit", "photos", "--emotion", "happiness", "-o", "out", "--overwrite"), "out"),
    "animate": Command(("animate", "photo.png", "--au", "AU26=1", "--seconds", "1", "-o", "out.gif", "--overwrite"),
                       "out.gif"),
    "drive": Command(("drive", "photo.png", "--by", "film.mp4", "-o", "out.mp4", "--overwrite"), "out.mp4"),
    "prepare": Command(("prepare", "photos", "-o", "out", "--size", "64", "--jobs", "2"), "out"),
    "train": Command(("train", "faces", "-o", "out", "--preset", "official", "--steps", "3", "--precision", "32-true",
                      "--set", *_TINY), "out"),
    "export": Command(("export", "run", "-o", "out"), "out"),
}  # fmt: skip


def run(command: Command, folder: Path, **environment: str) -> "subprocess.Popen[str]":
    """Start a command in a folder, in a group of processes of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "ganimation", *command.words], cwd=folder, env=os.environ | environment, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def material(folder: Path) -> None:
    """Write what the commands read."""
    import cv2

    picture = cv2.resize(np.asarray(cv2.imread(PORTRAIT)), (240, 240), interpolation=cv2.INTER_AREA)
    (folder / "photos").mkdir()
    for name in ("photo.png", "photos/a.jpg", "photos/b.jpg", "photos/c.png"):
        cv2.imwrite(str(folder / name), picture)
    before = [
        Command(("animate", "photo.png", "--au", "AU12=1", "--seconds", "0.4", "-o", "film.mp4"), "film.mp4"),
        Command(("prepare", "photos", "-o", "faces", "--size", "64", "--jobs", "1"), "faces"),
        Command(("train", "faces", "-o", "run", *COMMANDS["train"].words[4:]), "run"),
    ]
    for command in before:
        process = run(command, folder)
        said = process.communicate(timeout=SECONDS)[1]
        if process.returncode:
            raise RuntimeError(f"{' '.join(command.words)}: {said}")


def fresh(prepared: Path, folder: Path, command: Command, rng: random.Random) -> bytes | None:
    """Copy what a command reads; write an older file under the name of its picture or film, in half of the tries.

    Returns:
        The older file's content.
    """
    shutil.copytree(prepared, folder, dirs_exist_ok=True)
    path = folder / command.output
    if not path.suffix or rng.random() < 0.5:
        return None
    older = (folder / "film.mp4" if path.suffix == ".mp4" else folder / "photo.png").read_bytes()
    path.write_bytes(older)
    return older


def check_files(folder: Path, command: Command, older: bytes | None, *, done: bool) -> None:
    """Check that all that a command left under final names is whole.

    Raises:
        RuntimeError: it is not.
    """
    output = folder / command.output
    if not output.exists():
        if older is not None or done:
            raise RuntimeError(f"{command.output} is gone")
        return
    if older is not None and output.read_bytes() == older:
        return
    paths = [output] if output.is_file() else [path for path in output.rglob("*") if path.is_file()]
    for path in paths:
        inside = path.relative_to(folder)
        if not any(part.startswith(".") for part in inside.parts):  # what is not finished has such a name
            try:
                _check_whole(path)
            except Exception as error:
                raise RuntimeError(f"{inside} is not whole: {type(error).__name__}: {str(error)[:120]}") from error


def _check_whole(path: Path) -> None:
    import json

    from ganimation.media.clip import Clip
    from ganimation.media.images import read_image

    readers: dict[str, Callable[[Path], Any]] = {
        ".png": read_image, ".jpg": read_image, ".gif": read_image, ".mp4": lambda path: list(Clip(path)),
        ".json": lambda path: json.loads(path.read_text()), ".parquet": _read_parquet, ".onnx": _read_onnx,
        ".safetensors": _read_safetensors, ".pt": _read_checkpoint,
    }  # fmt: skip
    reader = readers.get(path.suffix)
    if reader is not None:
        reader(path)


def _read_parquet(path: Path) -> None:
    import pyarrow.parquet

    pyarrow.parquet.read_table(path)


def _read_onnx(path: Path) -> None:
    import onnx

    onnx.load(path)


def _read_safetensors(path: Path) -> None:
    from safetensors.numpy import load_file

    load_file(path)


def _read_checkpoint(path: Path) -> None:
    import torch

    torch.load(path, weights_only=True)


def finish(process: "subprocess.Popen[str]", what: str, statuses: Sequence[int], most: int = 1) -> int:
    """Wait for a command; check its status and that an error is one line, or ``most``: one a photo of a folder.

    Raises:
        RuntimeError: it hangs, ended otherwise, or said more or less than a line.
    """
    try:
        said = process.communicate(timeout=SECONDS)[1]
    except subprocess.TimeoutExpired:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise RuntimeError(f"{what}: over {SECONDS:.0f} seconds") from None
    lines = [line for line in said.splitlines() if line.strip()]
    if process.returncode not in statuses:
        raise RuntimeError(f"{what}: exit status {process.returncode}: {' | '.join(lines[-2:])[:300]}")
    ours = [line for line in lines if line.startswith("ganimation: ")]
    if process.returncode == 2 and (len(ours) != len(set(ours)) or not 1 <= len(ours) <= most):
        raise RuntimeError(f"{what}: not one line: {' | '.join(lines)[:300]}")
    return process.returncode


# ---- The kinds


def try_kill(prepared: Path, folder: Path, rng: random.Random) -> None:
    """Kill a command with all its processes at some moment, and run it again."""
    command = COMMANDS[name := rng.choice(sorted(COMMANDS))]
    older = fresh(prepared, folder, command, rng)
    process = run(command, folder)
    with suppress(subprocess.TimeoutExpired):
        process.wait(rng.uniform(0.5, 8.0))
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    check_files(folder, command, older, done=False)
    finish(run(command, folder), f"{name} after a kill", (0,))
    check_files(folder, command, None, done=True)


def try_worker(prepared: Path, folder: Path, rng: random.Random) -> None:
    """Kill a process that a command started, as the kernel does when memory ends."""
    command = COMMANDS["prepare"]
    fresh(prepared, folder, command, rng)
    process = run(command, folder)
    time.sleep(rng.uniform(0.5, 5.0))
    children = _children(process.pid)
    if children:
        with suppress(OSError):
            os.kill(rng.choice(children), signal.SIGKILL)
    status = finish(process, "prepare without a worker", (0, 2))
    check_files(folder, command, None, done=status == 0)
    finish(run(command, folder), "prepare after it", (0,))
    check_files(folder, command, None, done=True)


def _children(process: int) -> list[int]:
    with suppress(OSError):
        return [int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return []


@contextmanager
def _disk(folder: Path, *, size: str = "64m", read_only: bool = False) -> Any:
    """Put a small disk over a folder's content; root alone can.

    Raises:
        MediaError: this machine does not allow it, which counts as refused.
    """
    kept = folder.with_name("kept")
    shutil.move(folder, kept)
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        raise MediaError("this machine mounts no disks")
    try:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        if read_only:
            subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def try_full_disk(prepared: Path, folder: Path, rng: random.Random) -> None:
    """Run a command on a disk that is nearly full, and again when there is room."""
    command = COMMANDS[name := rng.choice(sorted(COMMANDS))]
    older = fresh(prepared, folder / "work", command, rng)
    with _disk(folder / "work"):
        free = shutil.disk_usage(folder / "work").free
        filler = folder / "work" / "filler"
        filler.write_bytes(b"\0" * max(0, free - rng.choice((0, 4096, 20_000, 200_000, 1_000_000))))
        most = 1 if command.output != "out" else 4
        status = finish(run(command, folder / "work"), f"{name} on a full disk", (0, 2), most)
        check_files(folder / "work", command, older, done=status == 0)
        filler.unlink()
        finish(run(command, folder / "work"), f"{name} when there is room", (0,))
        check_files(folder / "work", command, None, done=True)


def try_read_only_disk(prepared: Path, folder: Path, rng: random.Random) -> None:
    """Run a command on a disk that cannot be written."""
    command = COMMANDS[name := rng.choice(sorted(COMMANDS))]
    older = fresh(prepared, folder / "work", command, rng)
    with _disk(folder / "work", read_only=True):
        finish(run(command, folder / "work"), f"{name} on a read-only disk", (2,))
        check_files(folder / "work", command, older, done=False)


def try_clock(prepared: Path, folder: Path, rng: random.Random) -> None:
    """Run a command while the clock jumps by years, forwards and back, and again by the right time.

    A certificate that is not valid yet may be refused.
    """
    if not FAKETIME.exists():
        raise MediaError("libfaketime is not installed")
    command = COMMANDS[name := rng.choice(sorted(COMMANDS))]
    fresh(prepared, folder, command, rng)
    clock = folder / "clock"
    jumps = ("+0", "-3y", "+20y", "-1d", "+90s", "-90s")
    clock.write_text(rng.choice(jumps))
    settings = {
        "LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    process = run(command, folder, **settings)
    end = time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < end:
        temporary = clock.with_suffix(".new")
        temporary.write_text(rng.choice(jumps))
        temporary.replace(clock)
        time.sleep(rng.uniform(0.05, 0.5))
    status = finish(process, f"{name} while the clock jumps", (0, 2))
    check_files(folder, command, None, done=status == 0)
    finish(run(command, folder), f"{name} by the right time", (0,))
    check_files(folder, command, None, done=True)


KINDS: dict[str, Callable[[Path, Path, random.Random], None]] = {
    "kills": try_kill,
    "workers": try_worker,
    "full disks": try_full_disk,
    "read-only disks": try_read_only_disk,
    "clocks": try_clock,
}
