"""Photos a second of preparation, by this machine's processes and by Ray, in one run.

    python -m benchmarks.preparing PHOTOS [--photos 2000] [--rows 200000]

The first table has real photos, each engine with one and with two workers. The second has so many rows of photos that
nobody reads: a stand-in gives each the row of a grey square, so that what is timed is the way of rows to the disk; with
the highest memory of this process.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ganimation.data.dataset import LANDMARKS
from ganimation.data.engines import Engine, LocalEngine, RayEngine
from ganimation.data.labels import PhotoLabel
from ganimation.data.parts import Plan, make_part
from ganimation.data.prepare import prepare
from ganimation.media.formats import find_photos


def grey_row(plan: Plan, name: str, label: PhotoLabel) -> dict[str, Any]:
    """Stand for the face models."""
    picture = np.full((plan.size, plan.size, 3), 128, np.uint8)
    return {
        "image": cv2.imencode(".jpg", picture)[1].tobytes(), "landmarks": [0.5] * (2 * LANDMARKS),
        "aus": [0.0] * len(plan.aus), "identity": None, "session": None, "split": label.split, "emotion": None,
    }  # fmt: skip


def seconds(photos: Path, folder: Path, engine: Engine) -> float:
    """Return what a preparation takes, from its second part on: models and engines have started by then."""
    began: list[tuple[int, float]] = []

    def note(done: int, total: int) -> None:
        if done:
            began.append((done, time.perf_counter()))

    prepare(photos, folder, engine=engine, progress=note)
    (done, start), (total, end) = began[0], began[-1]
    return (end - start) / (total - done)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--photos", type=int, default=2000, dest="count", help="real photos (default 2000)")
    parser.add_argument("--rows", type=int, default=200_000, help="rows of the stand-in (default 200000)")
    options = parser.parse_args()
    paths = find_photos(options.photos)[: options.count]
    print("| engine | workers | photos/s |\n|---|--:|--:|")
    engines: dict[str, Callable[[int], Engine]] = {
        "processes": LocalEngine,
        "Ray": lambda workers: RayEngine("", workers),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        listed = folder / "photos.txt"
        listed.write_text("".join(f"{path.absolute()}\n" for path in paths))
        for workers in (1, 2):
            for kind, engine in engines.items():
                print(
                    f"| {kind} | {workers} | {1 / seconds(listed, folder / f'{kind}{workers}', engine(workers)):.0f} |"
                )
        listed.write_text("".join(f"https://example.org/{number:07d}.jpg\n" for number in range(options.rows)))
        rate = 1 / seconds(listed, folder / "rows", RayEngine("", 2, partial(make_part, read_row=grey_row)))
        size = sum(path.stat().st_size for path in (folder / "rows").iterdir()) / 2**20
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(
        f"\n{options.rows} rows of a stand-in by Ray: {rate:.0f} rows/s, {size:.0f} MiB; "
        f"highest memory of this process {memory:.0f} MiB"
    )


if __name__ == "__main__":
    main()
