"""Methods compared by emotions."""

import json
import math
from pathlib import Path

import pytest

from ganimation.cli import main
from ganimation.data.dataset import FaceDataset
from ganimation.data.prepare import prepare
from ganimation.errors import DatasetError
from ganimation.evaluation.comparison import ASKED, compare, table
from ganimation.training.export import export
from tests.rivals.test_training import train_rival

pytest.importorskip("scipy", reason="the extra evaluate is not installed")


@pytest.fixture(scope="module")
def stargan(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("comparison") / "stargan"
    export(train_rival(dataset, folder.parent / "run", "stargan"), folder)
    return folder


def test_models_of_aus_and_of_emotions_sit_side_by_side(model: Path, stargan: Path, dataset: Path) -> None:
    copy, warp, muscles, rival = compare([model, stargan], dataset, "train", 2)
    assert [copy.name, warp.name, muscles.name, rival.name] == ["copy", "warp", model.name, "stargan"]
    assert (copy.identity[0], copy.sharpness, copy.zero_edit, copy.parameters) == (0, 1, 99, 0)
    assert warp.identity[0] > 0
    assert 0.5 < muscles.sharpness < 1.5
    assert muscles.identity[0] > 0
    assert muscles.zero_edit > 60
    assert rival.zero_edit < 60
    assert rival.parameters == pytest.approx(0.13, abs=0.1)
    assert set(copy.by_emotion) == set(ASKED)
    assert [name for name, value in rival.by_emotion.items() if math.isfinite(value)] == [
        "happiness"
    ]  # it knows happiness alone
    lines = table([copy, muscles, rival]).splitlines()
    assert len(lines) == 5
    assert "| - |" in lines[4]


def test_the_command_compares_where_a_model_knows_emotions(
    model: Path, stargan: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report"
    command = ["evaluate", str(stargan), str(dataset), "-o", str(report), "--split", "train", "--neutral", "2"]
    assert main([*command, "--compare", str(model)]) == 0
    assert "| stargan |" in capsys.readouterr().out
    rows = json.loads((report / "comparison.json").read_text())
    assert [row["name"] for row in rows] == ["copy", "warp", "stargan", model.name]
    assert (report / "comparison.md").read_text().startswith("| method |")


def test_a_data_set_without_emotions_is_said(stargan: Path, photos: Path, tmp_path: Path) -> None:
    prepare(photos / "person0", tmp_path / "faces", size=64, jobs=1)
    assert set(FaceDataset(tmp_path / "faces").emotions) == {None}
    with pytest.raises(DatasetError, match="0 neutral faces, 2 are needed"):
        compare([stargan], tmp_path / "faces")


def test_a_figure_has_a_row_a_method(model: Path, stargan: Path, portrait: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "comparison.png"
    command = ["figure", "comparison", str(portrait), "-o", str(sheet), "--model", str(model)]
    assert main([*command, "--compare", str(stargan)]) == 0
    assert sheet.stat().st_size > 10_000
