"""IcGAN (Perarnau et al. 2016): a conditional GAN from noise, and two encoders learned afterwards that invert it.

Facts, at 64 pixels: Adam 2e-4 (.5), batch 64, 25 epochs; the critic is shown generated faces and real ones with wrong
labels, half each; then encoders by squared errors, Adam 1e-4, 15 epochs, that of z from generated faces, that of y from
real ones. Their first moment's decay is .1 there and .5 here, as in the first phase.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from ganimation.rivals.base import EmotionBatch, Rival, Terms

NOISE = 100
#: Name of the phase in which the encoders learn.
ENCODERS = "encoders"


class IcGenerator(nn.Module):
    """Decoder, and the encoders of noise and label; images of 64 x 64 pixels.

    Args:
        emotions: how many.
        width: channels before the last layer of the decoder.
    """

    def __init__(self, emotions: int, width: int = 64) -> None:
        super().__init__()
        channels = [8 * width, 4 * width, 2 * width, width]
        first = nn.ConvTranspose2d(NOISE + emotions, channels[0], 4)
        layers: list[nn.Module] = [first, nn.BatchNorm2d(channels[0]), nn.ReLU(inplace=True)]
        for before, after in pairwise(channels):
            layers += [nn.ConvTranspose2d(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        self.decoder = nn.Sequential(*layers, nn.ConvTranspose2d(width, 3, 4, 2, 1), nn.Tanh())
        self.encoder_z = _encoder(width // 2, 64 * width, NOISE)
        self.encoder_y = _encoder(width // 2, 8 * width, emotions)

    def forward(self, source: Tensor, target: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return faces that show the emotion in ``target``: of a source, or with ``noise`` (N, 100) of nobody."""
        z = self.encoder_z(source) if noise is None else noise
        drawn: Tensor = self.decoder(torch.cat([z, target], dim=1)[:, :, None, None])
        return drawn


def _encoder(width: int, hidden: int, outputs: int) -> nn.Sequential:
    channels, layers = [3, width, 2 * width, 4 * width, 8 * width], []
    for before, after in pairwise(channels):
        layers += [nn.Conv2d(before, after, 5, 2, 2), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    flat = 16 * channels[-1]
    layers += [nn.Flatten(), nn.Linear(flat, hidden), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Linear(hidden, outputs))


class IcCritic(nn.Module):
    """Whether a face is real and shows an emotion.

    Args:
        emotions: how many.
        width: channels of the first layer.
    """

    def __init__(self, emotions: int, width: int = 64) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True))
        channels, layers = [width + emotions, 2 * width, 4 * width, 8 * width], []
        for before, after in pairwise(channels):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.LeakyReLU(0.2, inplace=True)]
        self.rest = nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4))

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        """Return logits, (N,), of images (N, 3, 64, 64) and one-hot labels (N, emotions)."""
        x = self.first(image)
        maps = label[:, :, None, None].to(x.dtype).expand(-1, -1, x.shape[2], x.shape[3])
        logits: Tensor = self.rest(torch.cat([x, maps], dim=1))
        return logits.flatten()


class IcGAN(Rival):
    """See the module."""

    name = "icgan"

    def build_generator(self) -> nn.Module:
        """Return decoder and encoders."""
        return IcGenerator(self.emotions, self.width)

    def build_critic(self) -> nn.Module:
        """Return the critic."""
        return IcCritic(self.emotions, self.critic_width)

    def critic_loss(
        self, generator: nn.Module, critic: nn.Module, batch: EmotionBatch, exchange: Callable[[Tensor], Tensor]
    ) -> Terms:
        """Return the logistic loss of real faces, of generated ones, and of real ones with wrong labels."""
        softplus = nn.functional.softplus
        with torch.no_grad():
            fake = generator(batch.source, batch.target, batch.noise)
        differs = (batch.label != batch.target).any(dim=1).to(fake.dtype)
        wrong = softplus(critic(batch.source, batch.target)) * differs
        return {
            "critic/real": softplus(-critic(batch.source, batch.label)).mean(),
            "critic/fake": 0.5 * softplus(critic(fake, batch.target)).mean(),
            "critic/mismatched": 0.5 * wrong.sum() / differs.sum().clamp_min(1),
        }

    def generator_loss(self, generator: nn.Module, critic: nn.Module, batch: EmotionBatch, phase: str) -> Terms:
        """Return realism with the label; in the phase of the encoders, their squared errors."""
        if phase != ENCODERS:
            fake = generator(batch.source, batch.target, batch.noise)
            return {"generator/adversarial": nn.functional.softplus(-critic(fake, batch.target)).mean()}
        network = cast("IcGenerator", getattr(generator, "module", generator))
        with torch.no_grad():
            fake = generator(batch.source, batch.target, batch.noise)
        return {
            "generator/z": (network.encoder_z(fake) - batch.noise).square().mean(),
            "generator/y": (network.encoder_y(batch.source) - batch.label).square().mean(),
        }
