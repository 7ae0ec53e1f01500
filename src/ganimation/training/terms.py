"""The losses as a table, a row a term: what it is, its weight, and when it applies.

The updates, the log, the check of a configuration and the table in docs/training.md come from these rows. A new loss is
one function and one row.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from ganimation.errors import TrainingError
from ganimation.networks.generator import blend
from ganimation.training import losses
from ganimation.training.config import TrainingConfig, Weights
from ganimation.training.context import Context
from ganimation.training.losses import Terms


@dataclass(frozen=True)
class Term:
    """A row of the table.

    Attributes:
        name: in the log.
        value: of a context, unweighted, a mean over the batch; ``None`` where the term does not apply.
        weight: fields of :class:`ganimation.training.config.Weights` that are multiplied; none for 1.
        meaning: for the table.
        generator: the kind of generator it is for; empty for all.
        form: counted only with this ``adversarial_form``, and logged with the others; empty for all.
    """

    name: str
    value: Callable[[Context], Tensor | None]
    weight: tuple[str, ...]
    meaning: str
    generator: str = ""
    form: str = ""

    def factor(self, weights: Weights) -> float:
        """Return the term's weight."""
        return float(math.prod(getattr(weights, name) for name in self.weight))


def _realism_of_fakes(at: Context) -> Tensor | None:
    if at.whole is None:
        return None
    return losses.adversarial(at.whole.realism, losses.patches(at.made.drawn, at.whole.realism))


def _realism_of_openings(at: Context) -> Tensor | None:
    if at.fake is None or at.fake.restored is None or at.fake.shares is None:
        return None
    return losses.adversarial(at.fake.restored, losses.openings(at.fake.shares))


def _expression(at: Context) -> Tensor | None:
    if at.whole is None:
        return None
    return at.game.expression(at.whole.aus, at.made.batch.target_aus, at.phase)


def _cycle(at: Context) -> Tensor | None:
    if at.cycled is None:
        return None
    back, source = blend(at.made.fake, *at.cycled), at.made.batch.source
    form = at.phase.weights.cycle_form
    if form != "perceptual":
        return losses.distance_norm(back, source) if form == "norm" else losses.distance(back, source)
    assert at.game.features is not None
    return losses.perceptual_distance(at.game.features, back, source)


def _attention(at: Context) -> Tensor | None:
    return _of_masks(at, lambda mask: losses.attention_penalty(mask, at.phase.weights.attention_form))


def _smoothness(at: Context) -> Tensor | None:
    return _of_masks(at, lambda mask: losses.smoothness(mask, at.phase.weights.smoothness_form))


def _of_masks(at: Context, measure: Callable[[Tensor], Tensor]) -> Tensor | None:
    """Return the sum over the masks of both ways, there and back."""
    if at.made.attention is None:
        return None
    there = measure(at.made.attention)
    return there if at.cycled is None else there + measure(at.cycled.attention)


def _pair(at: Context) -> Tensor | None:
    if not at.phase.weights.pair or at.phase.apertures_only:
        return None
    batch, image, truth = at.made.batch, at.made.fake, at.made.batch.truth
    if at.made.hole is not None:  # what was hidden is the restorer's
        image, truth = image * (1 - at.made.hole), truth * (1 - at.made.hole)
    return losses.pair_distance(image, truth, batch.known & ~batch.erased)


def _restore(at: Context) -> Tensor | None:
    if at.made.hole is None:
        return None
    batch = at.made.batch
    return losses.restoration(at.made.fake, batch.truth, at.made.hole * batch.known[:, None, None, None])


def _shading(at: Context) -> Tensor | None:
    return None if at.made.own is None else at.made.own.abs().mean()


GENERATOR_TERMS = (
    Term("generator/adversarial", _realism_of_fakes, (), "realism of generated images, -E[D_I]"),
    Term("generator/expression", _expression, ("expression",), "AUs that the critic reads against the target, Eq. 3"),
    Term("generator/cycle", _cycle, ("cycle",), "distance of the cycled image to the source, Eq. 4", "conditioned"),
    Term("generator/attention", _attention, ("attention",), "size of A, Eq. 2", "conditioned"),
    Term("generator/smoothness", _smoothness, ("smoothness",), "total variation of A, Eq. 2", "conditioned"),
    Term("generator/pair", _pair, ("pair",), "distance to paired ground truth"),
    Term("generator/restore", _restore, ("restore",), "distance to what was hidden, where it is known", "muscles"),
    Term("generator/opening", _realism_of_openings, ("opening",), "realism of what was restored", "muscles"),
    Term("generator/shading", _shading, ("shading",), "mean size of what shading adds to what was measured", "muscles"),
)


