"""The frozen configuration of a run: networks, losses and phases. Presets are instances of it.

A run is a sequence of named phases. Every schedule is a pure function of the step, so a resumed run follows it exactly.
Types, limits and descriptions stand beside the fields; pydantic checks them wherever one is set, and
``ganimation presets NAME`` prints them.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from ganimation.action_units import parse_code
from ganimation.errors import ActionUnitError, TrainingError
from ganimation.model import Condition
from ganimation.networks.critic import PenaltyForm
from ganimation.training.averages import WIDTHS
from ganimation.training.losses import (
    AdversarialForm,
    AttentionForm,
    CycleForm,
    ExpressionForm,
    SmoothnessForm,
)

Method = Literal["ganimation", "stargan", "cyclegan", "icgan", "diat"]
GeneratorKind = Literal["conditioned", "muscles"]
_Count = Annotated[int, Field(ge=0)]
_Positive = Annotated[int, Field(ge=1)]
_Factor = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, le=1)]
_STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)


def _parse_emphasis(value: Any) -> Any:
    """Parse ``AU06:3,AU45:2.5`` as a mapping; a mapping stays as it is."""
    if isinstance(value, str):
        pairs = [item.partition(":") for item in filter(None, value.split(","))]
        value = {name: number for name, _, number in pairs}
    if isinstance(value, Mapping):
        try:
            return {parse_code(str(name)): number for name, number in value.items()}
        except ActionUnitError as error:
            raise ValueError(f"write AU:NUMBER,AU:NUMBER, for example AU06:3 ({error})") from error
    return value


Emphasis = Annotated[dict[str, Annotated[float, Field(ge=0.01, le=100)]], BeforeValidator(_parse_emphasis)]


@dataclass(frozen=True, config=_STRICT)
class TargetMix:
    """How target AUs are drawn for unpaired photos; shares of the batch that add up to 1."""

    photo: _Share = 1.0
    """another photo's AUs, each with U(-noise, noise) added and clipped to [0, 1]"""
    single: _Share = 0.0
    """the source's AUs but one, drawn uniformly up to the intensity that one photo in 200 exceeds, times ``reach``"""
    blend: _Share = 0.0
    """between the source's and another photo's AUs"""
    same: _Share = 0.0
    """the source's own AUs; then the ground truth is the source"""
    noise: _Share = 0.1
    """of ``photo``"""
    reach: _Factor = 1.0
    """of ``single``; above 1 more is asked than photos show, as users ask it, and at most 1 in any case"""


@dataclass(frozen=True, config=_STRICT)
class Weights:
    """The weights of Eq. 5, and which reading of the equations they belong to."""

    gradient_penalty: _Factor = 10.0
    """lambda_gp"""
    expression: _Factor = 100.0
    """lambda_y"""
    critic_share: _Factor = 1.0
    """what lambda_y is multiplied by in the critic's loss; 1 in the paper"""
    cycle: _Factor = 10.0
    """lambda_idt"""
    attention: _Factor = 0.1
    """lambda_A"""
    smoothness: _Factor = 1e-4
    """lambda_A times lambda_TV, since Eq. 5 multiplies both"""
    pair: _Factor = 0.0
    """of the distance to paired ground truth, a mean in which rows without one count 0; not in the paper"""
    restore: _Factor = 0.0
    """of the distance to what was hidden (``losses.restoration``), for ``generator=muscles``; not in the paper"""
    opening: _Factor = 0.0
    """of the realism of what was restored, likewise"""
    shading: _Factor = 0.0
    """of the size of what shading adds to what was measured, likewise"""
    adversarial_form: AdversarialForm = "wasserstein"
    """what the critic learns, ``losses.wasserstein`` as in the paper or ``losses.hinge``"""
    expression_form: ExpressionForm = "mean"
    """see ``losses.expression``"""
    attention_form: AttentionForm = "square"
    """see ``losses.attention_penalty``"""
    smoothness_form: SmoothnessForm = "squared"
    """see ``losses.smoothness``"""
    cycle_form: CycleForm = "absolute"
    """the l1 ``norm`` as printed, the mean of ``absolute`` differences as in the authors' code, or ``perceptual``"""
    penalty_form: PenaltyForm = "mean"
    """see ``networks.critic.gradient_penalty``"""


class BatchOptions(NamedTuple):
    """How the batches of a phase are drawn."""

    size: int
    batch: int
    targets: TargetMix
    emphasis: Mapping[str, float]


