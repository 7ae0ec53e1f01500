"""From a run to a model folder: half-precision weights, ONNX, config and model card."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ganimation.action_units import ACTION_UNITS
from ganimation.errors import MediaError, ModelError, TrainingError, first_line, require
from ganimation.faces.crop import CropTemplate
from ganimation.files import atomic, scratch, strerror
from ganimation.model import (
    CARD,
    CONFIG,
    CRITIC,
    GENERATOR,
    METHODS,
    ONNX,
    RESTORER,
    ModelConfig,
    emotion_file,
    hash_weights,
)
from ganimation.networks.build import build_generator
from ganimation.networks.critic import Critic
from ganimation.networks.muscles import Muscles
from ganimation.rivals import rival_of
from ganimation.text import parse_json
from ganimation.training import checkpoints
from ganimation.training.averages import synthesize
from ganimation.training.config import TrainingConfig
from ganimation.training.state import generator_arguments

#: Pixels of the crop to one of a generator of muscles, along a side.
DETAIL = 2


def export(run: Path, folder: Path, notes: Path | None = None, average: float | None = None) -> ModelConfig:
    """Write the newest checkpoint of a run as a model folder.

    The averaged generator is written, see :mod:`ganimation.training.averages`. ONNX and safetensors hold the same
    half-precision numbers.

    Args:
        run: a folder that training wrote.
        folder: the model folder; made, or written anew if it is one.
        notes: a text that is appended to the model card: sources, terms, limits.
        average: width of the average, a share of the run; what the run's configuration says if ``None``.

    Raises:
        TrainingError: not a run, it has no complete checkpoint yet, or the notes cannot be read.
        ModelError: ``folder`` cannot be written, or the checkpoint does not fit the run's configuration.
    """
    try:
        recorded = parse_json((run / CONFIG).read_bytes())
        trained, about = recorded["training"], recorded["dataset"]
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(f"{run}: not a run of `ganimation train` ({error})") from error
    try:
        appendix = "" if notes is None else "\n" + notes.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{notes}: cannot be read ({error})") from error
    found = checkpoints.newest(run / "checkpoints")
    if found is None:
        raise TrainingError(f"{run}: no complete checkpoint yet; train further")
    step, state = found
    try:
        config = _config(trained, about, step, state["seconds"])
        width = trained["average"] if average is None else average
        newest = state["averages"][0] if state["averages"] else state["generator"]
        generator = synthesize(run / "averages", width, state["updates"]) if width else newest
        critic = state["critic"]
    except (KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"{run / CONFIG}: damaged, or of another run than its checkpoints ({error})") from error
    with placed(folder) as new:
        write_model(new, config, generator, critic, appendix)
    return config


@contextmanager
def placed(folder: Path) -> Iterator[Path]:
    """Yield an empty folder whose files replace those of a model folder if the block succeeds.

    Raises:
        ModelError: ``folder`` is something else, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / CONFIG).exists())):
        raise ModelError(f"{folder}: exists and is not a model folder; name another")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with scratch(folder) as new:
            yield new
            folder.mkdir(exist_ok=True)
            for path in new.iterdir():
                path.replace(folder / path.name)
    except (OSError, MediaError) as error:
        raise ModelError(f"{folder}: cannot be written ({strerror(error)})") from error


def _config(trained: Mapping[str, Any], about: Mapping[str, Any], step: int, seconds: float) -> ModelConfig:
    """Return the model's config from what the run recorded of its training and its data set."""
    network = TrainingConfig.from_json(trained)
    rival = network.method in METHODS
    detail = DETAIL if network.generator == "muscles" else 1
    return ModelConfig(
        aus=() if rival else tuple(about["aus"]),
        emotions=tuple(about["emotions"]) if rival else (),
        size=network.size * detail,
        condition=network.condition,
        generator={"kind": network.method, "width": network.generator_width}
        if rival
        else generator_arguments(network, about["aus"]),
        detail=detail,
        critic={"width": network.critic_width}
        if rival
        else {
            "size": trained["size"],
            "width": trained["critic_width"],
            "layers": trained["critic_layers"],
            "cap": trained["critic_cap"],
            "spectral": trained.get("critic_spectral", False),
            "muscles": network.generator == "muscles",
        },
        template=CropTemplate(**about["template"]),
        annotator=about["annotator"],
        training={
            "preset": trained["preset"],
            "seed": trained["seed"],
            "steps": step,
            "hours": round(seconds / 3600, 2),
            "faces": about["faces"],
        },
    )


