"""What edits are made of, to be looked at: whether a mark comes from the flow, the paint or the mask.

    python -m tools.layers PHOTO... -o SHEET.png [--models MODEL...] [--only COLUMN...]

A row an expression, photo and model; ``--only`` takes some of the expressions, by their columns in tools/sheets.py
(1 a smile, 5 an open mouth). From the left: the crop, the crop moved by the flow alone, C, the result, A, paint
(the difference of C and the moved crop where A lets it through, eight times), what A lets through of the difference
of C and the photo, and the flow, as a grid drawn on the photo and moved with it.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganimation.editing.editor import Editor
from ganimation.editing.result import EditedFace
from ganimation.faces.crop import Moved
from ganimation.media.images import read_image
from ganimation.model import bundled
from ganimation.pixels import denormalize
from tools.sheets import EXPRESSIONS

SIDE = 256
#: Distance of the lines that show the flow, in pixels of the sheet.
CELL = 8


def main() -> None:
    """Draw a sheet."""
    parser = argparse.ArgumentParser(description="What edits are made of, to be looked at.")
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--models", type=Path, nargs="+", default=[bundled()])
    every = range(1, len(EXPRESSIONS))
    parser.add_argument("--only", type=int, nargs="+", choices=every, default=every, metavar="COLUMN")
    options = parser.parse_args()
    editors = [Editor(model, backend="onnxruntime") for model in options.models]
    rows = []
    for path in options.photos:
        photo = read_image(path).pixels
        for column in options.only:
            for editor in editors:
                faces = editor.edit(photo, EXPRESSIONS[column]).faces
                rows += [row(face) for face in faces[:1] if face.color is not None]
    Image.fromarray(np.vstack(rows)).save(options.output, quality=88)


def row(face: EditedFace) -> NDArray[np.uint8]:
    """Return the layers of one edited face beside each other."""
    assert face.color is not None
    assert face.attention is not None
    assert face.moved is not None, "this model only paints"
    source, moved, keep = face.moved.source, face.moved.pixels(), face.attention[:, :, None]
    painted = 8 * (1 - keep) * np.abs(face.color - moved).mean(axis=2, keepdims=True)
    changed = (1 - keep) * np.abs(face.color - source).mean(axis=2, keepdims=True)
    pictures = [source, moved, face.color, face.color + keep * (source - face.color)]
    pictures += [2 * grey.repeat(3, axis=2) - 1 for grey in (keep, painted, changed)]
    pictures.append(grid(face.moved))
    large = [cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for picture in pictures]
    return denormalize(np.hstack(large))


def grid(moved: Moved) -> NDArray[np.float32]:
    """Return the lines between the cells of the flow where it takes them, in [-1, 1], (SIDE, SIDE, 3)."""
    lines = -np.ones((SIDE, SIDE), np.float32)
    lines[::CELL] = lines[:, ::CELL] = 1
    flow = cv2.resize(moved.flow, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR) * (SIDE / len(moved.share))
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    drawn = cv2.remap(lines, x + flow[:, :, 0], y + flow[:, :, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(drawn[:, :, None].repeat(3, axis=2), np.float32)


if __name__ == "__main__":
    main()
