"""The frozen configuration of a run: networks, losses and phases. Presets are instances of it.

A run is a sequence of named phases. Every schedule is a pure function of the step, so a resumed run follows it exactly.
"""

import dataclasses
import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_type_hints

from ganimation.action_units import ACTION_UNITS, parse_code
from ganimation.errors import ActionUnitError, TrainingError
from ganimation.model import Condition
from ganimation.training.averages import WIDTHS
from ganimation.training.losses import Weights

GeneratorKind = Literal["conditioned", "muscles"]


@dataclass(frozen=True)
class TargetMix:
    """How target AUs are drawn for unpaired photos; shares of the batch that add up to 1.

    Attributes:
        photo: another photo's AUs, each with U(-noise, noise) added and clipped to [0, 1].
        single: the source's AUs but one, which is drawn uniformly up to the intensity that one photo in 200 exceeds,
            times ``reach``.
        blend: between the source's and another photo's AUs.
        same: the source's own AUs; then the true picture is the source.
        noise: of ``photo``.
        reach: of ``single``; above 1 the generator is asked for more than photos show, as users ask it. At most 1 is
            asked in any case.
    """

    photo: float = 1.0
    single: float = 0.0
    blend: float = 0.0
    same: float = 0.0
    noise: float = 0.1
    reach: float = 1.0


@dataclass(frozen=True)
class Phase:
    """A phase of a run: one loss, one learning rate schedule.

    Attributes:
        name: for logs.
        steps: of the generator, or of the critic where ``train_generator`` is off.
        epochs: passes over the data by the critic's batches; counted where ``steps`` is 0.
        critic_steps: critic updates before each generator update; 0 trains without a critic.
        train_generator: off to let the critic catch up with a frozen generator.
        paired: share of the batch whose target is another photo of the same session, so that the true picture is known.
        erased: share of the batch in which the inside of mouths and eyes is erased, to be restored.
        opened: share of the batch in which a shut mouth is asked to open.
        apertures_only: whether only what opens is learned, of a generator of muscles: photos are moved and not shaded,
            and the critic judges only what was restored.
        generator_rate: Adam's learning rate.
        critic_rate: Adam's learning rate.
        decay_from: share of the phase after which both rates fall linearly.
        decay_to: share of the rates that is left at the end of the phase.
        decay_by_epoch: rates fall after each epoch and not at every step, as in the authors' code.
        weights: of the losses.
    """

    name: str
    steps: int = 0
    epochs: float = 0.0
    critic_steps: int = 5
    train_generator: bool = True
    paired: float = 0.0
    erased: float = 0.0
    opened: float = 0.0
    apertures_only: bool = False
    generator_rate: float = 1e-4
    critic_rate: float = 1e-4
    decay_from: float = 1.0
    decay_to: float = 0.0
    decay_by_epoch: bool = False
    weights: Weights = field(default_factory=Weights)

    def check(self, *, steered: bool, generator: "GeneratorKind") -> None:
        """Check the values; if the attention weight is ``steered`` it is not 0.

        Raises:
            TrainingError: one is not possible.
        """
        for name in ("steps", "epochs", "critic_steps", "generator_rate", "critic_rate"):
            _check_range(f"{self.name}.{name}", getattr(self, name), 0)
        for name in ("paired", "erased", "opened", "decay_from", "decay_to"):
            _check_range(f"{self.name}.{name}", getattr(self, name), 0, 1)
        for name, value in dataclasses.asdict(self.weights).items():
            if not isinstance(value, str):
                _check_range(f"{self.name}.weights.{name}", value, 0)
        if steered and self.train_generator and not self.weights.attention:
            raise TrainingError(
                f"{self.name}.weights.attention=0 cannot be steered by a factor; give it a value above 0"
            )
        if self.paired + self.erased + self.opened > 1 + 1e-9:
            raise TrainingError(
                f"{self.name}: paired={self.paired:g}, erased={self.erased:g} and opened={self.opened:g} are more than "
                "the batch; lower one"
            )
        used = {"erased": self.erased, "opened": self.opened, "apertures_only": self.apertures_only}
        for name, value in used.items():
            if value and generator != "muscles":
                raise TrainingError(f"{self.name}.{name}={value:g} is for generator=muscles; set it to 0")

    def rate_factor(self, step: int) -> float:
        """Return the factor of the learning rates at ``step`` of this phase."""
        progress = step / max(1, self.steps)
        if self.decay_by_epoch and self.epochs:
            progress = math.floor(progress * self.epochs + 1e-9) / self.epochs
        if progress < self.decay_from:
            return 1.0
        return 1.0 - (1.0 - self.decay_to) * (progress - self.decay_from) / max(1e-9, 1.0 - self.decay_from)


