"""Monitor of the attention mask: findings with the option to change, and automatic steering of its weight.

Every replica of the paper tells of masks that go to 1 (the photo is handed through, nothing is edited) or to 0 (the
whole face is painted anew and blurs). Both show in the first hundred steps, long before the pictures do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ganimation.training.config import Phase, TrainingConfig
from ganimation.training.losses import Terms

#: A pixel counts as changed if a channel differs by more than this, of [-1, 1]: 8 of 255 grey levels.
CHANGED = 16 / 255
#: Generator updates that are averaged over, and that a phase must have had before it is judged.
WINDOW = 50
#: Updates before a phase is judged by what the critic reads back: at first it reads nothing.
PATIENCE = 300


@torch.no_grad()
def mask_terms(
    attention: Tensor | None, source: Tensor, fake: Tensor, asked: Tensor, read: tuple[Tensor, Tensor] | None
) -> Terms:
    """Return statistics of the mask for the log.

    Args:
        attention: A, (N, 1, H, W); ``None`` of a generator that learns no mask.
        source: (N, 3, H, W) in [-1, 1].
        fake: (N, 3, H, W) in [-1, 1].
        asked: target minus source intensities, (N, AUs).
        read: D_y of the source and of the fake, each (N, AUs); ``None`` where there is no critic.

    Returns:
        ``mask/mean`` and ``mask/spread`` (standard deviation within an image) of A; ``mask/changed``, the share of
        pixels that the edit changes visibly; ``mask/asked``, the mean change of an AU that is asked for; and with
        ``read``, ``mask/response``: the change that the critic reads back for a change of 1 that is asked, 0 for a copy
        of the photo, 1 for perfect obedience (regression through the origin).
    """
    terms = {
        "mask/changed": ((fake - source).abs().amax(dim=1) > CHANGED).float().mean(),
        "mask/asked": asked.abs().mean(),
    }
    if attention is not None:
        terms["mask/mean"] = attention.mean()
        terms["mask/spread"] = attention.flatten(1).std(dim=1).mean()
    if read is not None:
        before, after = read
        terms["mask/response"] = ((after - before) * asked).sum() / asked.square().sum().clamp_min(1e-6)
    return terms


@dataclass
class AttentionControl:
    """Steers the attention weight so that the mean of A stays within a band.

    A weight that is too small lets A go to 1, one that is too large draws it to 0. Each generator update moves the
    factor by 5 % while the mean, averaged over some 10 updates, is outside; within the band nothing moves.

    Attributes:
        factor: what the attention weight is multiplied by, in [1e-5, 1e5].
        mean: moving average of the mean of A; ``None`` before the first update.
    """

    factor: float = 1.0
    mean: float | None = None

    def update(self, mean: float, config: TrainingConfig) -> None:
        """Update with the mean of A of one update, over all processes; a larger weight lowers it."""
        self.mean = mean if self.mean is None else 0.9 * self.mean + 0.1 * mean
        if self.mean > config.attention_high:
            self.factor *= 1.05
        elif self.mean < config.attention_low:
            self.factor /= 1.05
        self.factor = min(1e5, max(1e-5, self.factor))


@dataclass(frozen=True)
class Finding:
    """A finding: a problem of a run and its remedy.

    Attributes:
        name: one word.
        text: a sentence or two for people: what was seen, what it means, what to do.
    """

    name: str
    text: str


@dataclass
class Health:
    """Moving averages of the terms within a phase, and findings from them."""

    phase: str = ""
    updates: int = 0
    means: dict[str, float] = field(default_factory=dict)

    def update(self, phase: Phase, terms: Mapping[str, float]) -> None:
        """Update with the terms of a step; averages restart with a phase."""
        if phase.name != self.phase:
            self.phase, self.updates, self.means = phase.name, 0, {}
        self.updates += 1
        share = max(1 / self.updates, 1 / WINDOW)
        for name, value in terms.items():
            self.means[name] = (1 - share) * self.means.get(name, value) + share * value

    def findings(self, phase: Phase, config: TrainingConfig, ignorance: float) -> list[Finding]:
        """Return the findings, the first to mend first.

        Args:
            phase: that the run is in.
            config: of the run.
            ignorance: ``critic/expression`` of a critic that always answers the data set's mean.
        """
        if self.updates < WINDOW or not phase.train_generator:
            return []
        found = _of_mask(self.means, phase, steered=config.steers_attention) if "mask/mean" in self.means else []
        if "mask/response" in self.means and self.updates >= PATIENCE:
            found += _of_obedience(self.means, phase, ignorance)
        return found


def _of_mask(means: Mapping[str, float], phase: Phase, *, steered: bool) -> list[Finding]:
    mean, spread, changed = (means[f"mask/{name}"] for name in ("mean", "spread", "changed"))
    weights, attention = phase.weights, phase.weights.attention
    larger, smaller = f"{5 * attention or 0.1:g}", f"{attention / 5:g}"
    if mean > 0.9 and changed < 0.03:
        hand = "; steering is at work" if steered else ", or let it be steered with --set attention_high=0.95"
        return [
            Finding(
                "saturated",
                f"the attention mask is 1 almost everywhere (mean {mean:.3f}, {changed:.2%} of the pixels change): the "
                f"photo is handed through and nothing is edited. Raise the attention weight (now {attention:g}) "
                f"with --set {phase.name}.weights.attention={larger}{hand}",
            )
        ]
    if mean < 0.15:
        hand = "; steering is at work" if steered else ", or let it be steered with --set attention_low=0.3"
        return [
            Finding(
                "vanished",
                f"the attention mask is 0 almost everywhere (mean {mean:.3f}): the whole face is painted anew, which "
                f"blurs it. Lower the attention weight (now {attention:g}) with "
                f"--set {phase.name}.weights.attention={smaller}{hand}",
            )
        ]
    if spread < 0.01 and changed >= 0.03:
        return [
            Finding(
                "flat",
                f"the attention mask is the same everywhere (mean {mean:.3f}, spread {spread:.4f}): edits are not "
                f"local. Lower the smoothness weight (now {weights.smoothness:g}) with "
                f"--set {phase.name}.weights.smoothness={weights.smoothness / 10:g}",
            )
        ]
    return []


def _of_obedience(means: Mapping[str, float], phase: Phase, ignorance: float) -> list[Finding]:
    response, error, weight = means["mask/response"], means["critic/expression"], phase.weights.expression
    if error > 0.8 * ignorance:
        return [
            Finding(
                "weak_critic",
                f"the critic does not read AUs (error {error:.4f}; always answering the mean gives {ignorance:.4f}), "
                f"so what it asks of the generator is noise. More critic steps to one of the generator (now "
                f"{phase.critic_steps}), or a look at the AU labels",
            )
        ]
    if response < 0.1:
        return [
            Finding(
                "low_response",
                f"what is asked is not done: the critic reads back {response:.2f} for a change of 1. Raise the "
                f"expression weight (now {weight:g}) with --set {phase.name}.weights.expression={3 * weight or 100:g}",
            )
        ]
    if response > 1.5:
        return [
            Finding(
                "overshoot",
                f"the critic reads back {response:.2f} for a change of 1: edits overshoot, or please the critic by "
                f"other means than a face's. Lower the expression weight (now {weight:g}) with "
                f"--set {phase.name}.weights.expression={weight / 3:g}, and look at the newest sheet in samples/",
            )
        ]
    return []
