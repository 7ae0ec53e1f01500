"""The critic D: patch realism D_I and AU regression D_y of an image (Sec. 4.1)."""

from collections.abc import Callable
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganimation.networks.drawing import WINDOWS, edges
from ganimation.networks.muscles import light

PenaltyForm = Literal["mean", "sum"]


class Judgement(NamedTuple):
    """Output of the critic for N images.

    Attributes:
        realism: D_I, (N, h, w), unbounded; empty where only what was restored is judged, likewise the next.
        aus: D_y, (N, num_aus).
        restored: realism of each patch of the windows where eyes and mouths open, (N, P); ``None`` where no hole was
            given, likewise the next.
        shares: of each of those patches, how much of it was restored, (N, P) in [0, 1].
    """

    realism: Tensor
    aus: Tensor
    restored: Tensor | None = None
    shares: Tensor | None = None


class Critic(nn.Module):
    """Realism of each patch, and the AU intensities of the whole face.

    No normalisation of images, because the gradient penalty is each image's own (Sec. 5).

    Args:
        num_aus: how many AUs to regress.
        size: side of the images in pixels, a multiple of ``2 ** layers``; the AU head is a convolution as large as the
            last map, so the weights belong to one size.
        width: channels of the first layer, doubled by each further one. The paper's network: 64.
        layers: stride-2 convolutions. The paper's network: 6, hence maps of H/64 x W/64.
        cap: most channels a layer may have. The paper's network: 2048, reached by doubling alone.
        spectral: normalise the weights of the body by their spectral norm (Miyato et al. 2018), which bounds how steep
            it is without a gradient penalty; with a negative slope of 0.2, and a gain of 2 a layer, without which
            what comes out is small and learned slowly. Beyond the paper.
        muscles: of a generator of muscles: a map beside the image says where to look, and what was restored is judged
            by a network of its own (:class:`ApertureCritic`). Beyond the paper.
    """

    def __init__(
        self,
        num_aus: int,
        size: int,
        width: int = 64,
        layers: int = 6,
        cap: int = 2048,
        *,
        spectral: bool = False,
        muscles: bool = False,
    ) -> None:
        super().__init__()
        if size % 2**layers:
            raise ValueError(f"size {size} is not a multiple of {2**layers}, which {layers} halvings need")
        self.gain = 2.0**layers if spectral else 1.0
        channels = [3 + muscles, *(min(cap, width * 2**layer) for layer in range(layers))]
        self.body = nn.Sequential()
        for before, after in pairwise(channels):
            layer = nn.Conv2d(before, after, 4, 2, 1)
            self.body.append(spectral_norm(layer) if spectral else layer)
            self.body.append(nn.LeakyReLU(0.2 if spectral else 0.01, inplace=True))
        self.realism = nn.Conv2d(channels[-1], 1, 3, padding=1, bias=False)
        self.aus = nn.Conv2d(channels[-1], num_aus, size // 2**layers, bias=False)
        self.apertures = ApertureCritic(width) if muscles else None

    def forward(
        self, image: Tensor, drawn: Tensor | None = None, hole: Tensor | None = None, *, whole: bool = True
    ) -> Judgement:
        """Return realism, of H / 2**layers x W / 2**layers patches, and AUs.

        Args:
            image: (N, 3, size, size) RGB in [-1, 1].
            drawn: (N, 1, size, size) in [0, 1], where to look; of a generator of muscles, likewise the next.
            hole: (N, 1, size, size) in [0, 1], where to look for what was restored; ``None``: nowhere. From what is in
                it no gradient of realism and AUs comes back: it is answerable to ``restored`` alone.
            whole: off to judge only that.
        """
        restored = (None, None) if self.apertures is None or hole is None else self.apertures(image, hole)
        if not whole:
            return Judgement(image.new_empty(0), image.new_empty(0), *restored)
        if hole is not None:
            image = torch.lerp(image, image.detach(), hole)
        if drawn is not None:
            image = torch.cat([image, drawn.to(image.dtype)], dim=1)
        features = self.gain * self.body(image)
        return Judgement(self.realism(features)[:, 0], self.aus(features)[:, :, 0, 0], *restored)


class ApertureCritic(nn.Module):
    """Realism of eyes and insides of mouths.

    It sees what is in the hole and, of what is around it, only a blur: the light. Else it would tell a face whose lips
    were moved from a photo by its lips, and teach nothing of what is between them.

    Args:
        width: channels of the first layer, doubled by each of the two that follow; with spectral norms and
            gains as :class:`Critic`, in the last layer too.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(before, after, 4, 2, 1))
            for before, after in pairwise((4, width, 2 * width, 4 * width))
        )
        self.realism = spectral_norm(nn.Conv2d(4 * width, 1, 3, padding=1))

    def forward(self, image: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
        """Return the realism of patches of 8 x 8 pixels of all windows, and how much of each is hole, (N, P) each.

        Args:
            image: (N, 3, H, W) in [-1, 1].
            hole: (N, 1, H, W) in [0, 1].
        """
        found = []
        for window in WINDOWS:
            left, top, right, bottom = edges(window, image.shape[2], image.shape[3])
            part, within = (x[:, :, top:bottom, left:right] for x in (image, hole))
            x = torch.cat([within * part + (1 - within) * light(part.detach(), 1 - within), 2 * within - 1], dim=1)
            for layer in self.layers:
                x = 2 * nn.functional.leaky_relu(layer(x), 0.2)
            realism = 2 * self.realism(x)
            shares = nn.functional.adaptive_avg_pool2d(within, (realism.shape[2], realism.shape[3]))
            found.append((realism.flatten(1), shares.flatten(1)))
        realism, shares = (torch.cat(column, dim=1) for column in zip(*found, strict=True))
        return realism, shares


def gradient_penalty(
    realism: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor, form: PenaltyForm = "mean"
) -> Tensor:
    """Return E[(||grad D_I(x)||_2 - 1)^2] at points between real and fake images (L_I, last term).

    Args:
        realism: D_I, from images (N, 3, H, W) to patch realism (N, h, w).
        real: (N, 3, H, W).
        fake: (N, 3, H, W).
        mix: (N,) in [0, 1], the share of ``real``.
        form: D_I of an image is the ``mean`` over its patches, or, as in the authors' code, what is differentiated is
            their ``sum``.
    """
    share = mix[:, None, None, None]
    between = (share * real + (1 - share) * fake).detach().requires_grad_()
    patches = realism(between).flatten(1)
    of_images = patches.sum(dim=1) if form == "sum" else patches.mean(dim=1)
    (gradient,) = torch.autograd.grad(of_images.sum(), between, create_graph=True)
    norms: Tensor = gradient.flatten(1).norm(dim=1)
    return (norms - 1).square().mean()
