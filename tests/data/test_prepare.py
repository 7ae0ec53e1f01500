import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ganimation.action_units import DEFAULT_AUS, OPENFACE_AUS
from ganimation.data import engines
from ganimation.data import prepare as prepare_module
from ganimation.data.dataset import DatasetInfo, FaceDataset
from ganimation.data.prepare import prepare
from ganimation.errors import DatasetError


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_what_a_data_set_holds(dataset: Path) -> None:
    faces = FaceDataset(dataset)
    assert faces.info.counts == {"train": 6, "validation": 2}
    assert faces.info.aus == DEFAULT_AUS
    assert {entry["path"]: entry["reason"].split(" (")[0] for entry in faces.info.skipped} == {
        "broken.jpg": "not a picture in a format that can be read",
        "wall.png": "no face found",
    }
    assert faces.sources == sorted(faces.sources)
    assert faces.sessions.tolist() == faces.identities.tolist() == [0, 0, 1, 1, 2, 2]
    smiles = faces.aus[:, DEFAULT_AUS.index("AU12")]
    assert smiles[0] > smiles[1]  # the selfie smiles, the studio portrait does not
    assert faces.images([0, 5], 32).shape == (2, 32, 32, 3)
    assert faces.image(0).shape == (64, 64, 3)
    assert len(FaceDataset(dataset, "validation")) == 2


def test_hugging_face_datasets_opens_it(dataset: Path, tmp_path: Path) -> None:
    import datasets

    loaded = datasets.load_dataset(str(dataset), cache_dir=str(tmp_path))
    assert loaded["train"].num_rows == 6
    assert loaded["validation"].num_rows == 2
    row = loaded["train"][0]
    assert row["image"].size == (64, 64)
    assert row["AU12"] == pytest.approx(FaceDataset(dataset).aus[0, DEFAULT_AUS.index("AU12")])
    assert row["identity"] == row["session"] == "person0"


def test_the_crops_follow_the_template(dataset: Path) -> None:
    from ganimation.faces.reader import FaceReader

    faces = FaceDataset(dataset)
    (face,) = FaceReader(1).read(faces.image(1))
    assert face.eyes == pytest.approx(faces.info.template.eyes(64), abs=1.5)


def test_killed_and_run_again_ends_with_the_same_bytes(
    dataset: Path, photos: Path, labels: Path, tmp_path: Path
) -> None:
    """A real process, killed while it works; parts of one photo, so that some are done by then."""
    folder = tmp_path / "faces"
    code = (
        "import sys; from pathlib import Path; from ganimation.data import prepare as p; p.PHOTOS_PER_PART = 1\n"
        "if __name__ == '__main__':\n"
        f"    p.prepare(Path({str(photos)!r}), Path({str(folder)!r}), size=64, labels=Path({str(labels)!r}), jobs=1)"
    )
    script = tmp_path / "prepare.py"
    script.write_text(code)
    process = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
    parts = folder / ".parts"
    while process.poll() is None and len(list(parts.glob("[0-9]*.parquet"))) < 3:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "dataset.json").exists()
    done = {path: path.stat().st_mtime_ns for path in parts.glob("[0-9]*.parquet")}
    assert done
    shutil.copytree(folder, tmp_path / "killed")
    subprocess.run([sys.executable, str(script)], check=True)
    assert contents(folder) == contents(dataset)
    assert not parts.exists()


def test_a_finished_data_set_is_left_as_it_is(dataset: Path, photos: Path, labels: Path) -> None:
    before = contents(dataset)
    times = [path.stat().st_mtime_ns for path in sorted(dataset.iterdir())]
    prepare(photos, dataset, size=64, labels=labels)
    assert contents(dataset) == before
    assert [path.stat().st_mtime_ns for path in sorted(dataset.iterdir())] == times
    with pytest.raises(DatasetError, match="other photos or settings"):
        prepare(photos, dataset, size=32, labels=labels)


def test_two_processes_give_the_same_bytes(
    dataset: Path, photos: Path, labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare_module, "PHOTOS_PER_PART", 4)
    seen = []
    prepare(
        photos, tmp_path / "faces", size=64, labels=labels, jobs=2, progress=lambda done, of: seen.append((done, of))
    )
    assert contents(tmp_path / "faces") == contents(dataset)
    assert seen[0] == (0, 10)
    assert seen[-1] == (10, 10)


