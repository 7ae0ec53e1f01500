from pathlib import Path

import numpy as np
import pytest

from ganimation.cli import main
from ganimation.data.dataset import FaceDataset
from ganimation.editing.backends import load_networks
from ganimation.errors import ModelError, TrainingError
from ganimation.model import ONNX, ModelConfig, bundled
from ganimation.training.quantize import examples, export_int8


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, dataset: Path) -> Path:
    """The bundled weights in int8."""
    folder = tmp_path_factory.mktemp("int8") / "model"
    assert main(["export", "bundled", "-o", str(folder), "--quantize", "int8", "--faces", str(dataset)]) == 0
    return folder


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_int8_draws_nearly_the_same(backend: str, small: Path, dataset: Path) -> None:
    pytest.importorskip(backend)
    config = ModelConfig.read(small)
    assert config.precision == "int8"
    assert (small / ONNX).stat().st_size < 0.8 * (bundled() / ONNX).stat().st_size
    exact, rough = (load_networks(folder, ModelConfig.read(folder), backend)[ONNX] for folder in (bundled(), small))
    likeness, errors = [], []
    for example in examples(config, FaceDataset(dataset), 4, seed=1):
        (one,), (two,) = (network(example["source"], example["guide"]) for network in (exact, rough))
        likeness.append(10 * np.log10(np.square(one).mean() / np.square(one - two).mean()))
        errors.append(np.sqrt(np.square(one - two).mean()))
    assert 6 < min(likeness) < 100  # signal to noise of the shading, in dB
    assert max(errors) < 0.02  # of brightness, at full strength


def test_a_run_is_exported_as_int8(run: Path, dataset: Path, tmp_path: Path) -> None:
    export_int8(run, tmp_path / "model", FaceDataset(dataset))
    assert ModelConfig.read(tmp_path / "model").precision == "int8"


def test_what_cannot_be_quantized_is_said(
    small: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faces = FaceDataset(dataset)
    with pytest.raises(ModelError, match="is int8 already"):
        export_int8(small, tmp_path / "model", faces)
    with pytest.raises(ModelError, match="name another folder"):
        export_int8(small, small, faces)
    with pytest.raises(TrainingError, match="not a run"):
        export_int8(tmp_path / "nothing", tmp_path / "model", faces)
    other = tmp_path / "other"
    other.mkdir()
    for path in bundled().iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    text = (other / "config.json").read_text()
    (other / "config.json").write_text(text.replace('"AU45"', '"AU23"'))
    with pytest.raises(TrainingError, match="the faces to calibrate on have"):
        export_int8(other, tmp_path / "model", faces)
    assert main(["export", "bundled", "-o", str(tmp_path / "model"), "--quantize", "int8"]) == 2
    assert "--faces" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()
