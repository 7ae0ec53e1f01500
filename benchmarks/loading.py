"""Is reading the bottleneck? A data set of a million faces, made here, and what opening and drawing from it costs.

    python -m benchmarks.loading FOLDER [--faces 1000000]

Writes synthetic shards (blurred noise of 128 px; some GB a million) to FOLDER once, then measures in a fresh process:
seconds until the first batch, memory that opening takes beyond what the libraries do, and the faces a second that one
thread draws in random order, augmented, as the ``small`` preset does.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ganimation.action_units import DEFAULT_AUS
from ganimation.data.dataset import DatasetInfo, FaceDataset, write_shards


def make(folder: Path, faces: int) -> None:
    """Write the shards; pictures repeat, rows do not."""
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(64):
        low = rng.integers(0, 255, (12, 12, 3), dtype=np.uint8)
        picture = cv2.resize(low, (128, 128), interpolation=cv2.INTER_CUBIC)
        pictures.append(cv2.imencode(".jpg", picture)[1].tobytes())

    def rows() -> Iterator[dict[str, Any]]:
        for number in range(faces):
            aus = dict(zip(DEFAULT_AUS, rng.random(len(DEFAULT_AUS)).tolist(), strict=True))
            name = f"{number:08d}.jpg"
            yield {
                "image": {"bytes": pictures[number % 64], "path": name}, "source": name,
                "identity": str(number // 10), "session": str(number // 10), **aus,
            }  # fmt: skip

    folder.mkdir(parents=True, exist_ok=True)
    write_shards(folder, "train", rows(), faces, DEFAULT_AUS)
    DatasetInfo(DEFAULT_AUS, "synthetic", 128, counts={"train": faces}).write(folder)


def measure(folder: Path) -> dict[str, float]:
    """Open, draw and count; call it in a process that has done nothing else."""
    from ganimation.training.batches import Batches
    from ganimation.training.presets import SMALL

    config = SMALL.resolve(1)
    before = anonymous()
    began = time.perf_counter()
    faces = FaceDataset(folder)
    batches = Batches(faces, config)
    batches.draw(0, 0, config.phases[2])
    start = time.perf_counter() - began
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < 10:
        count += 1
        batches.draw(count, 0, config.phases[2])
    seconds = time.perf_counter() - began
    return {
        "faces": len(faces), "seconds until the first batch": start, "memory, MiB": anonymous() - before,
        "faces a second": count * config.batch / seconds,
    }  # fmt: skip


def anonymous() -> float:
    """Return the memory of this process that is not a mapped file, in MiB."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system does not tell")


def main() -> None:
    """Make the data set if it is not there, measure in a fresh process, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--faces", type=int, default=1_000_000)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.folder)))
        return
    if not (options.folder / "dataset.json").exists():
        make(options.folder, options.faces)
    command = [sys.executable, __file__, str(options.folder), "--measure"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    for name, value in found.items():
        print(f"{name}: {value:,.1f}")


if __name__ == "__main__":
    main()
