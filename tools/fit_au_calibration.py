"""Fit the AU annotator's coefficients to human FACS codes, and measure it on people that the fit never saw.

Reads a CSV of codes (columns ``file``, ``identity`` and ``AU1`` ... ``AU43``; 0 absent, 1-5 for A-E, -1 present but
uncoded) and the photos it names; writes ``src/ganimation/faces/assets/au_calibration.npz`` and the table between the
``au-calibration`` marks of docs/instruments.md.

    python -m tools.fit_au_calibration CODES.csv PHOTOS
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganimation.faces.annotator import Calibration, align, blink_score, features
from ganimation.faces.detector import FaceDetector
from ganimation.faces.landmarks import FaceLandmarker, Landmarks, cut_region, region_from_points
from ganimation.faces.reader import appearance, both_ways, place
from ganimation.media.images import read_image
from tools.facs import CODED, FOLDS, ROOT, Array, agreement, cross_validate, fit, read_codes, write_between

# Weights of the feature blocks (52 logits, the same with the mesh, gradients) and ridge, chosen on the folds below from
# weights {0.1, 0.3, 1} and ridges {0.1, 0.2, 0.4}; landmarks alone use no gradients and their own ridge.
FULL = {"logits": 0.1, "geometry": 1.0, "gradients": 0.1, "ridge": 0.2}
LANDMARKS = {"logits": 0.2, "geometry": 1.0, "gradients": 0.0, "ridge": 0.005}

# The eyeBlink score of shut eyes. The codes do not tell: the median of the 15 photos where AU43 is coded D or E is .42,
# which is half-shut. Of 80 photos looked at, ten in each step of .05 from .40, nearly all from .65 on look shut.
SHUT = 0.65


def look_at(files: list[str], photos: Path) -> tuple[Landmarks, NDArray[np.uint8]]:
    """Run detection and landmarks on the largest face of every photo."""
    detector, landmarker = FaceDetector(), FaceLandmarker()
    looks, crops = [], []
    for name in files:
        image = read_image(photos / name).pixels
        region = region_from_points(detector.detect(image)[0].points)
        look = landmarker(both_ways(cut_region(image, region)[None]))
        looks.append(look)
        crops.append(appearance(image, place(look, 0, region)[1]))
    joined = [
        np.stack([getattr(look, name) for look in looks], axis=1) for name in ("points", "presence", "blendshapes")
    ]
    return Landmarks(*(value.reshape(-1, *value.shape[2:]) for value in joined)), np.stack(crops)


def mean_face_of(points: NDArray[np.float32]) -> Array:
    """Return the mean of aligned faces, (478, 3), found by aligning to it repeatedly."""
    face: Array = points[0].astype(np.float64)
    face = (face - face.mean(axis=0)) / np.sqrt(np.square(face - face.mean(axis=0)).sum()) * 20
    for _ in range(4):
        face = np.asarray(align(points, face).mean(axis=0), np.float64)
    return face


def block_weights(count: int, settings: dict[str, float]) -> Array:
    """Return the weight of each feature: its block's, shared out over the block."""
    weights = np.zeros(count)
    geometry = 52 + 478 * 3
    weights[:geometry] = settings["geometry"] / geometry
    weights[:52] += settings["logits"] / 52
    weights[geometry:] = settings["gradients"] / (count - geometry)
    return weights


def blink_scale(scores: Array, closed: Array, codes: Array) -> tuple[float, float]:
    """Return the median blink score of open eyes (no lid AU coded), and that of shut ones."""
    still = (closed == 0) & (np.nansum(codes[:, [CODED.index(code) for code in ("AU05", "AU06", "AU07")]], axis=1) == 0)
    return float(np.median(scores[still])), SHUT


def write_table(full: list[tuple[float, float]], landmarks: list[tuple[float, float]], codes: Array) -> str:
    """Return the table and put it between its marks in docs/instruments.md."""
    lines = [
        "| AU | photos that show it | ICC(3,1) | PCC | ICC, landmarks alone | PCC, landmarks alone |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for code, column, a, b in zip(CODED, codes.T, full, landmarks, strict=True):
        lines.append(f"| {code} | {int((column > 0).sum())} | {a[0]:.2f} | {a[1]:.2f} | {b[0]:.2f} | {b[1]:.2f} |")
    means = [np.mean(column) for column in (*zip(*full, strict=True), *zip(*landmarks, strict=True))]
    lines.append("| **mean** | | " + " | ".join(f"**{mean:.3f}**" for mean in means) + " |")
    table = "\n".join(lines)
    write_between("au-calibration", table)
    return table


def main() -> None:
    """Look, cross-validate, fit on everybody, write."""
    parser = argparse.ArgumentParser(description="Fit the AU annotator to human FACS codes.")
    parser.add_argument("codes", type=Path, help="CSV of codes")
    parser.add_argument("photos", type=Path, help="folder that its file names start from")
    arguments = parser.parse_args()
    files, people, codes, closed = read_codes(arguments.codes)
    looks, crops = look_at(files, arguments.photos)
    mean_face = mean_face_of(looks.points)
    inputs = features(looks, crops, mean_face)
    shares = {name: block_weights(inputs.shape[1], kind) for name, kind in (("full", FULL), ("landmarks", LANDMARKS))}
    full = agreement(cross_validate(inputs, codes, people, shares["full"], FULL["ridge"]), codes)
    landmarks = agreement(cross_validate(inputs, codes, people, shares["landmarks"], LANDMARKS["ridge"]), codes)
    print(f"{len(files)} photos of {len(set(people))} people, {FOLDS} folds by person")
    print(write_table(full, landmarks, codes))
    weights, bias = fit(inputs, codes, shares["full"], FULL["ridge"])
    blink = blink_scale(blink_score(looks), closed, codes)
    print(f"eyeBlink score of open eyes {blink[0]:.3f}, of shut ones {blink[1]:.3f}")
    Calibration(CODED, mean_face, weights, bias, blink).save(
        ROOT / "src" / "ganimation" / "faces" / "assets" / "au_calibration.npz"
    )


if __name__ == "__main__":
    main()
