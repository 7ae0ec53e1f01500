"""Fit how far each AU moves the 478 landmarks of a face, from human FACS codes; measure it on people never seen.

Reads a CSV of codes (see ``tools/facs.py``) and the photos it names; writes
``src/ganimation/faces/assets/au_displacements.npz`` and the table between the ``au-geometry`` marks of
docs/instruments.md.

Landmarks are laid on the mean face in three dimensions by those that no muscle moves, which takes pose and size out.
Per person, the deviations from the person's own mean are regressed (ridge) on the deviations of the codes; mirrored
copies make the result symmetric. Displacements are kept where the AU's region is and are 0 elsewhere.

    python -m tools.fit_au_geometry CODES.csv PHOTOS
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial import Delaunay

from ganimation.action_units import half_of
from ganimation.faces import geometry
from ganimation.faces.annotator import Calibration, align
from ganimation.faces.crop import CropTemplate
from ganimation.faces.geometry import LIPS, STILL
from ganimation.faces.landmarks import SIDE, eye_centres
from tools.facs import CODED, FOLDS, ROOT, Array, read_codes, read_more_codes, write_between
from tools.fit_au_calibration import look_at

RIDGE = 2.0
#: AUs beyond the default ones that enough people of the codes show.
MORE = ("AU11", "AU14", "AU16", "AU18", "AU22", "AU23", "AU27")
#: Of :data:`MORE`, those that ten people or more show; the rest are fitted so that they do not disturb.
MIN_PEOPLE = 10
#: The strongest code of an AU is at least this (C of A-E): what it does at 1 would else be an extrapolation.
MIN_CODE = 0.6
#: Displacements below this share of the side are noise of landmarks (a third of a pixel of 128).
NOISE = 0.0025
#: Bounds of the factors by which confined displacements are brought back to size.
AMPLITUDES = (1.0, 2.5)
#: Heights in the mean face between which an upper half's AU fades out, and a lower half's in.
FADE = ((0.44, 0.54), (0.38, 0.48))

#: AUs that part the lips; under all others they stay together.
PARTING = ("AU10", "AU16", "AU22", "AU25", "AU26", "AU27")
#: Rows of lip landmarks from the outer edge to the rim, each from corner to corner.
UPPER_LIP = (
    (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291), (76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306),
    (62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292), LIPS[0],
)  # fmt: skip
LOWER_LIP = (
    (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291), (76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306),
    (62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292), LIPS[1],
)  # fmt: skip
#: Skin follows the lips up to here, in shares of the side: as high as a lip, and then fading.
LIP_HEIGHT, LIP_REACH = 0.05, 0.05

ASSETS = ROOT / "src" / "ganimation" / "faces" / "assets"


def mirror_of(face: Array) -> NDArray[np.intp]:
    """Return for each landmark the one on the other side of the face, (478,)."""
    middle = face[[10, 152, 1, 168, 0], 0].mean()
    mirrored = np.column_stack([2 * middle - face[:, 0], face[:, 1:]])
    return np.asarray(linear_sum_assignment(np.linalg.norm(face[:, None] - mirrored, axis=2))[1], np.intp)


def frontal(points: NDArray[np.float32], face: Array, mirror: NDArray[np.intp]) -> Array:
    """Return landmarks as if seen from the front, (N, 478, 2), in the unit of ``face``; means of both looks.

    Args:
        points: (2N, 478, 3), of N faces and then of their mirror images.
        face: (478, 3), the mean face.
        mirror: see :func:`mirror_of`.
    """
    first, second = np.split(points.astype(np.float64), 2)
    second = second.copy()
    second[..., 0] = SIDE - 1 - second[..., 0]
    return align((first + second[:, mirror]) / 2, face, STILL)[:, :, :2]


def within_people(values: Array, people: NDArray[np.str_]) -> Array:
    """Return values minus their mean over the same person's rows."""
    found = values.copy()
    for person in np.unique(people):
        rows = people == person
        found[rows] -= values[rows].mean(axis=0)
    return found


def regress(shifts: Array, codes: Array, mirror: NDArray[np.intp]) -> Array:
    """Return the displacement of each code at 1, (codes, 478, 2), symmetric."""
    mirrored = shifts[:, mirror] * (-1, 1)
    both = np.concatenate([shifts, mirrored]).reshape(2 * len(shifts), -1)
    inputs = np.concatenate([codes, codes])
    found = np.linalg.solve(inputs.T @ inputs + RIDGE * np.eye(codes.shape[1]), inputs.T @ both)
    return np.asarray(found.reshape(-1, 478, 2), np.float64)


