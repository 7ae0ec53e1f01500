"""Models with AUs that the annotator here cannot measure, such as OpenFace's AU14 and AU23."""

import csv
import json
from pathlib import Path

import pytest

from ganimation.cli import main
from ganimation.editing.editor import Editor
from ganimation.errors import ActionUnitError


@pytest.fixture
def other(model: Path, tmp_path: Path) -> Path:
    """The smallest model with AU14 and AU23 instead of AU24 and AU45."""
    folder = tmp_path / "other"
    folder.mkdir()
    for path in model.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config["aus"] = [{"AU24": "AU14", "AU45": "AU23"}.get(code, code) for code in config["aus"]]
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_they_can_be_asked_for_by_intensity_alone(other: Path, portrait: Path) -> None:
    editor = Editor(other)
    edit = editor.edit(portrait, {"AU14": 0.7, "AU12": "+0.3"})
    assert edit.faces[0].target["AU14"] == 0.7
    with pytest.raises(ActionUnitError, match=r"AU14: the annotator cannot measure it.* such as AU14=0.5"):
        editor.edit(portrait, {"AU14": "+0.2"})


def test_a_folder_is_edited_and_what_is_not_known_is_empty(other: Path, photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    command = ["edit", str(photos / "person0"), "-o", str(output), "--model", str(other), "--au", "AU14=0.7"]
    assert main(command) == 0
    (row, *_) = csv.DictReader((output / "manifest.csv").read_text().splitlines())
    assert (row["AU14_shown"], row["AU14_asked"], row["AU14_measured"]) == ("", "0.7000", "")
    assert float(row["AU12_shown"]) >= 0
