"""What the rivals have in common: batches of faces with emotions, and two losses."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

Terms = dict[str, Tensor]


@dataclass(frozen=True)
class EmotionBatch:
    """Faces with emotions, by one-hot vectors.

    Attributes:
        source: (N, 3, H, W) in [-1, 1].
        label: (N, E), the emotion that the source shows.
        target: (N, E), the emotion that is asked.
        other: (N, 3, H, W), faces of other people that show it.
        mix: (N,) in [0, 1], for a gradient penalty.
        noise: (N, 100), N(0, 1), for a method that draws faces from noise.
    """

    source: Tensor
    label: Tensor
    target: Tensor
    other: Tensor
    mix: Tensor
    noise: Tensor


class Rival(ABC):
    """A method: its networks, and its losses as weighted terms whose sum is descended.

    Args:
        emotions: how many, neutral, the first, among them.
        size: side of the images in pixels.
        width: channels of the generator's first layer.
        critic_width: likewise of the critic's.
    """

    name: ClassVar[str]
    #: Whether each emotion has networks of its own, from and to neutral; then a batch asks for one emotion.
    by_emotion: ClassVar[bool] = False

    def __init__(self, emotions: int, size: int, width: int = 64, critic_width: int = 64) -> None:
        self.emotions, self.size, self.width, self.critic_width = emotions, size, width, critic_width

    @abstractmethod
    def build_generator(self) -> nn.Module:
        """Return what draws; ``forward(source, target)`` gives the translated faces, (N, 3, H, W) in [-1, 1]."""

    @abstractmethod
    def build_critic(self) -> nn.Module:
        """Return what judges."""

    @abstractmethod
    def critic_loss(
        self, generator: nn.Module, critic: nn.Module, batch: EmotionBatch, exchange: Callable[[Tensor], Tensor]
    ) -> Terms:
        """Return the critic's weighted terms.

        Args:
            generator: not to be changed.
            critic: to be changed.
            batch: faces.
            exchange: gives generated images of the past for some of those it is given (Shrivastava et al. 2017).
        """

    @abstractmethod
    def generator_loss(self, generator: nn.Module, critic: nn.Module, batch: EmotionBatch, phase: str) -> Terms:
        """Return the generator's weighted terms in a phase of the run."""

    def parts(self, generator: nn.Module) -> dict[int, nn.Module]:
        """Return the networks that are exported: one for all emotions, under -1, or one for each by its number."""
        return {-1: generator}
