"""Buffer of past generated images for the critic (Shrivastava et al. 2017).

The paper tried it and saw no gain (Sec. 4.2); it is here as that ablation.
"""

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor


class History:
    """Up to ``capacity`` images of this process.

    Args:
        capacity: images; 0 hands everything through.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.images: Tensor | None = None

    def exchange(self, fake: Tensor, rng: np.random.Generator) -> Tensor:
        """Return a batch with half of its images replaced by past ones, and store those in the buffer.

        Until it is full, images are kept and handed through.

        Args:
            fake: (N, 3, H, W).
            rng: what to draw from; the same on every resume.
        """
        if not self.capacity:
            return fake
        if self.images is None or len(self.images) < self.capacity:
            room = self.capacity - (0 if self.images is None else len(self.images))
            kept = fake[:room].clone()
            self.images = kept if self.images is None else torch.cat([self.images, kept])
            return fake
        half = min(len(fake) // 2, self.capacity)
        rows = torch.from_numpy(rng.choice(self.capacity, half, replace=False)).to(fake.device)
        shown = torch.cat([self.images[rows], fake[half:]])
        self.images[rows] = fake[:half]
        return shown

    def gather(self, fabric: Fabric) -> Tensor | None:
        """Return the images of all processes, (processes, n, 3, H, W), or ``None``; all must call this together."""
        if self.images is None:
            return None
        images = fabric.all_gather(self.images)
        assert isinstance(images, Tensor)
        return images if fabric.world_size > 1 else images[None]

    def scatter(self, images: Tensor | None, fabric: Fabric) -> None:
        """Take this process's images from what :meth:`gather` gave, maybe with another number of processes."""
        if images is not None and self.capacity:
            mine = images[fabric.global_rank] if len(images) == fabric.world_size else images.flatten(0, 1)
            self.images = mine[: self.capacity].to(fabric.device).clone()
