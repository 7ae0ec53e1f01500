"""What an update works with: the immutable context of a run, a forward pass, and what the losses are computed from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ganimation.model import condition
from ganimation.networks.critic import Judgement
from ganimation.networks.generator import Generated, blend
from ganimation.training import losses
from ganimation.training.batches import Batch
from ganimation.training.config import Phase, TrainingConfig
from ganimation.training.reread import Rereader
from ganimation.training.state import image_layout

Features = Callable[[Tensor], list[Tensor]]


@dataclass(frozen=True)
class Pass:
    """A forward pass of the generator on a batch.

    Attributes:
        batch: its input.
        fake: (N, 3, H, W), generated images.
        attention: A, (N, 1, H, W), of a conditioned generator; else ``None``.
        hole: (N, 1, H, W) in [0, 1], restored pixels, of a generator of muscles; else ``None``, likewise the next two.
        own: the part of the shading fields S that was not measured, (N, AUs, H, W).
        drawn: (N, 1, H, W) in [0, 1], how much each pixel was shaded.
    """

    batch: Batch
    fake: Tensor
    attention: Tensor | None = None
    hole: Tensor | None = None
    own: Tensor | None = None
    drawn: Tensor | None = None


@dataclass(frozen=True)
class Game:
    """Immutable training context.

    Attributes:
        config: of the run.
        fabric: launched.
        aus: their codes.
        features: of the perceptual cycle loss, where a phase asks for it.
        rereader: the annotator on generated images, where the configuration asks for it.
        au_weights: by phase, (AUs,), weights of the AUs in the expression loss; no entry for equal ones.
    """

    config: TrainingConfig
    fabric: Fabric
    aus: Sequence[str]
    features: Features | None = None
    rereader: Rereader | None = None
    au_weights: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def layout(self) -> torch.memory_format:
        """The order of images in memory."""
        return image_layout(self.fabric)

    def condition(self, source_aus: Tensor, target_aus: Tensor) -> Tensor:
        """Return the generator's condition, see :func:`ganimation.model.condition`."""
        return condition(self.config.condition, target_aus, source_aus)

    def expression(self, predicted: Tensor, aus: Tensor, phase: Phase) -> Tensor:
        """Return the expression loss as a phase weighs AUs."""
        return losses.expression(predicted, aus, phase.weights.expression_form, self.au_weights.get(phase.name))

    def generate(self, generator: nn.Module, batch: Batch, phase: Phase) -> Pass:
        """Return the generated images of a batch."""
        if self.config.generator == "muscles":
            change = batch.target_aus - batch.source_aus
            if phase.apertures_only:  # pixels are moved by the batch's geometry; without a change nothing is shaded
                change = torch.zeros_like(change)
            fake, hole, _, own, drawn = generator(batch.source, change, batch.geometry)
            return Pass(batch, fake, hole=hole, own=own, drawn=drawn)
        color, attention = generator(batch.source, self.condition(batch.source_aus, batch.target_aus))
        return Pass(batch, blend(batch.source, color, attention), attention)


@dataclass(frozen=True)
class Context:
    """What the terms of an update are computed from.

    Attributes:
        game: immutable training context.
        phase: that the run is in.
        made: the batch and the generated images.
        fake: the critic's judgement of the generated images; ``None`` without a critic.
        real: likewise of the real images; of the critic's update alone, likewise the next.
        reread: AUs that the annotator reads in the generated images, (N, AUs); ``None`` where it is not due.
        cycled: what the generator makes of the generated images on the way back (Eq. 4), of a conditioned generator.
    """

    game: Game
    phase: Phase
    made: Pass
    fake: Judgement | None = None
    real: Judgement | None = None
    reread: Tensor | None = None
    cycled: Generated | None = None

    @property
    def whole(self) -> Judgement | None:
        """The judgement of the generated images, where whole faces are judged."""
        return None if self.phase.apertures_only else self.fake
