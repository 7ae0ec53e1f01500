"""Fit the AU annotator's coefficients to human FACS codes, and measure it on people that the fit never saw.

Reads a CSV of codes (columns ``file``, ``identity`` and ``AU1`` ... ``AU43``; 0 absent, 1-5 for A-E, -1 present but
uncoded) and the photos it names; writes ``src/ganimation/faces/assets/au_calibration.npz`` and the table between the
``au-calibration`` marks of docs/results.md.

    python tools/fit_au_calibration.py CODES.csv PHOTOS
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganimation.action_units import DEFAULT_AUS, intensity_from_facs
from ganimation.faces.annotator import Calibration, align, blink_score, features
from ganimation.faces.detector import FaceDetector
from ganimation.faces.landmarks import FaceLandmarker, Landmarks, cut_region, region_from_points
from ganimation.faces.reader import appearance, both_ways, place
from ganimation.media.images import read_image

ROOT = Path(__file__).resolve().parent.parent
CODED = tuple(code for code in DEFAULT_AUS if code != "AU45")
FOLDS = 10
# Weights of the feature blocks (52 logits, the same with the mesh, gradients) and ridge, chosen on the folds below from
# weights {0.1, 0.3, 1} and ridges {0.1, 0.2, 0.4}; landmarks alone use no gradients and their own ridge.
FULL = {"logits": 0.1, "geometry": 1.0, "gradients": 0.1, "ridge": 0.2}
LANDMARKS = {"logits": 0.2, "geometry": 1.0, "gradients": 0.0, "ridge": 0.005}

Array = NDArray[np.float64]


def read_codes(path: Path) -> tuple[list[str], NDArray[np.str_], Array, Array]:
    """Return files, identities, intensities in [0, 1] of the coded AUs (-1 as NaN), and AU43."""
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))

    def value(row: dict[str, str], code: str) -> float:
        number = float(row[f"AU{int(code[2:])}"])
        return float("nan") if number < 0 else intensity_from_facs(number)

    codes = np.array([[value(row, code) for code in CODED] for row in rows])
    jaw = CODED.index("AU26")  # AU27 is a wider open jaw; the default AUs show it as AU26
    codes[:, jaw] = np.fmax(codes[:, jaw], [value(row, "AU27") for row in rows])
    closed = np.array([value(row, "AU43") for row in rows])
    return [row["file"] for row in rows], np.array([row["identity"] for row in rows]), codes, closed


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


def fit(inputs: Array, codes: Array, settings: dict[str, float]) -> tuple[Array, Array]:
    """Fit a ridge in its dual form; return weights (features, AUs) and bias.

    Ridge predictions spread less than the codes do. They are widened by the ratio of the two spreads, the latter taken
    from leave-one-out predictions, so that intensities use the whole range; ICC, which asks for agreement, gains by it.
    """
    centre, spread = inputs.mean(axis=0), inputs.std(axis=0) + 1e-6
    scaled = (inputs - centre) / spread * np.sqrt(block_weights(inputs.shape[1], settings))
    known = np.where(np.isnan(codes), np.nanmean(codes, axis=0), codes)  # four of 30,000 codes are missing
    middle = known.mean(axis=0)
    inverse = np.linalg.inv(scaled @ scaled.T + settings["ridge"] * np.eye(len(scaled)))
    dual = inverse @ (known - middle)
    left_out = known - dual / np.diag(inverse)[:, None]
    dual *= known.std(axis=0) / left_out.std(axis=0)
    weights = (scaled.T @ dual) * (np.sqrt(block_weights(inputs.shape[1], settings)) / spread)[:, None]
    return weights, middle - centre @ weights


def cross_validate(inputs: Array, codes: Array, people: NDArray[np.str_], settings: dict[str, float]) -> Array:
    """Predict every photo from a fit on other people."""
    order = np.random.default_rng(0).permutation(np.unique(people))
    fold_of = {person: index % FOLDS for index, person in enumerate(order)}
    folds = np.array([fold_of[person] for person in people])
    predictions = np.zeros_like(codes)
    for fold in range(FOLDS):
        weights, bias = fit(inputs[folds != fold], codes[folds != fold], settings)
        predictions[folds == fold] = inputs[folds == fold] @ weights + bias
    return np.clip(predictions, 0.0, 1.0)


def icc(first: Array, second: Array) -> float:
    """ICC(3,1) of two raters (Shrout & Fleiss 1979)."""
    table = np.stack([first, second], axis=1)
    count, grand = len(table), table.mean()
    between = 2 * np.square(table.mean(axis=1) - grand).sum() / (count - 1)
    rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + grand
    error = np.square(rest).sum() / (count - 1)
    return float((between - error) / (between + error))


def agreement(predictions: Array, codes: Array) -> list[tuple[float, float]]:
    """Return ICC and PCC of each AU."""
    rows = []
    for column in range(codes.shape[1]):
        known = ~np.isnan(codes[:, column])
        first, second = predictions[known, column], codes[known, column]
        rows.append((icc(first, second), float(np.corrcoef(first, second)[0, 1])))
    return rows


def blink_scale(scores: Array, closed: Array, codes: Array) -> tuple[float, float]:
    """Return the median blink score of open eyes (no lid AU coded) and of closed ones (AU43 at D or E)."""
    still = (closed == 0) & (np.nansum(codes[:, [CODED.index(code) for code in ("AU05", "AU06", "AU07")]], axis=1) == 0)
    return float(np.median(scores[still])), float(np.median(scores[closed >= 0.8]))


def write_table(full: list[tuple[float, float]], landmarks: list[tuple[float, float]], codes: Array) -> str:
    """Return the table and put it between its marks in docs/results.md."""
    lines = [
        "| AU | photos that show it | ICC(3,1) | PCC | ICC, landmarks alone | PCC, landmarks alone |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for code, column, a, b in zip(CODED, codes.T, full, landmarks, strict=True):
        lines.append(f"| {code} | {int((column > 0).sum())} | {a[0]:.2f} | {a[1]:.2f} | {b[0]:.2f} | {b[1]:.2f} |")
    means = [np.mean(column) for column in (*zip(*full, strict=True), *zip(*landmarks, strict=True))]
    lines.append("| **mean** | | " + " | ".join(f"**{mean:.3f}**" for mean in means) + " |")
    table = "\n".join(lines)
    page = ROOT / "docs" / "results.md"
    text = page.read_text(encoding="utf-8")
    start, end = "<!-- au-calibration -->\n", "\n<!-- /au-calibration -->"
    head, rest = text.split(start, 1)
    page.write_text(f"{head}{start}{table}{end}{rest.split(end, 1)[1]}", encoding="utf-8")
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
    full = agreement(cross_validate(inputs, codes, people, FULL), codes)
    landmarks = agreement(cross_validate(inputs, codes, people, LANDMARKS), codes)
    print(f"{len(files)} photos of {len(set(people))} people, {FOLDS} folds by person")
    print(write_table(full, landmarks, codes))
    weights, bias = fit(inputs, codes, FULL)
    blink = blink_scale(blink_score(looks), closed, codes)
    print(f"eyeBlink score of open eyes {blink[0]:.3f}, of closed ones {blink[1]:.3f}")
    Calibration(CODED, mean_face, weights, bias, blink).save(
        ROOT / "src" / "ganimation" / "faces" / "assets" / "au_calibration.npz"
    )


if __name__ == "__main__":
    main()