@dataclass(frozen=True)
class TrainingConfig:
    """The configuration of a run; together with the data set it determines the run.

    Attributes:
        preset: the name it started from.
        seed: of all randomness, together with the step.
        size: side of the training images in pixels.
        batch: images an update, over all devices.
        generator: ``conditioned``, the paper's, which takes the condition (:mod:`ganimation.networks.generator`); or
            ``muscles``, which draws fields that are linear in the intensities (:mod:`ganimation.networks.muscles`).
        generator_width: channels of its first layer; ``generator_blocks``, its residual blocks.
        restorer_width: see :class:`ganimation.networks.muscles.Restorer`.
        condition: ``absolute``, the paper's, or ``relative``, see :func:`ganimation.model.condition`.
        critic_width: see :class:`ganimation.networks.critic.Critic`; likewise layers, cap and spectral.
        penalty_every: the gradient penalty is computed in every n-th critic update; 0 for never.
        penalty_apart: give the gradient penalty an Adam step of its own, as the authors' code does.
        shared_batch: the generator learns from the batch of the last critic update before it, as in the authors' code,
            so that its forward pass is computed once for both; off, it has a batch of its own.
        reread_every: in every n-th critic update the annotator reads the generated images, and the critic learns AUs
            from them too, so that it is not fooled; 0 for never. Beyond the paper.
        betas: of Adam.
        average: width of the averaged generator that is exported, a share of the run, see
            :mod:`ganimation.training.averages`; 0 exports the generator itself.
        targets: how target AUs are drawn.
        balance: exponent that draws expressive photos with rare AUs more often; 0 draws all alike.
        au_balance: exponent that lets errors of AUs that vary little count more in the expression loss; 0 for all
            alike, as in the paper.
        emphasis: AUs that count more, ``AU06:3,AU45:2.5``: so many times as much in the expression loss, and so many
            times as often among single targets; for those that a model is seen not to learn. Empty for none.
        augment: small shifts, turns, scales and changes of light beside mirroring.
        buffer: generated images of the past that the critic is shown again, over all devices; 0 for none. An ablation
            of the paper, after Shrivastava et al. 2017.
        attention_low: the attention weight is steered to keep the mean of A above this; 0 with ``attention_high`` 1
            leaves the weight alone.
        attention_high: and below this.
        init: fingerprint of the generator's weights that the run began from; empty for fresh ones.
        phases: in order.
    """

    preset: str
    seed: int = 0
    size: int = 128
    batch: int = 25
    generator: GeneratorKind = "conditioned"
    generator_width: int = 64
    generator_blocks: int = 6
    restorer_width: int = 32
    condition: Condition = "absolute"
    critic_width: int = 64
    critic_layers: int = 6
    critic_cap: int = 2048
    critic_spectral: bool = False
    penalty_every: int = 1
    penalty_apart: bool = False
    shared_batch: bool = False
    reread_every: int = 0
    betas: tuple[float, float] = (0.5, 0.999)
    average: float = 0.0
    targets: TargetMix = field(default_factory=TargetMix)
    balance: float = 0.0
    au_balance: float = 0.0
    emphasis: str = ""
    augment: bool = False
    buffer: int = 0
    attention_low: float = 0.0
    attention_high: float = 1.0
    init: str = ""
    phases: tuple[Phase, ...] = ()

    @property
    def steers_attention(self) -> bool:
        """Whether the attention weight is steered."""
        return self.attention_low > 0 or self.attention_high < 1

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
            phase if phase.steps or not phase.epochs else dataclasses.replace(phase, steps=self._steps_of(phase, faces))
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

    def _steps_of(self, phase: Phase, faces: int) -> int:
        return max(1, round(phase.epochs * faces / (self.batch * max(1, phase.critic_steps))))

    def to_json(self) -> dict[str, Any]:
        """Return the configuration as plain JSON values."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> "TrainingConfig":
        """Return the configuration that :meth:`to_json` gave; fields that were not there yet have their defaults.

        Raises:
            TypeError, KeyError: it is not one.
        """
        phases = tuple(
            Phase(**{**phase, "weights": Weights(**phase["weights"])}) for phase in content.get("phases", ())
        )
        rest = {"targets": TargetMix(**content["targets"]), "betas": tuple(content["betas"]), "phases": phases}
        return TrainingConfig(**{**content, **rest})

    def check(self) -> None:
        """Check the values.

        Raises:
            TrainingError: one is not possible; the message names it, its limit and the remedy.
        """
        step = 2**self.critic_layers
        if self.size < step or self.size % step:
            raise TrainingError(f"size={self.size}: a multiple of {step}, which {self.critic_layers} halvings need")
        for name in (
            "batch",
            "generator_width",
            "critic_width",
            "critic_layers",
            "critic_cap",
            "restorer_width",
        ):
            _check_range(name, getattr(self, name), 1)
        _check_range("seed", self.seed, 0, 2**63 - 1)
        for name in ("generator_blocks", "buffer", "penalty_every", "balance", "au_balance", "reread_every"):
            _check_range(name, getattr(self, name), 0)
        for name in ("attention_low", "attention_high"):
            _check_range(name, getattr(self, name), 0, 1)
        _check_range("average", self.average or min(WIDTHS), min(WIDTHS), 0.25)
        for beta in self.betas:
            if not 0 <= beta < 1:
                raise TrainingError(f"betas={','.join(map(str, self.betas))}: both lie in [0, 1)")
        emphasis_of(self.emphasis, tuple(ACTION_UNITS))
        self._check_generator()
        if not any(phase.steps or phase.epochs for phase in self.phases):
            raise TrainingError("no phase has steps or epochs; nothing would be learned")
        mix = dataclasses.asdict(self.targets)
        shares = {name: value for name, value in mix.items() if name not in ("noise", "reach")}
        for name, value in (shares | {"noise": self.targets.noise}).items():
            _check_range(f"targets.{name}", value, 0, 1)
        _check_range("targets.reach", self.targets.reach, 0)
        if abs(sum(shares.values()) - 1.0) > 1e-6:
            raise TrainingError(f"targets: {', '.join(shares)} add up to {sum(shares.values()):g}; they must to 1")
        if self.attention_low >= self.attention_high:
            raise TrainingError(
                f"attention_low={self.attention_low:g} is not below attention_high={self.attention_high:g}"
            )
        for phase in self.phases:
            phase.check(steered=self.steers_attention, generator=self.generator)

    def _check_generator(self) -> None:
        """Check what the kind of generator requires."""
        step = 32 if self.generator == "muscles" else 4
        if self.size % step:
            raise TrainingError(f"size={self.size}: a multiple of {step}, which generator={self.generator} needs")
        if self.generator == "muscles" and self.condition != "relative":
            raise TrainingError(f"condition={self.condition}: generator=muscles draws changes; set condition=relative")


def _check_range(name: str, value: float, low: float, high: float = math.inf) -> None:
    if not low <= value <= high or math.isinf(value):
        limit = f"at least {low}" if math.isinf(high) else f"in [{low}, {high}]"
        raise TrainingError(f"{name}={value}: it must be {limit}")


def emphasis_of(text: str, aus: Sequence[str]) -> list[float]:
    """Return the weight of each AU by an ``emphasis``, 1 where it names none.

    Args:
        text: ``AU06:3,AU45:2.5``.
        aus: codes.

    Raises:
        TrainingError: it is not one, or names an AU that is not among ``aus``.
    """
    counts = dict.fromkeys(aus, 1.0)
    for item in filter(None, text.split(",")):
        name, _, value = item.partition(":")
        try:
            counts[parse_code(name, aus)] = number = float(value)
        except (ActionUnitError, ValueError) as error:
            raise TrainingError(f"emphasis={text}: write AU:NUMBER,AU:NUMBER, for example AU06:3 ({error})") from error
        _check_range(f"emphasis={text}: {name}", number, 0.01, 100)
    return list(counts.values())


def override(config: TrainingConfig, text: str) -> TrainingConfig:
    """Return the configuration with one field changed.

    Args:
        config: to change.
        text: ``size=64``; a phase's field by the phase's name, ``adversarial.steps=500``, or in all phases,
            ``weights.attention=0.3``.

    Raises:
        TrainingError: there is no such field, or the value is not of its type.
    """
    name, equals, value = text.partition("=")
    path = name.strip().split(".")
    if not equals:
        raise TrainingError(f"{text!r}: write NAME=VALUE, for example size=64 or weights.attention=0.3")
    names = [phase.name for phase in config.phases]
    of_phase = path[0] in names
    if of_phase or path[0] in {item.name for item in dataclasses.fields(Phase)}:
        chosen = [path[0]] if of_phase else names
        rest = path[1:] if of_phase else path
        phases = tuple(_changed(p, rest, value, name) if p.name in chosen else p for p in config.phases)
        return dataclasses.replace(config, phases=phases)
    changed: TrainingConfig = _changed(config, path, value, name)
    return changed


def _changed(target: Any, path: list[str], value: str, name: str) -> Any:
    """Return ``target``, a frozen dataclass, with the field at ``path`` parsed from a text."""
    known = [item.name for item in dataclasses.fields(target) if item.name not in ("preset", "init", "phases", "name")]
    if not path or path[0] not in known:
        close = difflib.get_close_matches(path[0] if path else "", known, n=1) or known
        raise TrainingError(f"{name}: no such field; did you mean {' or '.join(close)}?")
    kind, current = get_type_hints(type(target))[path[0]], getattr(target, path[0])
    if dataclasses.is_dataclass(current):
        new = _changed(current, path[1:], value, name)
    elif len(path) > 1:
        raise TrainingError(f"{name}: {path[0]} has no fields of its own")
    else:
        new = _parsed(kind, value.strip(), name)
    return dataclasses.replace(target, **{path[0]: new})


def _parsed(kind: Any, value: str, name: str) -> Any:
    """Parse a text as a field's type."""
    if kind is str:
        return value
    choices = {"true": True, "false": False} if kind is bool else {str(choice): choice for choice in get_args(kind)}
    if kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            raise TrainingError(f"{name}={value}: not a{'n integer' if kind is int else ' number'}") from None
    if kind == tuple[float, float]:
        parts = value.split(",")
        if len(parts) != 2:
            raise TrainingError(f"{name}={value}: two numbers with a comma between")
        return tuple(_parsed(float, part, name) for part in parts)
    if value not in choices:
        raise TrainingError(f"{name}={value}: one of {', '.join(choices)}")
    return choices[value]


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
