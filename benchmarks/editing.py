"""How fast a face is drawn, against the authors' network in eager float32 PyTorch, and where the time of `drive` goes.

    python -m benchmarks.editing DATASET [--threads 2] [--rounds 7]

DATASET, a folder that `prepare` made, gives the faces and calibrates int8. In one run and interleaved, so that a busy
machine touches all alike, it times one face through

- the authors' network (width 64), eager, float32, torch, at 128 pixels;
- the bundled model by every backend and precision at hand: a photo, and a further frame of a photo that is known.

PSNR is that of the result, Eq. 1, against the same model in float32, with a smile asked.

Then a photo is driven by a film of 1280 x 720 pixels that the tool itself makes, end to end, and once more with a clock
around each stage.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.plain import PlainGenerator, peak
from ganimation.cli import main as command
from ganimation.data.dataset import FaceDataset
from ganimation.editing.portraits import Drawn, Portrait, PortraitFactory
from ganimation.media.images import read_image
from ganimation.model import ModelConfig, bundled
from ganimation.pixels import denormalize
from ganimation.training.quantize import export_int8

FACES = 24
PORTRAIT = Path(__file__).parent.parent / "examples/portrait.jpg"

SIZE = 128
EXPRESSION = {"AU06": 0.5, "AU12": 0.7, "AU25": 0.7}


def psnr(one: NDArray[np.uint8], two: NDArray[np.uint8]) -> float:
    """Return the peak signal to noise ratio of pictures, in dB."""
    error = float(np.square(one.astype(np.float64) - two).mean())
    return 99.0 if not error else float(10 * np.log10(255**2 / error))


def portraits(data: FaceDataset, config: ModelConfig) -> list[tuple[NDArray[np.uint8], NDArray[np.float64]]]:
    """Return crops and landmarks of some faces, at the model's size."""
    rows = np.linspace(0, len(data) - 1, FACES).astype(int).tolist()
    return [(data.images([row], config.size)[0], data.landmarks(row) * config.size - 0.5) for row in rows]


def network(dataset: Path, threads: int, rounds: int, device: str) -> None:
    """Print the first table."""
    torch.set_num_threads(threads)
    config, data = ModelConfig.read(bundled()), FaceDataset(dataset)
    plain, aus = PlainGenerator(len(config.aus)).eval(), len(config.aus)
    image, told = torch.zeros(1, 3, SIZE, SIZE), torch.zeros(1, aus)

    def eager() -> None:
        with torch.inference_mode():
            plain(image, told)

    faces, shown = portraits(data, config), np.zeros(aus)
    target = np.array([EXPRESSION.get(code, 0.0) for code in config.aus])

    def whole(painter: PortraitFactory, turn: int) -> Drawn:
        return painter.portrait(*faces[turn % FACES], shown).draw([target])

    def frame(known: list[Portrait], turn: int) -> Drawn:
        return known[turn % FACES].draw([target])

    calls: dict[str, Callable[[int], object]] = {"authors' network, eager torch": lambda turn: eager()}
    about = {"authors' network, eager torch": ""}
    with tempfile.TemporaryDirectory() as name:
        small = Path(name, "int8")
        export_int8(bundled(), small, data)
        kinds = [("onnxruntime", "float32", bundled()), ("openvino", "float32", bundled())]
        kinds += [("openvino", "bfloat16", bundled()), ("onnxruntime", "int8", small), ("openvino", "int8", small)]
        exact = PortraitFactory(bundled(), config, "onnxruntime", threads)
        painters = {}
        for backend, precision, folder in kinds:
            asked = "float32" if precision == "int8" else precision
            painter = PortraitFactory(folder, ModelConfig.read(folder), backend, threads, asked)
            painters[f"bundled: {backend}, {precision}"] = painter
        if device != "cpu":
            painter = PortraitFactory(bundled(), config, "auto", threads, device=device)
            painters[f"bundled: {painter.place}, float32"] = painter
        for title, painter in painters.items():
            known = [painter.portrait(*face, shown) for face in faces]
            for portrait in known:
                portrait.draw([target])
            calls[f"{title}, a photo"] = partial(whole, painter)
            calls[f"{title}, a frame of a known photo"] = partial(frame, known)
            near = [psnr(*(result(whole(one, turn)) for one in (exact, painter))) for turn in range(FACES)]
            about |= {f"{title}, a photo": f"{np.mean(near):.0f}", f"{title}, a frame of a known photo": ""}
    print(f"{threads} threads, float32 matrix products {peak():.0f} GFLOP/s\n")
    print("| | ms a face | ratio | PSNR (dB) |\n|---|--:|--:|--:|")
    seconds: dict[str, list[float]] = {title: [] for title in calls}
    for turn in range(rounds):
        for title, call in calls.items():
            time.sleep(0.3)  # threads of the library before it still spin
            for timed in (False, False, True, True, True):
                began = time.perf_counter()
                call(turn)
                if timed:
                    seconds[title].append(time.perf_counter() - began)
    base = statistics.median(next(iter(seconds.values())))
    for title, times in seconds.items():
        value = statistics.median(times)
        print(f"| {title} | {1000 * value:.1f} | {base / value:.1f} | {about[title]} |")


def result(drawn: Drawn) -> NDArray[np.uint8]:
    """Return C where A lets it through, and grey elsewhere."""
    return denormalize((1 - drawn.attention[:, :, None]) * drawn.color)


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
    ("ganimation.editing.portraits.MusclePortrait", "draw", "generator"),
    ("ganimation.editing.session", "paste_back", "paste into the photo"),
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
    parser.add_argument("--device", default="cpu", help="a device beside the CPU, as of `edit`; auto for the best here")
    parser.add_argument("--rounds", type=int, default=7, help="of three calls each (default 7)")
    options = parser.parse_args()
    network(options.dataset, options.threads, options.rounds, options.device)
    driving()


if __name__ == "__main__":
    main()
