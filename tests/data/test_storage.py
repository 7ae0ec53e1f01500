"""Data sets that lie in an object store or on the Hub, and training from there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ganimation.data.dataset import FaceDataset
from ganimation.data.locations import filesystem
from ganimation.errors import DatasetError
from ganimation.training.batches import Batches
from tests.test_hub import Hub, ganimation, hub  # noqa: F401 - a fixture
from tests.training.tiny import TINY, train_tiny

SMALL = ("size=64", "generator_width=4", "generator_blocks=1", "critic_width=4", "batch=2")
#: fsspec leaves the files of its cache open until they are collected.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def stored(store: str, dataset: Path) -> str:
    """The data set in a bucket."""
    url = f"{store}/faces"
    filesystem(url).put(str(dataset) + "/", url, recursive=True)
    return url


def test_rows_are_those_of_the_folder(stored: str, dataset: Path, tmp_path: Path) -> None:
    there, here = FaceDataset(stored), FaceDataset(dataset)
    assert there.info == here.info
    assert np.array_equal(there.aus, here.aus)
    rows = range(len(here))
    assert np.array_equal(there.images(rows, 64), here.images(rows, 64))
    assert np.array_equal(there.landmarks(3), here.landmarks(3))
    batches = [Batches(faces, TINY).draw(5, 0, TINY.phases[0]) for faces in (there, here)]
    assert batches[0].source.equal(batches[1].source)
    assert any((tmp_path / "cache").rglob("*"))


def test_what_was_read_is_read_from_the_disk(stored: str, dataset: Path) -> None:
    first = FaceDataset(stored)
    pictures = first.images(range(len(first)), 64)
    del first
    again = FaceDataset(stored)
    filesystem(stored).rm(stored, recursive=True)
    assert np.array_equal(again.images(range(len(again)), 64), pictures)


def test_a_training_from_a_bucket_is_that_from_a_folder(stored: str, dataset: Path, tmp_path: Path) -> None:
    """The command, in processes of their own: the order is of seed and step alone."""
    lines = []
    for number, place in enumerate((stored, str(dataset))):
        run = tmp_path / f"run{number}"
        command = [sys.executable, "-m", "ganimation", "train", place, "-o", str(run), "--preset", "official"]
        command += ["--steps", "2", "--precision", "32-true", "--set", *SMALL]
        subprocess.run(command, check=True, capture_output=True)
        lines.append([json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()])
    for one, other in zip(*lines, strict=True):
        assert {k: v for k, v in one.items() if "second" not in k} == {
            k: v for k, v in other.items() if "second" not in k
        }


def test_a_shard_that_is_damaged_or_gone_in_the_middle_is_one_line(stored: str, dataset: Path, tmp_path: Path) -> None:
    """Blocks that were not fetched before are asked for in the middle of a run."""
    files = filesystem(stored)
    shard = next(path.name for path in dataset.glob("train-*.parquet"))
    content = bytearray((dataset / shard).read_bytes())
    at = content.index(b"\xff\xd8\xff")  # the first JPEG
    content[at - 8 : at + 4000] = os.urandom(4008)
    files.pipe_file(f"{stored}/{shard}", bytes(content))
    with pytest.raises(DatasetError, match=r"in the data set|cannot be read|damaged") as caught:
        train_tiny(stored, tmp_path / "run")  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    files.rm(f"{stored}/{shard}")
    files.invalidate_cache()
    with pytest.raises(DatasetError, match="no shards of the split 'train'"):
        FaceDataset(stored)


def test_a_data_set_of_the_hub(hub: Hub, dataset: Path, tmp_path: Path) -> None:  # noqa: F811
    hub.repositories["ada/faces"] = {path.name: path.read_bytes() for path in dataset.iterdir()}
    train = ["train", "hf://ada/faces@v1", "-o", "run", "--preset", "official", "--steps", "1"]
    train += ["--precision", "32-true", "--set", *SMALL]
    done = ganimation(tmp_path, hub, *train)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 1
    for name, reason in (
        ("hf://ada/none", "no such repository on the Hub, or a private one"),
        ("hf://ada", "it is hf://OWNER/NAME"),
        ("s3://nobody/faces", "cannot be listed"),
    ):
        refused = ganimation(tmp_path, hub, *["train", name, *train[2:]], AWS_ENDPOINT_URL="http://127.0.0.1:9")
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
        assert reason in refused.stderr
