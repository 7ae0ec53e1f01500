"""The mean of several models' weights, as a model folder.

    python -m tools.soup MODEL... -o OUT [--notes CARD.md]

Short runs from the same weights each leave marks of their own, a dark spot on a lip say; what they learned alike stays
in the mean, and the marks mostly go (Wortsman et al., Model soups, ICML 2022). The shape, and what the card says of
steps and hours, are the last model's.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ganimation.errors import ModelError
from ganimation.model import ModelConfig
from ganimation.training.export import placed, write_model
from ganimation.training.state import Start


def main() -> None:
    """Write the model."""
    parser = argparse.ArgumentParser(description="The mean of several models' weights, as a model folder.")
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--notes", type=Path, help="a text to append to the model card")
    options = parser.parse_args()
    soup(options.models, options.output, "" if options.notes is None else "\n" + options.notes.read_text())


def soup(models: Sequence[Path], folder: Path, notes: str = "") -> ModelConfig:
    """Write the mean of models as a model folder.

    Raises:
        ModelError: the models' networks, AUs, sizes or conditions differ.
    """
    starts = [Start.read(model) for model in models]
    config = starts[-1].config
    for model, start in zip(models, starts, strict=True):
        for name in ("aus", "size", "condition", "generator", "critic", "template"):
            if getattr(start.config, name) != getattr(config, name):
                raise ModelError(f"{model} and {models[-1]} differ in {name}; only models of one kind have a mean")
    generator, critic = (_mean([getattr(start, name) for start in starts]) for name in ("generator", "critic"))
    with placed(folder) as new:
        write_model(new, config, generator, critic, notes)
    return config


def _mean(networks: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([network[name] for network in networks]).mean(dim=0) for name in networks[0]}


if __name__ == "__main__":
    main()
