"""The methods that the paper compares itself with (Sec. 6.3), which translate a face to one of some emotions.

Each file has a method's networks and its two losses. They share the training loop, checkpoints and log with GANimation,
and the editor. None has intensities, and none has a mask: the crop is replaced as a whole.
"""

from collections.abc import Mapping

from ganimation.model import ModelConfig
from ganimation.rivals.base import Rival
from ganimation.rivals.cyclegan import CycleGAN
from ganimation.rivals.diat import DIAT
from ganimation.rivals.icgan import IcGAN
from ganimation.rivals.stargan import StarGAN

RIVALS: Mapping[str, type[Rival]] = {rival.name: rival for rival in (StarGAN, CycleGAN, IcGAN, DIAT)}


def rival_of(config: ModelConfig) -> Rival:
    """Return the method of a model that translates to emotions, in the model's shape."""
    width, critic_width = config.generator["width"], config.critic.get("width", 64)
    return RIVALS[config.kind](len(config.emotions), config.size, width, critic_width)
