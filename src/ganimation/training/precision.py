"""Choice of the faster training precision on this processor, by measurement."""

import time

import torch
from torch import Tensor

from ganimation.action_units import DEFAULT_AUS
from ganimation.networks.muscles import Muscles
from ganimation.training.config import TrainingConfig
from ganimation.training.state import build_networks

#: Faces and passes that are timed, after one that warms up.
FACES, PASSES = 4, 3


def faster(config: TrainingConfig) -> str:
    """Return Fabric's name of the faster precision on the CPU, ``bf16-mixed`` or ``32-true``.

    Times the generator's forward and backward pass in both, alternating, and takes bf16 only where it gains a tenth.
    """
    generator, _ = build_networks(config, DEFAULT_AUS)
    image = torch.zeros(FACES, 3, config.size, config.size)
    change, geometry = torch.ones(FACES, len(DEFAULT_AUS)), torch.zeros(FACES, 7, config.size, config.size)
    inputs: tuple[Tensor, ...] = (image, change, geometry) if isinstance(generator, Muscles) else (image, change)
    seconds = {True: 0.0, False: 0.0}
    for number in range(PASSES + 1):
        for bf16 in seconds:
            began = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                color = generator(*inputs)[0]
            color.float().square().mean().backward()
            if number:
                seconds[bf16] += time.perf_counter() - began
    return "bf16-mixed" if seconds[True] < 0.9 * seconds[False] else "32-true"