def test_openface_intensities_are_taken(photos: Path, tmp_path: Path) -> None:
    """FaceLandmarkImg writes a CSV a photo, a row a face, with spaces after the commas."""
    folder = tmp_path / "openface"
    header = "face, confidence, " + ", ".join(f"{code}_r" for code in OPENFACE_AUS)
    for photo in photos.rglob("*.jpg"):
        if photo.parent == photos or "person3" in photo.parts:
            continue
        place = folder / photo.relative_to(photos).with_suffix(".csv")
        place.parent.mkdir(parents=True, exist_ok=True)
        rows = [", ".join(["0", "0.4", *["5.00"] * 17]), ", ".join(["1", "0.9", *[f"{i / 4:.2f}" for i in range(17)]])]
        place.write_text("\n".join([header, *rows]) + "\n")
    info = prepare(photos, tmp_path / "faces", size=64, source="openface", listed=folder, jobs=1)
    assert info.aus == OPENFACE_AUS
    assert info.annotator == "OpenFace 2"
    assert info.counts == {"train": 6}
    assert sum("OpenFace" in entry["reason"] for entry in info.skipped) == 2
    assert FaceDataset(tmp_path / "faces").aus[0] == pytest.approx(np.arange(17) / 20)


def test_changed_photos_and_damaged_parts_are_noticed(photos: Path, tmp_path: Path) -> None:
    mine, folder = tmp_path / "photos", tmp_path / "faces"
    shutil.copytree(photos / "person0", mine)
    (mine / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"")
    info = prepare(mine, folder, size=64, jobs=1)
    assert info.counts == {"train": 2}
    assert [entry["reason"] for entry in info.skipped] == ["the file's name is not text (UTF-8)"]
    parts = folder / ".parts"
    parts.mkdir()
    (folder / "dataset.json").rename(tmp_path / "dataset.json")
    (parts / "000000.parquet").write_bytes(b"PAR1 cut short")
    prepare(mine, folder, size=64, jobs=1)
    assert (folder / "dataset.json").read_bytes() == (tmp_path / "dataset.json").read_bytes()
    shutil.copy(photos / "wall.png", mine / "studio_portrait.jpg")
    with pytest.raises(DatasetError, match="other photos or settings"):
        prepare(mine, folder, size=64, jobs=1)


def test_ctrl_c_stops_soon(photos: Path, tmp_path: Path) -> None:
    """A folder that would take minutes; the interrupt comes after the first part."""
    mine = tmp_path / "photos"
    mine.mkdir()
    for number in range(3000):
        (mine / f"{number:04d}.jpg").symlink_to(photos / "person0" / "studio_portrait.jpg")
    command = [sys.executable, "-m", "ganimation", "prepare", str(mine), "-o", str(tmp_path / "faces"), "--jobs", "1"]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list((tmp_path / "faces" / ".parts").glob("[0-9]*.parquet")):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert len(list((tmp_path / "faces" / ".parts").glob("[0-9]*.parquet"))) < 6


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc to see what runs")
def test_workers_end_with_the_process_that_started_them(photos: Path, tmp_path: Path) -> None:
    """Killed, it can tell them nothing."""
    mine = tmp_path / "mine"
    mine.mkdir()
    for number in range(300):
        (mine / f"{number:04d}.jpg").symlink_to(photos / "person0" / "studio_portrait.jpg")
    command = [sys.executable, "-m", "ganimation", "prepare", str(mine), "-o", str(tmp_path / "faces"), "--jobs", "2"]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)

    def running() -> list[int]:
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                _, _, rest = stat.read_text().rpartition(")")
                state, _, group = rest.split()[:3]
                if int(group) == process.pid and state != "Z":
                    found.append(int(stat.parent.name))
        return found

    while process.poll() is None and len(running()) < 3:
        time.sleep(0.02)
    process.kill()
    process.wait()
    end = time.monotonic() + 15
    while running() and time.monotonic() < end:
        time.sleep(0.05)
    left = running()
    for number in left:
        os.kill(number, signal.SIGKILL)
    assert left == []


