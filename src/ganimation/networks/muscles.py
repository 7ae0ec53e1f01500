"""What a face becomes, linear in the intensities: pixels moved by muscles, shaded by folds, what opens restored.

    C = restored(warp(photo * exp(sum_k a_k S_k), flow))

``flow`` is the mesh of landmarks moved by ``sum_k a_k d_k`` (:mod:`ganimation.faces.mesh`). :class:`Shading` draws the
fields S from the photo alone: expression ratio images (Liu, Shan & Zhang 2001), made linear; what was measured on
people (:mod:`ganimation.faces.shading`) and what is this person's own. Behind lips and lids nothing moves; what was
hidden there is drawn by :class:`Restorer`. Both networks are needed once a photo but for the restored windows.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ganimation.networks.drawing import BRIGHTEST, DARKEST, WINDOWS, edges
from ganimation.networks.generator import InstanceNorm, ResidualBlock, ResizeConv, warp

#: Shading of one AU at intensity 1 stays within these logarithms of a factor on brightness.
FOLD, BULGE = -0.9, 0.25
#: Side of the maps of shading that was measured.
MAP = 96
#: Maps of shading are flatter than what one face shows: folds of different people do not lie exactly on each other, and
#: AUs that are not exact flatten a regression on them.
FLATTENED = 1.4
#: Channels that guide the shading network: x and y in the mean face, and whether there is a face.
GUIDE = 3
#: Where the halves of a face meet, in the guide's height, and over how much they fade into each other.
WAIST, FADE = -0.04, 0.12


class Shading(nn.Module):
    """Shading fields of a photo, one an AU.

    The buffer ``measured``, (num_aus, MAP, MAP) in the mean face, is what an AU does to people in general; 0 at first.

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
        self.register_buffer("measured", torch.zeros(num_aus, MAP, MAP))
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
        return self.general(guide) + self.own(source, guide)

    def general(self, guide: Tensor) -> Tensor:
        """Return the part of S that was measured on people, (N, num_aus, H, W)."""
        maps: Tensor = self.measured  # type: ignore[assignment]
        batch, _, height, width = guide.shape
        grid = guide[:, :2].permute(0, 2, 3, 1).reshape(1, batch * height, width, 2).to(maps.dtype)
        drawn = nn.functional.grid_sample(maps[None], grid, align_corners=False)
        return FLATTENED * drawn.reshape(-1, batch, height, width).transpose(0, 1) * guide[:, 2:]

    def own(self, source: Tensor, guide: Tensor) -> Tensor:
        """Return the part of S that is the person's own, (N, num_aus, H, W)."""
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
    """Draws what is hidden in a window of a face: a U-Net (Ronneberger et al. 2015).

    It sees what an aperture shows already and, of what is around apertures, only the light: closed lips that were
    moved apart look unlike lips that are open, and would lead it away from what it learned of photos.

    Args:
        width: channels of the first layer.
        depth: halvings.
    """

    def __init__(self, width: int = 32, depth: int = 3) -> None:
        super().__init__()
        channels = [width * 2**level for level in range(depth + 1)]
        self.enter = nn.Sequential(*_twice(5, width))
        self.down = nn.ModuleList(
            nn.Sequential(nn.AvgPool2d(2), *_twice(before, after)) for before, after in pairwise(channels)
        )
        self.up = nn.ModuleList(
            nn.Sequential(*_twice(before + after, after))
            for before, after in zip(channels[:0:-1], channels[-2::-1], strict=True)
        )
        self.color = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, window: Tensor, hole: Tensor, aperture: Tensor) -> Tensor:
        """Return the window's colours, (N, 3, H, W) in [-1, 1]; they are meant for the hole.

        Args:
            window: (N, 3, H, W) in [-1, 1].
            hole: (N, 1, H, W) in [0, 1]; what it hides is not seen.
            aperture: (N, 1, H, W) in [0, 1], of which the hole is a part.
        """
        sharp = aperture - hole
        seen = sharp * window + (1 - sharp) * light(window, 1 - hole)
        x = self.enter(torch.cat([seen, 2 * hole - 1, 2 * sharp - 1], dim=1))
        passed = []
        for layer in self.down:
            passed.append(x)
            x = layer(x)
        for layer in self.up:
            x = layer(torch.cat([nn.functional.interpolate(x, scale_factor=2.0), passed.pop()], dim=1))
        return torch.tanh(self.color(x))


def light(window: Tensor, seen: Tensor) -> Tensor:
    """Return a window blurred until only its light is left, (N, 3, H, W); what is not seen is filled by its neighbours.

    Args:
        window: (N, 3, H, W); the sides are multiples of 8.
        seen: (N, 1, H, W) in [0, 1], how much of each pixel counts.
    """
    share = _blur(seen)
    size = (window.shape[2], window.shape[3])
    return nn.functional.interpolate(
        _blur(window * seen) / (share + 1e-3), size=size, mode="bilinear", align_corners=False
    )


def _blur(image: Tensor) -> Tensor:
    """Return means of 24 x 24 pixels at steps of 8."""
    return nn.functional.avg_pool2d(nn.functional.avg_pool2d(image, 8), 3, 1, 1, count_include_pad=False)


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
        own: the part of S that was not measured, likewise.
        shaded: how much each pixel outside the hole was shaded, (N, 1, H, W) in [0, 1]; 1 for a tenth and more.
    """

    color: Tensor
    hole: Tensor
    fields: Tensor
    own: Tensor
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
        fields, own = self._fields(source, guide, change)
        color, hole = move(source, shade(source, fields, change), flow, aperture, kept)
        for window in WINDOWS:
            color = self._restored(color, hole, aperture, window)
        drawn = torch.einsum("nkhw,nk->nhw", fields.detach(), change.to(fields.dtype))[:, None]
        shaded = (10 * warp(drawn, flow.to(drawn.dtype)).abs()).clamp_max(1)
        return Animated(color, hole, fields, own, (1 - hole) * shaded)

    def _fields(self, source: Tensor, guide: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
        """Return S and its own part, of the rows of which any change is asked; of the others, which need none, 0."""
        rows = (change != 0).any(dim=1)
        own = source.new_zeros(len(source), self.num_aus, *source.shape[2:], dtype=torch.float32)
        if rows.all():
            own = self.shading.own(source, guide).float()
        elif rows.any():
            own[rows] = self.shading.own(source[rows], guide[rows]).float()
        return own + rows[:, None, None, None] * self.shading.general(guide), own

    def _restored(
        self, color: Tensor, hole: Tensor, aperture: Tensor, window: tuple[float, float, float, float]
    ) -> Tensor:
        height, width = color.shape[2:]
        left, top, right, bottom = edges(window, height, width)
        image, within, whole = (x[:, :, top:bottom, left:right] for x in (color.detach(), hole, aperture))
        drawn = self.restorer(image, within, whole).float()
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
