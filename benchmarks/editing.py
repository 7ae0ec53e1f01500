"""How fast a face is drawn, against the authors' network in eager float32 PyTorch, and where the time of `drive` goes.

    python -m benchmarks.editing DATASET [--threads 2] [--size 128] [--rounds 7]

DATASET, a folder that `prepare` made, calibrates int8 and is what PSNR is measured on. In one run and interleaved, so
that a busy machine touches all alike, it times one face through

- the authors' network (width 64, transposed convolutions), eager, float32, torch;
- the bundled model, and the same network at the authors' width, untrained, by every backend and precision at hand.

PSNR is that of the result, Eq. 1, and of C, against the same model in float32, with a single AU asked at random. The
share of the peak is the network's multiplications and additions a second over those of float32 matrix products: int8
may pass 100 %.

Then a photo is driven by a film of 1280 x 720 pixels that the tool itself makes, end to end, and once more with a clock
around each stage.
"""

import argparse
import dataclasses
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.plain import PlainGenerator, peak
from ganimation.cli import main as command
from ganimation.data.dataset import FaceDataset
from ganimation.editing.backends import Array, Drawn, load_backend
from ganimation.media.images import read_image
from ganimation.model import CONFIG, ONNX, ModelConfig, bundled
from ganimation.networks.generator import Generator
from ganimation.training.export import write_onnx
from ganimation.training.quantize import examples, export_int8

FACES = 24
PORTRAIT = Path(__file__).parent.parent / "examples/portrait.jpg"

Call = Callable[[Array, Array], object]


def untrained(folder: Path, like: ModelConfig) -> None:
    """Write a model of the authors' width with the bundled model's layers, fresh weights."""
    torch.manual_seed(0)
    shape = {**like.generator, "width": 64}
    generator = Generator(len(like.aus), **shape)
    folder.mkdir()
    write_onnx(generator, like.size, folder / ONNX)
    (folder / CONFIG).write_text(dataclasses.replace(like, generator=shape).to_json(), encoding="utf-8")


def work(generator: torch.nn.Module, size: int, aus: int) -> float:
    """Return the multiplications and additions of one face, in billions."""
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        generator(torch.zeros(1, 3, size, size), torch.zeros(1, aus))
    return counter.get_total_flops() / 1e9


def psnr(one: Array, two: Array) -> float:
    """Return the peak signal to noise ratio of images in [-1, 1], in dB."""
    return float(10 * np.log10(4 / max(1e-12, float(np.square(one - two).mean()))))


def closeness(
    exact: Callable[[Array, Array], Drawn], other: Callable[[Array, Array], Drawn], faces: list[dict[str, Array]]
) -> tuple[float, float]:
    """Return the mean PSNR of results and of C."""
    rows = []
    for face in faces:
        drawn = [backend(face["source"], face["condition"]) for backend in (exact, other)]
        results = [(1 - d.attention) * d.color + d.attention * face["source"] for d in drawn]
        rows.append((psnr(*results), psnr(drawn[0].color, drawn[1].color)))
    result, color = np.mean(rows, axis=0)
    return float(result), float(color)


def network(dataset: Path, threads: int, size: int, rounds: int) -> None:
    """Print the first table."""
    torch.set_num_threads(threads)
    like = dataclasses.replace(ModelConfig.read(bundled()), size=size)
    data, aus = FaceDataset(dataset), len(like.aus)
    faces = list(examples(like, data, FACES, seed=1))
    plain = PlainGenerator(aus).eval()

    def eager(source: Array, condition: Array) -> object:
        with torch.inference_mode():
            return plain(torch.from_numpy(source), torch.from_numpy(condition))

    calls: dict[str, Call] = {"authors' network, eager torch": eager}
    about = {"authors' network, eager torch": (work(plain, size, aus), "")}
    with tempfile.TemporaryDirectory() as name:
        untrained(Path(name, "full"), like)
        for label, folder in (("bundled, width 32", bundled()), ("untrained, width 64", Path(name, "full"))):
            own = work(Generator(aus, **ModelConfig.read(folder).generator).eval(), size, aus)
            small = Path(name, f"{folder.name}-int8")
            export_int8(folder, small, data)
            exact = load_backend(folder, like, "onnxruntime", threads)
            kinds = [("onnxruntime", "float32", folder), ("openvino", "float32", folder)]
            kinds += [("openvino", "bfloat16", folder), ("onnxruntime", "int8", small), ("openvino", "int8", small)]
            for backend, precision, model in kinds:
                asked = "float32" if precision == "int8" else precision
                other = load_backend(model, like, backend, threads, asked)
                near = (
                    ""
                    if (backend, precision) == ("onnxruntime", "float32")
                    else "{:.0f}, {:.0f}".format(*closeness(exact, other, faces))
                )
                title = f"{label}: {backend}, {precision}"
                calls[title], about[title] = other, (own, near)
    top = peak()
    print(f"{threads} threads, {size} pixels, float32 matrix products {top:.0f} GFLOP/s\n")
    print("| | ms a face | ratio | PSNR of result, of C (dB) | share of peak |\n|---|--:|--:|--:|--:|")
    seconds: dict[str, list[float]] = {title: [] for title in calls}
    for turn in range(rounds):
        face = faces[turn % len(faces)]
        for title, call in calls.items():
            time.sleep(0.3)  # threads of the library before it still spin
            for timed in (False, False, True, True, True):
                began = time.perf_counter()
                call(face["source"], face["condition"])
                if timed:
                    seconds[title].append(time.perf_counter() - began)
    base = statistics.median(next(iter(seconds.values())))
    for title, times in seconds.items():
        value, (gflop, near) = statistics.median(times), about[title]
        print(f"| {title} | {1000 * value:.1f} | {base / value:.1f} | {near} | {gflop / value / top:.0%} |")


