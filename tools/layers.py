"""What edits are made of, to be looked at: whether a mark comes from the flow, the paint or the mask.

    python -m tools.layers PHOTO... -o SHEET.png [--models MODEL...] [--only COLUMN...]

A row an expression, photo and model; ``--only`` takes some of the expressions, by their columns in tools/sheets.py
(1 a smile, 5 an open mouth). From the left: the crop, the crop moved by the flow alone, C, the result, A, paint
(the difference of C and the moved crop where A lets it through, eight times) and what A lets through of the difference
of C and the photo.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganimation.editing.editor import Editor
from ganimation.editing.result import EditedFace
from ganimation.media.images import read_image
from ganimation.model import bundled
from tools.sheets import EXPRESSIONS

SIDE = 256


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
    large = [cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for picture in pictures]
    return np.asarray(np.clip((np.hstack(large) + 1) * 127.5, 0, 255), np.uint8)


if __name__ == "__main__":
    main()
