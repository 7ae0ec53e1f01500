"""Where networks compute, by lists of what a computer has: there is no graphics card where these tests run."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest

from ganimation.cli import main
from ganimation.editing.backends import load_networks
from ganimation.editing.devices import DEVICES, PROVIDERS, Installed, Place, installed, places
from ganimation.editing.editor import Editor
from ganimation.errors import ModelError
from ganimation.model import ModelConfig, bundled

CPU = "CPUExecutionProvider"
NVIDIA = Installed(["TensorrtExecutionProvider", "CUDAExecutionProvider", CPU])
WINDOWS = Installed(["DmlExecutionProvider", CPU])
APPLE = Installed(["CoreMLExecutionProvider", CPU])
INTEL = Installed([CPU], ["CPU", "GPU.0", "GPU.1"])
BOTH = Installed(NVIDIA.providers, ["CPU", "GPU"])
PLAIN = Installed(["AzureExecutionProvider", CPU])
FAST = Installed([CPU], ["CPU"])


@pytest.mark.parametrize(
    ("backend", "device", "found", "wanted"),
    [
        ("auto", "auto", NVIDIA, ["cuda by onnxruntime", "cpu by onnxruntime"]),
        ("auto", "auto", WINDOWS, ["directml by onnxruntime", "cpu by onnxruntime"]),
        ("auto", "auto", APPLE, ["coreml by onnxruntime", "cpu by onnxruntime"]),
        ("auto", "auto", INTEL, ["intel by openvino", "cpu by openvino"]),
        ("auto", "auto", PLAIN, ["cpu by onnxruntime"]),
        ("auto", "auto", FAST, ["cpu by openvino"]),
        ("auto", "cpu", NVIDIA, ["cpu by onnxruntime"]),
        ("auto", "cuda", NVIDIA, ["cuda by onnxruntime"]),
        ("auto", "intel", INTEL, ["intel by openvino"]),
        ("openvino", "auto", Installed(NVIDIA.providers, ["CPU"]), ["cpu by openvino"]),
        ("onnxruntime", "auto", BOTH, ["cuda by onnxruntime", "cpu by onnxruntime"]),
        ("torch", "auto", Installed([CPU], cuda=True), ["cuda by torch", "cpu by torch"]),
        ("torch", "cuda", Installed([CPU], cuda=True), ["cuda by torch"]),
        ("torch", "auto", NVIDIA, ["cpu by torch"]),
    ],
)  # fmt: skip
def test_the_best_that_is_there_comes_first(backend: str, device: str, found: Installed, wanted: list[str]) -> None:
    assert [str(place) for place in places(backend, device, "float32", found)] == wanted


@pytest.mark.parametrize(
    ("backend", "device", "precision", "found", "message"),
    [
        ("auto", "cuda", "float32", FAST, r"device cuda: not here \(here: cpu\); pip install onnxruntime-gpu"),
        ("auto", "directml", "float32", NVIDIA, r"device directml: not here \(here: cpu, cuda\); pip install"),
        ("openvino", "cuda", "float32", NVIDIA, "device cuda: not here with openvino"),
        ("torch", "cuda", "float32", NVIDIA, "device cuda: not here with torch"),
        ("auto", "tpu", "float32", NVIDIA, "unknown device 'tpu'; it is one of auto, cpu, cuda, coreml"),
        ("auto", "cuda", "bfloat16", NVIDIA, "device cuda: it computes in float32 alone; leave out bfloat16"),
    ],
)
def test_a_device_that_is_not_there_is_said(
    backend: str, device: str, precision: str, found: Installed, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        places(backend, device, precision, found)


def test_bfloat16_stays_on_the_cpu() -> None:
    assert places("auto", "auto", "bfloat16", INTEL) == [Place("openvino", "cpu")]


def test_this_computer_has_a_cpu(portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert CPU in installed("auto").providers
    editor = Editor(threads=1)
    assert (editor.place.device, editor.notice) == ("cpu", "")
    missing = next(name for name in PROVIDERS if PROVIDERS[name] not in onnxruntime.get_available_providers())
    edit = ["edit", str(portrait), "--au", "AU12=1", "-o", str(tmp_path / "x.png"), "--device", missing]
    assert main(edit) == 2
    assert capsys.readouterr().err.startswith(f"ganimation: device {missing}: not here")
    assert not (tmp_path / "x.png").exists()
    assert "auto" in DEVICES


def test_a_device_that_fails_is_left_for_the_cpu_with_a_notice(
    monkeypatch: pytest.MonkeyPatch, portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """ONNX Runtime lists a provider whose libraries are missing, and goes on without it."""
    real, asked = onnxruntime.InferenceSession, []

    def session(content: bytes, options: Any, providers: list[str], **more: Any) -> Any:
        asked.append(providers)
        return real(content, options, providers=[CPU], **more)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(NVIDIA.providers))
    monkeypatch.setattr("ganimation.editing.devices.find_spec", lambda name: None)
    config = ModelConfig.read(bundled())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(onnxruntime, "InferenceSession", session)
        networks = load_networks(bundled(), config, device="auto", threads=1)
        with pytest.raises(ModelError, match="cannot load its CUDAExecutionProvider"):
            load_networks(bundled(), config, device="cuda", threads=1)
        edit = ["edit", str(portrait), "--au", "AU12=1", "-o", str(tmp_path / "x.png")]
        del asked[:]
        monkeypatch.setattr("ganimation.faces.landmarks.onnxruntime", SimpleNamespace(
            InferenceSession=real, SessionOptions=onnxruntime.SessionOptions
        ))  # fmt: skip
        assert main(edit) == 0
    assert str(networks.place) == "cpu by onnxruntime"
    assert networks.notice.startswith("cuda by onnxruntime cannot compute here: ONNX Runtime cannot load its CUDA")
    assert asked[0] == ["CUDAExecutionProvider", CPU]
    assert asked[-1] == [CPU]
    assert "cuda by onnxruntime cannot compute here" in capsys.readouterr().err