def _wasserstein(at: Context) -> Tensor | None:
    if at.whole is None or at.real is None:
        return None
    return losses.wasserstein(at.real.realism, at.whole.realism)


def _hinge(at: Context) -> Tensor | None:
    if at.whole is None or at.real is None or at.phase.weights.adversarial_form != "hinge":
        return None
    counts = losses.patches(at.made.drawn, at.whole.realism)
    return losses.hinge(at.real.realism, at.whole.realism, counts, counts)


def _hinge_of_openings(at: Context) -> Tensor | None:
    if at.real is None or at.fake is None or at.real.restored is None or at.fake.restored is None:
        return None
    assert at.fake.shares is not None
    counts = losses.openings(at.fake.shares)
    return losses.hinge(at.real.restored, at.fake.restored, counts * at.made.batch.known[:, None], counts)


def _expression_of_reals(at: Context) -> Tensor | None:
    if at.whole is None or at.real is None:
        return None
    return at.game.expression(at.real.aus, at.made.batch.real_aus, at.phase)


def _reread(at: Context) -> Tensor | None:
    if at.reread is None or at.whole is None:
        return None
    return at.game.expression(at.whole.aus, at.reread, at.phase)


CRITIC_TERMS = (
    Term("critic/wasserstein", _wasserstein, (), "E[D_I] of generated minus real images", form="wasserstein"),
    Term("critic/hinge", _hinge, (), "hinge loss of realism", form="hinge"),
    Term("critic/opening", _hinge_of_openings, (), "hinge loss of the realism of openings", "muscles"),
    Term(
        "critic/expression", _expression_of_reals, ("expression", "critic_share"), "AUs of real images, Eq. 3"
    ),
    Term(
        "critic/reread", _reread, ("expression", "critic_share"),
        "AUs of generated images against what the annotator reads in them (`reread_every`)",
    ),
    Term(
        "critic/gradient_penalty", lambda at: None, ("gradient_penalty",),
        "squared distance of the gradient's norm to 1, between real and generated images",
    ),
)  # fmt: skip


def compute(rows: Iterable[Term], at: Context) -> Terms:
    """Return the terms that apply, unweighted, by name."""
    values = ((term.name, term.value(at)) for term in rows)
    return {name: value for name, value in values if value is not None}


def total(rows: Iterable[Term], terms: Terms, weights: Weights, attention_factor: float = 1.0) -> Tensor:
    """Return the weighted sum of terms (Eq. 5); one that is absent counts nothing.

    Args:
        rows: of the table.
        terms: unweighted, by name.
        weights: of the phase.
        attention_factor: what :class:`ganimation.training.monitor.AttentionControl` multiplies lambda_A by.
    """
    counted = (term for term in rows if term.name in terms and term.form in ("", weights.adversarial_form))
    factors = {term.name: term.factor(weights) for term in counted}
    if "generator/attention" in factors:
        factors["generator/attention"] *= attention_factor
    return torch.stack([factor * terms[name] for name, factor in factors.items()]).sum()


def check_weights(config: TrainingConfig) -> None:
    """Check that every weight that is not 0 belongs to a term of the configuration's generator.

    Raises:
        TrainingError: one does not.
    """
    others = [term for term in (*GENERATOR_TERMS, *CRITIC_TERMS) if term.generator not in ("", config.generator)]
    for phase in config.phases:
        for term in others:
            for name in term.weight:
                if value := getattr(phase.weights, name):
                    raise TrainingError(
                        f"{phase.name}.weights.{name}={value:g} is for generator={term.generator}; set it to 0"
                    )


def table() -> str:
    """Return the table of the documentation, Markdown."""
    lines = ["| term | weight | generator | meaning |", "|---|---|---|---|"]
    for term in (*GENERATOR_TERMS, *CRITIC_TERMS):
        weight = " x ".join(f"`{name}`" for name in term.weight) or "1"
        lines.append(f"| `{term.name}` | {weight} | {term.generator or 'all'} | {term.meaning} |")
    return "\n".join(lines)
