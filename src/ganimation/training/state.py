"""What changes while training, and how it begins: fresh networks, or those of a model."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ganimation.action_units import half_of
from ganimation.errors import TrainingError, first_line, require
from ganimation.faces.shading import measured_shading
from ganimation.model import CRITIC, GENERATOR, ModelConfig
from ganimation.networks.build import AnyGenerator, build_generator
from ganimation.networks.critic import Critic
from ganimation.networks.muscles import Muscles
from ganimation.training.averages import WIDTHS
from ganimation.training.config import TrainingConfig
from ganimation.training.fields import difference
from ganimation.training.history import History
from ganimation.training.monitor import AttentionControl

_MODULES = ("generator", "critic", "generator_optimizer", "critic_optimizer")


@dataclass
class State:
    """What changes while training.

    Attributes:
        generator: wrapped by Fabric; its own module is ``generator.module``.
        critic: likewise.
        averages: of the generator, not wrapped, one of each of :data:`ganimation.training.averages.WIDTHS`.
        generator_optimizer: Adam, its rate set at every step.
        critic_optimizer: likewise.
        history: generated images of the past, of this process.
        control: of the attention weight.
        step: steps done.
        updates: of the generator.
        seconds: trained so far, over all sessions.
    """

    generator: nn.Module
    critic: nn.Module
    averages: list[AnyGenerator]
    generator_optimizer: torch.optim.Optimizer
    critic_optimizer: torch.optim.Optimizer
    history: History
    control: AttentionControl = field(default_factory=AttentionControl)
    step: int = 0
    updates: int = 0
    seconds: float = 0.0
    _clock: float = field(default_factory=time.monotonic)

    def to_dict(self, fabric: Fabric) -> dict[str, Any]:
        """Return the state as tensors and numbers; every process must call this together."""
        now = time.monotonic()
        self.seconds, self._clock = self.seconds + now - self._clock, now
        saved: dict[str, Any] = {name: getattr(self, name).state_dict() for name in _MODULES}
        return saved | {
            "averages": [average.state_dict() for average in self.averages],
            "updates": self.updates,
            "history": self.history.gather(fabric),
            "control": asdict(self.control),
            "seconds": self.seconds,
        }

    def load(self, step: int, saved: Mapping[str, Any], fabric: Fabric) -> None:
        """Take the state over from what :meth:`to_dict` gave at ``step``.

        Raises:
            TrainingError: it is of other networks, or something else.
        """
        try:
            for name in _MODULES:
                getattr(self, name).load_state_dict(saved[name])
            for average, weights in zip(self.averages, saved["averages"], strict=True):
                average.load_state_dict(weights)
            self.updates = int(saved["updates"])
            self.history.scatter(saved["history"], fabric)
            self.control = AttentionControl(**saved["control"])
            self.step, self.seconds = step, float(saved["seconds"])
        except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise TrainingError(
                f"the checkpoint of step {step} does not fit this run ({first_line(error)}); remove it to go on from "
                "an older one, or name another folder"
            ) from error


@dataclass(frozen=True)
class Start:
    """Weights of a model to begin from.

    Attributes:
        config: of the model.
        generator: its weights.
        critic: its weights; empty where the model has none.
        fingerprint: of the generator's file.
    """

    config: ModelConfig
    generator: dict[str, Tensor]
    critic: dict[str, Tensor]
    fingerprint: str

    @staticmethod
    def read(folder: Path) -> "Start":
        """Read a model folder.

        Raises:
            ModelError: not a model folder, or its weights are missing or damaged.
            TrainingError: its weights are not safetensors.
        """
        safetensors = require("safetensors.torch", "train")
        config = ModelConfig.read(folder)
        config.require_aus("training further")
        try:
            generator = safetensors.load(config.read_weights(folder, GENERATOR))
            critic = safetensors.load(config.read_weights(folder, CRITIC)) if (folder / CRITIC).exists() else {}
        except (ValueError, require("safetensors", "train").SafetensorError) as error:
            raise TrainingError(f"{folder}: its weights cannot be read ({error}); export the model again") from error
        halves = [{name: value.float() for name, value in net.items()} for net in (generator, critic)]
        return Start(config, halves[0], halves[1], config.files[GENERATOR][:16])

    def fit(self, config: TrainingConfig) -> TrainingConfig:
        """Return the configuration with the shape of this model's networks, its image size and its condition."""
        generator, critic = self.config.generator, self.config.critic
        shape = {"generator": generator["kind"], "restorer_width": generator.get("restorer_width", 32)}
        shape |= {f"generator_{name}": generator[name] for name in ("width", "blocks")}
        shape |= {f"critic_{name}": critic[name] for name in ("width", "layers", "cap", "spectral") if name in critic}
        shape |= {"size": self.config.network_size, "condition": self.config.condition, "init": self.fingerprint}
        return replace(config, **shape)

    def misfit(self, config: TrainingConfig) -> str | None:
        """Name what a configuration has that this model's networks can't become.

        Another image size is no misfit: the networks are convolutional but for the critic's AU head.
        """
        return difference(replace(self.fit(config), size=config.size).to_json(), config.to_json())


