"""The generator G: a photo and a condition give a colour image and an attention mask (Sec. 4.1 and 5, Fig. 3)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ganimation.networks.fast import convolve_with_maps, resize_convolution, resize_taps


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
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            InstanceNorm(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            InstanceNorm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` (N, channels, h, w) plus its residual."""
        result: Tensor = x + self.main(x)
        return result


class ResizeConv(nn.Conv2d):
    """Every pixel doubled to 2x2 and a 3x3 convolution, which cannot draw checkerboards (Odena et al. 2016)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, 3, bias=False)
        self.register_buffer("taps", resize_taps(), persistent=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that torch gives it
        """Return (N, channels_out, 2 h, 2 w) of (N, channels_in, h, w)."""
        return resize_convolution(input, self.weight, self.taps)  # type: ignore[arg-type]


class Generated(NamedTuple):
    """Output of the paper's generator.

    Attributes:
        color: C, (N, 3, H, W) in [-1, 1].
        attention: A, (N, 1, H, W) in [0, 1]; 1 keeps the source.
    """

    color: Tensor
    attention: Tensor


class Generator(nn.Module):
    """The paper's generator: colour and attention from a photo and a condition.

    Fully convolutional: any height and width that are multiples of 4. Instance normalisation, zero padding (constant
    condition maps would be lost to the normalisation under reflection), no biases but the norms' own.

    Args:
        num_aus: length of the condition.
        width: channels of the first layer; the residual blocks have four times as many. The paper's network: 64.
        blocks: residual blocks. The paper's network: 6.
    """

    def __init__(self, num_aus: int, width: int = 64, blocks: int = 6) -> None:
        super().__init__()
        self.num_aus = num_aus
        first = nn.Conv2d(3 + num_aus, width, 7, padding=3, bias=False)
        self.stem = nn.Sequential(first, InstanceNorm(width), nn.ReLU(True))
        self.down = nn.Sequential(*(halve(channels) for channels in (width, 2 * width)))
        self.blocks = nn.Sequential(*(ResidualBlock(4 * width) for _ in range(blocks)))
        self.up = nn.Sequential(*(_double(channels) for channels in (4 * width, 2 * width)))
        self.color = nn.Conv2d(width, 3, 7, padding=3, bias=False)
        self.attention = nn.Conv2d(width, 1, 7, padding=3, bias=False)

    def forward(self, source: Tensor, condition: Tensor) -> Generated:
        """Return C and A.

        Args:
            source: (N, 3, H, W) RGB in [-1, 1].
            condition: (N, num_aus), see :func:`ganimation.model.condition`; a constant map each.
        """
        x = self.features(source, condition)
        heads = nn.functional.conv2d(x, torch.cat([self.color.weight, self.attention.weight]), padding=3)
        return Generated(torch.tanh(heads[:, :3]), torch.sigmoid(heads[:, 3:]))

    def features(self, source: Tensor, condition: Tensor) -> Tensor:
        """Return the last maps before the heads, (N, width, H, W); arguments as of :meth:`forward`."""
        first, *rest = self.stem
        x = convolve_with_maps(source, condition, first.weight)  # type: ignore[arg-type]
        for layer in rest:
            x = layer(x)
        features: Tensor = self.up(self.blocks(self.down(x)))
        return features


def halve(channels: int) -> nn.Sequential:
    """Return the layers that halve the size of a map and double its channels."""
    layer = nn.Conv2d(channels, 2 * channels, 4, 2, 1, bias=False)
    return nn.Sequential(layer, InstanceNorm(2 * channels), nn.ReLU(True))


def _double(channels: int) -> nn.Sequential:
    layer = nn.ConvTranspose2d(channels, channels // 2, 4, 2, 1, bias=False)
    return nn.Sequential(layer, InstanceNorm(channels // 2), nn.ReLU(True))


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
