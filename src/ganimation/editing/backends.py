"""A model's networks as plain callables, independent of the inference library.

A network takes and returns float32 arrays whose first axis is the batch. Networks are safe to share between threads.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganimation.editing.devices import BACKENDS, PROVIDERS, Installed, Place, installed, places
from ganimation.errors import ModelError, first_line, require
from ganimation.model import GENERATOR, ONNX, RESTORER, ModelConfig, emotion_file

PRECISIONS = ("float32", "bfloat16")

Array = NDArray[np.float32]
Network = Callable[..., tuple[Array, ...]]


# OpenVINO's bindings initialize C++ statics in their first inference while they hold the GIL. Two threads that infer
# first at once wait for each other for ever, so every network infers once, alone, before it is handed out.
_first_inference = threading.Lock()


class Networks(dict[str, Network]):
    """A model's networks by the names of their files.

    Attributes:
        place: where they compute.
        notice: why they do not compute on a device that is there, or empty.
    """

    def __init__(self, networks: Mapping[str, Network], place: Place, notice: str = "") -> None:
        super().__init__(networks)
        self.place, self.notice = place, notice


def load_networks(
    folder: Path,
    config: ModelConfig,
    name: str = "auto",
    threads: int = 0,
    precision: str = "float32",
    device: str = "cpu",
) -> Networks:
    """Load a model folder's networks.

    Args:
        folder: the model folder.
        config: its config.
        name: ``onnxruntime``, ``openvino``, ``torch``, or ``auto``: what the device needs; on a CPU openvino, the
            fastest of them, where it is installed, else onnxruntime.
        threads: of the computation; 0 lets the library choose.
        precision: of what is computed between the layers, ``float32``, or ``bfloat16`` by openvino and torch: faster
            where the processor has instructions for it, else slower. A model that was exported as int8 stays one.
        device: one of :data:`ganimation.editing.devices.DEVICES`; ``auto`` takes the best that is there, and the CPU
            with a notice if that cannot compute.

    Returns:
        each network that the model has: :data:`ganimation.model.ONNX`, and of a generator of muscles
        :data:`ganimation.model.RESTORER`. Inputs and outputs are those of :meth:`ModelConfig.networks`.

    Raises:
        ModelError: no such backend, precision or device, or the weights are missing, damaged or do not fit the config.
        MissingExtraError: openvino or torch are not installed.
    """
    if precision not in PRECISIONS:
        raise ModelError(f"unknown precision {precision!r}; it is one of {', '.join(PRECISIONS)}")
    found = Installed(()) if device == "cpu" and name in BACKENDS else installed(name)
    notice = ""
    *graphics, last = places(name, device, precision, found)
    for place in graphics:
        try:
            return Networks(_load(folder, config, threads, precision, place), place)
        except ModelError as error:
            notice = notice or f"{place} cannot compute here: {error}"
    return Networks(_load(folder, config, threads, precision, last), last, notice)


def _load(folder: Path, config: ModelConfig, threads: int, precision: str, place: Place) -> dict[str, Network]:
    """Load networks at a place and let each compute once."""
    if place.backend == "onnxruntime" and precision != "float32":
        raise ModelError(f"onnxruntime computes no {precision} on a CPU; choose --backend openvino, or float32")
    loader = {"onnxruntime": _onnxruntime, "openvino": _openvino, "torch": _torch}[place.backend]
    networks = loader(folder, config, threads, precision, place.device)
    for file, network in networks.items():
        _check(folder / file, network, *config.networks()[file])
    return networks


def _check(path: Path, network: Network, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
    """Infer once, which shows that the network fits its config.

    Raises:
        ModelError: it computes something of another shape, or cannot compute at all.
    """
    with _first_inference:
        try:
            found = network(*(np.zeros((1, *shape), np.float32) for shape in inputs.values()))
        except Exception as error:  # each runtime raises a class of its own
            raise ModelError(f"{path}: cannot compute ({first_line(error)}); export the model again") from error
    for (name, shape), values in zip(outputs.items(), found, strict=True):
        if values.shape != (1, *shape):
            raise ModelError(f"{path}: {name} is {values.shape}, its config says {(1, *shape)}; export the model again")


def _check_names(path: Path, config: ModelConfig, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    wanted = config.networks()[path.name]
    if set(inputs) != set(wanted[0]) or set(outputs) != set(wanted[1]):
        raise ModelError(f"{path}: does not fit its config of {len(config.entries)} entries; export the model again")


def _openvino(folder: Path, config: ModelConfig, threads: int, precision: str, device: str) -> dict[str, Network]:
    openvino = require("openvino", "openvino")
    properties = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
        **({"INFERENCE_NUM_THREADS": threads} if threads and device == "cpu" else {}),
    }
    core, where = openvino.Core(), "GPU" if device == "intel" else "CPU"
    return {file: _openvino_network(core, where, folder / file, config, properties) for file in config.networks()}


def _openvino_network(core: Any, where: str, path: Path, config: ModelConfig, properties: dict[str, Any]) -> Network:
    content = config.read_weights(path.parent, path.name)
    names, outputs = (list(part) for part in config.networks()[path.name])
    lock, own = threading.Lock(), threading.local()
    compiled: dict[tuple[tuple[int, ...], ...], Any] = {}

    def network(shapes: tuple[tuple[int, ...], ...]) -> Any:
        """Return the network for inputs of given shapes; a tenth faster than one for any."""
        with lock:
            if shapes not in compiled:
                model.reshape(dict(zip(names, (list(shape) for shape in shapes), strict=True)))
                compiled[shapes] = core.compile_model(model, where, properties)
            return compiled[shapes]

    try:
        model = core.read_model(content)
        _check_names(path, config, [x.any_name for x in model.inputs], [x.any_name for x in model.outputs])
        network(tuple((1, *shape) for shape in config.networks()[path.name][0].values()))
    except (RuntimeError, ValueError) as error:  # what OpenVINO raises for damaged files
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise ModelError(f"{path}: damaged ({reason}); export the model again") from error

    def run_one(*inputs: Array) -> list[Array]:
        requests = own.__dict__.setdefault("requests", {})  # a request holds its results: each thread has its own
        shapes = tuple(values.shape for values in inputs)
        if shapes not in requests:
            requests[shapes] = network(shapes).create_infer_request()
        request = requests[shapes]
        request.infer(dict(zip(names, inputs, strict=True)), share_inputs=True)
        return [np.array(request.get_tensor(name).data, np.float32) for name in outputs]

    def run(*inputs: Array) -> tuple[Array, ...]:
        rows = [run_one(*(values[row : row + 1] for values in inputs)) for row in range(len(inputs[0]))]
        return tuple(np.concatenate(parts) for parts in zip(*rows, strict=True))

    return run


def _onnxruntime(folder: Path, config: ModelConfig, threads: int, precision: str, device: str) -> dict[str, Network]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3

    def load(path: Path) -> Network:
        content = config.read_weights(path.parent, path.name)
        providers = [*([PROVIDERS[device]] if device != "cpu" else []), "CPUExecutionProvider"]
        try:
            session = onnxruntime.InferenceSession(content, options, providers=providers, enable_fallback=0)
            found = [[node.name for node in nodes] for nodes in (session.get_inputs(), session.get_outputs())]
        except Exception as error:  # ONNX Runtime raises a class of its own for every way a file can be damaged
            raise ModelError(f"{path}: damaged ({first_line(error)}); export the model again") from error
        if session.get_providers()[0] != providers[0]:  # it goes on without a provider whose libraries it cannot load
            raise ModelError(f"ONNX Runtime cannot load its {providers[0]}; are the device's libraries installed?")
        _check_names(path, config, *found)
        names, outputs = (list(part) for part in config.networks()[path.name])
        return lambda *inputs: tuple(session.run(outputs, dict(zip(names, inputs, strict=True))))

    return {file: load(folder / file) for file in config.networks()}


def _build(config: ModelConfig) -> Any:
    if config.emotions:
        from ganimation.rivals import rival_of

        return rival_of(config).build_generator()
    from ganimation.networks.build import build_generator

    return build_generator(config.generator, len(config.aus))


def _torch(folder: Path, config: ModelConfig, threads: int, precision: str, device: str) -> dict[str, Network]:
    torch = require("torch", "train")
    safetensors = require("safetensors.torch", "train")
    path, content = folder / GENERATOR, config.read_weights(folder, GENERATOR)
    try:
        weights = safetensors.load(content)
        generator = _build(config)
        generator.load_state_dict({name: value.float() for name, value in weights.items()})
    except Exception as error:  # safetensors and load_state_dict raise what they like
        raise ModelError(f"{path}: damaged or of another shape ({first_line(error)}); export it again") from error
    generator.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
    if threads:
        torch.set_num_threads(threads)

    def load(module: Any) -> Network:
        def run(*inputs: Array) -> tuple[Array, ...]:
            tensors = [torch.from_numpy(np.ascontiguousarray(values)).to(device) for values in inputs]
            tensors = [x.to(memory_format=torch.channels_last) if x.dim() == 4 else x for x in tensors]
            mixed = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")
            with torch.inference_mode(), mixed:
                found = module(*tensors)
            found = found if isinstance(found, tuple) else (found,)
            return tuple(values.float().contiguous().cpu().numpy() for values in found)

        return run

    if config.emotions:
        from ganimation.rivals import rival_of

        parts = rival_of(config).parts(generator)
        return {ONNX if number < 0 else emotion_file(config.emotions[number]): load(x) for number, x in parts.items()}
    if config.kind == "muscles":
        return {ONNX: load(generator.shading), RESTORER: load(generator.restorer)}
    return {ONNX: load(generator)}
