"""The model folder: what is in it and what its config says. Knows nothing of how the networks compute.

MODEL/
  config.json             AUs, crop size and template, condition, shape of the networks, how it was trained
  generator.safetensors   weights, half precision
  critic.safetensors      weights, half precision; to train on from
  generator.onnx          the generator as the default backend runs it
  README.md               the model card
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from ganimation.action_units import parse_code
from ganimation.errors import ActionUnitError, ModelError
from ganimation.faces.crop import CropTemplate

FORMAT_VERSION = 1
CONFIG, GENERATOR, CRITIC, ONNX, CARD = (
    "config.json",
    "generator.safetensors",
    "critic.safetensors",
    "generator.onnx",
    "README.md",
)


@dataclass(frozen=True)
class ModelConfig:
    """What ``config.json`` says.

    Attributes:
        aus: AU codes, in the order of the condition.
        size: side of the crops in pixels.
        condition: ``relative`` if the generator is told target minus source intensities, ``absolute`` if the target.
        generator: arguments of :class:`ganimation.networks.generator.Generator`.
        critic: arguments of :class:`ganimation.networks.critic.Critic`.
        template: where the eyes lie in the crops.
        annotator: who measured the AUs it was trained on.
        training: how it was trained: steps, hours, data; for people.
        precision: of ``generator.onnx``, ``float32`` or ``int8``.
    """

    aus: tuple[str, ...]
    size: int
    condition: Literal["absolute", "relative"]
    generator: dict[str, Any]
    critic: dict[str, Any] = field(default_factory=dict)
    template: CropTemplate = field(default_factory=CropTemplate)
    annotator: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    precision: str = "float32"

    def to_json(self) -> str:
        """Return the text of ``config.json``."""
        return json.dumps({"format_version": FORMAT_VERSION, **asdict(self)}, indent=1) + "\n"

    @staticmethod
    def read(folder: Path) -> "ModelConfig":
        """Read the config of a model folder.

        Raises:
            ModelError: no such folder, no or a damaged config, or another format version.
        """
        path = folder / CONFIG
        if not folder.is_dir():
            raise ModelError(f"{folder}: no such model folder; `ganimation export RUN -o MODEL` writes one")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ModelError(f"{folder}: not a model folder (no {CONFIG}); `ganimation export` writes one") from None
        except (OSError, ValueError) as error:
            raise ModelError(f"{path}: cannot be read ({error}); export the model again") from error
        if not isinstance(content, dict):
            raise ModelError(f"{path}: damaged (not an object); export the model again")
        version = content.pop("format_version", None)
        if version != FORMAT_VERSION:
            raise ModelError(f"{path}: format version {version}, this program reads {FORMAT_VERSION}; export it again")
        try:
            content["aus"] = tuple(parse_code(code) for code in content["aus"])
            content["template"] = CropTemplate(**content["template"])
            config = ModelConfig(**content)
        except (ActionUnitError, AttributeError, KeyError, TypeError) as error:
            raise ModelError(f"{path}: damaged ({error}); export the model again") from error
        if config.condition not in ("absolute", "relative") or not isinstance(config.size, int) or config.size % 4:
            raise ModelError(f"{path}: damaged (condition {config.condition!r}, size {config.size!r}); export it again")
        return config


def bundled() -> Path:
    """Return the folder of the weights that ship with the package."""
    return Path(str(files("ganimation"))) / "weights"
