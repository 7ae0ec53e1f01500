"""A sweep with editors whose answer is known: perfect, shuffled, a copy of the photo."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ganimation.data.dataset import FaceDataset
from ganimation.errors import DatasetError
from ganimation.evaluation.sweep import LEVELS, CropEditor, Sweep, resize, sweep

Array = NDArray[np.float64]
AUS = ("AU01", "AU12", "AU25")


def made(after: Array) -> Sweep:
    return Sweep(AUS, LEVELS, np.zeros((len(after), 3)), after, 50.0)


def perfect(faces: int = 4) -> Array:
    """What is read if every AU does what is asked and nothing else moves."""
    after = np.zeros((faces, 3, 3, 3))
    for index in range(3):
        after[:, index, :, index] = LEVELS
    return after


def test_a_perfect_editor() -> None:
    for row in made(perfect()).by_au():
        assert (row["pcc"], row["slope"], row["monotonicity"], row["rise"]) == pytest.approx((1, 1, 1, 1))
    assert np.array_equal(made(perfect()).leakage(), np.eye(3))


def test_a_shuffled_editor_fails_and_shows_where_it_leaks() -> None:
    shuffled = made(np.roll(perfect(), 1, axis=1))
    assert all(row["pcc"] == 0 and row["rise"] == 0 for row in shuffled.by_au())
    assert np.array_equal(shuffled.leakage(), np.roll(np.eye(3), 1, axis=0))


def test_a_copy_of_the_photo_scores_nothing(dataset: Path) -> None:
    faces = FaceDataset(dataset)
    found = sweep(lambda crops, source, target: crops, faces.info.aus, faces, 2, jobs=1)
    assert found.after.shape == (2, 16, 3, 16)
    assert all(row["pcc"] == 0 and row["slope"] == 0 and row["monotonicity"] == 0 for row in found.by_au())
    assert [row["rise"] for row in found.by_au()] == [0] * 16
    assert not found.leakage().any()
    assert found.zero_psnr == 99


def test_the_most_neutral_faces_are_taken(dataset: Path) -> None:
    faces = FaceDataset(dataset)
    seen: list[int] = []

    def edit(crops: NDArray[np.uint8], source: Array, target: Array) -> NDArray[np.uint8]:
        seen.append(len(crops))
        assert np.array_equal(crops[0], faces.image(int(faces.aus.sum(axis=1).argmin())))
        return crops

    sweep(edit, faces.info.aus, faces, 1, jobs=1)
    assert set(seen) == {1}


def test_a_model_edits_crops_as_it_edits_photos(model: Path, dataset: Path) -> None:
    faces = FaceDataset(dataset)
    editor = CropEditor(model, threads=1)
    crops = faces.images(np.arange(2), 128)
    source = faces.aus[:2].astype(np.float64)
    edited = editor(crops, source, source + 0.2)
    assert edited.shape == crops.shape
    assert edited.dtype == np.uint8
    assert not np.array_equal(edited, crops)
    assert np.array_equal(editor(crops[1:], source[1:], source[1:] + 0.2)[0], edited[1])


def test_other_aus_are_refused(dataset: Path) -> None:
    faces = FaceDataset(dataset)
    with pytest.raises(DatasetError, match="prepare it anew"):
        sweep(lambda crops, source, target: crops, ("AU12",), faces, 1, jobs=1)


def test_resize_keeps_a_plain_picture_plain() -> None:
    plain = np.full((64, 64, 3), 77, np.uint8)
    for side in (32, 64, 128):
        assert resize(plain, side).shape == (side, side, 3)
        assert (resize(plain, side) == 77).all()
