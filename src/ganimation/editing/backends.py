"""The generator behind one callable, whoever computes it.

A backend takes source crops (N, 3, S, S) float32 in [-1, 1] and conditions (N, AUs) float32 and returns what the
generator draws, all numpy. Backends are safe to share between threads.
"""

import threading
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ganimation.errors import ModelError, first_line, require
from ganimation.model import GENERATOR, ONNX, ModelConfig

PRECISIONS = ("float32", "bfloat16")

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

# OpenVINO's bindings initialize C++ statics in their first inference while they hold the GIL. Two threads that infer
# first at once wait for each other for ever, so every backend infers once, alone, before it is handed out.
_first_inference = threading.Lock()


def load_backend(
    folder: Path, config: ModelConfig, name: str = "auto", threads: int = 0, precision: str = "float32"
) -> Backend:
    """Load a model folder's generator.

    Args:
        folder: the model folder.
        config: its config.
        name: ``onnxruntime``, ``openvino``, ``torch``, or ``auto``: openvino, the fastest of them, where it is
            installed, else onnxruntime.
        threads: of the computation; 0 lets the library choose.
        precision: of what is computed between the layers, ``float32``, or ``bfloat16`` by openvino and torch: faster
            where the processor has instructions for it, else slower. A model that was exported as int8 stays one.

    Raises:
        ModelError: no such backend or precision, or the weights are missing, damaged or do not fit the config.
        MissingExtraError: openvino or torch are not installed.
    """
    loaders = {"onnxruntime": _onnxruntime, "openvino": _openvino, "torch": _torch}
    if name == "auto":
        name = "openvino" if find_spec("openvino") else "onnxruntime"
    if name not in loaders:
        raise ModelError(f"unknown backend {name!r}; it is one of auto, {', '.join(loaders)}")
    if precision not in PRECISIONS:
        raise ModelError(f"unknown precision {precision!r}; it is one of {', '.join(PRECISIONS)}")
    if name == "onnxruntime" and precision != "float32":
        raise ModelError(f"onnxruntime computes no {precision} on a CPU; choose --backend openvino, or float32")
    path, backend = loaders[name](folder, config, threads, precision)
    return _checked(path, config, backend)


def _checked(path: Path, config: ModelConfig, backend: Backend) -> Backend:
    """Return the backend after a first inference, which shows that the network fits its config.

    Raises:
        ModelError: it computes something of another shape, or cannot compute at all.
    """
    side = config.size
    expected = {"color": (1, 3, side, side), "attention": (1, 1, side, side), "motion": (1, 3, side, side)}
    with _first_inference:
        try:
            drawn = backend(np.zeros((1, 3, side, side), np.float32), np.zeros((1, len(config.aus)), np.float32))
        except Exception as error:  # each runtime raises a class of its own
            raise ModelError(f"{path}: cannot compute ({first_line(error)}); export the model again") from error
    for name, values in drawn._asdict().items():
        if values is not None and values.shape != expected[name]:
            raise ModelError(
                f"{path}: {name} is {values.shape}, its config says {expected[name]}; export the model again"
            )
    return backend


def _check_inputs(path: Path, config: ModelConfig, shapes: Mapping[str, Any]) -> None:
    if set(shapes) != {"source", "condition"} or shapes["condition"][1] != len(config.aus):
        raise ModelError(f"{path}: does not fit its config of {len(config.aus)} AUs; export the model again")


def _openvino(folder: Path, config: ModelConfig, threads: int, precision: str) -> tuple[Path, Backend]:
    openvino = require("openvino", "openvino")
    path, content = folder / ONNX, config.read_weights(folder, ONNX)
    properties = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
        **({"INFERENCE_NUM_THREADS": threads} if threads else {}),
    }
    core, lock, own = openvino.Core(), threading.Lock(), threading.local()
    compiled: dict[tuple[int, ...], Any] = {}

    def network(shape: tuple[int, ...]) -> Any:
        """Return the network for one image of a shape (3, H, W); a tenth faster than one for any."""
        with lock:
            if shape not in compiled:
                model.reshape({"source": [1, *shape], "condition": [1, len(config.aus)]})
                compiled[shape] = core.compile_model(model, "CPU", properties)
            return compiled[shape]

    try:
        model = core.read_model(content)
        shapes = {node.any_name: [d.max_length for d in node.partial_shape] for node in model.inputs}
        _check_inputs(path, config, shapes)
        network((3, config.size, config.size))
    except (RuntimeError, ValueError) as error:  # its every way to say that a file is damaged
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise ModelError(f"{path}: damaged ({reason}); export the model again") from error

    def run_one(source: Array, condition: Array) -> list[Array]:
        requests = own.__dict__.setdefault("requests", {})  # a request holds its results: each thread has its own
        shape = source.shape[1:]
        if shape not in requests:
            requests[shape] = network(shape).create_infer_request()
        found = requests[shape].infer({"source": source, "condition": condition}, share_inputs=True)
        return [values.copy() for values in found.to_tuple()]

    def run(source: Array, condition: Array) -> Drawn:
        rows = [run_one(source[row : row + 1], condition[row : row + 1]) for row in range(len(source))]
        color, attention, *motion = (np.concatenate(parts) for parts in zip(*rows, strict=True))
        return Drawn(color, attention, motion[0] if motion else None)

    return path, run


def _onnxruntime(folder: Path, config: ModelConfig, threads: int, precision: str) -> tuple[Path, Backend]:
    import onnxruntime

    path, content = folder / ONNX, config.read_weights(folder, ONNX)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    providers = ["CPUExecutionProvider"]
    try:
        session = onnxruntime.InferenceSession(content, options, providers=providers, enable_fallback=0)
        shapes: Mapping[str, list[int | str]] = {node.name: node.shape for node in session.get_inputs()}
        outputs = {node.name for node in session.get_outputs()}
    except Exception as error:  # ONNX Runtime raises a class of its own for every way a file can be damaged
        raise ModelError(f"{path}: damaged ({first_line(error)}); export the model again") from error
    _check_inputs(path, config, shapes)
    names = ["color", "attention", *(["motion"] if "motion" in outputs else [])]

    def run(source: Array, condition: Array) -> Drawn:
        color, attention, *motion = session.run(names, {"source": source, "condition": condition})
        return Drawn(color, attention, motion[0] if motion else None)

    return path, run


def _torch(folder: Path, config: ModelConfig, threads: int, precision: str) -> tuple[Path, Backend]:
    torch = require("torch", "train")
    safetensors = require("safetensors.torch", "train")
    from ganimation.networks.generator import Generator

    path, content = folder / GENERATOR, config.read_weights(folder, GENERATOR)
    try:
        weights = safetensors.load(content)
        generator = Generator(len(config.aus), **config.generator)
        generator.load_state_dict({name: value.float() for name, value in weights.items()})
    except Exception as error:  # safetensors and load_state_dict raise what they like
        raise ModelError(f"{path}: damaged or of another shape ({first_line(error)}); export it again") from error
    generator.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if threads:
        torch.set_num_threads(threads)

    def run(source: Array, condition: Array) -> Drawn:
        image = torch.from_numpy(np.ascontiguousarray(source)).to(memory_format=torch.channels_last)
        mixed = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")
        with torch.inference_mode(), mixed:
            color, attention, motion = generator(image, torch.from_numpy(np.ascontiguousarray(condition)))
        moved = None if motion is None else motion.float().contiguous().numpy()
        return Drawn(color.float().contiguous().numpy(), attention.float().contiguous().numpy(), moved)

    return path, run
