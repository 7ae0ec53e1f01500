"""Human FACS codes, and the ridge regressions that this folder's tools fit to them. Not a program."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganimation.action_units import DEFAULT_AUS, intensity_from_facs

ROOT = Path(__file__).resolve().parent.parent
CODED = tuple(code for code in DEFAULT_AUS if code != "AU45")
FOLDS = 10

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


def read_more_codes(path: Path, aus: Sequence[str]) -> Array:
    """Return intensities in [0, 1] of other coded AUs, (photos, AUs); present but uncoded ones as NaN."""
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    values = np.array([[float(row[f"AU{int(code[2:])}"]) for code in aus] for row in rows])
    return np.where(values < 0, np.nan, values / 5)


def read_emotions(path: Path) -> list[str]:
    """Return of each photo the emotion that was acted, empty where it is a compound of two."""
    basic = {
        "Neutral": "neutral",
        "Happy": "happiness",
        "Sad": "sadness",
        "Surprised": "surprise",
        "Fearful": "fear",
        "Angry": "anger",
        "Disgusted": "disgust",
    }
    with path.open(newline="", encoding="utf-8") as stream:
        return [basic.get(row["emotion"], "") for row in csv.DictReader(stream)]


def fit(inputs: Array, codes: Array, shares: Array, ridge: float) -> tuple[Array, Array]:
    """Fit a ridge in its dual form; return weights (features, AUs) and bias.

    ``shares`` weighs each feature after it was standardised; they add up to about 1, so that ``ridge`` does not depend
    on how many there are.

    Ridge predictions spread less than the codes do. They are widened by the ratio of the two spreads, the latter taken
    from leave-one-out predictions, so that intensities use the whole range; ICC, which asks for agreement, gains by it.
    """
    centre, spread = inputs.mean(axis=0), inputs.std(axis=0) + 1e-6
    scaled = (inputs - centre) / spread * np.sqrt(shares)
    known = np.where(np.isnan(codes), np.nanmean(codes, axis=0), codes)  # four of 30,000 codes are missing
    middle = known.mean(axis=0)
    inverse = np.linalg.inv(scaled @ scaled.T + ridge * np.eye(len(scaled)))
    dual = inverse @ (known - middle)
    left_out = known - dual / np.diag(inverse)[:, None]
    dual *= known.std(axis=0) / left_out.std(axis=0)
    weights = (scaled.T @ dual) * (np.sqrt(shares) / spread)[:, None]
    return weights, middle - centre @ weights


def cross_validate(inputs: Array, codes: Array, people: NDArray[np.str_], shares: Array, ridge: float) -> Array:
    """Predict every photo from a fit on other people."""
    order = np.random.default_rng(0).permutation(np.unique(people))
    fold_of = {person: index % FOLDS for index, person in enumerate(order)}
    folds = np.array([fold_of[person] for person in people])
    predictions = np.zeros_like(codes)
    for fold in range(FOLDS):
        weights, bias = fit(inputs[folds != fold], codes[folds != fold], shares, ridge)
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


def write_between(mark: str, text: str) -> None:
    """Put a text between its marks in docs/results.md or docs/instruments.md."""
    start, end = f"<!-- {mark} -->\n", f"\n<!-- /{mark} -->"
    pages = [ROOT / "docs" / name for name in ("results.md", "instruments.md")]
    page = next(page for page in pages if start in page.read_text(encoding="utf-8"))
    head, rest = page.read_text(encoding="utf-8").split(start, 1)
    page.write_text(f"{head}{start}{text}{end}{rest.split(end, 1)[1]}", encoding="utf-8")