def end(*_: object) -> None:
    """As the kernel ends a process that takes too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_ends_is_said(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "make_part", end)
    with pytest.raises(DatasetError, match=r"a process ended .* run again to go on, with fewer --jobs"):
        prepare(photos, tmp_path / "faces", size=64, jobs=1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("file,identity\n", "no rows"),
        ("name,identity\na.jpg,x\n", "expected the columns file"),
        ("file,identity\nnobody.jpg,x\nwall.png,y\n", "names 1 photos that are not there, for example nobody.jpg"),
        ("file,split\nwall.png,holdout\n", "line 2: split 'holdout'"),
        ("file,split\nwall.png,train\nwall.png,test\n", "named twice"),
    ],
)
def test_bad_labels(photos: Path, tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(content)
    with pytest.raises(DatasetError, match=reason):
        prepare(photos, tmp_path / "faces", labels=path)
    assert not (tmp_path / "faces").exists()


def test_bad_openface(photos: Path, tmp_path: Path) -> None:
    path = tmp_path / "aus.csv"
    path.write_text("file,confidence,AU01_r\nperson0/studio_portrait.jpg,1,2\n")
    with pytest.raises(DatasetError, match="no column AU02_r"):
        prepare(photos, tmp_path / "faces", source="openface", listed=path)
    row = ",".join(["person0/studio_portrait.jpg", *["1"] * 16, "6"])
    path.write_text("file," + ",".join(f"{code}_r" for code in OPENFACE_AUS) + f"\n{row}\n")
    with pytest.raises(DatasetError, match=r"AU45_r is '6'.*\[0, 5\]"):
        prepare(photos, tmp_path / "faces", source="openface", listed=path)


def test_bad_folders(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        prepare(tmp_path / "missing", tmp_path / "faces")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no photos"):
        prepare(tmp_path / "empty", tmp_path / "faces")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear")
    with pytest.raises(DatasetError, match="not a data set that was begun here"):
        prepare(photos, tmp_path / "mine")
    with pytest.raises(DatasetError, match="size 4"):
        prepare(photos, tmp_path / "faces", size=4)
    (tmp_path / "walls").mkdir()
    shutil.copy(photos / "wall.png", tmp_path / "walls")
    for _ in range(2):  # the first leaves nothing in the way of the second
        with pytest.raises(DatasetError, match="no usable face in 1 photos"):
            prepare(tmp_path / "walls", tmp_path / "faces", jobs=1)
    with pytest.raises(DatasetError, match="-1 jobs"):
        prepare(photos, tmp_path / "faces", jobs=-1)


def test_damaged_data_sets(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        FaceDataset(tmp_path / "missing")
    with pytest.raises(DatasetError, match="no shards of the split 'test'; it has: train, validation"):
        FaceDataset(dataset, "test")
    broken = tmp_path / "broken"
    shutil.copytree(dataset, broken)
    shard = next(broken.glob("train-*.parquet"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match="a shard is damaged"):
        FaceDataset(broken)
    shard.write_bytes(whole)
    info = json.loads((broken / "dataset.json").read_text())
    (broken / "dataset.json").write_text(json.dumps(info | {"format_version": 99}))
    with pytest.raises(DatasetError, match="format version 99"):
        FaceDataset(broken)
    for odd in (5, None, ["AU12"], {"AU12": 1}):
        (broken / "dataset.json").write_text(json.dumps(info | {"aus": [odd, *info["aus"][1:]]}))
        with pytest.raises(DatasetError, match=r"damaged \(unknown action unit .*: it is text"):
            FaceDataset(broken)
    (broken / "dataset.json").write_text('{"a":' * 100_000)
    with pytest.raises(DatasetError, match="nested deeper than"):
        FaceDataset(broken)
    (broken / "dataset.json").write_text(json.dumps(info | {"aus": [*info["aus"], "AU14"]}))
    with pytest.raises(DatasetError):
        FaceDataset(broken)
    assert DatasetInfo.read(dataset).size == 64


@pytest.mark.parametrize("value", [float("nan"), 1.5, -0.1])
def test_intensities_out_of_range_are_refused(dataset: Path, tmp_path: Path, value: float) -> None:
    from pyarrow import parquet

    broken = tmp_path / "broken"
    shutil.copytree(dataset, broken)
    path = next(broken.glob("train-*.parquet"))
    table = parquet.read_table(path)
    column = table.column_names.index("AU04")
    values = table["AU04"].to_pylist()
    values[2] = value
    import pyarrow as pa

    parquet.write_table(table.set_column(column, "AU04", pa.array(values, pa.float32())), path)
    with pytest.raises(DatasetError, match="AU04 of row 2"):
        FaceDataset(broken)


@pytest.mark.parametrize("encoded", [b"", b"\xff\xd8\xff", b"not a picture"])
def test_a_face_that_is_no_picture_is_said(dataset: Path, tmp_path: Path, encoded: bytes) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    broken = tmp_path / "broken"
    shutil.copytree(dataset, broken)
    path = next(broken.glob("train-*.parquet"))
    table = parquet.read_table(path)
    images = table["image"].to_pylist()
    images[2]["bytes"] = encoded
    column = pa.array(images, table.schema.field("image").type)
    parquet.write_table(table.set_column(0, table.schema.field("image"), column), path)
    faces = FaceDataset(broken)
    faces.image(1)
    with pytest.raises(DatasetError, match="not a picture in the data set, expected 64 pixels square"):
        faces.images([1, 2], 32)
