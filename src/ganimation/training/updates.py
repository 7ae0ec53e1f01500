"""One update of the critic, one of the generator: the paper's game (Eq. 6), a batch at a time.

A batch may be taken in parts, whose gradients add up: all terms are means, so the parts give what the whole gives.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ganimation.model import condition
from ganimation.networks.generator import blend
from ganimation.training import averages, losses
from ganimation.training.batches import Batch
from ganimation.training.config import Phase, TrainingConfig
from ganimation.training.losses import Terms, Weights
from ganimation.training.monitor import mask_terms
from ganimation.training.reread import Rereader
from ganimation.training.state import State, image_layout

Features = Callable[[Tensor], list[Tensor]]


@dataclass(frozen=True)
class Pass:
    """A batch and what the generator made of it.

    Attributes:
        batch: the photos and what was asked.
        fake: (N, 3, H, W), the edited photos.
        attention: A, (N, 1, H, W), of a conditioned generator; else ``None``.
        hole: (N, 1, H, W), what was restored, of a generator of muscles; else ``None``.
        fields: S, (N, AUs, H, W), likewise.
        drawn: (N, 1, H, W) in [0, 1], how much of each pixel is not the photo's, likewise.
    """

    batch: Batch
    fake: Tensor
    attention: Tensor | None = None
    hole: Tensor | None = None
    fields: Tensor | None = None
    drawn: Tensor | None = None


@dataclass(frozen=True)
class Game:
    """What both updates need and no update changes.

    Attributes:
        config: of the run.
        fabric: launched.
        aus: their codes.
        features: of the perceptual cycle loss, where a phase asks for it.
        rereader: the annotator on generated images, where the configuration asks for it.
        au_weights: (AUs,), what each AU counts in the expression loss; ``None`` for all alike.
    """

    config: TrainingConfig
    fabric: Fabric
    aus: Sequence[str]
    features: Features | None = None
    rereader: Rereader | None = None
    au_weights: Tensor | None = None

    @property
    def layout(self) -> torch.memory_format:
        """The order of images in memory."""
        return image_layout(self.fabric)

    def condition(self, source_aus: Tensor, target_aus: Tensor) -> Tensor:
        """Return the generator's condition, see :func:`ganimation.model.condition`."""
        return condition(self.config.condition, target_aus, source_aus)

    def expression(self, predicted: Tensor, aus: Tensor, weights: Weights) -> Tensor:
        """Return the expression loss as this run weighs AUs."""
        return losses.expression(predicted, aus, weights.expression_form, self.au_weights)

    def generate(self, generator: nn.Module, batch: Batch, phase: Phase) -> Pass:
        """Return what the generator makes of a batch."""
        if self.config.generator == "muscles":
            change = batch.target_aus - batch.source_aus
            if phase.apertures_only:  # pixels are moved by the batch's geometry; without a change nothing is shaded
                change = torch.zeros_like(change)
            fake, hole, shading, drawn = generator(batch.source, change, batch.geometry)
            return Pass(batch, fake, hole=hole, fields=shading, drawn=drawn)
        color, attention = generator(batch.source, self.condition(batch.source_aus, batch.target_aus))
        return Pass(batch, blend(batch.source, color, attention), attention)


def update_critic(
    game: Game,
    state: State,
    phase: Phase,
    passes: Sequence[Pass],
    rng: np.random.Generator,
    *,
    with_penalty: bool,
    reread: bool = False,
) -> Terms:
    """Take a step of the critic; return its terms.

    Args:
        game: see there.
        state: to change.
        phase: that the run is in.
        passes: the parts of the batch.
        rng: for the history of generated images.
        with_penalty: whether this update has the gradient penalty.
        reread: whether in this update the critic also learns what the annotator reads in the generated images.
    """
    weights, apart = phase.weights, with_penalty and game.config.penalty_apart
    shown = [(part, state.history.exchange(part.fake.detach(), rng)) for part in passes]
    seen: list[Terms] = []

    def total(part: Pass, fake: Tensor) -> Tensor:
        terms = _critic_terms(game, state, phase, part, fake, reread=reread)
        if with_penalty and not apart:
            terms["critic/gradient_penalty"] = _penalty(game, state, part, fake)
        seen.append(terms)
        return losses.critic_loss(terms, weights)

    def penalty_alone(part: Pass, fake: Tensor) -> Tensor:
        value = _penalty(game, state, part, fake)
        seen.append({"critic/gradient_penalty": value})
        return weights.gradient_penalty * value

    _descend(game.fabric, state.critic_optimizer, (total(*part) for part in shown), len(shown))
    if apart:
        parts = (penalty_alone(*part) for part in shown)
        _descend(game.fabric, state.critic_optimizer, parts, len(shown), alone=state.critic)
    return _mean(seen)


