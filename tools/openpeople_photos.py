"""Write the generated people of the package openpeople (MIT) as a folder of photos, for the exam.

Writes into FOLDER the sixteen expressions of each person's sheet, their studio portrait and selfie, and LABELS.csv,
which says that the sixteen are one session:

    python -m tools.openpeople_photos FOLDER
    ganimation prepare FOLDER -o DATASET --labels FOLDER/LABELS.csv
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import openpeople

from ganimation.media.images import Photo, read_image, write_image

#: Expressions along a side of a sheet.
GRID = 4


def main() -> None:
    """Cut the sheets, reduce the portraits, write."""
    parser = argparse.ArgumentParser(description="Write the people of openpeople as photos.")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    rows = ["file,identity,session,split"]
    for assets in sorted((Path(openpeople.__file__).parent / "data" / "curated").glob("P*/assets")):
        person = assets.parent.name
        (folder / person).mkdir(parents=True, exist_ok=True)
        sheet = read_image(assets / "emotions_sheet.jpg").pixels
        height, width = sheet.shape[0] // GRID, sheet.shape[1] // GRID
        pictures = {
            f"{row}{column}": sheet[row * height : (row + 1) * height, column * width : (column + 1) * width]
            for row in range(GRID)
            for column in range(GRID)
        }
        for name in ("studio_portrait", "amateur_selfie"):
            large = read_image(assets / f"{name}.jpg").pixels
            small = cv2.resize(large, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            pictures[name] = np.asarray(small, np.uint8)
        for name, picture in pictures.items():
            write_image(Photo(picture), folder / person / f"{name}.png")
            rows.append(f"{person}/{name}.png,{person},{person if len(name) == 2 else ''},train")
    (folder / "LABELS.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
