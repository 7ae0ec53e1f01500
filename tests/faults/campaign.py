"""A campaign of faults, from fixed seeds: damaged input of every kind against what reads it, and commands that write,
disturbed (:mod:`tests.faults.commands`).

The rule: input is taken, or refused by one of our errors in one line. Everything else is a failure: another exception,
a process that ends, over :data:`SECONDS` for one try, over :data:`MEMORY` bytes, a control character that is printed.

Each try runs in a process of its own kind, so that one that hangs or crashes is counted and does not end the campaign.
"""

import argparse
import contextlib
import io
import json
import math
import random
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from ganimation.errors import GanimationError
from tests.faults import commands

SECONDS, MEMORY = 20.0, 2 << 30

TAKEN, REFUSED = "taken", "refused"


@dataclass
class Outcome:
    """What became of the tries of one kind: how many were taken and refused, and what failed."""

    kind: str
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def tried(self) -> int:
        """How many there were."""
        return sum(self.counts.values()) + len(self.failures)


def run(kinds: Sequence[str], tries: int, seed: int, minutes: float = math.inf) -> list[Outcome]:
    """Try each kind so often, or for its share of the minutes; the same seed damages the same bytes."""
    outcomes = []
    for kind in kinds:
        limit, end = _limit(kind), time.monotonic() + 60 * minutes / len(kinds)
        outcome = Outcome(kind)
        with tempfile.TemporaryDirectory(prefix="ganimation-faults-") as name:
            prepared = Path(name)
            material(kind, prepared)
            pool = _pool()
            for number in range(tries):
                if time.monotonic() > end:
                    break
                task = pool.submit(attempt, kind, str(prepared), seed, number)
                try:
                    result = task.result(limit * 2)
                except TimeoutError:
                    result = f"over {limit * 2:.0f} seconds"
                    _kill(pool)
                    pool = _pool()
                except BrokenProcessPool:
                    result = "the process ended"
                    pool = _pool()
                if result in (TAKEN, REFUSED):
                    outcome.counts[result] += 1
                else:
                    outcome.failures.append(f"{kind} {seed} {number}: {result}")
                    pool.shutdown()
                    pool = _pool()  # what it held does not count against the next
            pool.shutdown()
        outcomes.append(outcome)
    return outcomes


def _limit(kind: str) -> float:
    """Return the seconds that a try may take; of commands, each has a limit of its own."""
    return 4 * commands.SECONDS if kind in commands.KINDS else SECONDS


def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, get_context("spawn"))


def _kill(pool: ProcessPoolExecutor) -> None:
    for process in list((pool._processes or {}).values()):
        process.kill()
    pool.shutdown(wait=False, cancel_futures=True)


def attempt(kind: str, prepared: str, seed: int, number: int) -> str:
    """Damage something and read it; return :data:`TAKEN`, :data:`REFUSED`, or what failed."""
    rng = random.Random(f"{kind} {seed} {number}")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ganimation-try-") as name:
        try:
            KINDS[kind](Path(prepared), Path(name), rng)
            result = TAKEN
        except GanimationError as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            result = REFUSED if lines else "an error without a word"
        except Exception as error:
            result = f"{type(error).__name__}: {str(error)[:200]}"
    if time.monotonic() - begun > _limit(kind):
        return f"over {_limit(kind):.0f} seconds"
    used = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    if max(used) * 1024 > MEMORY:
        return "over 2 GiB"
    return result


