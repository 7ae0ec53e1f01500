"""An int8 model for processors that multiply bytes faster than floats: convolutions only, calibrated on faces.

The norms, the heads and what is drawn stay in float32. Weights get a scale a channel, what flows between the layers a
range that holds all but a hundred thousandth of what calibration faces show (so that one bright pixel does not cost a
bit of everything else).
"""

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ganimation.errors import ModelError, TrainingError, require
from ganimation.faces import mesh
from ganimation.faces.crop import cut
from ganimation.model import CARD, CONFIG, CRITIC, GENERATOR, ONNX, RESTORER, ModelConfig, condition, hash_weights
from ganimation.pixels import normalize
from ganimation.training.export import export, placed

if TYPE_CHECKING:
    from ganimation.data.dataset import FaceDataset

#: Channels a convolution must give to be worth it; the heads give fewer, and what they give is seen.
LEAST = 16

FACES = 64


def export_int8(source: Path, folder: Path, faces: "FaceDataset", notes: Path | None = None) -> ModelConfig:
    """Write a run, or a model, as a model folder whose ONNX file computes in int8.

    Args:
        source: a folder that training wrote, or a model folder.
        folder: the model folder to write; other than ``source``.
        faces: to calibrate on, see :func:`quantize`.
        notes: see :func:`ganimation.training.export.export`; a model keeps the card that it has.

    Raises:
        ModelError: ``source`` is int8 already, or the same as ``folder``.
        As :func:`quantize` and :func:`ganimation.training.export.export`.
    """
    if folder.resolve() == source.resolve():
        raise ModelError(f"{folder}: would be replaced by its int8 model; name another folder")
    trained = (source / ONNX).exists()
    if trained:
        ModelConfig.read(source).require_aus("--quantize int8")
    if trained and ModelConfig.read(source).precision == "int8":
        raise ModelError(f"{source}: is int8 already; name the model that it was made from")
    with placed(folder) as new:
        if trained:
            for name in (CONFIG, GENERATOR, CRITIC, ONNX, RESTORER, CARD):
                if (source / name).exists():
                    shutil.copyfile(source / name, new / name)
        else:
            export(source, new, notes)
        quantize(new, faces)
        config = replace(ModelConfig.read(new), precision="int8", files=hash_weights(new))
        (new / CONFIG).write_text(config.to_json(), encoding="utf-8")
    return config


def quantize(folder: Path, faces: "FaceDataset", count: int = FACES, seed: int = 0) -> None:
    """Turn the ONNX file of a model folder into int8.

    Args:
        folder: of the model; its ``generator.onnx`` is replaced.
        faces: to calibrate on: at each a single AU is asked for that the model knows, from nothing to full strength.
        count: of them, drawn without replacement.
        seed: of the draw.

    Raises:
        ModelError: not a model folder.
        TrainingError: the faces were measured with other AUs.
        MissingExtraError: the extra ``train`` is not installed.
    """
    onnx = require("onnx", "train")
    from onnxruntime import quantization

    config = ModelConfig.read(folder)
    if config.aus != faces.info.aus:
        raise TrainingError(
            f"the faces to calibrate on have {' '.join(faces.info.aus)}, the model knows {' '.join(config.aus)}"
        )
    model = onnx.load(folder / ONNX)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".int8-") as name:
        plain, result = Path(name, "plain.onnx"), Path(name, ONNX)
        onnx.save(_folded(model), plain)
        with redirect_stdout(StringIO()):  # it prints what it is doing
            logging.getLogger().setLevel(max(logging.getLogger().level, logging.ERROR))
            quantization.quantize_static(
                plain,
                result,
                _Calibration(examples(config, faces, count, seed)),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "ConvTranspose"],
                nodes_to_quantize=_wide(onnx.load(plain)),
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                calibrate_method=quantization.CalibrationMethod.Percentile,
            )
        shutil.move(result, folder / ONNX)


def examples(
    config: ModelConfig, faces: "FaceDataset", count: int, seed: int
) -> Iterator[dict[str, NDArray[np.float32]]]:
    """Yield calibration inputs: faces at the network's size, each with one AU at a random intensity.

    A generator of muscles is given the guide of the face's landmarks instead.
    """
    rng = np.random.default_rng(seed)
    size = config.network_size
    scale = size / faces.info.size
    transform = np.array([[scale, 0.0, (scale - 1) / 2], [0.0, scale, (scale - 1) / 2]])
    for row in rng.choice(len(faces), min(count, len(faces)), replace=False):
        image = normalize(cut(faces.image(int(row)), transform, size))
        source = np.ascontiguousarray(image.transpose(2, 0, 1)[None])
        if config.kind == "muscles":
            guide = mesh.guide(faces.landmarks(int(row)) * size - 0.5, size)
            yield {"source": source, "guide": np.ascontiguousarray(guide.transpose(2, 0, 1)[None])}
            continue
        shown = faces.aus[row].astype(np.float32)
        asked, which = shown.copy(), rng.integers(len(config.aus))
        asked[which] = rng.random()
        yield {"source": source, "condition": condition(config.condition, asked, shown)[None]}


class _Calibration:
    """ONNX Runtime's calibration data reader: one example a call, then ``None``."""

    def __init__(self, examples: Iterator[dict[str, NDArray[np.float32]]]) -> None:
        self._examples = examples

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._examples, None)


def _folded(model: Any) -> Any:
    """Return an ONNX model whose weights are float32 numbers, without the casts that widen them."""
    onnx = require("onnx", "train")
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in [node for node in model.graph.node if node.op_type == "Cast" and node.input[0] in weights]:
        tensor = weights[node.input[0]]
        tensor.CopyFrom(
            onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor).astype(np.float32), node.output[0])
        )
        model.graph.node.remove(node)
    return model


def _wide(model: Any) -> list[str]:
    """Name the convolutions with at least :data:`LEAST` channels to give."""
    shapes = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    place = {"Conv": 0, "ConvTranspose": 1}
    return [
        node.name
        for node in model.graph.node
        if node.op_type in place and shapes.get(node.input[1], [0, 0])[place[node.op_type]] >= LEAST
    ]
