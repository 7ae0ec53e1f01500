"""What is erased is the inside of mouths and eyes, follows the landmarks, and comes in parts."""

import numpy as np

from ganimation.faces.geometry import displacements, move
from ganimation.networks.drawing import WINDOWS
from ganimation.training.erase import erase

SIZE = 128


def test_what_is_erased_is_open_and_in_a_window() -> None:
    points = move(displacements().mean * SIZE - 0.5, np.array([0.8, 0.8]), ("AU25", "AU26"))
    windows = np.zeros((SIZE, SIZE), bool)
    for window in WINDOWS:
        left, top, right, bottom = (round(edge * SIZE) for edge in window)
        windows[top:bottom, left:right] = True
    shares = []
    for seed in range(40):
        maps = erase(points, SIZE, np.random.default_rng(seed))
        aperture, kept = maps[:, :, 5], maps[:, :, 6]
        hole = np.maximum(0, aperture - kept)
        assert not maps[:, :, 3:5].any()
        assert not hole[~windows].any()
        assert (kept <= aperture + 0.35).all()
        mouth = slice(SIZE // 2, None)
        shares.append(hole[mouth].sum() / aperture[mouth].sum())
    assert min(shares) < 0.2
    assert np.mean(np.array(shares) > 0.98) > 0.3


def test_the_same_numbers_erase_the_same() -> None:
    points = displacements().mean * SIZE - 0.5
    first, second = (erase(points, SIZE, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, second)