def damage(content: bytes, rng: random.Random) -> bytes:
    """Return bytes that were flipped, cut, repeated, blown up or exchanged, in one to three places."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        if not data:
            break
        at, length = rng.randrange(len(data)), rng.choice((1, 2, 4, 8, 64, 1024))
        how = rng.randrange(7)
        if how == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            del data[at:]
        elif how == 2:
            data[at : at + length] = rng.randbytes(length)
        elif how == 3:
            data[at:at] = data[at : at + length] * rng.choice((1, 2, 100))
        elif how == 4:
            data[at : at + length] = rng.choice((b"\0", b"\xff", b"\x7f")) * length
        elif how == 5:
            del data[at : at + length]
        else:  # headers, where lengths and sizes stand
            data[rng.randrange(min(64, len(data)))] = rng.randrange(256)
    return bytes(data)


# ---- What is damaged, made once for a kind


def material(kind: str, folder: Path) -> None:
    """Write what a kind damages."""
    makers: dict[str, Callable[[Path], None]] = {
        "photos": _photos, "films": _films, "models": _model, "data sets": _dataset, "provenance": _photos,
    }  # fmt: skip
    makers |= dict.fromkeys(commands.KINDS, commands.material)
    makers.get(kind, lambda folder: None)(folder)


def _portrait(side: int = 160) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    import cv2

    path = Path(__file__).resolve().parents[2] / "examples" / "portrait.jpg"
    pixels = cv2.resize(np.asarray(cv2.imread(str(path))), (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(pixels[:, :, ::-1], np.uint8)


def _photos(folder: Path) -> None:
    import cv2
    from PIL import Image

    from ganimation.media.images import Photo, write_image
    from ganimation.media.provenance import Provenance

    pixels = _portrait(96)
    made = Provenance("edit", "0123456789ab", ({"aus": {"AU12": [0.1, 0.8]}},))
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    for suffix in (".jpg", ".png", ".webp", ".tif"):
        write_image(Photo(pixels, exif=exif.tobytes()), folder / f"a{suffix}", made, credentials=False)
    for name in ("b.bmp", "b.gif", "b.avif"):
        image.save(folder / name)
    image.convert("CMYK").save(folder / "c.jpg")
    image.convert("P").save(folder / "c.png")
    image.save(folder / "d.gif", save_all=True, append_images=[image] * 3)
    deep = pixels.astype(np.uint16) * 257
    cv2.imwrite(str(folder / "e.png"), deep)
    cv2.imwrite(str(folder / "e.tif"), deep)
    shutil.copy(Path(__file__).resolve().parents[1] / "files" / "astronaut.heic", folder / "f.heic")


def _films(folder: Path) -> None:
    import av

    from ganimation.media.provenance import Provenance, add_to_film

    pixels = _portrait(96)
    for name, video, sound in (
        ("a.mp4", "libx264", "aac"), ("b.mkv", "libx264", "libopus"), ("c.webm", "libvpx", "libopus"),
        ("d.avi", "mpeg4", "libmp3lame"), ("e.mov", "mjpeg", ""),
    ):  # fmt: skip
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream(video, rate=25)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = 96, 96, "yuvj420p" if video == "mjpeg" else "yuv420p"
            track = container.add_stream(sound, rate=48000) if sound else None
            for _ in range(8):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(stream.encode(None))
            if isinstance(track, av.AudioStream):
                _silence(container, track)
    add_to_film(folder / "a.mp4", Provenance("animate", "0123456789ab"))


def _silence(container: Any, track: Any) -> None:
    import av

    for number in range(10):
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 960), np.float32), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = 48000, number * 960
        container.mux(track.encode(frame))
    container.mux(track.encode(None))


def _model(folder: Path) -> None:
    from ganimation.model import CONFIG, GENERATOR, ONNX, RESTORER, bundled

    for name in (CONFIG, ONNX, RESTORER, GENERATOR):
        shutil.copy(bundled() / name, folder / name)


def _dataset(folder: Path) -> None:
    import cv2

    from ganimation.data.prepare import prepare

    photos = folder / "photos"
    photos.mkdir()
    for number, side in enumerate((160, 200)):
        cv2.imwrite(str(photos / f"{number}.jpg"), _portrait(side)[:, :, ::-1])
    prepare(photos, folder / "faces", size=64, jobs=1)


# ---- The kinds: damage something and read it


def _some_file(folder: Path, rng: random.Random, *, but: Sequence[str] = ()) -> Path:
    return rng.choice(sorted(path for path in folder.iterdir() if path.is_file() and path.suffix not in but))


def try_photo(prepared: Path, folder: Path, rng: random.Random) -> None:
    """Read a damaged photo; write it again if it is taken."""
    from ganimation.media.images import read_image, to_srgb, write_image

    source = _some_file(prepared, rng)
    path = folder / source.name
    path.write_bytes(damage(source.read_bytes(), rng))
    photo = read_image(path, 4_000_000)
    to_srgb(photo)
    suffixes = (".png", ".webp", ".tif") if photo.alpha is not None else (".jpg", ".png", ".tif")
    write_image(photo.with_pixels(255 - photo.pixels), folder / f"out{rng.choice(suffixes)}")


def try_film(prepared: Path, folder: Path, rng: random.Random) -> None:
    """Read a damaged film to its end, and write it with its sound if it is taken."""
    import itertools

    from ganimation.media.clip import Clip
    from ganimation.media.video import write_timed

    source = _some_file(prepared, rng)
    path = folder / source.name
    path.write_bytes(damage(source.read_bytes(), rng))
    clip = Clip(path, 1_000_000)
    frames = [frame for frame in itertools.islice(clip, 40) if frame.pixels.shape[:2] == (clip.height, clip.width)]
    write_timed(frames, folder / "out.mp4", clip.rate, clip.time_base, clip)


def try_model(prepared: Path, folder: Path, rng: random.Random) -> None:
    """Load a damaged model; half of those tried carry the hash of their damaged weights, as a hostile one would."""
    from ganimation.editing.backends import load_networks
    from ganimation.model import CONFIG, GENERATOR, ONNX, RESTORER, ModelConfig, hash_weights

    for path in prepared.iterdir():
        shutil.copy(path, folder / path.name)
    backend, weights = rng.choice((("onnxruntime", ONNX), ("openvino", RESTORER), ("torch", GENERATOR)))
    name = rng.choice((CONFIG, weights))
    (folder / name).write_bytes(damage((folder / name).read_bytes(), rng))
    if name != CONFIG and rng.random() < 0.5:
        content = json.loads((folder / CONFIG).read_text())
        (folder / CONFIG).write_text(json.dumps(content | {"files": hash_weights(folder)}))
    load_networks(folder, ModelConfig.read(folder), backend, 1)


def try_dataset(prepared: Path, folder: Path, rng: random.Random) -> None:
    """Read all faces of a damaged data set."""
    from ganimation.data.dataset import FaceDataset

    faces = folder / "faces"
    shutil.copytree(prepared / "faces", faces)
    path = rng.choice([*sorted(faces.glob("*.parquet")), faces / "dataset.json"])
    path.write_bytes(damage(path.read_bytes(), rng))
    found = FaceDataset(faces)
    found.images(range(len(found)), 32)


def try_provenance(prepared: Path, folder: Path, rng: random.Random) -> None:
    """Let ``verify`` read a damaged or hostile file; what it prints does not steer a terminal."""
    from ganimation.cli import main
    from ganimation.media.provenance import SOURCE_TYPE

    source = _some_file(prepared, rng)
    path = folder / source.name
    content = source.read_bytes()
    if rng.random() < 0.5 and b"recipe>" in content:
        begin, end = content.index(b"recipe>") + 7, content.index(b"</ganimation:recipe>")
        hostile = _hostile_recipe(rng).encode()
        content = content[:begin] + hostile[: end - begin].ljust(end - begin) + content[end:]
        content = content.replace(SOURCE_TYPE.encode()[:8], bytes(rng.choice(b"\x1b\r\x07h") for _ in range(8)), 1)
    else:
        content = damage(content, rng)
    path.write_bytes(content)
    said, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told):
        status = main(["verify", str(path)])
    text = said.getvalue() + told.getvalue()
    if any(not (character.isprintable() or character == "\n") for character in text):
        raise RuntimeError(f"control characters are printed: {text!r}")
    if status:
        raise GanimationError(told.getvalue())


def _hostile_recipe(rng: random.Random) -> str:
    aus = rng.choice(("[1]", '"\x1b[2J"', "{}", '{"AU12": [0.1]}', '{"AU12": {"a": 1}}', "[" * 400, "1e999", "null"))
    face = rng.choice(('{"aus": AUS}', '{"asked": AUS}', "AUS", "[AUS]")).replace("AUS", aus)
    operation = rng.choice(("edit", "\x1b[31m", "a" * 99))
    return f'{{"operation": "{operation}", "faces": [{face}]}}'


def try_text(prepared: Path, folder: Path, rng: random.Random) -> None:
    """Read a damaged or hostile expression, timeline, table, list of labels or list of OpenFace."""
    from ganimation.action_units import DEFAULT_AUS, OPENFACE_AUS, read_requests
    from ganimation.data.labels import read_labels
    from ganimation.data.sources import SOURCES
    from ganimation.editing.tasks import tasks_of_table
    from ganimation.editing.timeline import read_timeline

    openface = ",".join(["file", "confidence", *(f"{code}_r" for code in OPENFACE_AUS)])
    readers: list[tuple[str, str, Callable[[Path], object]]] = [
        (".json", '{"AU12": 0.8, "AU06": "+0.3"}', lambda path: read_requests(path, DEFAULT_AUS)),
        (".json", '{"keyframes": [{"time": 0, "aus": {"AU12": 1}}, {"time": 1.5, "aus": {"AU12": "-0.2"}}]}',
         lambda path: read_timeline(path, DEFAULT_AUS)),
        (".csv", "time,AU12,AU25\n0,0.5,0\n0.04,0.6,\n", lambda path: read_timeline(path, DEFAULT_AUS)),
        (".csv", "photo,face,AU12,strength,emotion\na.png,1,0.2..0.8,,\nb.png,all,,0.5,happiness\n",
         lambda path: tasks_of_table(path, DEFAULT_AUS)),
        (".csv", "file,identity,split\na.jpg,x,train\nb.jpg,y,validation\n", read_labels),
        (".csv", f"{openface}\na.jpg,0.9,{','.join(['1.5'] * 17)}\n", partial(SOURCES["openface"], ["a.jpg"])),
        (".csv", "URL,AU1,AU 12,emotion\nhttp://a.b/a.jpg,0,999,happy\n", partial(SOURCES["emotionet"], ["a.jpg"])),
        (".csv", "file,identity,emotion,AU1,AU12\na.jpg,7,Happy,-1,0.6\n", partial(SOURCES["cfee"], ["a.jpg"])),
    ]  # fmt: skip
    suffix, text, reader = rng.choice(readers)
    path = folder / f"a{suffix}"
    deep, large = "[" * 100_000, "1" + "0" * 400
    hostile = (deep, '{"a":' * 100_000, large, "nan", "-inf", "1e999", "\0", "\ud800", "9" * 5000, "")
    if rng.random() < 0.5:
        words = text.replace("\n", " \n ").split(" ") if suffix == ".json" else text.split(",")
        words[rng.randrange(len(words))] = rng.choice(hostile)
        text = (" " if suffix == ".json" else ",").join(words)
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
    else:
        path.write_bytes(damage(text.encode(), rng))
    reader(path)


KINDS: dict[str, Callable[[Path, Path, random.Random], None]] = {
    "photos": try_photo,
    "films": try_film,
    "models": try_model,
    "data sets": try_dataset,
    "provenance": try_provenance,
    "texts": try_text,
    **commands.KINDS,
}


def main() -> None:
    """Print the table of a campaign; end with 1 if anything failed."""
    parser = argparse.ArgumentParser(description="Damage input of every kind and see what becomes of it.")
    parser.add_argument("--tries", type=int, help="of each kind (default: 100, or what the minutes allow)")
    parser.add_argument("--minutes", type=float, default=math.inf, help="in all, shared by the kinds (default: no end)")
    parser.add_argument("--seed", type=int, default=0, help="of the damage (default 0)")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS), help="which (default: all)")
    options = parser.parse_args()
    tries = options.tries or (100 if options.minutes == math.inf else sys.maxsize)
    outcomes = run(options.kinds, tries, options.seed, options.minutes)
    print("| kind | tried | taken | refused in one line | failed |\n|---|--:|--:|--:|--:|")
    for outcome in outcomes:
        counts = outcome.counts
        print(f"| {outcome.kind} | {outcome.tried} | {counts[TAKEN]} | {counts[REFUSED]} | {len(outcome.failures)} |")
    failures = [failure for outcome in outcomes for failure in outcome.failures]
    print("\n".join(failures[:40]))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
