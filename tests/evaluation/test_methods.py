from pathlib import Path

import numpy as np
import pytest

from ganimation.data.dataset import FaceDataset
from ganimation.evaluation.methods import Model, Warp, copy, resize
from ganimation.faces.reader import FaceReader


def test_a_copy_is_the_photo(dataset: Path) -> None:
    faces = FaceDataset(dataset)
    aus = faces.aus[0].astype(np.float64)
    assert np.array_equal(copy(faces.image(0), aus, aus + 0.5).image, faces.image(0))


def test_a_model_edits_crops_of_any_size(model: Path, dataset: Path) -> None:
    faces = FaceDataset(dataset)
    aus = faces.aus[0].astype(np.float64)
    for size in (64, 128):
        crop = faces.images(np.array([0]), size)[0]
        edited = Model(model)(crop, aus, aus + 0.2)
        assert edited.image.shape == crop.shape
        assert edited.image.dtype == np.uint8
        assert not np.array_equal(edited.image, crop)
        assert edited.attention is not None
        assert edited.attention.shape == (size, size)


def test_a_warp_moves_what_moved_and_asked_for_nothing_moves_nothing(dataset: Path, reader: FaceReader) -> None:
    """One AU lifts the upper half of the landmarks by a tenth of the crop."""
    faces = FaceDataset(dataset)
    crop = faces.images(np.array([0]), 128)[0]
    points = reader.points_of_crop(crop, faces.info.template) / 128
    assert points.shape == (478, 2)
    raised = points - 0.1 * (points[:, 1:] < 0.5) * [0, 1]
    warp = Warp(np.array([[0.0], [1.0], [0.0], [1.0]]), np.stack([points, raised, points, raised]), ridge=0.0)
    still = warp(crop, np.array([0.3]), np.array([0.3])).image
    assert np.abs(still.astype(int) - crop).max() <= 1
    moved = warp(crop, np.array([0.0]), np.array([1.0])).image
    assert np.abs(moved.astype(int) - crop).mean() > 2
    below = round(128 * 0.75)
    assert np.abs(moved[below:].astype(int) - crop[below:]).mean() < 1


def test_resize_keeps_a_plain_picture_plain() -> None:
    plain = np.full((64, 64, 3), 77, np.uint8)
    for side in (32, 64, 128):
        assert resize(plain, side).shape == (side, side, 3)
        assert resize(plain, side) == pytest.approx(77)