def write_model(
    folder: Path, config: ModelConfig, generator_state: dict[str, Tensor], critic_state: dict[str, Tensor], notes: str
) -> None:
    """Write the files of a model.

    Args:
        folder: there, and empty.
        config: of the model.
        generator_state: its generator's weights.
        critic_state: its critic's.
        notes: what to append to the card.

    Raises:
        ModelError: the weights are not of the networks in the config.
    """
    safetensors = require("safetensors.torch", "train")
    try:
        generator, critic = _build(config)
        generator.load_state_dict(generator_state)
        critic.load_state_dict(critic_state)
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"the weights do not fit the networks of the config ({first_line(error)})") from error
    for name, network in ((GENERATOR, generator), (CRITIC, critic)):
        halves = {key: _half(value).contiguous() for key, value in network.state_dict().items()}
        (folder / name).write_bytes(safetensors.save(halves))
    generator.load_state_dict({key: _half(value).to(value.dtype) for key, value in generator.state_dict().items()})
    write_onnx(generator, config, folder)
    (folder / CONFIG).write_text(replace(config, files=hash_weights(folder)).to_json(), encoding="utf-8")
    (folder / CARD).write_text(card(config) + notes, encoding="utf-8")


def _half(value: Tensor) -> Tensor:
    """Return a tensor in half precision; counters of batches stay as they are."""
    return value.half() if value.is_floating_point() else value


def _build(config: ModelConfig) -> tuple[nn.Module, nn.Module]:
    """Return a model's networks with fresh weights."""
    if config.emotions:
        rival = rival_of(config)
        return rival.build_generator(), rival.build_critic()
    return build_generator(config.generator, len(config.aus)), Critic(len(config.aus), **config.critic)


def write_onnx(generator: nn.Module, config: ModelConfig, folder: Path) -> None:
    """Write the networks of a generator as ONNX, with the inputs and outputs of :meth:`ModelConfig.networks`.

    They take any batch, and any height and width that is a multiple of 4 and at least 8; a restorer's is a multiple of
    8, and of a method that translates to emotions they are the model's. What half precision holds without loss, as all
    weights of an exported model, the file widens when it is loaded.
    """
    modules: dict[str, nn.Module] = {ONNX: generator}
    if isinstance(generator, Muscles):
        modules = {ONNX: generator.shading, RESTORER: generator.restorer}
    if config.emotions:
        parts = rival_of(config).parts(generator)
        modules = {ONNX if n < 0 else emotion_file(config.emotions[n]): network for n, network in parts.items()}
    for file, (inputs, outputs) in config.networks().items():
        step = 0 if config.emotions else 8 if file == RESTORER else 4
        _write_network(modules[file], inputs, list(outputs), step, folder / file)


def _write_network(
    module: nn.Module, inputs: Mapping[str, tuple[int, ...]], outputs: list[str], step: int, path: Path
) -> None:
    """Write one network whose images are of any height and width that is a multiple of ``step``; 0: as they are."""
    onnx = require("onnx", "train")
    require("onnxscript", "train")
    batch = torch.export.Dim("N")
    images: dict[int, Any] = {0: batch}
    if step:
        images |= {2: step * torch.export.Dim("part_of_height"), 3: step * torch.export.Dim("part_of_width")}
    shapes = [images if len(shape) == 3 else {0: batch} for shape in inputs.values()]
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter deprecates parts of itself
        program = torch.onnx.export(
            module.eval(),
            tuple(torch.zeros(2, *shape) for shape in inputs.values()),
            dynamo=True,
            dynamic_shapes=tuple(shapes),  # in the order of the arguments, whatever their names
            input_names=list(inputs),
            output_names=outputs,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    casts = []
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size <= 16:
            continue
        halves = values.astype(np.float16)
        if np.array_equal(values, halves.astype(np.float32)):
            name = tensor.name
            tensor.CopyFrom(onnx.numpy_helper.from_array(halves, f"{name}.half"))
            casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    for node in reversed(casts):
        model.graph.node.insert(0, node)
    del model.graph.value_info[:], model.metadata_props[:]
    for node in model.graph.node:  # the exporter notes source files of this machine on every node
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    onnx.checker.check_model(model)
    with atomic(path) as temporary:
        onnx.save(model, temporary)


def parameters(network: nn.Module) -> int:
    """Return the number of trainable numbers in a network."""
    return sum(value.numel() for value in network.parameters())


def card(config: ModelConfig) -> str:
    """Return the model card's facts: what the model is and how it was trained."""
    training = config.training
    generator, _ = _build(config)
    names = "\n".join(f"- {code} {ACTION_UNITS[code].name}" for code in config.aus)
    by = f"{len(config.aus)} action units ({config.condition} condition)"
    if config.emotions:
        names, by = "\n".join(f"- {name}" for name in config.emotions), f"{len(config.emotions)} emotions"
    return (
        f"# A generator for ganimation\n\n"
        f"Edits a face of {config.size}x{config.size} pixels by {by}.\n\n"
        f"- Generator: {parameters(generator) / 1e6:.2f} million parameters, "
        f"{', '.join(f'{key} {value}' for key, value in config.generator.items())}\n"
        f"- Trained: preset {training['preset']}, {training['steps']} steps, {training['hours']} hours, "
        f"{training['faces']} faces, AUs by {config.annotator}\n\n"
        f"{'Emotions' if config.emotions else 'Action units'}:\n\n{names}\n"
    )
