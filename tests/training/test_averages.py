"""Averages over a run: their profile, and one of any width from snapshots."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ganimation.errors import TrainingError
from ganimation.training.averages import WIDTHS, combine, exponent, move, synthesize, write_snapshot


def profile(updates: int, width: float) -> np.ndarray:
    """What each of so many updates counts in the average, by averaging unit vectors."""
    generator, average = nn.Linear(updates, 1, bias=False), nn.Linear(updates, 1, bias=False)
    for count in range(1, updates + 1):
        generator.weight.data.zero_()
        generator.weight.data[0, count - 1] = 1
        move(average, generator, count, width)
    return average.weight.data[0].double().numpy()


@pytest.mark.parametrize("width", [0.05, 0.1, 0.2])
def test_an_average_is_as_wide_as_it_says(width: float) -> None:
    """The weights add up to 1, and their standard deviation over the run is the width."""
    shares = profile(2000, width)
    times = (np.arange(2000) + 0.5) / 2000
    mean = (shares * times).sum()
    assert shares.sum() == pytest.approx(1, abs=1e-5)
    assert np.sqrt((shares * np.square(times - mean)).sum()) == pytest.approx(width, rel=0.02)
    assert (np.diff(shares) >= -1e-9).all()


def test_exponents() -> None:
    """Of Karras et al. 2024, Sec. 3.1: a width of .05 is gamma 16.97, of .10 is 6.94."""
    assert [exponent(width) for width in WIDTHS] == pytest.approx([16.97, 6.94], abs=0.01)


def test_snapshots_give_an_average_of_another_width() -> None:
    """Of a run of 800 updates in 16 snapshots: within a tenth of what would have been kept all along."""
    ends = [800 * (number + 1) // 16 for number in range(16)]
    snapshots = [(end, width) for end in ends for width in WIDTHS]
    shares = combine(snapshots, (800, 0.15))
    total = np.zeros(800)
    for share, (end, width) in zip(shares, snapshots, strict=True):
        total[:end] += share * profile(end, width)
    wanted = profile(800, 0.15)
    assert shares.sum() == pytest.approx(1, abs=0.01)
    assert np.abs(total - wanted).sum() < 0.1
    own = combine(snapshots, (800, 0.1))
    assert own == pytest.approx(np.eye(32)[-1], abs=1e-5)


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    nets = [nn.Linear(3, 2) for _ in WIDTHS]
    write_snapshot(tmp_path / "averages", 10, nets)
    write_snapshot(tmp_path / "averages", 20, [nn.Linear(3, 2) for _ in WIDTHS])
    found = synthesize(tmp_path / "averages", 0.1, 10)
    for name, value in nets[1].state_dict().items():
        assert torch.allclose(found[name], value, atol=2e-3)
    with pytest.raises(TrainingError, match=r"--average 0.5: it lies in \[0.05, 0.25\]"):
        synthesize(tmp_path / "averages", 0.5, 10)
    with pytest.raises(TrainingError, match="no snapshots to average yet"):
        synthesize(tmp_path / "averages", 0.1, 9)
    (tmp_path / "averages" / "updates-00000010-0.safetensors").write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="remove it to average without it"):
        synthesize(tmp_path / "averages", 0.1, 10)


def test_no_width_is_the_generator_itself() -> None:
    generator, average = nn.Linear(3, 2), nn.Linear(3, 2)
    move(average, generator, 7, 0.0)
    assert torch.equal(average.weight, generator.weight)
