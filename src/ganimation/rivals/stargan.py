"""StarGAN (Choi et al., CVPR 2018): one generator for all emotions, a critic that also classifies them.

GANimation's networks descend from these. Facts: gradient penalty 10, classification 1, reconstruction 10, five critic
steps to one, Adam 1e-4 (.5, .999), batch 16, 200,000 critic steps, rates that fall over the last half.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ganimation.networks.critic import Critic, gradient_penalty
from ganimation.networks.generator import Generator
from ganimation.rivals.base import EmotionBatch, Rival, Terms

PENALTY, CLASSIFICATION, RECONSTRUCTION = 10.0, 1.0, 10.0


class Translator(Generator):
    """The generator of the paper without its mask."""

    def __init__(self, emotions: int, width: int = 64, blocks: int = 6) -> None:
        super().__init__(emotions, width, blocks)
        del self.attention

    def forward(self, source: Tensor, condition: Tensor) -> Tensor:  # type: ignore[override]
        """Return the translated faces, (N, 3, H, W); ``condition`` is one-hot, (N, emotions)."""
        return torch.tanh(self.color(self.features(source, condition)))


class StarGAN(Rival):
    """See the module."""

    name = "stargan"

    def build_generator(self) -> nn.Module:
        """Return the generator, for any size that is a multiple of 4."""
        return Translator(self.emotions, self.width)

    def build_critic(self) -> nn.Module:
        """Return the critic, for a size that is a multiple of 64."""
        return Critic(self.emotions, self.size, self.critic_width)

    def critic_loss(
        self, generator: nn.Module, critic: nn.Module, batch: EmotionBatch, exchange: Callable[[Tensor], Tensor]
    ) -> Terms:
        """Return Wasserstein distance, gradient penalty and classification of real faces."""
        with torch.no_grad():
            fake = generator(batch.source, batch.target)
        real, of_fake = critic(batch.source), critic(fake)
        bare = getattr(critic, "module", critic)  # Fabric's wrapper allows no torch.autograd.grad through it
        penalty = gradient_penalty(lambda images: bare(images).realism, batch.source, fake, batch.mix, "sum")
        return {
            "critic/wasserstein": of_fake.realism.mean() - real.realism.mean(),
            "critic/gradient_penalty": PENALTY * penalty,
            "critic/classification": CLASSIFICATION * nn.functional.cross_entropy(real.aus, batch.label),
        }

    def generator_loss(self, generator: nn.Module, critic: nn.Module, batch: EmotionBatch, phase: str) -> Terms:
        """Return realism, classification as the target, and the distance of the cycled face to the source."""
        fake = generator(batch.source, batch.target)
        judged, cycled = critic(fake), generator(fake, batch.label)
        return {
            "generator/adversarial": -judged.realism.mean(),
            "generator/classification": CLASSIFICATION * nn.functional.cross_entropy(judged.aus, batch.target),
            "generator/cycle": RECONSTRUCTION * (cycled - batch.source).abs().mean(),
        }
