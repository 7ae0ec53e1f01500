import numpy as np
import pytest

from ganimation.evaluation import metrics

LEVELS = np.array([0.0, 0.5, 1.0])


def test_a_perfect_editor_a_weak_one_and_a_copy() -> None:
    asked = np.tile(LEVELS, 4)
    assert metrics.pcc(asked, asked) == pytest.approx(1)
    assert metrics.slope(asked, asked) == pytest.approx(1)
    assert metrics.pcc(asked, 0.3 * asked + 0.2) == pytest.approx(1)
    assert metrics.slope(asked, 0.3 * asked + 0.2) == pytest.approx(0.3)
    assert metrics.pcc(asked, np.full(12, 0.4)) == 0
    assert metrics.slope(asked, np.full(12, 0.4)) == 0
    assert metrics.pcc(asked, -asked) == pytest.approx(-1)


def test_what_was_not_read_is_left_out() -> None:
    asked, read = np.array([0.0, 0.5, 1.0, 0.7]), np.array([0.0, 0.5, 1.0, np.nan])
    assert metrics.pcc(asked, read) == pytest.approx(1)
    assert metrics.slope(asked, read) == pytest.approx(1)
    assert metrics.pcc(asked, np.full(4, np.nan)) == 0
    assert metrics.slope(asked, np.full(4, np.nan)) == 0


def test_monotonicity() -> None:
    rising = np.tile(LEVELS, (3, 1))
    assert metrics.monotonicity(rising) == 1
    assert metrics.monotonicity(rising[:, ::-1]) == 0
    assert metrics.monotonicity(np.array([[0.1, 0.2, 0.2]])) == 0.5
    assert metrics.monotonicity(np.array([[np.nan, 0.2, 0.2], [0.0, 0.1, 0.2]])) == 1
    assert metrics.monotonicity(np.full((2, 3), np.nan)) == 0


def test_psnr() -> None:
    black = np.zeros((4, 4, 3), np.uint8)
    assert metrics.psnr(black, black) == float("inf")
    assert metrics.psnr(black, black + 255) == pytest.approx(0)
    assert metrics.psnr(black, black + 1) == pytest.approx(48.13, abs=0.01)
