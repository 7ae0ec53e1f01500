"""The same numbers as plain layers give, in less time; the tests have the plain versions beside them."""

import torch
from torch import Tensor, nn

#: Which of a 3x3 convolution's taps, along a side, add up to each of a 4x4 transposed one's, see `resize_convolution`.
_TAPS = ((0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0))


def resize_taps() -> Tensor:
    """Return the taps that :func:`resize_convolution` takes, (4, 3)."""
    return torch.tensor(_TAPS)


def resize_convolution(x: Tensor, weight: Tensor, taps: Tensor) -> Tensor:
    """Return a 3x3 convolution of ``x`` with every pixel doubled to 2x2.

    Written as the transposed convolution that gives the same numbers: each pixel of the result sees four of the source
    instead of the same four as nine, which takes half the time.

    Args:
        x: (N, channels_in, h, w).
        weight: (channels_out, channels_in, 3, 3).
        taps: of :func:`resize_taps`, on the same device.

    Returns:
        (N, channels_out, 2 h, 2 w).
    """
    kernel = torch.einsum("oikl,ak,bl->ioab", weight, taps, taps)
    return nn.functional.conv_transpose2d(x, kernel, stride=2, padding=1)


def convolve_with_maps(source: Tensor, condition: Tensor, weight: Tensor) -> Tensor:
    """Return a 7x7 convolution, zero padded, of a photo with a constant map for each element of the condition.

    A constant map gives the same everywhere but within three pixels of the border, where the zero padding begins; that
    is computed for those few places instead of every pixel: a seventh of the work.

    Args:
        source: (N, 3, H, W).
        condition: (N, K).
        weight: (channels_out, 3 + K, 7, 7).

    Returns:
        (N, channels_out, H, W).

    Raises:
        ValueError: the image is smaller than the convolution.
    """
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
