"""The ONNX file says what the network says, at every size."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from ganimation.errors import ModelError
from ganimation.files import sweep
from ganimation.model import ONNX, RESTORER, ModelConfig
from ganimation.networks.build import build_generator
from ganimation.networks.muscles import Muscles
from ganimation.training.export import export, write_onnx


@pytest.mark.parametrize("kind", ["conditioned", "muscles"])
def test_onnx_is_the_network(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    shape = {"kind": kind, "width": 4, "blocks": 1} | (
        {"restorer_width": 4, "halves": "uul"} if kind == "muscles" else {}
    )
    config = ModelConfig(("AU01", "AU02", "AU12"), 64, "relative", shape)
    generator = build_generator(shape, 3)
    if isinstance(generator, Muscles):
        torch.nn.init.normal_(generator.shading.fields.weight, 0, 0.1)
    generator.load_state_dict({name: value.half().float() for name, value in generator.state_dict().items()})
    write_onnx(generator, config, tmp_path)
    modules: dict[str, torch.nn.Module] = {ONNX: generator}
    if isinstance(generator, Muscles):
        modules = {ONNX: generator.shading, RESTORER: generator.restorer}
    assert {path.name for path in tmp_path.iterdir()} == set(modules)
    for name, module in modules.items():
        session = onnxruntime.InferenceSession(tmp_path / name)
        inputs, outputs = config.networks()[name]
        for number, height, width in ((1, 64, 64), (3, 96, 128)):
            shapes = [(height, width) if len(shape) == 3 else () for shape in inputs.values()]
            given = [
                torch.rand(number, shape[0], *side) * 2 - 1 for shape, side in zip(inputs.values(), shapes, strict=True)
            ]
            with torch.inference_mode():
                expected = module(*given)
            expected = expected if isinstance(expected, tuple) else (expected,)
            found = session.run(list(outputs), dict(zip(inputs, (values.numpy() for values in given), strict=True)))
            for values, tensor in zip(found, expected, strict=True):
                assert np.abs(values - tensor.numpy()).max() < 1e-3


def test_a_full_disk_leaves_no_model(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    folder = tmp_path / "model"
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ModelError, match=r"model: cannot be written \(No space left on device\)"):
        export(run, folder)
    monkeypatch.undo()
    monkeypatch.setattr(os, "fsync", lambda handle: full(folder, b""))
    with pytest.raises(ModelError, match=r"model: cannot be written \(No space left on device\)"):
        export(run, folder)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_export_left_is_swept(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from ganimation.files import scratch\n"
        "with scratch(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'config.json').write_text('{}')\n"
        "    print(folder, flush=True)\n"
        "    time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "model")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        left = Path(writer.stdout.readline().strip())
        os.utime(left, (0, 0))
        sweep(tmp_path, time.time())
        assert (left / "config.json").exists()
        writer.kill()
    sweep(tmp_path, time.time())
    assert list(tmp_path.iterdir()) == []
