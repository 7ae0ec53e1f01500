from pathlib import Path

import pytest

from ganimation.errors import TrainingError
from ganimation.training.request import TrainRequest
from ganimation.training.run import estimate

SMALLEST = ["generator_width=4", "generator_blocks=1", "restorer_width=4", "critic_width=4", "critic_cap=8", "batch=4"]


def test_an_estimate_counts_what_a_run_would_do(dataset: Path) -> None:
    found = estimate(
        dataset,
        TrainRequest(changes=SMALLEST, steps=50, accelerator="cpu", devices="1", precision="32-true"),
    )
    assert [phase.name for phase in found.phases] == ["pairs", "mouths", "critic", "adversarial", "relax"]
    assert [phase.steps for phase in found.phases] == [18, 18, 3, 6, 5]
    assert [phase.faces for phase in found.phases] == [4] * 5
    assert all(phase.timed == 10 and phase.seconds > 0 for phase in found.phases)
    assert found.faces == 6
    assert 1e3 < found.critic < found.generator < 1e5
    lines = found.text().splitlines()
    assert lines[0] == "small: 64 pixels, batch 4, 6 faces"
    assert lines[-1].startswith("in all ")


@pytest.mark.parametrize("strategy", ["fsdp", "deepspeed", "ddp_sharded"])
def test_weights_are_not_divided_among_devices(dataset: Path, strategy: str) -> None:
    with pytest.raises(TrainingError, match=f"--strategy {strategy}: it is one of auto, ddp"):
        estimate(dataset, TrainRequest(changes=SMALLEST, steps=50, accelerator="cpu", strategy=strategy))
