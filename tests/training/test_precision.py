"""The precision that is taken where nobody says which."""

import dataclasses
from unittest import mock

import pytest
import torch

from ganimation.training.request import TrainRequest
from ganimation.training.run import _precision
from tests.training.tiny import PAINT, TINY


def test_the_papers_generator_trains_in_float32() -> None:
    assert _precision(TrainRequest(), PAINT) == "32-true"
    assert _precision(TrainRequest(precision="bf16-mixed"), PAINT) == "bf16-mixed"


@pytest.mark.skipif(torch.cuda.is_available(), reason="on a card nothing is measured")
@pytest.mark.parametrize(("bf16", "plain", "wanted"), [(1.0, 2.0, "bf16-mixed"), (2.0, 1.0, "32-true")])
def test_on_a_cpu_the_faster_is_taken(bf16: float, plain: float, wanted: str) -> None:
    """Both are really computed; only the clock is ours."""
    seconds = [0.0]

    def clock() -> float:
        return seconds[0]

    real = torch.autocast

    def autocast(device: str, dtype: torch.dtype, *, enabled: bool) -> torch.autocast:
        seconds[0] += bf16 if enabled else plain
        return real(device, dtype, enabled=enabled)

    with (
        mock.patch("ganimation.training.precision.time.perf_counter", clock),
        mock.patch.object(torch, "autocast", autocast),
    ):
        assert _precision(TrainRequest(accelerator="cpu"), dataclasses.replace(TINY, batch=2)) == wanted
