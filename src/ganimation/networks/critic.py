"""The critic D: patch realism D_I and AU regression D_y of an image (Sec. 4.1)."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


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
        maps: channels beside the image, which say where to look. Beyond the paper.
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
        maps: int = 0,
    ) -> None:
        super().__init__()
        if size % 2**layers:
            raise ValueError(f"size {size} is not a multiple of {2**layers}, which {layers} halvings need")
        self.gain = 2.0**layers if spectral else 1.0
        channels = [3 + maps, *(min(cap, width * 2**layer) for layer in range(layers))]
        self.body = nn.Sequential()
        for before, after in pairwise(channels):
            layer = nn.Conv2d(before, after, 4, 2, 1)
            self.body.append(spectral_norm(layer) if spectral else layer)
            self.body.append(nn.LeakyReLU(0.2 if spectral else 0.01, inplace=True))
        self.realism = nn.Conv2d(channels[-1], 1, 3, padding=1, bias=False)
        self.aus = nn.Conv2d(channels[-1], num_aus, size // 2**layers, bias=False)

    def forward(self, image: Tensor, maps: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return realism (N, H / 2**layers, W / 2**layers), unbounded, and AUs (N, num_aus).

        Args:
            image: (N, 3, size, size) RGB in [-1, 1].
            maps: (N, maps, size, size), if there are any.
        """
        if maps is not None:
            image = torch.cat([image, maps.to(image.dtype)], dim=1)
        features = self.gain * self.body(image)
        return self.realism(features)[:, 0], self.aus(features)[:, :, 0, 0]
