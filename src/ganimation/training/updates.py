"""One update of the critic, one of the generator: the paper's game (Eq. 6), a batch at a time.

A batch may be taken in parts, whose gradients add up: all terms are means, so the parts give what the whole gives.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ganimation.networks.critic import Judgement, gradient_penalty
from ganimation.networks.generator import Generated
from ganimation.training import averages, terms
from ganimation.training.config import Phase
from ganimation.training.context import Context, Game, Pass
from ganimation.training.losses import Terms
from ganimation.training.monitor import mask_terms
from ganimation.training.state import State


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
        at, obedience = _judge(game, state, phase, part, fake, reread=reread)
        values = terms.compute(terms.CRITIC_TERMS, at)
        if with_penalty and not apart:
            values["critic/gradient_penalty"] = _penalty(game, state, phase, part, fake)
        seen.append(values | obedience)
        return terms.total(terms.CRITIC_TERMS, values, weights)

    def penalty_alone(part: Pass, fake: Tensor) -> Tensor:
        value = _penalty(game, state, phase, part, fake)
        seen.append({"critic/gradient_penalty": value})
        return weights.gradient_penalty * value

    _descend(game.fabric, state.critic_optimizer, (total(*part) for part in shown), len(shown))
    if apart:
        parts = (penalty_alone(*part) for part in shown)
        _descend(game.fabric, state.critic_optimizer, parts, len(shown), alone=state.critic)
    return _mean(seen)


def _judge(game: Game, state: State, phase: Phase, made: Pass, fake: Tensor, *, reread: bool) -> tuple[Context, Terms]:
    """Return what the critic's terms are computed from, and the response that the annotator reads, for the log."""
    batch, count, whole = made.batch, len(fake), not phase.apertures_only
    maps = [None if value is None else value.detach().repeat(2, 1, 1, 1) for value in (made.drawn, made.hole)]
    judged = state.critic(torch.cat([batch.real, fake]), *maps, whole=whole)
    real, of_fake = (
        Judgement(*(None if value is None else value[part] for value in judged))  # type: ignore[arg-type]
        for part in (slice(count), slice(count, None))
    )
    if not (reread and whole and game.rereader is not None):
        return Context(game, phase, made, of_fake, real), {}
    read = game.rereader(fake)
    found = read.isfinite().all(dim=1)
    read = torch.where(found[:, None], read, of_fake.aus.detach())
    asked = (batch.target_aus - batch.source_aus) * found[:, None]
    response = ((read - batch.source_aus) * asked).sum() / asked.square().sum().clamp_min(1e-6)
    # of images from the history, the targets are not known any more
    return Context(game, phase, made, of_fake, real, read), {} if state.history.capacity else {
        "mask/obedience": response
    }


def _penalty(game: Game, state: State, phase: Phase, made: Pass, fake: Tensor) -> Tensor:
    where, batch = None if made.drawn is None else made.drawn.detach(), made.batch
    with game.fabric.autocast():
        realism = _realism(state.critic, where)
        return gradient_penalty(realism, batch.real, fake, batch.mix, phase.weights.penalty_form)


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
            at = _context(game, state, phase, part)
            values = terms.compute(terms.GENERATOR_TERMS, at)
            yield terms.total(terms.GENERATOR_TERMS, values, phase.weights, state.control.factor)
            asked, read = part.batch.target_aus - part.batch.source_aus, _read(state, at)
            values |= mask_terms(part.attention, part.batch.source, part.fake.detach(), asked, read)
            seen.append(values)

    state.critic.requires_grad_(False)
    _descend(game.fabric, state.generator_optimizer, totals(), parts)
    state.critic.requires_grad_(True)
    state.updates += 1
    for average, width in zip(state.averages, averages.WIDTHS, strict=True):
        averages.move(average, state.generator, state.updates, width if game.config.average else 0.0)
    return _mean(seen)


def _context(game: Game, state: State, phase: Phase, made: Pass) -> Context:
    """Return what the generator's terms are computed from."""
    if not phase.critic_steps:
        return Context(game, phase, made)
    batch, cycled = made.batch, None
    if made.attention is not None:
        cycled = Generated(*state.generator(made.fake, game.condition(batch.target_aus, batch.source_aus)))
    judged = state.critic(made.fake, made.drawn, made.hole, whole=not phase.apertures_only)
    return Context(game, phase, made, Judgement(*judged), cycled=cycled)


def _read(state: State, at: Context) -> tuple[Tensor, Tensor] | None:
    """Return the AUs that the critic reads from the photos and from the generated images, where it judges faces."""
    if at.whole is None:
        return None
    with torch.no_grad():
        return state.critic(at.made.batch.source, at.made.drawn).aus, at.whole.aus.detach()


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
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: torch.stack([part[name].detach() for part in parts if name in part]).mean() for name in names}