@dataclass(frozen=True, config=_STRICT)
class Phase:
    """A phase of a run: its losses and its schedule of learning rates."""

    name: str
    """for logs, and for ``--set NAME.FIELD=X``"""
    steps: _Count = 0
    """of the generator, or of the critic where ``train_generator`` is off"""
    epochs: _Factor = 0.0
    """passes over the data by the critic's batches; counted where ``steps`` is 0"""
    critic_steps: _Count = 5
    """critic updates before each generator update; 0 trains without a critic"""
    train_generator: bool = True
    """off to let the critic catch up with a frozen generator"""
    paired: _Share = 0.0
    """share of the batch whose target is another photo of the same session, which is the ground truth"""
    erased: _Share = 0.0
    """share of the batch in which the inside of mouths and eyes is erased, to be restored"""
    opened: _Share = 0.0
    """share of the batch in which a shut mouth is asked to open"""
    apertures_only: bool = False
    """learn only what opens: photos are moved and not shaded, and the critic judges only what was restored"""
    size: _Positive | None = None
    """of the images, where it is not the run's; a critic of whole faces needs the run's"""
    batch: _Positive | None = None
    """images an update, where it is not the run's"""
    targets: TargetMix | None = None
    """how targets are drawn, where it is not the run's way"""
    emphasis: Emphasis | None = field(default=None, hash=False)
    """AUs that count more, where they are not the run's"""
    generator_rate: _Factor = 1e-4
    """Adam's learning rate"""
    critic_rate: _Factor = 1e-4
    """Adam's learning rate"""
    decay_from: _Share = 1.0
    """share of the phase after which both rates fall linearly"""
    decay_to: _Share = 0.0
    """share of the rates that is left at the end of the phase"""
    decay_by_epoch: bool = False
    """rates fall after each epoch and not at every step, as in the authors' code"""
    weights: Weights = field(default_factory=Weights)
    """of the losses"""

    def rate_factor(self, step: int) -> float:
        """Return the factor of the learning rates at ``step`` of this phase."""
        progress = step / max(1, self.steps)
        if self.decay_by_epoch and self.epochs:
            progress = math.floor(progress * self.epochs + 1e-9) / self.epochs
        if progress < self.decay_from:
            return 1.0
        return 1.0 - (1.0 - self.decay_to) * (progress - self.decay_from) / max(1e-9, 1.0 - self.decay_from)

    def check(self, *, steered: bool, generator: GeneratorKind) -> None:
        """Check what fields require of each other; if the attention weight is ``steered`` it is not 0.

        Raises:
            TrainingError: something is not possible.
        """
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


