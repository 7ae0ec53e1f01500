"""The generator behind one callable, whoever computes it.

A backend takes source crops (N, 3, S, S) float32 in [-1, 1] and conditions (N, AUs) float32 and returns what the
generator draws, all numpy. Backends are safe to share between threads.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ganimation.errors import ModelError, require
from ganimation.model import GENERATOR, ONNX, ModelConfig

Array = NDArray[np.float32]


class Drawn(NamedTuple):
    """What a generator draws.

    Attributes:
        color: C, (N, 3, S, S) in [-1, 1].
        attention: A, (N, 1, S, S) in [0, 1]; 1 keeps the source.
        motion: (N, 3, S, S), x and y of where each pixel of C comes from, as shares of half the side, and the share of
            C that is moved source; ``None`` of a generator that only paints.
    """

    color: Array
    attention: Array
    motion: Array | None


Backend = Callable[[Array, Array], Drawn]


def load_backend(folder: Path, config: ModelConfig, name: str = "auto", threads: int = 0) -> Backend:
    """Load a model folder's generator.

    Args:
        folder: the model folder.
        config: its config.
        name: ``auto`` (onnxruntime), ``onnxruntime`` or ``torch``.
        threads: of the computation; 0 lets the library choose.

    Raises:
        ModelError: no such backend, or the weights are missing, damaged or do not fit the config.
        MissingExtraError: ``torch`` is not installed.
    """
    loaders = {"auto": _onnxruntime, "onnxruntime": _onnxruntime, "torch": _torch}
    if name not in loaders:
        raise ModelError(f"unknown backend {name!r}; it is one of {', '.join(loaders)}")
    return loaders[name](folder, config, threads)


def _onnxruntime(folder: Path, config: ModelConfig, threads: int) -> Backend:
    import onnxruntime

    path = folder / ONNX
    if not path.is_file():
        raise ModelError(f"{path}: missing; export the model again")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises a class of its own for every way a file can be damaged
        reason = str(error).splitlines()[0]
        raise ModelError(f"{path}: damaged ({reason}); export the model again") from error
    shapes: Mapping[str, list[int | str]] = {node.name: node.shape for node in session.get_inputs()}
    if set(shapes) != {"source", "condition"} or shapes["condition"][1] != len(config.aus):
        raise ModelError(f"{path}: does not fit its config of {len(config.aus)} AUs; export the model again")

    outputs = {node.name for node in session.get_outputs()}
    names = ["color", "attention", *(["motion"] if "motion" in outputs else [])]

    def run(source: Array, condition: Array) -> Drawn:
        color, attention, *motion = session.run(names, {"source": source, "condition": condition})
        return Drawn(color, attention, motion[0] if motion else None)

    return run


def _torch(folder: Path, config: ModelConfig, threads: int) -> Backend:
    torch = require("torch", "train")
    safetensors = require("safetensors.torch", "train")
    from ganimation.networks.generator import Generator

    path = folder / GENERATOR
    try:
        weights = safetensors.load_file(path)
        generator = Generator(len(config.aus), **config.generator)
        generator.load_state_dict({name: value.float() for name, value in weights.items()})
    except FileNotFoundError:
        raise ModelError(f"{path}: missing; export the model again") from None
    except Exception as error:  # safetensors and load_state_dict raise what they like
        reason = str(error).splitlines()[0]
        raise ModelError(f"{path}: damaged or of another shape ({reason}); export the model again") from error
    generator.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if threads:
        torch.set_num_threads(threads)

    def run(source: Array, condition: Array) -> Drawn:
        image = torch.from_numpy(np.ascontiguousarray(source)).to(memory_format=torch.channels_last)
        with torch.inference_mode():
            color, attention, motion = generator.draw(image, torch.from_numpy(np.ascontiguousarray(condition)))
        moved = None if motion is None else motion.contiguous().numpy()
        return Drawn(color.contiguous().numpy(), attention.contiguous().numpy(), moved)

    return run
