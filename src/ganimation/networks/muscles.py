"""What a face becomes, linear in the intensities: pixels moved by muscles, shaded by folds, what opens restored.

    C = restored(warp(photo * exp(sum_k a_k S_k), flow))

``flow`` is the mesh of landmarks moved by ``sum_k a_k d_k`` (:mod:`ganimation.faces.mesh`). :class:`Shading` draws the
fields S from the photo alone: expression ratio images (Liu, Shan & Zhang 2001), made linear. Behind lips and lids
nothing moves; what was hidden there is drawn by :class:`Restorer`. Both networks are needed once a photo but for the
restored windows.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ganimation.networks.drawing import BRIGHTEST, DARKEST, WINDOWS, edges
from ganimation.networks.generator import InstanceNorm, ResidualBlock, ResizeConv, warp

#: Shading of one AU at intensity 1 stays within these logarithms of a factor on brightness.
FOLD, BULGE = -0.9, 0.25
#: Channels that guide the shading network: x and y in the mean face, and whether there is a face.
GUIDE = 3
#: Where the halves of a face meet, in the guide's height, and over how much they fade into each other.
WAIST, FADE = -0.04, 0.12


class Shading(nn.Module):
    """Shading fields of a photo, one an AU.

    Args:
        halves: of each AU, where it may shade: the ``u``pper half of the face, the ``l``ower one, ``b``oth or ``n``one.
        width: channels of the first layer; the residual blocks have four times as many.
        blocks: residual blocks.
    """

    def __init__(self, halves: str, width: int = 32, blocks: int = 4) -> None:
        super().__init__()
        num_aus = len(halves)
        shares = torch.tensor([[float(half in "ub"), float(half in "lb")] for half in halves])
        self.register_buffer("halves", shares[:, :, None, None], persistent=False)
        self.stem = nn.Sequential(nn.Conv2d(3 + GUIDE, width, 7, padding=3, bias=False), InstanceNorm(width), nn.ReLU())
        self.down = nn.Sequential(*_down(width, 2 * width), *_down(2 * width, 4 * width))
        self.blocks = nn.Sequential(*(ResidualBlock(4 * width) for _ in range(blocks)))
        self.up = nn.Sequential(*_up(4 * width, 2 * width), *_up(2 * width, width))
        self.fields = nn.Conv2d(width, num_aus, 3, padding=1)
        nn.init.normal_(self.fields.weight, 0.0, 1e-3)
        nn.init.zeros_(self.fields.bias)  # type: ignore[arg-type]

    def forward(self, source: Tensor, guide: Tensor) -> Tensor:
        """Return S, (N, num_aus, H, W): the logarithm of the factor on brightness at intensity 1.

        Args:
            source: (N, 3, H, W) RGB in [-1, 1].
            guide: (N, 3, H, W), see :func:`ganimation.faces.mesh.guide`.
        """
        x = self.stem(torch.cat([source, guide], dim=1))
        drawn: Tensor = self.fields(self.up(self.blocks(self.down(x))))
        fields = torch.where(drawn > 0, BULGE * torch.tanh(drawn / BULGE), FOLD * torch.tanh(drawn / FOLD))
        height = ((guide[:, 1:2] - WAIST) / FADE + 0.5).clamp(0, 1)
        halves: Tensor = self.halves  # type: ignore[assignment]
        return fields * guide[:, 2:] * ((1 - height) * halves[:, 0] + height * halves[:, 1])


def _down(channels_in: int, channels_out: int) -> list[nn.Module]:
    return [nn.Conv2d(channels_in, channels_out, 4, 2, 1, bias=False), InstanceNorm(channels_out), nn.ReLU()]


def _up(channels_in: int, channels_out: int) -> list[nn.Module]:
    return [ResizeConv(channels_in, channels_out), InstanceNorm(channels_out), nn.ReLU()]


class Restorer(nn.Module):
    """Draws what is hidden in a window of a face: a U-Net (Ronneberger et al. 2015) that sees everything but the hole.

    Args:
        width: channels of the first layer.
        depth: halvings.
    """

    def __init__(self, width: int = 32, depth: int = 3) -> None:
        super().__init__()
        channels = [width * 2**level for level in range(depth + 1)]
        self.enter = nn.Sequential(*_twice(4, width))
        self.down = nn.ModuleList(
            nn.Sequential(nn.AvgPool2d(2), *_twice(before, after)) for before, after in pairwise(channels)
        )
        self.up = nn.ModuleList(
            nn.Sequential(*_twice(before + after, after))
            for before, after in zip(channels[:0:-1], channels[-2::-1], strict=True)
        )
        self.color = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, window: Tensor, hole: Tensor) -> Tensor:
        """Return the window's colours, (N, 3, H, W) in [-1, 1]; they are meant for the hole.

        Args:
            window: (N, 3, H, W) in [-1, 1].
            hole: (N, 1, H, W) in [0, 1]; what it hides is not seen.
        """
        x = self.enter(torch.cat([window * (1 - hole), 2 * hole - 1], dim=1))
        seen = []
        for layer in self.down:
            seen.append(x)
            x = layer(x)
        for layer in self.up:
            x = layer(torch.cat([nn.functional.interpolate(x, scale_factor=2.0), seen.pop()], dim=1))
        return torch.tanh(self.color(x))


def _twice(channels_in: int, channels_out: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for channels in (channels_in, channels_out):
        layers += [nn.Conv2d(channels, channels_out, 3, padding=1), nn.LeakyReLU(0.1, inplace=True)]
    return layers


class Animated(NamedTuple):
    """Output of the generator of muscles.

    Attributes:
        color: C, (N, 3, H, W) in [-1, 1].
        hole: what was restored in it, (N, 1, H, W) in [0, 1].
        fields: S, (N, num_aus, H, W).
        shaded: how much each pixel outside the hole was shaded, (N, 1, H, W) in [0, 1]; 1 for a tenth and more.
    """

    color: Tensor
    hole: Tensor
    fields: Tensor
    shaded: Tensor


class Muscles(nn.Module):
    """The generator whose edits are linear in the intensities: shading fields, and restored apertures.

    Args:
        halves: see :class:`Shading`; likewise ``width`` and ``blocks``.
        width: see there.
        blocks: see there.
        restorer_width: see :class:`Restorer`.
    """

    def __init__(self, halves: str, width: int = 32, blocks: int = 4, restorer_width: int = 32) -> None:
        super().__init__()
        self.num_aus = len(halves)
        self.shading = Shading(halves, width, blocks)
        self.restorer = Restorer(restorer_width)

    def forward(self, source: Tensor, change: Tensor, geometry: Tensor) -> Animated:
        """Return the face with its AUs changed.

        Args:
            source: (N, 3, H, W) RGB in [-1, 1].
            change: target minus source intensities, (N, num_aus).
            geometry: (N, 7, H, W), see :func:`ganimation.faces.pose.pose`.
        """
        guide, flow, aperture, kept = torch.split(geometry, [GUIDE, 2, 1, 1], dim=1)
        fields = self._fields(source, guide, change)
        color, hole = move(source, shade(source, fields, change), flow, aperture, kept)
        for window in WINDOWS:
            color = self._restored(color, hole, window)
        drawn = torch.einsum("nkhw,nk->nhw", fields.detach(), change.to(fields.dtype))[:, None]
        shaded = (10 * warp(drawn, flow.to(drawn.dtype)).abs()).clamp_max(1)
        return Animated(color, hole, fields, (1 - hole) * shaded)

    def _fields(self, source: Tensor, guide: Tensor, change: Tensor) -> Tensor:
        """Return the fields of the rows of which any change is asked; of the others, which need none, 0."""
        rows = (change != 0).any(dim=1)
        if rows.all():
            return self.shading(source, guide).float()  # type: ignore[no-any-return]
        fields = source.new_zeros(len(source), self.num_aus, *source.shape[2:], dtype=torch.float32)
        if rows.any():
            fields[rows] = self.shading(source[rows], guide[rows]).float()
        return fields

    def _restored(self, color: Tensor, hole: Tensor, window: tuple[float, float, float, float]) -> Tensor:
        height, width = color.shape[2:]
        left, top, right, bottom = edges(window, height, width)
        within = hole[:, :, top:bottom, left:right]
        drawn = self.restorer(color[:, :, top:bottom, left:right].detach(), within).float()
        around = (left, width - right, top, height - bottom)
        share, drawn = (nn.functional.pad(x, around) for x in (within, drawn))
        return (1 - share) * color + share * drawn


def shade(source: Tensor, fields: Tensor, weights: Tensor) -> Tensor:
    """Return the photo with its shading changed: ``photo * exp(sum_k a_k S_k)`` with the photo in [0, 1].

    What is brightened stays below white, so that its hue stays.

    Args:
        source: (N, 3, H, W) in [-1, 1].
        fields: S, (N, AUs, H, W).
        weights: a, (N, AUs).
    """
    total = torch.einsum("nkhw,nk->nhw", fields, weights.to(fields.dtype))[:, None].clamp(DARKEST, BRIGHTEST)
    light = (source + 1) / 2
    whitest = 1 / light.amax(dim=1, keepdim=True).clamp_min(1e-3)  # a channel that is full would change the hue
    return (light * torch.minimum(total.exp(), whitest.clamp_min(1))) * 2 - 1


def move(source: Tensor, shaded: Tensor, flow: Tensor, aperture: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Return the face moved, and the hole where what was hidden comes to light, (N, 3, H, W) and (N, 1, H, W).

    Args:
        source: (N, 3, H, W), the photo.
        shaded: (N, 3, H, W), see :func:`shade`.
        flow: (N, 2, H, W), from each pixel to where it comes from, as shares of half the width and height.
        aperture: (N, 1, H, W), the eyes and the inside of the mouth after the change.
        kept: (N, 1, H, W), the part of them that was seen before and stays where it is.
    """
    hole = (aperture - kept).clamp_min(0)
    still = aperture - hole
    return still * source + hole * shaded + (1 - aperture) * warp(shaded, flow), hole