def confine(values: Array, aus: tuple[str, ...], mean: Array) -> Array:
    """Return displacements that are 0 outside an AU's half of the face, of irises, and where they are but noise."""
    kept = values.copy()
    height = mean[:, 1]
    for index, code in enumerate(aus):
        half = half_of(code)
        if half is not None:
            start, end = FADE[half]
            share = np.clip((height - start) / (end - start), 0.0, 1.0)
            kept[index] *= (share if half else 1 - share)[:, None]
    kept[:, 468:] = 0.0
    for index, code in enumerate(aus):
        if code not in PARTING:
            kept[index] = _together(kept[index], mean)
    size = np.linalg.norm(kept, axis=2, keepdims=True)
    return np.asarray(kept * np.maximum(0.0, 1 - NOISE / np.maximum(size, 1e-9)), np.float64)


def amplify(values: Array, shifts: Array, codes: Array) -> Array:
    """Return confined displacements at the size that fits best: confining and taking noise off made them smaller.

    One factor an AU, all by least squares together, within :data:`AMPLITUDES`.
    """
    flat = values.reshape(len(values), -1)
    square = (flat @ flat.T) * (codes.T @ codes)
    right = np.einsum("nk,nk->k", codes, shifts.reshape(len(shifts), -1) @ flat.T)
    factors = np.linalg.lstsq(square + RIDGE * np.diag(np.square(flat).sum(axis=1)), right, rcond=None)[0]
    return np.asarray(values * np.clip(factors, *AMPLITUDES)[:, None, None], np.float64)


def _together(shift: Array, mean: Array) -> Array:
    """Return a displacement (478, 2) under which the lips neither part nor cross; chin and philtrum follow them.

    Smiles of the codes nearly always show teeth, so that a regression cannot tell AU12 from AU25. What parts the lips
    is taken out of both: of each column of lip landmarks, the difference between the rims.
    """
    result, columns = shift.copy(), np.arange(1, len(LIPS[0]) - 1)
    upper, lower = (np.array(rim)[columns] for rim in LIPS)
    parting = (shift[lower] - shift[upper]) / 2
    for rows, sign, rim in ((UPPER_LIP, 1.0, upper), (LOWER_LIP, -1.0, lower)):
        lip = {int(number) for row in rows for number in row}
        for row in rows:
            result[np.array(row)[columns]] += sign * parting
        for point in range(468):
            beyond = sign * (mean[point, 1] - mean[rows[-1][5], 1])
            if point in lip or beyond > 0:
                continue
            distance = np.linalg.norm(mean[rim] - mean[point], axis=1)
            nearest = int(distance.argmin())
            share = np.exp(-np.square(max(0.0, distance[nearest] - LIP_HEIGHT) / LIP_REACH))
            result[point] += sign * share * parting[nearest]
    return result


def explained(
    shifts: Array, codes: Array, people: NDArray[np.str_], mirror: NDArray[np.intp], aus: tuple[str, ...], mean: Array
) -> tuple[float, list[float]]:
    """Return the share of squared displacement that a fit on other people explains: of all, and of photos by AU.

    The share of an AU is that over the photos in which it is the strongest code.
    """
    order = np.random.default_rng(0).permutation(np.unique(people))
    fold_of = {person: index % FOLDS for index, person in enumerate(order)}
    folds = np.array([fold_of[person] for person in people])
    predicted = np.zeros_like(shifts)
    for fold in range(FOLDS):
        own = shifts[folds != fold], codes[folds != fold]
        values = amplify(confine(regress(*own, mirror), aus, mean), *own)
        predicted[folds == fold] = np.tensordot(codes[folds == fold], values, axes=1)
    wrong, power = (np.square(x[:, :468]).sum(axis=(1, 2)) for x in (shifts - predicted, shifts))
    strongest = codes.argmax(axis=1)
    shares = [1 - wrong[strongest == k].sum() / max(power[strongest == k].sum(), 1e-9) for k in range(len(aus))]
    return float(1 - wrong.sum() / power.sum()), [float(share) for share in shares]


