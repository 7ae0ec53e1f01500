"""The authors' generator as one writes it first, to measure against: eager, constant maps, torch's own layers."""

import time

import torch
from torch import Tensor, nn


def _norm(channels: int) -> nn.Module:
    return nn.InstanceNorm2d(channels, affine=True)


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            _norm(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            _norm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        moved: Tensor = self.main(x)
        return x + moved


class PlainGenerator(nn.Module):
    """The network of the paper's Sec. 5 with its transposed convolutions."""

    def __init__(self, num_aus: int, width: int = 64, blocks: int = 6) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3 + num_aus, width, 7, padding=3, bias=False), _norm(width), nn.ReLU(True)]
        for channels in (width, 2 * width):
            layers += [nn.Conv2d(channels, 2 * channels, 4, 2, 1, bias=False), _norm(2 * channels), nn.ReLU(True)]
        layers += [_Residual(4 * width) for _ in range(blocks)]
        for channels in (4 * width, 2 * width):
            up = nn.ConvTranspose2d(channels, channels // 2, 4, 2, 1, bias=False)
            layers += [up, _norm(channels // 2), nn.ReLU(True)]
        self.body = nn.Sequential(*layers)
        self.color = nn.Conv2d(width, 3, 7, padding=3, bias=False)
        self.attention = nn.Conv2d(width, 1, 7, padding=3, bias=False)

    def forward(self, source: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Return C and A of photos (N, 3, H, W) and conditions (N, num_aus)."""
        maps = condition[:, :, None, None].expand(-1, -1, *source.shape[2:])
        x = self.body(torch.cat([source, maps], dim=1))
        return torch.tanh(self.color(x)), torch.sigmoid(self.attention(x))


def peak() -> float:
    """Return the best of five float32 matrix products on torch's threads, in GFLOP/s."""
    matrix = torch.rand(2048, 2048)
    best = 0.0
    for _ in range(5):
        began = time.perf_counter()
        torch.mm(matrix, matrix)
        best = max(best, 2 * 2048**3 / (time.perf_counter() - began) / 1e9)
    return best
