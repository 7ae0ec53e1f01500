"""The sheet of pictures by which one judges a run."""

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ganimation.data.dataset import FaceDataset
from ganimation.errors import TrainingError
from ganimation.media.files import atomic
from ganimation.networks.generator import Generator, blend
from ganimation.training.config import TrainingConfig

FACES = 6

#: What is asked of each face, on top of what it shows; those a data set lacks are left out.
EDITS: tuple[dict[str, float], ...] = (
    {},
    {"AU12": 0.7},
    {"AU25": 0.7, "AU26": 0.7},
    {"AU01": 0.7, "AU02": 0.7},
    {"AU04": 0.8},
    {"AU45": 1.0},
    {"AU09": 0.7, "AU10": 0.6},
    {"AU15": 0.7, "AU17": 0.7},
)


@torch.no_grad()
def sheet(generator: Generator, dataset: FaceDataset, config: TrainingConfig) -> NDArray[np.uint8]:
    """Return a picture, RGB (H, W, 3): a row a face, the photo first, then each edit; under every row the masks A."""
    rows = np.linspace(0, len(dataset) - 1, FACES).astype(int)
    faces = dataset.images(rows, config.size)
    device = next(generator.parameters()).device
    source = torch.from_numpy(faces.transpose(0, 3, 1, 2).copy()).to(device).float() / 127.5 - 1
    shown = dataset.aus[rows]
    columns, masks = [faces], [np.full_like(faces, 255)]
    for edit in EDITS:
        asked = shown.copy()
        for code, value in edit.items():
            if code in dataset.info.aus:
                asked[:, dataset.info.aus.index(code)] = value
        told = asked - shown if config.condition == "relative" else asked
        color, attention, _ = generator(source, torch.from_numpy(told).to(device))
        columns.append(_bytes(blend(source, color, attention)))
        masks.append(_bytes(attention.expand(-1, 3, -1, -1) * 2 - 1))
    strips = []
    for row in range(len(rows)):
        strips += [np.hstack([column[row] for column in columns]), np.hstack([mask[row] for mask in masks])]
    return np.vstack(strips)


def write_png(picture: NDArray[np.uint8], path: Path) -> None:
    """Write a picture, RGB (H, W, 3), making its folder if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        if not cv2.imwrite(str(temporary), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
            raise TrainingError(f"{path}: cannot be written; is the disk full?")


def _bytes(images: torch.Tensor) -> NDArray[np.uint8]:
    """Return images (N, 3, H, W) in [-1, 1] as (N, H, W, 3) uint8."""
    values = ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return values.permute(0, 2, 3, 1).cpu().numpy()
