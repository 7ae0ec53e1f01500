"""Fit how each AU darkens and brightens a face, from photos of the same people; measure it on people never seen.

Reads a data set that ``ganimation prepare`` made of photos with sessions; writes
``src/ganimation/faces/assets/au_shading.npz`` and the table between the ``au-shading`` marks of docs/instruments.md.

Every photo is warped onto the mean face by its landmarks, so that a fold lies where it does on other people. Per
session, the logarithm of its brightness, less that of the whole face, is regressed (ridge) on the AUs, both as
deviations from the session's mean: an expression ratio image (Liu, Shan & Zhang 2001) an AU. Mirrored copies make it
symmetric.

    python -m tools.fit_au_shading DATASET
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ganimation.action_units import half_of
from ganimation.data.dataset import FaceDataset
from ganimation.faces import mesh
from ganimation.faces.geometry import APERTURES, displacements, visible
from ganimation.faces.shading import LARGEST, SIDE
from tools.facs import FOLDS, ROOT, write_between
from tools.fit_au_geometry import FADE, within_people

Maps = NDArray[np.float32]

RIDGE = 10.0
#: Warped faces are this large before the result is made :data:`SIDE` pixels.
FINE = 128
#: Grey levels added before the logarithm, so that black is not minus infinity.
DARK = 8.0
#: Logarithms below this are noise.
NOISE = 0.015
#: Of an aperture nothing is known; it is widened by so many pixels of :data:`FINE`, for rims do not lie exactly.
RIM = 5


def warped(dataset: FaceDataset, rows: NDArray[np.intp]) -> Maps:
    """Return the logarithm of brightness of faces warped onto the mean face, (N, FINE, FINE), medians at 0."""
    mean, grid = displacements().mean * FINE - 0.5, np.arange(FINE, dtype=np.float32)
    inside = mesh.guide(mean, FINE)[:, :, 2] > 0.99
    found = np.empty((len(rows), FINE, FINE), np.float32)
    for number, row in enumerate(rows):
        flow = mesh.flow(visible(dataset.landmarks(int(row)) * FINE - 0.5), mean, FINE)
        face = cv2.remap(
            dataset.images([int(row)], FINE)[0], flow[:, :, 0] + grid[None], flow[:, :, 1] + grid[:, None],
            cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        light = np.log(np.asarray(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), np.float32) + DARK)
        found[number] = light - np.median(light[inside])
    return found


def regress(light: Maps, aus: NDArray[np.float64]) -> Maps:
    """Return the logarithm of the factor on brightness of each AU at 1, (AUs, FINE, FINE), symmetric."""
    both = light + light[:, :, ::-1]  # the normal equations of a set and its mirror image
    square = 2 * aus.T @ aus + RIDGE * np.eye(aus.shape[1])
    return np.asarray(np.linalg.solve(square, aus.T @ both.reshape(len(both), -1)).reshape(-1, FINE, FINE), np.float32)


def confine(values: Maps, aus: tuple[str, ...]) -> Maps:
    """Return the maps without noise, and 0 in eyes, between lips, outside an AU's half of the face, and of AU45."""
    mean, hole = displacements().mean * FINE - 0.5, np.zeros((FINE, FINE), np.float32)
    for upper, lower in APERTURES:
        outline = np.concatenate([mean[list(upper)], mean[list(lower)][::-1]])
        hole = np.maximum(hole, mesh.fill(outline, FINE))
    hole = np.asarray(cv2.GaussianBlur(cv2.dilate(hole, np.ones((RIM, RIM))), (0, 0), 1.2), np.float32)
    face = np.asarray(mesh.guide(mean, FINE)[:, :, 2], np.float32)
    height = (np.arange(FINE, dtype=np.float32)[:, None] + 0.5) / FINE
    found = []
    for code, value in zip(aus, values, strict=True):
        smooth = np.asarray(cv2.GaussianBlur(value, (0, 0), 1.0), np.float32) * (1 - hole) * face
        half = half_of(code)
        if half is not None:
            start, end = FADE[half]
            share = np.clip((height - start) / (end - start), 0, 1)
            smooth = smooth * (share if half else 1 - share)
        if code == "AU45":  # a lid that closes is skin that moves
            smooth = 0 * smooth
        found.append(np.sign(smooth) * np.maximum(np.abs(smooth) - NOISE, 0))
    return np.stack(found)


def explained(light: Maps, aus: NDArray[np.float64], sessions: NDArray[np.str_]) -> list[float]:
    """Return for each AU the correlation of its map with one fitted on the other half of the people."""
    order = np.random.default_rng(0).permutation(np.unique(sessions))
    shares: list[list[float]] = []
    for fold in range(FOLDS):
        chosen = np.isin(sessions, np.random.default_rng(fold).permutation(order)[: len(order) // 2])
        first, second = (regress(light[rows], aus[rows]) for rows in (chosen, ~chosen))
        shares.append([float(np.corrcoef(a.ravel(), b.ravel())[0, 1]) for a, b in zip(first, second, strict=True)])
    return [float(value) for value in np.mean(shares, axis=0)]


def main() -> None:
    """Warp, fit, compare halves, write."""
    parser = argparse.ArgumentParser(description="Fit the shading of a face by AU to photos of the same people.")
    parser.add_argument("dataset", type=Path, help="a data set with sessions")
    dataset = FaceDataset(parser.parse_args().dataset)
    codes, counts = np.unique(dataset.sessions, return_counts=True)
    rows = np.flatnonzero(np.isin(dataset.sessions, codes[(codes >= 0) & (counts > 1)]))
    sessions, names = dataset.sessions[rows].astype(str), dataset.info.aus
    light = warped(dataset, rows)
    light = np.clip(within_people(light.astype(np.float64), sessions), -1, 1).astype(np.float32)
    aus = within_people(dataset.aus[rows].astype(np.float64), sessions)
    alike = explained(light, aus, sessions)
    values = confine(regress(light, aus), names)
    small = np.stack([cv2.resize(value, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for value in values])
    whole = np.rint(np.clip(small / LARGEST, -1, 1) * 127).astype(np.int8)
    path = ROOT / "src" / "ganimation" / "faces" / "assets" / "au_shading.npz"
    np.savez_compressed(path, aus=np.array(names), values=whole)
    lines = ["| AU | correlation of halves | darkest | brightest |", "|---|--:|--:|--:|"]
    for code, share, value in zip(names, alike, values, strict=True):
        if value.any():
            lines.append(f"| {code} | {share:.2f} | x {np.exp(value.min()):.2f} | x {np.exp(value.max()):.2f} |")
    table = "\n".join(lines)
    write_between("au-shading", f"{len(rows)} photos, {len(np.unique(sessions))} sessions.\n\n{table}")
    print(table, path.stat().st_size)


if __name__ == "__main__":
    main()
