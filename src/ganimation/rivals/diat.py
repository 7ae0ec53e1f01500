"""DIAT (Li, Zuo & Zhang 2016), as GANimation describes it: a model a target, adversarial loss and one cycle.

There is no code of its authors to be had. Their text has an identity loss on deep features and, later, a mask;
GANimation's has "the classic adversarial loss and a cycle loss |x - G_YX(G_XY(x))|". What neither says is taken from
CycleGAN: networks, weight of the cycle, batch and rates. The adversarial loss is the logistic one, not saturating.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ganimation.rivals.base import EmotionBatch, Terms
from ganimation.rivals.cyclegan import CYCLE, CycleGAN, Directions, PatchCritic


class DIAT(CycleGAN):
    """See the module."""

    name = "diat"

    def build_critic(self) -> nn.Module:
        """Return the critics of all emotions; of neutral faces there is none."""
        return Directions(lambda: PatchCritic(self.critic_width), self.emotions, both=False)

    def critic_loss(
        self, generator: nn.Module, critic: nn.Module, batch: EmotionBatch, exchange: Callable[[Tensor], Tensor]
    ) -> Terms:
        """Return the logistic loss of faces with the emotion and of generated ones."""
        with torch.no_grad():
            fake = generator(batch.source, batch.target)
        real, of_fake = critic(batch.other, batch.target), critic(fake, batch.target)
        softplus = nn.functional.softplus
        return {"critic/logistic": softplus(-real).mean() + softplus(of_fake).mean()}

    def generator_loss(self, generator: nn.Module, critic: nn.Module, batch: EmotionBatch, phase: str) -> Terms:
        """Return realism as a face with the emotion, and the cycle from neutral and back."""
        fake = generator(batch.source, batch.target)
        cycled = generator(fake, batch.target, back=True)
        realism = nn.functional.softplus(-critic(fake, batch.target)).mean()
        return {
            "generator/adversarial": realism,
            "generator/cycle": CYCLE * (cycled - batch.source).abs().mean(),
        }
