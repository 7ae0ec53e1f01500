"""Preparation on a Ray cluster of two nodes, which this machine plays, against the local engine."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ganimation.data import prepare as prepare_module
from ganimation.data.dataset import DatasetInfo
from ganimation.data.engines import RayEngine
from ganimation.data.parts import Part, Plan
from ganimation.data.prepare import prepare
from ganimation.errors import DatasetError
from ganimation.faces.crop import CropTemplate

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="Ray's nodes are counted by Linux")

PLAN = Plan("/nowhere", 64, CropTemplate(), "nobody", ("AU01",))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of two CPUs each; the second may be killed."""
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    ray = pytest.importorskip("ray", reason="the extra ray is not installed")
    utils = pytest.importorskip("ray.cluster_utils")
    made = utils.Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 2, "object_store_memory": 200 << 20, "include_dashboard": False},
    )
    ray.init(address=made.address, log_to_driver=False, logging_level="error")
    yield made
    ray.shutdown()
    made.shutdown()


def test_the_same_bytes_as_locally(
    cluster: Any, dataset: Path, photos: Path, labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare_module, "PHOTOS_PER_PART", 4)
    prepare(photos, tmp_path / "faces", size=64, labels=labels, jobs=1, engine="ray", address=cluster.address)
    for path in dataset.iterdir():
        assert (tmp_path / "faces" / path.name).read_bytes() == path.read_bytes(), path.name


def slow_part(plan: Plan, part: Part) -> bytes:
    """Stand for the face models."""
    time.sleep(0.1)
    return f"{plan.size} {part.number} {len(part.names)}".encode()


def test_a_node_that_is_killed_loses_nothing(cluster: Any) -> None:
    second = cluster.add_node(num_cpus=2, object_store_memory=200 << 20)
    cluster.wait_for_nodes()
    parts = [Part(number, ("a",) * (number + 1), {}) for number in range(60)]
    made: dict[int, bytes] = {}
    for number, content in RayEngine(cluster.address, 4, slow_part)(PLAN, parts):
        assert number not in made
        made[number] = content
        if len(made) == 10:
            threading.Thread(target=cluster.remove_node, args=(second, False)).start()
    assert made == {part.number: f"64 {part.number} {part.number + 1}".encode() for part in parts}


def test_a_part_that_fails_is_one_line(cluster: Any) -> None:
    def raising(plan: Plan, part: Part) -> bytes:
        raise ValueError("nobody expected this")

    with pytest.raises(DatasetError, match=r"Ray gave up .*run again to go on") as caught:
        list(RayEngine(cluster.address, 1, raising)(PLAN, [Part(0, ("a",), {})]))
    assert "\n" not in str(caught.value)


def test_what_is_done_is_not_made_again(
    cluster: Any, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run fails at its second part; the second run makes what is missing alone."""
    monkeypatch.setattr(prepare_module, "PHOTOS_PER_PART", 2)
    engine = RayEngine(cluster.address, 1)
    first: list[int] = []

    def stopping(plan: Plan, parts: Sequence[Part]) -> Iterator[tuple[int, bytes]]:
        for made in engine(plan, parts):
            if len(first) == 2:
                raise DatasetError("enough")
            first.append(made[0])
            yield made

    with pytest.raises(DatasetError, match="enough"):
        prepare(photos, tmp_path / "faces", size=64, engine=stopping)
    asked: list[int] = []

    def noting(plan: Plan, parts: Sequence[Part]) -> Iterator[tuple[int, bytes]]:
        asked.extend(part.number for part in parts)
        yield from engine(plan, parts)

    info = prepare(photos, tmp_path / "faces", size=64, engine=noting)
    assert len(first) == 2
    assert sorted(first + asked) == list(range(5))
    assert DatasetInfo.read(tmp_path / "faces") == info


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere"])
def test_a_cluster_that_does_not_answer_is_one_line(photos: Path, tmp_path: Path, address: str) -> None:
    """In a process of its own, which is connected to none."""
    command = [sys.executable, "-m", "ganimation", "prepare", str(photos), "-o", str(tmp_path / "faces")]
    done = subprocess.run(
        [*command, "--engine", "ray", "--address", address], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 2, done.stderr
    assert f"--address {address}: no Ray cluster answers" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"engine": "spark"}, "--engine spark: it is one of local, ray"),
        ({"address": "auto"}, "--address auto: .* needs --engine ray"),
    ],
)
def test_bad_engines(photos: Path, tmp_path: Path, options: dict[str, str], reason: str) -> None:
    with pytest.raises(DatasetError, match=reason):
        prepare(photos, tmp_path / "faces", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "faces").exists()
