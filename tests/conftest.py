"""Pictures anyone may have, and the smallest data set, run and model that are real."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

# a shell that starts the tests with & lets them, and the processes that they start, ignore Ctrl-C
signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: test processes run side by side
os.environ.setdefault("GANIMATION_C2PA", "off")  # signatures differ each time; their own tests switch them on

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from ganimation.faces.reader import FaceReader
from ganimation.media.images import read_image

ROOT = Path(__file__).resolve().parent.parent
Pixels = NDArray[np.uint8]


@pytest.fixture(scope="session")
def astronaut() -> Pixels:
    """512x512, one smiling face, public domain."""
    return np.ascontiguousarray(skimage.data.astronaut())


@pytest.fixture(scope="session")
def portrait() -> Path:
    """720x720, one neutral face."""
    return ROOT / "examples" / "portrait.jpg"


@pytest.fixture(scope="session")
def people() -> list[Path]:
    """Generated people: each a neutral studio portrait and a smiling selfie, 2000 pixels and more."""
    import openpeople

    assets = sorted((Path(openpeople.__file__).parent / "data" / "curated").glob("P*/assets"))
    return [folder / name for folder in assets for name in ("studio_portrait.jpg", "amateur_selfie.jpg")]


@pytest.fixture(scope="session")
def sheet() -> Path:
    """One generated person sixteen times, each with another named expression."""
    import openpeople

    return Path(openpeople.__file__).parent / "data" / "curated" / "P001" / "assets" / "emotions_sheet.jpg"


@pytest.fixture(scope="session")
def reader() -> FaceReader:
    return FaceReader(threads=1)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory, people: list[Path]) -> Path:
    """A folder of photos as a user has them: subfolders, two pictures a person, one without a face, one broken."""
    import cv2

    folder = tmp_path_factory.mktemp("photos")
    for number, path in enumerate(people[:8]):
        (folder / f"person{number // 2}").mkdir(exist_ok=True)
        pixels = read_image(path).pixels
        small = cv2.resize(pixels, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        name = f"person{number // 2}/{path.stem}.jpg"
        cv2.imwrite(str(folder / name), cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
    cv2.imwrite(str(folder / "wall.png"), np.full((64, 64, 3), 128, np.uint8))
    (folder / "broken.jpg").write_text("not a picture")
    return folder


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of an S3 server of this machine."""
    server = pytest.importorskip("moto.server", reason="moto is not installed").ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def store(s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The URL of an empty bucket; credentials and address are in the environment, as a user has them."""
    s3fs = pytest.importorskip("s3fs", reason="the extra remote is not installed")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    s3fs.S3FileSystem.clear_instance_cache()
    url = f"s3://{tmp_path.name.replace('_', '-').lower()[:40]}-{os.getpid()}"
    s3fs.S3FileSystem().mkdir(url)
    return url


@pytest.fixture(scope="session")
def labels(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    """A CSV that says who is who, and smiles; the last person is kept for validation."""
    path = tmp_path_factory.mktemp("labels") / "labels.csv"
    names = sorted(file.relative_to(photos).as_posix() for file in photos.rglob("*.jpg") if file.parent != photos)
    rows = []
    for name in names:
        person, split = name.split("/")[0], "validation" if "person3" in name else "train"
        rows.append(f"{name},{person},{person},{split},{'happiness' if 'selfie' in name else 'neutral'}")
    path.write_text("file,identity,session,split,emotion\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory, photos: Path, labels: Path) -> Path:
    """Six faces to learn from and two to validate, 64 pixels."""
    from ganimation.data.prepare import prepare

    folder = tmp_path_factory.mktemp("data") / "faces"
    prepare(photos, folder, size=64, labels=labels, jobs=1)
    return folder


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, dataset: Path) -> Path:
    """A run of a few steps through all phases of a tiny configuration."""
    from tests.training.tiny import train_tiny

    return train_tiny(dataset, tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, run: Path) -> Path:
    """The model folder of that run."""
    from ganimation.training.export import export

    folder = tmp_path_factory.mktemp("model") / "model"
    export(run, folder)
    return folder
