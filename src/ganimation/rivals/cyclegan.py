"""CycleGAN (Zhu et al., ICCV 2017): two generators and two critics a pair of domains; here neutral and an emotion.

Facts: least squares, the critic's loss halved, cycle 10, identity 5, a pool of 50 generated images, batch 1, Adam 2e-4
(.5, .999), 100 epochs and 100 more in which rates fall, weights N(0, 0.02).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ganimation.rivals.base import EmotionBatch, Rival, Terms

CYCLE, IDENTITY = 10.0, 5.0


def _normed(layer: nn.Module, channels: int) -> list[nn.Module]:
    return [layer, nn.InstanceNorm2d(channels), nn.ReLU(inplace=True)]


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.ReflectionPad2d(1), *_normed(nn.Conv2d(channels, channels, 3), channels),
            nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), nn.InstanceNorm2d(channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.main(x)
        return result


class ResnetGenerator(nn.Sequential):
    """From one domain to another: two halvings, six residual blocks, two doublings; reflection padding.

    Args:
        width: channels of the first layer.
        blocks: residual blocks.
    """

    def __init__(self, width: int = 64, blocks: int = 6) -> None:
        layers = [nn.ReflectionPad2d(3), *_normed(nn.Conv2d(3, width, 7), width)]
        for channels in (width, 2 * width):
            layers += _normed(nn.Conv2d(channels, 2 * channels, 3, 2, 1), 2 * channels)
        layers += [_Residual(4 * width) for _ in range(blocks)]
        for channels in (4 * width, 2 * width):
            transposed = nn.ConvTranspose2d(channels, channels // 2, 3, 2, 1, output_padding=1)
            layers += _normed(transposed, channels // 2)
        super().__init__(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh())


class PatchCritic(nn.Sequential):
    """The PatchGAN whose outputs see 70 x 70 pixels (Isola et al. 2017); at least 32 pixels.

    Args:
        width: channels of the first layer.
    """

    def __init__(self, width: int = 64) -> None:
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        for channels, stride in ((width, 2), (2 * width, 2), (4 * width, 1)):
            layers += [nn.Conv2d(channels, 2 * channels, 4, stride, 1), nn.InstanceNorm2d(2 * channels)]
            layers += [nn.LeakyReLU(0.2, inplace=True)]
        super().__init__(*layers, nn.Conv2d(8 * width, 1, 4, 1, 1))


class Directions(nn.Module):
    """Networks of every emotion: ``there``, of the emotion, and ``back``, of neutral; all rows of a batch ask for one.

    Args:
        build: of one network.
        emotions: with neutral, which has none.
    """

    def __init__(self, build: Callable[[], nn.Module], emotions: int, *, both: bool = True) -> None:
        super().__init__()
        self.there = nn.ModuleList(build() for _ in range(emotions - 1))
        self.back = nn.ModuleList(build() for _ in range(emotions - 1) if both)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, 0.0, 0.02)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor, target: Tensor, *, back: bool = False) -> Tensor:
        """Return what the network of the emotion in ``target``, one-hot (N, emotions), makes of images."""
        number = int(target[0].argmax()) - 1
        found: Tensor = (self.back if back else self.there)[number](images)
        return found


class CycleGAN(Rival):
    """See the module."""

    name = "cyclegan"
    by_emotion = True

    def build_generator(self) -> nn.Module:
        """Return the generators of all emotions, there and back."""
        return Directions(lambda: ResnetGenerator(self.width), self.emotions)

    def build_critic(self) -> nn.Module:
        """Return the critics of all emotions, and of neutral faces beside each."""
        return Directions(lambda: PatchCritic(self.critic_width), self.emotions)

    def parts(self, generator: nn.Module) -> dict[int, nn.Module]:
        """Return the generators from neutral to each emotion, by its number."""
        assert isinstance(generator, Directions)
        return {number + 1: network for number, network in enumerate(generator.there)}

    def critic_loss(
        self, generator: nn.Module, critic: nn.Module, batch: EmotionBatch, exchange: Callable[[Tensor], Tensor]
    ) -> Terms:
        """Return the least squares of both critics, halved."""
        with torch.no_grad():
            fakes = [generator(batch.source, batch.target), generator(batch.other, batch.target, back=True)]
        terms = {}
        for real, fake, back in ((batch.other, fakes[0], False), (batch.source, fakes[1], True)):
            judged = [critic(images, batch.target, back=back) for images in (real, exchange(fake))]
            loss = 0.5 * ((judged[0] - 1).square().mean() + judged[1].square().mean())
            terms["critic/back" if back else "critic/there"] = loss
        return terms

    def generator_loss(self, generator: nn.Module, critic: nn.Module, batch: EmotionBatch, phase: str) -> Terms:
        """Return least squares, both cycles, and the identity of faces that are of the domain already."""
        terms = {}
        for source, other, back in ((batch.source, batch.other, False), (batch.other, batch.source, True)):
            way = "back" if back else "there"
            fake = generator(source, batch.target, back=back)
            cycled = generator(fake, batch.target, back=not back)
            same = generator(other, batch.target, back=back)
            judged = critic(fake, batch.target, back=back)
            terms[f"generator/adversarial_{way}"] = (judged - 1).square().mean()
            terms[f"generator/cycle_{way}"] = CYCLE * (cycled - source).abs().mean()
            terms[f"generator/identity_{way}"] = IDENTITY * (same - other).abs().mean()
        return terms
