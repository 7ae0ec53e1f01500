"""Ways to bring a small generator's edit back to a large photo, side by side: a table for docs/results.md and a sheet.

    python -m tools.detail_candidates PHOTO... -o sheet.png [--width 1000]

Each photo is scaled so that its face's crop is ``--width`` pixels wide and edited with a smile, a
frown and raised brows by

- ``plain``: C and A of the crop, enlarged (Eq. 1);
- ``detail``: plain, and the photo's own fine detail (what the crop could not hold) added where it stands;
- ``moved``: the pixels that C moves are taken from the photo, at its resolution; paint is enlarged;
- ``all moved``: the same, and paint too gets the fine detail of what was moved to its place;
- ``alike``: the same where paint looks like what it covers. The product's way;
- ``alike at N``: the same with the generator run on a crop of N pixels, which it is not trained for.

Sharpness is the mean absolute Laplacian of the result's luminance over the photo's, where the mask lets through more
than a third; seam the mean change in the outermost hundredth of the crop, in levels of 255; outside the largest change
of a pixel outside the crop; rise what our annotator reads of the AUs that were asked for.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
from numpy.typing import NDArray

from ganimation.editing.editor import Editor, Session
from ganimation.editing.result import EditedFace
from ganimation.faces import crop
from ganimation.faces.crop import CropTemplate, border_window, cut, paste_back
from ganimation.media.images import Photo, read_image, to_srgb

Pixels = NDArray[np.uint8]
EDITS = {"smile": {"AU12": 0.9, "AU25": 0.5}, "frown": {"AU04": 0.9}, "brows": {"AU01": 0.9, "AU02": 0.8}}
LARGER = (128, 192)
TILE = 400


def at_width(photo: Pixels, editor: Editor, width: int) -> Pixels:
    """Return the photo, scaled so that the crop of its largest face is ``width`` pixels wide."""
    face = editor.read(photo)[0]
    scale = np.sqrt(abs(np.linalg.det(face.crop_from_photo(1, editor.config.template)[:, :2]))) * width
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=how), np.uint8)


def detailed(image: Pixels, face: EditedFace) -> Pixels:
    """Return the plain result with the photo's fine detail where it stands."""
    assert face.color is not None
    assert face.attention is not None
    size = len(face.attention)
    coarse = cut(image, face.transform, size).astype(np.float32) / 127.5 - 1
    nothing = np.zeros((size, size), np.float32)
    blurred = paste_back(image, coarse, nothing, face.transform).astype(np.int16)
    plain = paste_back(image, face.color, face.attention, face.transform).astype(np.int16)
    mask = np.repeat((1 - face.attention)[:, :, None], 3, axis=2) * 2 - 1
    weight = paste_back(np.zeros_like(image), mask, nothing, face.transform) / 255
    return np.clip(plain + weight * (image - blurred), 0, 255).astype(np.uint8)


def candidates(image: Pixels, editor: Editor, expression: dict[str, float]) -> dict[str, tuple[Pixels, EditedFace]]:
    """Return each way's result and what was drawn for it."""
    session = editor.session(image, expression)
    drawn = session.faces[0].draw(1.0)
    assert drawn.color is not None
    assert drawn.attention is not None
    found = {
        "plain": (paste_back(image, drawn.color, drawn.attention, drawn.transform), drawn),
        "detail": (detailed(image, drawn), drawn),
    }
    if drawn.moved is not None:
        whole = replace(drawn.moved, share=np.ones_like(drawn.moved.share))
        with mock.patch.object(crop, "ALIKE", 1e-6):
            found["moved"] = (session.at(1.0).image, drawn)
        found["all moved"] = (paste_back(image, drawn.color, drawn.attention, drawn.transform, whole), drawn)
    found["alike"] = (session.at(1.0).image, drawn)
    own = editor.config
    for size in LARGER:
        if size > own.size:
            editor.config = replace(own, size=size)
            larger: Session = editor.session(image, expression)
            edit = larger.at(1.0)
            found[f"alike at {size}"] = (edit.image, edit.faces[0])
    editor.config = own
    return found


def measure(before: Pixels, after: Pixels, face: EditedFace, template: CropTemplate) -> tuple[float, float, float]:
    """Return sharpness, seam and outside."""
    assert face.attention is not None
    size, white = len(face.attention), np.full(before.shape, 255, np.uint8)
    change = (1 - face.attention) * border_window(size)
    black, nothing = np.full((size, size, 3), -1, np.float32), np.zeros((size, size), np.float32)
    inside = paste_back(white, black, 1 - change, face.transform)[:, :, 0] < 170
    square = paste_back(white, black, nothing, face.transform)
    one, two = (
        np.abs(cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32), cv2.CV_32F))
        for image in (before, after)
    )
    difference = np.abs(after.astype(np.int16) - before).max(axis=2)
    within = cut(
        np.repeat(difference.astype(np.uint8)[:, :, None], 3, axis=2), face.face.crop_from_photo(TILE, template), TILE
    )[:, :, 0]
    ring = np.ones((TILE, TILE), bool)
    ring[4:-4, 4:-4] = False
    outside = difference[square[:, :, 0] == 255]
    return float(two[inside].mean() / one[inside].mean()), float(within[ring].mean()), float(outside.max(initial=0))


def main() -> None:
    """Print the table and write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--width", type=int, default=1000)
    parser.add_argument("--model", type=Path)
    options = parser.parse_args()
    editor = Editor(options.model)
    rows: dict[str, list[tuple[float, ...]]] = {}
    sheet = []
    for path in options.photos:
        image = at_width(to_srgb(read_image(path)), editor, options.width)
        shown = editor.read(image)[0].aus
        for expression in EDITS.values():
            results = candidates(image, editor, expression)
            tiles = []
            for name, (after, face) in {"photo": (image, results["plain"][1]), **results}.items():
                if name != "photo":
                    read = editor.read(Photo(after))[0].aus
                    rise = float(np.mean([read[code] - shown[code] for code in expression]))
                    rows.setdefault(name, []).append((*measure(image, after, face, editor.config.template), rise))
                tiles.append(cut(after, face.face.crop_from_photo(TILE, editor.config.template), TILE))
            sheet.append(np.hstack(tiles))
    print(f"| crops {options.width} px wide | sharpness | seam | outside | rise |\n|---|--:|--:|--:|--:|")
    for name, values in rows.items():
        sharp, seam, _, rise = np.mean(values, axis=0)
        print(f"| {name} | {sharp:.2f} | {seam:.2f} | {max(value[2] for value in values):.0f} | {rise:.3f} |")
    cv2.imwrite(str(options.output), np.vstack(sheet)[:, :, ::-1])


if __name__ == "__main__":
    main()