def clip(folder: Path) -> Path:
    """Write eight seconds of a face that smiles and looks surprised, 1280 x 720, and return the file."""
    still = read_image(PORTRAIT).pixels[:, :, ::-1]
    height, width = still.shape[:2]
    tall = cv2.resize(still, (round(width * 720 / height), 720), interpolation=cv2.INTER_AREA)
    margin = 1280 - tall.shape[1]
    cv2.imwrite(
        str(folder / "wide.png"),
        cv2.copyMakeBorder(tall, 0, 0, margin // 2, margin - margin // 2, cv2.BORDER_REPLICATE),
    )
    keys = [{"time": 2.0, "aus": {"AU12": 0.9, "AU25": 0.5}}, {"time": 4.0, "aus": {"AU12": 0.0, "AU25": 0.0}}]
    keys += [{"time": 6.0, "aus": {"AU01": 0.8, "AU26": 0.8}}, {"time": 8.0, "aus": {"AU01": 0.0, "AU26": 0.0}}]
    (folder / "keys.json").write_text(json.dumps({"keyframes": keys}), encoding="utf-8")
    run(
        "animate",
        folder / "wide.png",
        "--timeline",
        folder / "keys.json",
        "--max-side",
        1280,
        "-o",
        folder / "driver.mp4",
    )
    return folder / "driver.mp4"


def run(*words: object) -> float:
    """Run a command of ours; return its seconds."""
    began = time.perf_counter()
    with mock.patch("builtins.print"):
        status = command([str(word) for word in words])
    if status:
        sys.exit(status)
    return time.perf_counter() - began


#: Where the clocks sit: module, name, stage. A stage inside another is taken off it.
STAGES = (
    ("ganimation.media.clip", "_upright", "decoded frame to RGB"),
    ("ganimation.faces.detector.FaceDetector", "__call__", "find the face"),
    ("ganimation.faces.landmarks.FaceLandmarker", "__call__", "landmarks"),
    ("ganimation.faces.annotator.Annotator", "__call__", "AUs of landmarks and appearance"),
    ("ganimation.faces.reader.FaceReader", "follow", "the rest of reading"),
    ("ganimation.editing.editor.Editor", "generate", "generator"),
    ("ganimation.editing.editor", "paste_back", "paste into the photo"),
)


@contextmanager
def clocks(spent: dict[str, float]) -> Iterator[None]:
    """Add up the seconds of each stage."""
    inner: list[float] = []

    def timed(function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            inner.append(0.0)
            began = time.perf_counter()
            try:
                return function(*args, **options)
            finally:
                took = time.perf_counter() - began
                spent[stage] = spent.get(stage, 0.0) + took - inner.pop()
                if inner:
                    inner[-1] += took

        return call

    with ExitStack() as stack:
        for place, name, stage in STAGES:
            module, _, owner = place.rpartition(".")
            target = getattr(__import__(module, fromlist=[owner]), owner)
            stack.enter_context(mock.patch.object(target, name, timed(getattr(target, name), stage)))
        yield


def driving() -> None:
    """Print the second table."""
    with tempfile.TemporaryDirectory() as name:
        driver, out = clip(Path(name)), Path(name, "out.mp4")
        words = ("drive", Path(name, "wide.png"), "--by", driver, "--max-side", 1280, "-o", out)
        run(*words)
        whole = statistics.median(run(*words) for _ in range(3))
        frames = 201
        rate = frames / whole
        print(f"\ndrive, photo and film of 1280x720, {frames} frames: {rate:.1f} frames/s end to end, start included\n")
        spent: dict[str, float] = {}
        with (
            clocks(spent),
            mock.patch("ganimation.media.clip.ahead", iter),
            mock.patch("ganimation.media.video.ahead", lambda frames: (frame for frame in frames)),
        ):
            total = run(*words)
    print("| stage, one after the other | ms a frame |\n|---|--:|")
    for _, _, stage in STAGES:
        print(f"| {stage} | {1000 * spent.get(stage, 0.0) / frames:.1f} |")
    print(f"| the rest: decode, encode, start | {1000 * (total - sum(spent.values())) / frames:.1f} |")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", type=int, default=128, help="of the faces in pixels (default 128)")
    parser.add_argument("--rounds", type=int, default=7, help="of three calls each (default 7)")
    options = parser.parse_args()
    network(options.dataset, options.threads, options.size, options.rounds)
    driving()


if __name__ == "__main__":
    main()
