"""The sheet of pictures by which one judges a run."""

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ganimation.data.dataset import FaceDataset
from ganimation.errors import TrainingError
from ganimation.faces.geometry import visible
from ganimation.faces.pose import expect, pose
from ganimation.files import atomic
from ganimation.model import condition
from ganimation.networks.build import AnyGenerator
from ganimation.networks.generator import blend
from ganimation.networks.muscles import Muscles
from ganimation.pixels import denormalize_batch, normalize
from ganimation.training.config import TrainingConfig

FACES = 6

#: What is asked of each face, on top of what it shows; those a data set lacks are left out.
EDITS: tuple[dict[str, float], ...] = (
    {},
    {"AU12": 0.7},
    {"AU06": 0.6, "AU12": 0.9, "AU25": 0.6},
    {"AU01": 0.8, "AU02": 0.8, "AU05": 0.7, "AU25": 0.8, "AU26": 0.8},
    {"AU04": 0.9, "AU07": 0.7, "AU24": 0.7},
    {"AU01": 0.8, "AU04": 0.6, "AU15": 0.8, "AU17": 0.5},
    {"AU09": 0.8, "AU10": 0.7, "AU17": 0.5},
    {"AU45": 1.0},
    {"AU26": 1.0},
    {"AU05": 1.0},
)


@torch.no_grad()
def sheet(generator: AnyGenerator, dataset: FaceDataset, config: TrainingConfig) -> NDArray[np.uint8]:
    """Return a picture, RGB (H, W, 3): a row a face, the photo first, then each edit; under every row the masks.

    A mask is A of a conditioned generator, and of one of muscles its shading, grey for none, with what was restored in
    white.
    """
    rows = np.linspace(0, len(dataset) - 1, FACES).astype(int)
    faces = dataset.images(rows, config.size)
    device = next(generator.parameters()).device
    source = torch.from_numpy(normalize(faces).transpose(0, 3, 1, 2).copy()).to(device)
    points = [visible(dataset.landmarks(int(row)) * config.size - 0.5) for row in rows]
    shown = dataset.aus[rows]
    columns, masks = [faces], [np.full_like(faces, 255)]
    for edit in EDITS:
        asked = shown.copy()
        for code, value in edit.items():
            if code in dataset.info.aus:
                asked[:, dataset.info.aus.index(code)] = value
        change = torch.from_numpy(asked - shown).to(device)
        if isinstance(generator, Muscles):
            moves = [
                expect(p, own, wanted, dataset.info.aus) for p, own, wanted in zip(points, shown, asked, strict=True)
            ]
            maps = np.stack([pose(p, q, config.size) for p, q in zip(points, moves, strict=True)])
            image, hole, fields, *_ = generator(source, change, torch.from_numpy(maps).permute(0, 3, 1, 2).to(device))
            shading = torch.einsum("nkhw,nk->nhw", fields, change)[:, None]
            mask = torch.maximum(shading.clamp(-1, 1), 2 * hole - 1)
        else:
            given = condition(config.condition, asked, shown)
            color, attention = generator(source, torch.from_numpy(given).to(device))
            image, mask = blend(source, color, attention), attention * 2 - 1
        columns.append(denormalize_batch(image))
        masks.append(denormalize_batch(mask.expand(-1, 3, -1, -1)))
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
