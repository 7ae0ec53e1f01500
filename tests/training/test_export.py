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
from ganimation.media.files import sweep
from ganimation.networks.generator import ColorHead, Generator
from ganimation.training.export import export, write_model, write_onnx
from ganimation.training.state import Start
from tools.soup import soup


@pytest.mark.parametrize("head", ["paint", "warp"])
def test_onnx_is_the_network(head: ColorHead, tmp_path: Path) -> None:
    torch.manual_seed(0)
    generator = Generator(5, width=4, blocks=1, upsample="resize", color_head=head)
    generator.load_state_dict({name: value.half().float() for name, value in generator.state_dict().items()})
    write_onnx(generator, 64, tmp_path / "generator.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "generator.onnx")
    for number, height, width in ((1, 64, 64), (3, 96, 128)):
        source, told = torch.rand(number, 3, height, width) * 2 - 1, torch.rand(number, 5)
        with torch.inference_mode():
            expected = [part for part in generator(source, told) if part is not None]
        found = session.run(None, {"source": source.numpy(), "condition": told.numpy()})
        assert len(found) == (3 if head == "warp" else 2)
        for values, tensor in zip(found, expected, strict=True):
            assert np.abs(values - tensor.numpy()).max() < 1e-3


def test_the_mean_of_models(model: Path, tmp_path: Path) -> None:
    first = Start.read(model)
    other = {name: value + 1 for name, value in first.generator.items()}
    (tmp_path / "other").mkdir()
    write_model(tmp_path / "other", first.config, other, first.critic, "")
    soup([model, tmp_path / "other"], tmp_path / "mean", "\nFrom two.\n")
    mean = Start.read(tmp_path / "mean")
    for name, value in first.generator.items():
        torch.testing.assert_close(mean.generator[name], value + 0.5, rtol=0, atol=2e-3)
    assert (tmp_path / "mean" / "README.md").read_text().endswith("\nFrom two.\n")
    text = (
        (tmp_path / "other" / "config.json").read_text().replace('"condition": "relative"', '"condition": "absolute"')
    )
    (tmp_path / "other" / "config.json").write_text(text)
    with pytest.raises(ModelError, match="differ in condition; only models of one kind"):
        soup([model, tmp_path / "other"], tmp_path / "never")
    assert not (tmp_path / "never").exists()


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
        "from ganimation.media.files import scratch\n"
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
