"""What ships is used only as it was shipped."""

from importlib.resources import files
from pathlib import Path

import pytest

from ganimation import Editor
from ganimation.assets import SUMS, read_asset
from ganimation.errors import ModelError

PACKAGES = ("ganimation.faces", "ganimation.evaluation")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_asset_has_its_digest(package: str) -> None:
    folder = Path(str(files(package))) / "assets"
    listed = {line.split("  ")[1] for line in (folder / SUMS).read_text().splitlines()}
    assert listed == {path.name for path in folder.iterdir() if path.suffix in (".onnx", ".npz")}
    for name in listed:
        assert read_asset(package, name) == (folder / name).read_bytes()


def test_a_flipped_bit_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Path(str(files("ganimation.faces"))) / "assets"
    (tmp_path / "assets").mkdir()
    for path in source.iterdir():
        (tmp_path / "assets" / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr("ganimation.assets.files", lambda package: tmp_path)
    for name in ("face_landmarker.onnx", "au_calibration.npz", "face_detection_yunet_2023mar.onnx"):
        path = tmp_path / "assets" / name
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        with pytest.raises(ModelError, match=f"{name}: damaged"):
            Editor(threads=1)
        path.unlink()
        with pytest.raises(ModelError, match=f"{name}: cannot be read"):
            Editor(threads=1)
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    Editor(threads=1)
