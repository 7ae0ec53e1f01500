"""Where networks compute: which library on which device, from what is there."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from ganimation.errors import ModelError, require

#: Execution providers of ONNX Runtime, by the names of the devices; the first that is there is the one for ``auto``.
PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}
#: ``intel`` is OpenVINO's GPU: an integrated or discrete one of Intel.
DEVICES = ("auto", "cpu", *PROVIDERS, "intel")
BACKENDS = ("onnxruntime", "openvino", "torch")

#: What to install for a device; each replaces the package ``onnxruntime``.
REMEDIES = {
    "cuda": "pip install onnxruntime-gpu, with NVIDIA's driver",
    "coreml": "onnxruntime on macOS has it",
    "directml": "pip install onnxruntime-directml, on Windows",
    "intel": "pip install openvino, with Intel's driver",
}


@dataclass(frozen=True)
class Installed:
    """What this computer offers.

    Attributes:
        providers: of ONNX Runtime.
        openvino: devices of OpenVINO, none if it is not installed.
        cuda: whether PyTorch has a CUDA device; looked at only for the backend ``torch``.
    """

    providers: Sequence[str]
    openvino: Sequence[str] = ()
    cuda: bool = False


@dataclass(frozen=True)
class Place:
    """A library on a device."""

    backend: str
    device: str

    def __str__(self) -> str:
        return f"{self.device} by {self.backend}"


def installed(backend: str) -> Installed:
    """Return what this computer offers to a backend, or to ``auto``."""
    import onnxruntime

    openvino: Sequence[str] = ()
    if backend in ("auto", "openvino") and find_spec("openvino"):
        openvino = require("openvino", "openvino").Core().available_devices
    cuda = False
    if backend == "torch" and find_spec("torch"):
        cuda = bool(require("torch", "train").cuda.is_available())
    return Installed(onnxruntime.get_available_providers(), openvino, cuda)


def places(backend: str, device: str, precision: str, found: Installed) -> list[Place]:
    """Return where to try to compute, the best first. With ``device`` ``auto`` the last one is the CPU.

    Args:
        backend: one of :data:`BACKENDS`, or ``auto``: on a CPU openvino, the fastest, where it is installed, else
            onnxruntime.
        device: one of :data:`DEVICES`.
        precision: ``float32`` or ``bfloat16``, which is for CPUs alone.
        found: what there is.

    Raises:
        ModelError: an unknown name, or a device that is not there, or not for that backend or precision.
    """
    if backend not in ("auto", *BACKENDS):
        raise ModelError(f"unknown backend {backend!r}; it is one of auto, {', '.join(BACKENDS)}")
    if device not in DEVICES:
        raise ModelError(f"unknown device {device!r}; it is one of {', '.join(DEVICES)}")
    there = []
    if backend in ("auto", "onnxruntime"):
        there += [Place("onnxruntime", name) for name, provider in PROVIDERS.items() if provider in found.providers]
    if backend in ("auto", "openvino") and any(name.startswith("GPU") for name in found.openvino):
        there.append(Place("openvino", "intel"))
    if backend == "torch" and found.cuda:
        there.append(Place("torch", "cuda"))
    plain = ("openvino" if found.openvino else "onnxruntime") if backend == "auto" else backend
    if device in ("auto", "cpu"):
        graphics = there if device == "auto" and precision == "float32" else []
        return [*graphics, Place(plain, "cpu")]
    if precision != "float32":
        raise ModelError(f"device {device}: it computes in float32 alone; leave out {precision}")
    chosen = [place for place in there if place.device == device]
    if not chosen:
        offered = ", ".join(dict.fromkeys(["cpu", *(place.device for place in there)]))
        with_backend = "" if backend == "auto" else f" with {backend}"
        raise ModelError(f"device {device}: not here{with_backend} (here: {offered}); {REMEDIES[device]}")
    return chosen