def triangulate(mean: Array, values: Array, aus: tuple[str, ...]) -> NDArray[np.intp]:
    """Return the triangles of the mesh, (T, 3): Delaunay's of a face with an open mouth, without its apertures."""
    opened = mean + 0.8 * (values[aus.index("AU25")] + values[aus.index("AU26")])
    found = Delaunay(opened[:468]).simplices
    centres = opened[found].mean(axis=1)
    hole = np.zeros(len(found), bool)
    for upper, lower in geometry.APERTURES:
        outline = opened[[*upper, *lower[::-1][1:-1]]].astype(np.float32)
        hole |= np.array([_inside(outline, centre) for centre in centres])
        rim = set(upper) | set(lower)
        hole |= np.array([set(triangle) <= rim for triangle in found.tolist()])
    return np.asarray(found[~hole], np.intp)


def _inside(outline: NDArray[np.float32], point: Array) -> bool:
    import cv2

    return bool(cv2.pointPolygonTest(outline, (float(point[0]), float(point[1])), False) >= 0)


def to_template(neutral: Array, mirror: NDArray[np.intp]) -> tuple[float, Array]:
    """Return the scale from the mean face's unit to shares of the default template, and the mean neutral face there."""
    middle = (neutral + (neutral * (-1, 1))[mirror]) / 2
    eyes, template = eye_centres(middle), CropTemplate()
    scale = template.eye_distance / float(eyes[1, 0] - eyes[0, 0])
    shift = np.array([0.5, template.eye_height]) - scale * eyes.mean(axis=0)
    return scale, scale * middle + shift


def main() -> None:
    """Look, cross-validate, fit on everybody, write."""
    parser = argparse.ArgumentParser(description="Fit the displacement of landmarks by AU to human FACS codes.")
    parser.add_argument("codes", type=Path, help="CSV of codes")
    parser.add_argument("photos", type=Path, help="folder that its file names start from")
    arguments = parser.parse_args()
    files, people, codes, _ = read_codes(arguments.codes)
    more = read_more_codes(arguments.codes, MORE)
    aus, codes = (*CODED, *MORE), np.nan_to_num(np.hstack([codes, more]), nan=0.4)
    looks, _ = look_at(files, arguments.photos)
    fitted = Calibration.load(ASSETS / "au_calibration.npz").mean_face
    mirror = mirror_of(fitted)
    middle = fitted[[10, 152, 1, 168, 0], 0].mean()
    centred = fitted - (middle, 0, 0)
    face = (centred + (centred * (-1, 1, 1))[mirror]) / 2
    seen = frontal(looks.points, face, mirror)
    scale, mean = to_template(seen[codes.sum(axis=1) == 0].mean(axis=0), mirror)
    shifts, differences = within_people(scale * seen, people), within_people(codes, people)
    share, by_au = explained(shifts, differences, people, mirror, aus, mean)
    values = amplify(confine(regress(shifts, differences, mirror), aus, mean), shifts, differences)
    strong = np.nanmax(codes, axis=0) >= MIN_CODE
    people_of = [len(set(people[codes[:, k] > 0])) for k in range(len(aus))]
    enough = [k for k in range(len(aus)) if k < len(CODED) or (people_of[k] >= MIN_PEOPLE and strong[k])]
    triangles = triangulate(mean, values, aus)
    kept = tuple(aus[k] for k in enough)
    np.savez_compressed(
        ASSETS / "au_displacements.npz", aus=np.array(kept), mean=mean.astype(np.float32),
        mirror=mirror.astype(np.int16), triangles=triangles.astype(np.int16), values=values[enough].astype(np.float16),
    )  # fmt: skip
    lines = ["| AU | photos | people | share explained | largest displacement at 1, pixels of 128 (right, down) |"]
    lines.append("|---|--:|--:|--:|--:|")
    for k in enough:
        largest = values[k][np.linalg.norm(values[k], axis=1).argmax()] * 128
        count, shown = int((codes[:, k] > 0).sum()), len(set(people[codes[:, k] > 0]))
        of = f"{by_au[k]:.2f}" if k < len(CODED) else "-"
        lines.append(f"| {aus[k]} | {count} | {shown} | {of} | {abs(largest[0]):.1f}, {largest[1]:+.1f} |")
    lines.append(f"| **all** | {len(files)} | {len(set(people))} | **{share:.3f}** | |")
    table = "\n".join(lines)
    write_between("au-geometry", table)
    print(f"{table}\n{len(triangles)} triangles, lips {len(LIPS[0])} points")


if __name__ == "__main__":
    main()
