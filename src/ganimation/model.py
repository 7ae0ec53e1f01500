"""The model folder: what is in it and what its config says. Knows nothing of how the networks compute.

MODEL/
  config.json             AUs, crop size and template, condition, shape of the networks, how it was trained, and the
                          SHA-256 of each file of weights
  generator.safetensors   weights, half precision
  critic.safetensors      weights, half precision; to continue training from
  generator.onnx          the generator as the default backend runs it; for kind ``muscles``, its shading network
  generator-EMOTION.onnx  instead, of a method that has a network of each emotion
  restorer.onnx           kind ``muscles`` only: the network that inpaints opening mouths and eyes
  README.md               the model card
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeVar

from ganimation.action_units import EMOTIONS, parse_code
from ganimation.errors import ActionUnitError, ModelError
from ganimation.faces.crop import CropTemplate
from ganimation.text import parse_json

FORMAT_VERSION = 4
#: Sides of crops in pixels that a model may have; they are multiples of 4. At 1024 an edit takes over a gigabyte.
SIZES = (32, 1024)
CONFIG, GENERATOR, CRITIC, ONNX, RESTORER, CARD = (
    "config.json",
    "generator.safetensors",
    "critic.safetensors",
    "generator.onnx",
    "restorer.onnx",
    "README.md",
)

#: Methods that translate to emotions, and those of them that have networks of each emotion.
METHODS = ("stargan", "cyclegan", "icgan", "diat")
BY_EMOTION = ("cyclegan", "diat")

Shapes = dict[str, tuple[int, ...]]
#: Inputs and outputs of a network.
Ports = tuple[Shapes, Shapes]
Condition = Literal["absolute", "relative"]
Values = TypeVar("Values")  # an array of NumPy, or a tensor


def condition(form: Condition, target: Values, source: Values) -> Values:
    """Return the generator's condition: target AUs as in the paper, or their difference to the source's.

    Args:
        form: ``absolute`` or ``relative``.
        target: y_g, (..., AUs).
        source: y_r, (..., AUs).
    """
    return target - source if form == "relative" else target  # type: ignore[operator]


@dataclass(frozen=True)
class ModelConfig:
    """What ``config.json`` says.

    Attributes:
        aus: AU codes, in the order of the condition.
        size: side of the crops in pixels.
        emotions: of a model that translates faces to emotions, their names in the order of the condition, neutral
            first; it has no AUs, see :mod:`ganimation.rivals`.
        detail: side of the crop divided by the side of the networks' images; a generator of kind ``muscles`` warps and
            blends at the crop's resolution and runs its networks at the lower one.
        condition: ``absolute`` or ``relative``, see :func:`condition`.
        generator: ``kind``, ``conditioned`` or ``muscles``, and the arguments of :class:`ganimation.networks.generator.
            Generator` or :class:`ganimation.networks.muscles.Muscles`.
        critic: arguments of :class:`ganimation.networks.critic.Critic`.
        template: where the eyes lie in the crops.
        annotator: name and version of the annotator of the training data.
        training: metadata of the training: steps, hours, data; not needed to use the model.
        precision: of ``generator.onnx``, ``float32`` or ``int8``.
        files: SHA-256 of each file of weights, by name, in hexadecimal.
    """

    aus: tuple[str, ...]
    size: int
    condition: Condition
    generator: dict[str, Any]
    critic: dict[str, Any] = field(default_factory=dict)
    template: CropTemplate = field(default_factory=CropTemplate)
    annotator: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    precision: str = "float32"
    files: Mapping[str, str] = field(default_factory=dict)
    detail: int = 1
    emotions: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """``conditioned`` for the paper's generator, ``muscles`` for one whose edits are linear in the intensities.

        Of a model with emotions, the name of the method.
        """
        return str(self.generator["kind"])

    @property
    def entries(self) -> tuple[str, ...]:
        """Names of the entries of a target: AUs, or emotions."""
        return self.aus or self.emotions

    @property
    def network_size(self) -> int:
        """Side in pixels of the networks' input images."""
        return self.size // self.detail

    def require_aus(self, what: str) -> None:
        """Refuse what needs action units, of a model that translates to emotions.

        Args:
            what: the subject of the message.

        Raises:
            ModelError: the model has emotions.
        """
        if self.emotions:
            raise ModelError(
                f"{what} needs a model of action units; this one ({self.kind}) translates to emotions: "
                f"{', '.join(self.emotions)}"
            )

    def networks(self) -> dict[str, Ports]:
        """Return the inputs and the outputs of each network, by the name of its file: their shapes without the batch.

        A restorer's height and width are those of the mouth's window; it takes any multiple of 8.
        """
        side, count = self.network_size, len(self.aus)
        image: Shapes = {"source": (3, side, side)}
        if self.kind == "muscles":
            half = side // 2
            restorer: Ports = (
                {"window": (3, half, half), "hole": (1, half, half), "aperture": (1, half, half)},
                {"color": (3, half, half)},
            )
            return {ONNX: ({**image, "guide": (3, side, side)}, {"fields": (count, side, side)}), RESTORER: restorer}
        if self.emotions and self.kind in BY_EMOTION:
            return {emotion_file(name): (image, {"color": (3, side, side)}) for name in self.emotions[1:]}
        if self.emotions:
            return {ONNX: ({**image, "target": (len(self.emotions),)}, {"color": (3, side, side)})}
        drawn: Shapes = {"color": (3, side, side), "attention": (1, side, side)}
        return {ONNX: ({**image, "condition": (count,)}, drawn)}

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
            content = parse_json(path.read_bytes())
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
            content["emotions"] = tuple(content.get("emotions", ()))
            content["template"] = CropTemplate(**content["template"])
            config = ModelConfig(**content)
            config.check()
        except (ActionUnitError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{path}: damaged ({error}); export the model again") from error
        return config

    def check(self) -> None:
        """Check the invariants that the rest of the program relies on.

        Raises:
            ValueError, TypeError: a value is invalid; the message names it.
        """
        if self.condition not in ("absolute", "relative"):
            raise ValueError(f"condition {self.condition!r}; it is absolute or relative")
        low, high = SIZES
        if type(self.size) is not int or not low <= self.size <= high or self.size % 4:
            raise ValueError(f"size {self.size!r}; it is a multiple of 4 in {low}..{high} pixels")
        kinds = METHODS if self.emotions else ("conditioned", "muscles")
        if self.generator.get("kind") not in kinds:
            raise ValueError(f"generator kind {self.generator.get('kind')!r}; it is {' or '.join(kinds)}")
        if strange := set(self.emotions) - set(EMOTIONS):
            raise ValueError(f"emotions {', '.join(sorted(strange))}; known are {', '.join(EMOTIONS)}")
        if type(self.detail) is not int or self.detail < 1 or self.size % self.detail:
            raise ValueError(f"detail {self.detail!r}; it divides the size")
        if self.kind == "muscles" and self.network_size % 32:
            raise ValueError(f"size {self.size!r}; with detail {self.detail} it is a multiple of {32 * self.detail}")
        if bool(self.aus) == bool(self.emotions) or len(set(self.entries)) < len(self.entries):
            raise ValueError("AUs are missing or named twice, or there are emotions beside them")
        for name in ("generator", "critic", "training", "files"):
            if not isinstance(getattr(self, name), dict):
                raise TypeError(f"{name} is {getattr(self, name)!r}; expected an object")

    def read_weights(self, folder: Path, name: str) -> bytes:
        """Return the content of a file of weights after checking its SHA-256.

        Args:
            folder: of the model.
            name: of the file, :data:`GENERATOR`, :data:`CRITIC` or :data:`ONNX`.

        Raises:
            ModelError: it is missing, cannot be read, or its SHA-256 is not the one in the config.
        """
        path = folder / name
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise ModelError(f"{path}: missing; export the model again") from None
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
        if self.files.get(name) != hashlib.sha256(content).hexdigest():
            raise ModelError(f"{path}: damaged (not the file whose SHA-256 is in {CONFIG}); export the model again")
        return content


def emotion_file(emotion: str) -> str:
    """Return the name of the network that translates neutral faces to an emotion."""
    return f"generator-{emotion}.onnx"


def hash_weights(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of weights in a folder, for :attr:`ModelConfig.files`."""
    known = (GENERATOR, CRITIC, ONNX, RESTORER, *map(emotion_file, EMOTIONS))
    names = [name for name in known if (folder / name).exists()]
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def bundled() -> Path:
    """Return the folder of the weights that ship with the package."""
    return Path(str(files("ganimation"))) / "weights"
