"""The generator G: a photo and a condition give a colour image and an attention mask (Sec. 4.1 and 5, Fig. 3)."""

from typing import Literal

import torch
from torch import Tensor, nn

Upsample = Literal["transposed", "resize"]
ColorHead = Literal["paint", "warp"]
Injection = Literal["maps", "blocks"]
#: How far the source's pixels can be moved, as a share of half the image's side.
REACH = 0.25


class InstanceNorm(nn.InstanceNorm2d):
    """Instance normalisation with a scale and a shift a channel.

    As a group norm of one channel a group it gives the same numbers without copying channels-last tensors back and
    forth: a sixth of the generator's time on a CPU. Exported it is the operator that runtimes know.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that torch gives it
        """Return each channel of each image with mean 0 and variance 1, scaled and shifted; same shape."""
        if torch.compiler.is_exporting():
            return super().forward(input)
        result: Tensor = nn.functional.group_norm(input, self.num_features, self.weight, self.bias, self.eps)
        return result


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions whose result is added to the input; no activation after the sum (Johnson et al. 2016).

    Args:
        channels: of input and output.
        told: length of a condition that scales and shifts the first norm's channels (FiLM, Perez et al. 2018); 0 for
            none.
    """

    def __init__(self, channels: int, told: int = 0) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            InstanceNorm(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            InstanceNorm(channels),
        )
        self.told = nn.Linear(told, 2 * channels, bias=False) if told else None

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return ``x`` (N, channels, h, w) plus its residual; ``condition`` is (N, told)."""
        if self.told is None or condition is None:
            result: Tensor = x + self.main(x)
            return result
        scale, shift = self.told(condition.to(x.dtype))[:, :, None, None].chunk(2, dim=1)
        inner = self.main[1](self.main[0](x))
        result = self.main[2:](inner * (1 + scale) + shift)
        return x + result


class ResizeConv(nn.Conv2d):
    """Every pixel doubled to 2x2 and a 3x3 convolution, which cannot draw checkerboards (Odena et al. 2016).

    Written as the transposed convolution that gives the same numbers: each pixel of the result sees four of the source
    instead of the same four as nine, which takes half the time.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, 3, bias=False)
        taps = [[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]  # which of 3 add up to each of 4
        self.register_buffer("taps", torch.tensor(taps), persistent=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that torch gives it
        """Return (N, channels_out, 2 h, 2 w) of (N, channels_in, h, w)."""
        kernel = torch.einsum("oikl,ak,bl->ioab", self.weight, self.taps, self.taps)
        return nn.functional.conv_transpose2d(input, kernel, stride=2, padding=1)


def _up(channels_in: int, channels_out: int, upsample: Upsample) -> list[nn.Module]:
    if upsample == "transposed":
        double: list[nn.Module] = [nn.ConvTranspose2d(channels_in, channels_out, 4, 2, 1, bias=False)]
    else:
        double = [
            nn.Identity(),
            ResizeConv(channels_in, channels_out),
        ]  # two places: the numbers are the weights' names
    return [*double, InstanceNorm(channels_out), nn.ReLU(inplace=True)]


class Generator(nn.Module):
    """Colour and attention from a photo and a condition.

    Fully convolutional: any height and width that are multiples of 4. Instance normalisation, zero padding (constant
    condition maps would be lost to the normalisation under reflection), no biases but the norms' own.

    Args:
        num_aus: length of the condition.
        width: channels of the first layer; the residual blocks have four times as many. The paper's network: 64.
        blocks: residual blocks. The paper's network: 6.
        upsample: ``transposed`` convolutions as in the paper's network, or :class:`ResizeConv` (``resize``).
        color_head: C is a ``paint``, as in the paper, or the source moved by a smooth flow that the network draws, with
            paint where there is nothing to move (``warp``): muscles move skin, and moved pixels stay sharp. Beyond the
            paper; C and A mean the same.
        injection: where the condition enters: as constant ``maps`` beside the photo, as in the paper, where the norm
            after the first layer leaves it nothing but the border of the image to work from, or scaling and shifting
            the residual ``blocks`` too. Beyond the paper.
    """

    def __init__(
        self,
        num_aus: int,
        width: int = 64,
        blocks: int = 6,
        upsample: Upsample = "transposed",
        color_head: ColorHead = "paint",
        injection: Injection = "maps",
    ) -> None:
        super().__init__()
        self.num_aus = num_aus
        layers: list[nn.Module] = [
            nn.Conv2d(3 + num_aus, width, 7, padding=3, bias=False),
            InstanceNorm(width),
            nn.ReLU(True),
        ]
        for channels in (width, 2 * width):
            layers += [
                nn.Conv2d(channels, 2 * channels, 4, 2, 1, bias=False),
                InstanceNorm(2 * channels),
                nn.ReLU(True),
            ]
        told = num_aus if injection == "blocks" else 0
        layers += [ResidualBlock(4 * width, told) for _ in range(blocks)]
        layers += [*_up(4 * width, 2 * width, upsample), *_up(2 * width, width, upsample)]
        self.body = nn.Sequential(*layers)
        self.color = nn.Conv2d(width, 3, 7, padding=3, bias=False)
        self.attention = nn.Conv2d(width, 1, 7, padding=3, bias=False)
        self._deepest = len(layers) - 2 * len(_up(4, 4, upsample))
        if color_head == "warp":
            self.flow: nn.Conv2d | None = nn.Conv2d(4 * width, 2, 3, padding=1)
            self.brush: nn.Conv2d | None = nn.Conv2d(width, 1, 7, padding=3)
        else:
            self.flow = self.brush = None

    def forward(self, source: Tensor, condition: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return C, A and how C was made.

        Args:
            source: (N, 3, H, W) RGB in [-1, 1].
            condition: (N, num_aus); target AU intensities, or their difference to the source's, as the model was
                trained.

        Returns:
            color (N, 3, H, W) in [-1, 1] and attention (N, 1, H, W) in [0, 1]; A = 1 keeps the source. With the head
            ``warp`` the third is (N, 3, H, W): where each pixel comes from, x and y as shares of half the width and
            height, and the share of C that is moved source rather than paint; else ``None``.
        """
        deepest = self._first(source, condition)
        for layer in self.body[1 : self._deepest].children():
            deepest = layer(deepest, condition) if isinstance(layer, ResidualBlock) else layer(deepest)
        x = self.body[self._deepest :](deepest)
        if self.flow is None or self.brush is None:
            return torch.tanh(self.color(x)), torch.sigmoid(self.attention(x)), None
        heads = (self.color, self.attention, self.brush)  # one convolution for all: few channels are slow
        bias = nn.functional.pad(self.brush.bias, (4, 0))  # type: ignore[arg-type]
        drawn = nn.functional.conv2d(x, torch.cat([head.weight for head in heads]), bias, padding=3)
        color, attention, share = torch.tanh(drawn[:, :3]), torch.sigmoid(drawn[:, 3:4]), torch.sigmoid(-drawn[:, 4:])
        flow = REACH * torch.tanh(nn.functional.interpolate(self.flow(deepest), scale_factor=4, mode="bilinear"))
        color = (1 - share) * color + share * warp(source, flow)
        return color, attention, torch.cat([flow, share], dim=1)

    def _first(self, source: Tensor, condition: Tensor) -> Tensor:
        """Return what the first convolution makes of the photo with a constant map for each AU beside it.

        A constant map gives the same everywhere but within three pixels of the border, where the zero padding begins;
        that is computed for those few places instead of every pixel: a seventh of the work, the same numbers.
        """
        weight: Tensor = self.body[0].weight  # type: ignore[assignment]
        height, width = source.shape[2:]
        if min(height, width) < 7:
            raise ValueError(f"an image of {width}x{height}: the generator takes 8 pixels a side or more")
        place, tap = torch.arange(7, device=weight.device)[:, None], torch.arange(7, device=weight.device)
        inside = ((place + tap >= 3) & (place + tap <= 9)).to(weight.dtype)  # of 7 places along a side, 3 is the middle
        borders = torch.einsum("okij,ri,cj->korc", weight[:, 3:], inside, inside).flatten(1)
        own = (condition.to(weight.dtype) @ borders).view(-1, len(weight), 7, 7)
        own = torch.cat([own[:, :, :3], own[:, :, 3:4].expand(-1, -1, height - 6, -1), own[:, :, 4:]], dim=2)
        own = torch.cat([own[..., :3], own[..., 3:4].expand(-1, -1, -1, width - 6), own[..., 4:]], dim=3)
        return nn.functional.conv2d(source, weight[:, :3], padding=3) + own


@torch.compiler.disable  # type: ignore[untyped-decorator]  # compiled within a channels-last generator, torch 2.13 gives the flow no gradient
def warp(source: Tensor, flow: Tensor) -> Tensor:
    """Return an image whose pixels come from elsewhere in the source; beyond its edge the last pixels go on.

    Args:
        source: (N, 3, H, W).
        flow: (N, 2, H, W), x and y from each pixel to where it comes from, as shares of half the width and height.
    """
    height, width = source.shape[2:]
    x = (2 * torch.arange(width, device=source.device) + 1) / width - 1
    y = (2 * torch.arange(height, device=source.device) + 1) / height - 1
    place = torch.stack([x[None, :].expand(height, -1), y[:, None].expand(-1, width)], dim=-1).to(flow.dtype)
    place = place + flow.permute(0, 2, 3, 1)
    return nn.functional.grid_sample(source.to(flow.dtype), place, padding_mode="border", align_corners=False)


def blend(source: Tensor, color: Tensor, attention: Tensor) -> Tensor:
    """Return ``(1 - A) * C + A * source`` (Eq. 1)."""
    return (1 - attention) * color + attention * source