@dataclass(frozen=True, config=_STRICT)
class TrainingConfig:
    """The configuration of a run; together with the data set it determines the run."""

    preset: str
    """the name it started from"""
    method: Method = "ganimation"
    """``ganimation``, or a rival, see ``ganimation.rivals``; then the fields of losses and targets are not used"""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """of all randomness, together with the step"""
    size: _Positive = 128
    """side of the training images in pixels"""
    batch: _Positive = 25
    """images an update, over all devices"""
    generator: GeneratorKind = "conditioned"
    """``conditioned``, the paper's, or ``muscles``, which draws fields that are linear in the intensities"""
    generator_width: _Positive = 64
    """channels of the generator's first layer"""
    generator_blocks: _Count = 6
    """its residual blocks"""
    restorer_width: _Positive = 32
    """channels of the first layer of what draws the inside of eyes and mouths, of ``generator=muscles``"""
    condition: Condition = "absolute"
    """``absolute``, the paper's, or ``relative``, see ``model.condition``"""
    critic_width: _Positive = 64
    """channels of the critic's first layer"""
    critic_layers: _Positive = 6
    """its halvings"""
    critic_cap: _Positive = 2048
    """most channels a layer of it may have"""
    critic_spectral: bool = False
    """normalise the critic's weights by their spectral norm; beyond the paper"""
    penalty_every: _Count = 1
    """the gradient penalty is computed in every n-th critic update; 0 for never"""
    penalty_apart: bool = False
    """give the gradient penalty an Adam step of its own, as the authors' code does"""
    shared_batch: bool = False
    """the generator learns from the batch of the last critic update before it, as in the authors' code"""
    reread_every: _Count = 0
    """in every n-th critic update the annotator reads generated images, and the critic learns AUs from them too, so
    that it is not fooled; 0 for never. Beyond the paper"""
    betas: Annotated[
        tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]],
        BeforeValidator(lambda value: value.split(",") if isinstance(value, str) else value),
    ] = (0.5, 0.999)
    """of Adam, two numbers with a comma between"""
    average: Annotated[float, Field(ge=0, le=0.25)] = 0.0
    """width of the averaged generator that is exported, a share of the run; 0 exports the generator itself"""
    targets: TargetMix = field(default_factory=TargetMix)
    """how target AUs are drawn"""
    balance: _Factor = 0.0
    """exponent that draws expressive photos with rare AUs more often; 0 draws all alike"""
    au_balance: _Factor = 0.0
    """exponent that lets errors of AUs that vary little count more in the expression loss; 0 as in the paper"""
    emphasis: Emphasis = field(default_factory=dict, hash=False)
    """AUs that count more, ``AU06:3,AU45:2.5``: so many times as much in the expression loss, and so many times as
    often among single targets"""
    augment: bool = False
    """small shifts, turns, scales and changes of light beside mirroring"""
    buffer: _Count = 0
    """generated images of the past that the critic is shown again, over all devices (Shrivastava et al. 2017); 0 for
    none. An ablation of the paper"""
    attention_low: _Share = 0.0
    """the attention weight is steered to keep the mean of A above this; 0 with ``attention_high`` 1 leaves it alone"""
    attention_high: _Share = 1.0
    """and below this"""
    init: str = ""
    """fingerprint of the generator's weights that the run began from; empty for fresh ones"""
    phases: tuple[Phase, ...] = ()
    """in order"""

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

    def batch_options(self, phase: Phase) -> BatchOptions:
        """Return how a phase draws its batches: its own fields, or else the run's."""
        emphasis = self.emphasis if phase.emphasis is None else phase.emphasis
        return BatchOptions(phase.size or self.size, phase.batch or self.batch, phase.targets or self.targets, emphasis)

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
        return max(1, round(phase.epochs * faces / (self.batch_options(phase).batch * max(1, phase.critic_steps))))

    def to_json(self) -> dict[str, Any]:
        """Return the configuration as plain JSON values."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> "TrainingConfig":
        """Return the configuration that :meth:`to_json` gave; fields that were not there yet have their defaults.

        Raises:
            TrainingError: it is not one.
        """
        try:
            return _CONFIGS.validate_python(dict(content))
        except ValidationError as error:
            raise _explained(error, content) from error

    def check(self) -> None:
        """Check what fields require of each other.

        Raises:
            TrainingError: something is not possible; the message names it and the remedy.
        """
        if 0 < self.average < min(WIDTHS):
            raise TrainingError(f"average={self.average:g}: it must be 0, or at least {min(WIDTHS):g}")
        if not any(phase.steps or phase.epochs for phase in self.phases):
            raise TrainingError("no phase has steps or epochs; nothing would be learned")
        if self.attention_low >= self.attention_high:
            raise TrainingError(
                f"attention_low={self.attention_low:g} is not below attention_high={self.attention_high:g}"
            )
        step = 2**self.critic_layers
        for phase in self.phases:
            options = self.batch_options(phase)
            if options.size < step or options.size % step:
                raise TrainingError(
                    f"size={options.size}: a multiple of {step}, which {self.critic_layers} halvings need"
                )
            if options.size != self.size and phase.critic_steps and not phase.apertures_only:
                raise TrainingError(
                    f"{phase.name}.size={phase.size}: the critic of whole faces has the run's size, {self.size}; "
                    "leave it out, or set critic_steps=0 or apertures_only=true there"
                )
            self._check_generator(options.size)
            self._check_targets(options.targets)
            phase.check(steered=self.steers_attention, generator=self.generator)

    def _check_generator(self, size: int) -> None:
        step = 32 if self.generator == "muscles" else 4
        if size % step:
            raise TrainingError(f"size={size}: a multiple of {step}, which generator={self.generator} needs")
        if self.generator == "muscles" and self.condition != "relative":
            raise TrainingError(f"condition={self.condition}: generator=muscles draws changes; set condition=relative")

    @staticmethod
    def _check_targets(targets: TargetMix) -> None:
        shares = {name: getattr(targets, name) for name in ("photo", "single", "blend", "same")}
        if abs(sum(shares.values()) - 1.0) > 1e-6:
            raise TrainingError(f"targets: {', '.join(shares)} add up to {sum(shares.values()):g}; they must to 1")


_CONFIGS = TypeAdapter(TrainingConfig)


def _explained(error: ValidationError, content: Mapping[str, Any]) -> TrainingError:
    """Return the first finding of pydantic as one line, with phases by their names."""
    found = error.errors(include_url=False)[0]
    path = list(found["loc"])
    if path[0] == "phases" and len(path) > 2 and isinstance(path[1], int):
        path[:2] = [content["phases"][path[1]].get("name", path[1])]
    name = ".".join(part for part in map(str, path) if part.isidentifier())
    value, message = found["input"], found["msg"].removeprefix("Value error, ")
    given = f"={value}" if isinstance(value, str | int | float) else ""
    return TrainingError(f"{name}{given}: {message[0].lower()}{message[1:]}")


def emphasis_weights(emphasis: Mapping[str, float], aus: Sequence[str]) -> list[float]:
    """Return the weight of each AU by an emphasis, 1 where it names none.

    Raises:
        TrainingError: it names an AU that is not among ``aus``.
    """
    for code in emphasis:
        if code not in aus:
            raise TrainingError(f"emphasis={code}: it is not one of the data set's AUs: {', '.join(aus)}")
    return [emphasis.get(code, 1.0) for code in aus]