def generator_arguments(config: TrainingConfig, aus: Sequence[str]) -> dict[str, Any]:
    """Return what a model's config says of its generator, see :func:`ganimation.networks.build.build_generator`."""
    # a lid that closes is skin that moves; what shading learned for it was to hide the eye
    halves = "".join("n" if code == "AU45" else {0: "u", 1: "l", None: "b"}[half_of(code)] for code in aus)
    shape = {"kind": config.generator, "width": config.generator_width, "blocks": config.generator_blocks}
    return shape | (
        {"halves": halves, "restorer_width": config.restorer_width} if config.generator == "muscles" else {}
    )


def build_networks(
    config: TrainingConfig, aus: Sequence[str], start: Start | None = None
) -> tuple[AnyGenerator, Critic]:
    """Return the networks that a run begins with, the same for the same seed.

    Fresh weights of the critic and of a conditioned generator are N(0, 0.02) as in the authors' code. Of a model, every
    tensor that fits is taken; the critic's AU head belongs to one image size and begins anew at another.

    Raises:
        TrainingError: the weights of the model are not those of its config.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        generator = build_generator(generator_arguments(config, aus), len(aus))
        if isinstance(generator, Muscles):
            generator.shading.measured.copy_(torch.from_numpy(measured_shading(aus)))  # type: ignore[operator]
        critic = Critic(
            len(aus),
            config.size,
            config.critic_width,
            config.critic_layers,
            config.critic_cap,
            spectral=config.critic_spectral,
            muscles=config.generator == "muscles",
        )
        for network in (generator, critic) if config.generator == "conditioned" else (critic,):
            for module in network.modules():
                if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                    nn.init.normal_(module.weight, 0.0, 0.02)
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)
    if start is not None:
        try:
            generator.load_state_dict(start.generator)
        except RuntimeError as error:
            raise TrainingError("the model's weights do not fit its config; export the model again") from error
        fitting = {name: value.shape for name, value in critic.state_dict().items()}
        critic.load_state_dict(
            {name: value for name, value in start.critic.items() if fitting.get(name) == value.shape}, strict=False
        )
    return generator, critic


def image_layout(fabric: Fabric) -> torch.memory_format:
    """Return the order of images and weights in memory, by what ``benchmarks/training.py`` measured.

    On a CPU the backward passes of instance norms and the critic's double backward are slow on channels-last tensors,
    in bf16 more so (a step of ``official`` took 1.6 times as long); everywhere else channels-last is faster.
    """
    return torch.contiguous_format if fabric.device.type == "cpu" else torch.channels_last


def build_state(
    config: TrainingConfig, aus: Sequence[str], fabric: Fabric, start: Start | None = None, *, compiled: bool = False
) -> State:
    """Return the state that a run begins with, on Fabric's device.

    Args:
        config: of the run.
        aus: codes, of the data set.
        fabric: launched.
        start: a model to begin from.
        compiled: whether torch.compile translates the generator. The critic stays as it is: the gradient penalty
            differentiates twice, which compiled networks cannot.
    """
    generator, critic = build_networks(config, aus, start)
    averages = [build_networks(config, aus, start)[0] for _ in WIDTHS]
    for average in averages:
        average.to(fabric.device).requires_grad_(False)
    optimizers = [
        torch.optim.Adam(net.parameters(), lr=1.0, betas=config.betas, fused=True) for net in (generator, critic)
    ]
    layout = image_layout(fabric)
    nets = [net.to(memory_format=layout) for net in (generator, critic)]  # type: ignore[call-overload]
    if compiled:
        nets[0].compile()
    (generator_, generator_optimizer), (critic_, critic_optimizer) = (
        fabric.setup(net, optimizer) for net, optimizer in zip(nets, optimizers, strict=True)
    )
    history = History(config.buffer // fabric.world_size)
    return State(generator_, critic_, averages, generator_optimizer, critic_optimizer, history)