def _critic_terms(game: Game, state: State, phase: Phase, made: Pass, fake: Tensor, *, reread: bool) -> Terms:
    """Return the critic's terms but for the gradient penalty; it is told where to look in both pictures."""
    batch, count, weights, terms = made.batch, len(fake), phase.weights, Terms()
    where = [None if value is None else value.detach().repeat(2, 1, 1, 1) for value in (made.drawn, made.hole)]
    whole = not phase.apertures_only
    realism, aus, restored, shares = state.critic(torch.cat([batch.real, fake]), *where, whole=whole)
    if restored is not None:
        opening = losses.openings(shares[:count])
        known = batch.known[:, None]
        terms["critic/opening"] = losses.hinge(restored[:count], restored[count:], opening * known, opening)
    if not whole:
        return terms
    terms["critic/wasserstein"] = losses.wasserstein(realism[:count], realism[count:])
    terms["critic/expression"] = game.expression(aus[:count], batch.real_aus, weights)
    if weights.adversarial_form == "hinge":
        counts = losses.patches(made.drawn, realism)
        terms["critic/hinge"] = losses.hinge(realism[:count], realism[count:], counts, counts)
    if reread and game.rereader is not None:
        terms |= _second_opinion(game, game.rereader(fake), aus[count:], batch, weights)
        if state.history.capacity:  # half of what was read answers other targets
            del terms["mask/obedience"]
    return terms


def _second_opinion(game: Game, read: Tensor, aus: Tensor, batch: Batch, weights: Weights) -> Terms:
    """Return the critic's error on generated images, and how far the annotator sees done what was asked."""
    seen = read.isfinite().all(dim=1)
    read = torch.where(seen[:, None], read, aus.detach())
    asked = (batch.target_aus - batch.source_aus) * seen[:, None]
    return {
        "critic/reread": game.expression(aus, read, weights),
        "mask/obedience": ((read - batch.source_aus) * asked).sum() / asked.square().sum().clamp_min(1e-6),
    }


def _penalty(game: Game, state: State, made: Pass, fake: Tensor) -> Tensor:
    where = None if made.drawn is None else made.drawn.detach()
    with game.fabric.autocast():
        return losses.gradient_penalty(_realism(state.critic, where), made.batch.real, fake, made.batch.mix)


def _realism(critic: nn.Module, where: Tensor | None) -> Callable[[Tensor], Tensor]:
    """Return D_I of the bare critic; Fabric's wrapper allows no torch.autograd.grad through it."""
    bare: nn.Module = critic.module  # type: ignore[assignment]

    def realism(images: Tensor) -> Tensor:
        values: Tensor = bare(images, where)[0]
        return values.float()

    return realism


def update_generator(game: Game, state: State, phase: Phase, passes: Iterable[Pass], parts: int) -> Terms:
    """Take a step of the generator and of its averages; return its terms.

    Args:
        game: see there.
        state: to change.
        phase: that the run is in.
        passes: the parts of the batch, with gradients; each is let go before the next is taken.
        parts: how many.
    """
    seen: list[Terms] = []

    def totals() -> Iterator[Tensor]:
        for part in passes:
            terms, read = _generator_terms(game, state, phase, part)
            yield losses.generator_loss(terms, phase.weights, state.control.factor)
            asked = part.batch.target_aus - part.batch.source_aus
            terms |= mask_terms(part.attention, part.batch.source, part.fake.detach(), asked, read)
            seen.append(terms)

    state.critic.requires_grad_(False)
    _descend(game.fabric, state.generator_optimizer, totals(), parts)
    state.critic.requires_grad_(True)
    state.updates += 1
    for average, width in zip(state.averages, averages.WIDTHS, strict=True):
        averages.move(average, state.generator, state.updates, width if game.config.average else 0.0)
    return _mean(seen)


