"""Expressions on portraits, to be looked at: a row a photo and model, side by side.

    python -m tools.sheets PHOTO... -o SHEET.png [--models MODEL...]

From the left: the photo, a smile, surprise, a frown, closed eyes, an open mouth, disgust, all at full strength.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganimation.editing.editor import Editor
from ganimation.media.images import read_image
from ganimation.model import bundled

EXPRESSIONS: tuple[dict[str, float], ...] = (
    {},
    {"AU06": 1.0, "AU12": 1.0},
    {"AU01": 1.0, "AU02": 1.0, "AU05": 1.0, "AU25": 1.0, "AU26": 1.0},
    {"AU04": 1.0},
    {"AU45": 1.0},
    {"AU25": 1.0, "AU26": 1.0},
    {"AU09": 1.0, "AU10": 1.0},
)
#: Photos are made this small first, so that sheets of large ones take seconds.
LARGEST = 1024


def main() -> None:
    """Draw a sheet."""
    parser = argparse.ArgumentParser(description="Expressions on portraits, to be looked at.")
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--models", type=Path, nargs="+", default=[bundled()])
    options = parser.parse_args()
    draw(options.photos, options.models, options.output)


def draw(photos: Sequence[Path], models: Sequence[Path], path: Path, side: int = 240) -> None:
    """Write a sheet: for each photo, :data:`EXPRESSIONS` by each model in turn, squares of ``side`` pixels."""
    editors = [Editor(model, backend="onnxruntime") for model in models]
    rows = [row(photo, editor, side) for photo in photos for editor in editors]
    Image.fromarray(np.vstack(rows)).save(path, quality=88)


def row(path: Path, editor: Editor, side: int) -> NDArray[np.uint8]:
    """Return one row of a sheet: the square around the largest face."""
    photo = read_image(path).pixels
    scale = min(1.0, LARGEST / max(photo.shape))
    photo = np.asarray(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    x, y, width, height = max(editor.read(photo), key=lambda face: face.box[2] * face.box[3]).box
    top, left, edge = y - 0.06 * height, x + width / 2 - 0.56 * height, 1.12 * height
    rows, columns = (slice(max(0, round(start)), round(start + edge)) for start in (top, left))
    pictures = [editor.edit(photo, expression).image[rows, columns] for expression in EXPRESSIONS]
    small = [cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA) for picture in pictures]
    return np.hstack([np.asarray(picture, np.uint8) for picture in small])


if __name__ == "__main__":
    main()
