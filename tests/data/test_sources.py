"""Readers of known data sets, on files in the form in which each is distributed."""

import json
from pathlib import Path

import numpy as np
import pytest

from ganimation.action_units import OPENFACE_AUS
from ganimation.cli import main
from ganimation.data.dataset import FaceDataset
from ganimation.data.prepare import prepare
from ganimation.data.sources import SOURCES, read_cfee, read_emotionet, read_openface, read_rafd
from ganimation.errors import DatasetError
from ganimation.faces.reader import FaceReader
from ganimation.media.images import read_image

HAPPY, LEFT = "Rafd090_01_Caucasian_female_happy_frontal.jpg", "Rafd045_57_Moroccan_male_contemptuous_left.jpg"


def test_rafd_names_say_person_angle_and_emotion() -> None:
    found = read_rafd([HAPPY, f"some/folder/{LEFT}"], None).labels
    assert (found[HAPPY].identity, found[HAPPY].session, found[HAPPY].emotion) == (
        "rafd-01",
        "rafd-01-090",
        "happiness",
    )
    other = found[f"some/folder/{LEFT}"]
    assert (other.identity, other.session, other.emotion) == ("rafd-57", "rafd-57-045", "contempt")


@pytest.mark.parametrize("name", ["me.jpg", "Rafd090_01_Caucasian_female_bored_frontal.jpg", "Rafd90_1_happy.jpg"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(DatasetError, match=f"{name}: not a name of RaFD, such as Rafd090_01"):
        read_rafd([HAPPY, name], None)


def test_an_emotionet_list_chooses_photos_and_says_what_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(
        "URL,AU 1,AU 2,AU 12,emotion\n"
        "http://example.org/a/one.jpg,0,1,999,happy\n"
        "http://example.org/two.jpg?size=big,1,0,0,happily surprised\n"
        "http://example.org/dead.jpg,0,0,1,\n"
    )
    found = read_emotionet(["one.jpg", "two.jpg", "not-listed.jpg"], path)
    assert {name: label.emotion for name, label in found.labels.items()} == {"one.jpg": "happiness", "two.jpg": None}
    assert found.missing == {"dead.jpg": "http://example.org/dead.jpg"}
    assert not found.aus


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,AU1\na.jpg,1\n", "no column URL"),
        ("URL,AU1\nhttp://x.y/a.jpg,0.5\n", "line 2: AU1 is '0.5'; EmotioNet has 0, 1 or 999"),
        ("URL,AU1\nhttp://x.y/,1\n", "line 2: no file name in the URL"),
        ("URL,AU1\nhttp://x.y/a.jpg,1\nhttp://z.y/a.jpg,1\n", "line 3: a.jpg is named twice"),
    ],
)
def test_bad_emotionet_lists(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_emotionet(["a.jpg"], path)


def openface(rows: list[dict[str, object]]) -> str:
    columns = list(rows[0])
    lines = [", ".join(columns), *(", ".join(str(row[name]) for name in columns) for row in rows)]
    return "\n".join(lines) + "\n"


def openface_row(level: float, points: np.ndarray, **more: object) -> dict[str, object]:
    landmarks = {f"x_{n}": x for n, (x, _) in enumerate(points)} | {f"y_{n}": y for n, (_, y) in enumerate(points)}
    return {**more, **landmarks, **{f"{code}_r": level for code in OPENFACE_AUS}}


def test_openface_labels_are_of_the_face_on_the_crop(photos: Path, tmp_path: Path, reader: FaceReader) -> None:
    """The more confident face is somebody in the background; a third failed."""
    folder = tmp_path / "openface"
    for name in ("person0/studio_portrait", "person0/amateur_selfie"):
        (face, *_) = reader.read(read_image(photos / f"{name}.jpg").pixels)
        rows = [
            openface_row(1.0, face.points[:68] - 5000.0, confidence=0.98, success=1),
            openface_row(2.0, face.points[:68], confidence=0.7, success=1),
            openface_row(5.0, face.points[:68], confidence=0.99, success=0),
        ]
        (folder / f"{name}.csv").parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.csv").write_text(openface(rows if "studio" in name else rows[:1]))
    info = prepare(photos, tmp_path / "faces", size=64, source="openface", listed=folder, jobs=1)
    assert (info.aus, info.annotator, info.counts) == (OPENFACE_AUS, "OpenFace 2", {"train": 1})
    assert FaceDataset(tmp_path / "faces").aus[0] == pytest.approx(np.full(17, 0.4))
    reasons = {entry["path"]: entry["reason"] for entry in info.skipped}
    assert reasons["person0/amateur_selfie.jpg"] == "no AU intensities by OpenFace 2 for its largest face"


def test_openface_without_landmarks_takes_the_most_confident(tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    rows = [
        openface_row(level, np.zeros((0, 2)), file="a.jpg", confidence=sure) for level, sure in ((1, 0.2), (3, 0.9))
    ]
    path.write_text(openface(rows))
    first, _ = read_openface(["a.jpg"], path).labels["a.jpg"].faces
    assert first.aus == pytest.approx((0.6,) * 17)


def test_cfee_codes_are_intensities(tmp_path: Path) -> None:
    path = tmp_path / "codes.csv"
    path.write_text(
        "file,identity,emotion,AU1,AU12,AU99\na.jpg,7,Happy,0.2,-1,0\nb.jpg,7,Sadly angry,1.0,0,0\nc.jpg,8,Sad,0,0,0\n"
    )
    found = read_cfee(["a.jpg", "b.jpg"], path)
    assert found.aus == ("AU01", "AU12")
    assert found.labels["a.jpg"].faces[0].aus == (0.2, 0.4)
    assert [label.emotion for label in found.labels.values()] == ["happiness", None]
    assert {label.session for label in found.labels.values()} == {"cfee-7"}
    for text, message in (
        ("file,AU1\na.jpg,1\n", "expected the columns file, identity, emotion"),
        ("file,identity,emotion,AU1\na.jpg,1,Sad,3\n", "line 2: AU1 is '3'; it lies in"),
        ("file,identity,emotion,AU1\nz.jpg,1,Sad,1\n", "names none of the photos"),
    ):
        path.write_text(text)
        with pytest.raises(DatasetError, match=message):
            read_cfee(["a.jpg"], path)


def test_every_list_that_is_needed_is_asked_for() -> None:
    for name in ("emotionet", "openface", "cfee"):
        with pytest.raises(DatasetError, match="--source needs --list"):
            SOURCES[name](["a.jpg"], None)
    with pytest.raises(DatasetError, match="leave --list out"):
        read_rafd([HAPPY], Path("x.csv"))


def test_the_command_takes_a_source(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rafd, output = tmp_path / "rafd", tmp_path / "faces"
    rafd.mkdir()
    for name, file in ((HAPPY, "amateur_selfie.jpg"), (HAPPY.replace("happy", "neutral"), "studio_portrait.jpg")):
        (rafd / name).write_bytes((photos / "person0" / file).read_bytes())
    assert main(["prepare", str(rafd), "-o", str(output), "--size", "64", "--source", "rafd", "--jobs", "1"]) == 0
    faces = FaceDataset(output)
    assert faces.emotions == ["happiness", "neutral"]
    assert set(faces.sessions) == {0}
    (rafd / "me.jpg").write_bytes((rafd / HAPPY).read_bytes())
    capsys.readouterr()
    for arguments, message in (
        (["--source", "rafd"], "me.jpg: not a name of RaFD"),
        (["--source", "ravdess"], "--source ravdess: it is one of rafd, emotionet, openface, cfee"),
        (["--list", str(tmp_path)], "name what it is with --source"),
    ):
        assert main(["prepare", str(rafd), "-o", str(tmp_path / "other"), *arguments]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "other").exists()
    path = tmp_path / "list.csv"
    path.write_text("URL,AU1\nhttp://example.org/gone.jpg,1\n")
    assert main(["prepare", str(rafd), "-o", str(tmp_path / "o"), "--source", "emotionet", "--list", str(path)]) == 2
    assert "none of its 1 photos is in the folder; download them first" in capsys.readouterr().err
    info = json.loads((output / "dataset.json").read_text())
    assert info["counts"] == {"train": 2}