def _generator_terms(game: Game, state: State, phase: Phase, made: Pass) -> tuple[Terms, tuple[Tensor, Tensor] | None]:
    """Return the generator's terms of Eq. 5, and the AUs that the critic reads from the photo and from the result."""
    weights, batch, fake = phase.weights, made.batch, made.fake
    terms, read = _terms_of_mask(game, state, phase, made), None
    if phase.critic_steps:
        whole = not phase.apertures_only
        realism, aus, restored, shares = state.critic(fake, made.drawn, made.hole, whole=whole)
        if restored is not None:
            terms["generator/opening"] = losses.adversarial(restored, losses.openings(shares))
    if phase.critic_steps and whole:
        with torch.no_grad():
            read = state.critic(batch.source, made.drawn).aus, aus.detach()
        terms["generator/adversarial"] = losses.adversarial(realism, losses.patches(made.drawn, realism))
        terms["generator/expression"] = game.expression(aus, batch.target_aus, weights)
    if weights.pair and not phase.apertures_only:
        image, truth, known = fake, batch.truth, batch.known & ~batch.erased
        if made.hole is not None:  # what was hidden is the restorer's
            image, truth = image * (1 - made.hole), truth * (1 - made.hole)
        terms["generator/pair"] = losses.pair_distance(image, truth, known)
    if made.hole is not None and made.fields is not None:
        hole = made.hole * batch.known[:, None, None, None]
        terms["generator/restore"] = losses.restoration(fake, batch.truth, hole)
        terms["generator/shading"] = made.fields.abs().mean()
    return terms, read


def _terms_of_mask(game: Game, state: State, phase: Phase, made: Pass) -> Terms:
    """Return the terms of a generator that draws a mask: Eq. 2 and Eq. 4."""
    if made.attention is None:
        return {}
    weights, batch = phase.weights, made.batch
    attention = losses.attention_penalty(made.attention, weights.attention_form)
    smoothness = losses.smoothness(made.attention, weights.smoothness_form)
    terms: Terms = {}
    if phase.critic_steps:
        color, mask = state.generator(made.fake, game.condition(batch.target_aus, batch.source_aus))
        terms["generator/cycle"] = _cycle(game, weights, blend(made.fake, color, mask), batch.source)
        attention = attention + losses.attention_penalty(mask, weights.attention_form)
        smoothness = smoothness + losses.smoothness(mask, weights.smoothness_form)
    return {"generator/attention": attention, "generator/smoothness": smoothness, **terms}


def _cycle(game: Game, weights: Weights, cycled: Tensor, source: Tensor) -> Tensor:
    if weights.cycle_form == "absolute":
        return losses.distance(cycled, source)
    assert game.features is not None
    return losses.perceptual_distance(game.features, cycled, source)


def _descend(
    fabric: Fabric,
    optimizer: torch.optim.Optimizer,
    parts: Iterable[Tensor],
    count: int,
    alone: nn.Module | None = None,
) -> None:
    """Take a step down the mean of the parts' losses.

    Args:
        fabric: launched.
        optimizer: of what is trained.
        parts: losses, computed one after the other so that one graph lives at a time.
        count: of the parts.
        alone: the network whose gradients Fabric's wrapper did not see and share.
    """
    optimizer.zero_grad()
    for loss in parts:
        fabric.backward(loss / count)
    if alone is not None and fabric.world_size > 1:
        for value in alone.parameters():
            if value.grad is not None:
                value.grad = fabric.all_reduce(value.grad, reduce_op="mean")  # type: ignore[assignment]
    optimizer.step()


def _mean(parts: Sequence[Terms]) -> Terms:
    """Return the means of equally named terms."""
    names = dict.fromkeys(name for terms in parts for name in terms)
    return {name: torch.stack([terms[name].detach() for terms in parts if name in terms]).mean() for name in names}
