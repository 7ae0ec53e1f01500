"""One frozen configuration of a run, its phases, and the presets.

A run is a sequence of named phases. Every schedule is a pure function of the step, so a resumed run follows it exactly.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ganimation.errors import TrainingError
from ganimation.networks.generator import Upsample
from ganimation.training.losses import Weights

Condition = Literal["absolute", "relative"]


@dataclass(frozen=True)
class TargetMix:
    """How target AUs are drawn for photos whose true picture is unknown; shares of the batch that add up to 1.

    Attributes:
        photo: another photo's AUs, each with U(-noise, noise) added and clipped to [0, 1].
        single: the source's AUs but one, which is drawn uniformly up to the intensity that one photo in 200 exceeds.
        blend: between the source's and another photo's AUs.
        same: the source's own AUs; then the true picture is the source.
        noise: of ``photo``.
    """

    photo: float = 1.0
    single: float = 0.0
    blend: float = 0.0
    same: float = 0.0
    noise: float = 0.1


@dataclass(frozen=True)
class Phase:
    """A stretch of a run with one loss and one schedule.

    Attributes:
        name: for logs.
        steps: of the generator, or of the critic where ``train_generator`` is off; 0 to count ``epochs`` instead.
        epochs: passes over the data by the critic's batches, where ``steps`` is 0.
        critic_steps: critic updates before each generator update; 0 trains without a critic.
        train_generator: off to let the critic catch up with a frozen generator.
        paired: share of the batch whose target is another photo of the same session, so that the true picture is known.
        generator_rate: Adam's learning rate.
        critic_rate: Adam's learning rate.
        decay_from: share of the phase after which both rates fall linearly.
        decay_to: share of the rates that is left at the end of the phase.
        weights: of the losses.
    """

    name: str
    steps: int = 0
    epochs: float = 0.0
    critic_steps: int = 5
    train_generator: bool = True
    paired: float = 0.0
    generator_rate: float = 1e-4
    critic_rate: float = 1e-4
    decay_from: float = 1.0
    decay_to: float = 0.0
    weights: Weights = field(default_factory=Weights)

    def rate_factor(self, step: int) -> float:
        """Return what the learning rates are multiplied by at ``step`` of this phase."""
        progress = step / max(1, self.steps)
        if progress < self.decay_from:
            return 1.0
        return 1.0 - (1.0 - self.decay_to) * (progress - self.decay_from) / max(1e-9, 1.0 - self.decay_from)


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides a run beside the data set.

    Attributes:
        preset: the name it started from.
        seed: of all randomness, together with the step.
        size: side of the training images in pixels.
        batch: images an update, over all devices.
        generator_width: see :class:`ganimation.networks.generator.Generator`; likewise blocks and upsample.
        condition: the generator is told target intensities (``absolute``, the paper) or their difference to the
            source's.
        critic_width: see :class:`ganimation.networks.critic.Critic`; likewise layers and cap.
        penalty_every: the gradient penalty is computed in every n-th critic update.
        penalty_apart: give the gradient penalty an Adam step of its own, as the authors' code does.
        betas: of Adam.
        ema: decay of the averaged generator that is exported; 0 exports the generator itself.
        targets: how target AUs are drawn.
        balance: exponent that draws expressive photos with rare AUs more often; 0 draws all alike.
        augment: small shifts, turns, scales and changes of light beside mirroring.
        phases: in order.
    """

    preset: str
    seed: int = 0
    size: int = 128
    batch: int = 25
    generator_width: int = 64
    generator_blocks: int = 6
    upsample: Upsample = "transposed"
    condition: Condition = "absolute"
    critic_width: int = 64
    critic_layers: int = 6
    critic_cap: int = 2048
    penalty_every: int = 1
    penalty_apart: bool = False
    betas: tuple[float, float] = (0.5, 0.999)
    ema: float = 0.0
    targets: TargetMix = field(default_factory=TargetMix)
    balance: float = 0.0
    augment: bool = False
    phases: tuple[Phase, ...] = ()

    @property
    def steps(self) -> int:
        """Steps of all phases; those counted in epochs must have been resolved."""
        return sum(phase.steps for phase in self.phases)

    def at(self, step: int) -> tuple[Phase, int]:
        """Return the phase of a step of the run, and the step within it."""
        for phase in self.phases:
            if step < phase.steps:
                return phase, step
            step -= phase.steps
        raise ValueError(f"the run ends before step {step}")

    def resolve(self, faces: int, steps: int | None = None) -> "TrainingConfig":
        """Return the configuration with every phase in steps.

        Args:
            faces: in the data set; an epoch is one pass over them by the critic's batches.
            steps: if given, the phases are scaled to this many in all.
        """
        phases = [
            phase if phase.steps else dataclasses.replace(phase, steps=self._epoch_steps(phase, faces))
            for phase in self.phases
        ]
        if steps is not None:
            total = sum(phase.steps for phase in phases)
            ends = [sum(phase.steps for phase in phases[: index + 1]) * steps // total for index in range(len(phases))]
            starts = [0, *ends[:-1]]
            phases = [
                dataclasses.replace(phase, steps=end - start)
                for phase, start, end in zip(phases, starts, ends, strict=True)
            ]
        return dataclasses.replace(self, phases=tuple(phases))

    def _epoch_steps(self, phase: Phase, faces: int) -> int:
        return max(1, round(phase.epochs * faces / (self.batch * max(1, phase.critic_steps))))

    def to_json(self) -> dict[str, Any]:
        """Return the configuration as plain JSON values."""
        return dataclasses.asdict(self)


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    """Name the first field in which two configurations, as JSON values, differ, with both values."""
    before, after = _flat(old), _flat(new)
    for name in [*before, *(name for name in after if name not in before)]:
        if before.get(name) != after.get(name):
            return f"{name} was {before.get(name)!r} and is {after.get(name)!r}"
    return None


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Return nested objects and lists as one dictionary with dotted names."""
    if isinstance(value, Mapping):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        items = [(str(index), item) for index, item in enumerate(value)]
    else:
        return {name: value}
    return {key: leaf for part, item in items for key, leaf in _flat(item, f"{name}.{part}".lstrip(".")).items()}


#: The paper read literally: Sec. 5 and Eq. 5. lambda_y weighs a sum over AUs and is given here for its mean over 16.
PAPER = TrainingConfig(
    preset="paper",
    phases=(
        Phase(
            "adversarial",
            epochs=30,
            decay_from=2 / 3,
            weights=Weights(expression=4000.0 * 16, attention=0.1, smoothness=0.1 * 1e-4, attention_form="norm"),
        ),
    ),
)

#: The authors' code as coded. Its expression loss is a mean divided by the batch size (25) once more, times 4000, hence
#: 160 of the mean; its smoothness is 1e-5 of the batch's sum, hence 25e-5 of an image's.
OFFICIAL = dataclasses.replace(
    PAPER,
    preset="official",
    penalty_apart=True,
    phases=(
        Phase(
            "adversarial",
            epochs=30,
            decay_from=2 / 3,
            weights=Weights(
                expression=160.0,
                attention=0.1,
                smoothness=25e-5,
                attention_form="mean",
                smoothness_form="absolute",
            ),
        ),
    ),
)

_SMALL_WEIGHTS = Weights(expression=100.0, cycle=10.0, attention=0.1, smoothness=1e-4, pair=40.0)

#: A usable model on a laptop's CPU: learn from pairs of one session, let the critic catch up, then everything together.
SMALL = TrainingConfig(
    preset="small",
    size=64,
    batch=16,
    generator_width=32,
    upsample="resize",
    condition="relative",
    critic_width=48,
    critic_cap=256,
    penalty_every=2,
    ema=0.995,
    targets=TargetMix(photo=0.4, single=0.35, blend=0.15, same=0.1),
    balance=0.5,
    augment=True,
    phases=(
        Phase(
            "pairs",
            steps=3000,
            critic_steps=0,
            paired=1.0,
            generator_rate=4e-4,
            decay_from=0.3,
            decay_to=0.2,
            weights=dataclasses.replace(_SMALL_WEIGHTS, pair=1.0, attention=0.003, smoothness=1e-6),
        ),
        Phase("critic", steps=900, critic_steps=1, train_generator=False, paired=0.5, critic_rate=2e-4),
        Phase(
            "adversarial",
            steps=1500,
            critic_steps=3,
            paired=0.5,
            generator_rate=1e-4,
            critic_rate=2e-4,
            decay_from=0.7,
            decay_to=0.2,
            weights=_SMALL_WEIGHTS,
        ),
    ),
)

PRESETS: Mapping[str, TrainingConfig] = {config.preset: config for config in (PAPER, OFFICIAL, SMALL)}


def preset(name: str) -> TrainingConfig:
    """Return a preset by name.

    Raises:
        TrainingError: there is none of that name.
    """
    if name not in PRESETS:
        raise TrainingError(f"unknown preset {name!r}; it is one of {', '.join(PRESETS)}")
    return PRESETS[name]
