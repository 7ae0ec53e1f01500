import pytest

from ganimation.errors import TrainingError
from ganimation.training.config import Phase, difference
from ganimation.training.presets import OFFICIAL, PAPER, PRESETS, SMALL, preset


def test_presets_by_name() -> None:
    assert {preset(name) for name in ("paper", "official", "small")} == set(PRESETS.values())
    with pytest.raises(TrainingError, match="one of paper, official, small"):
        preset("papre")


def test_the_papers_schedule() -> None:
    """200,000 photos, batch 25, five critic steps to one, 30 epochs, linear decay over the last ten."""
    (phase,) = PAPER.resolve(200_000).phases
    assert phase.steps == 30 * 200_000 / 25 / 5
    assert phase.rate_factor(0) == phase.rate_factor(phase.steps * 2 // 3 - 1) == 1
    assert phase.rate_factor(phase.steps * 5 // 6) == pytest.approx(0.5)
    assert phase.rate_factor(phase.steps) == pytest.approx(0)
    assert phase.generator_rate == phase.critic_rate == 1e-4
    assert PAPER.betas == (0.5, 0.999)


def test_the_papers_weights() -> None:
    """lambda_y 4000 weighs a sum over AUs in the paper; read literally it is 425 times the authors' effective 160."""
    paper, official = PAPER.phases[0].weights, OFFICIAL.phases[0].weights
    assert (paper.expression, paper.expression_form, official.expression_form) == (4000, "sum", "mean")
    assert paper.expression * 17 / official.expression == 425
    assert paper.gradient_penalty == official.gradient_penalty == paper.cycle == official.cycle == 10


def test_steps_scale_all_phases_and_lose_none() -> None:
    for steps in (1, 7, 100, 54_321):
        config = SMALL.resolve(1000, steps)
        assert config.steps == steps
    config = SMALL.resolve(1000)
    names = [config.at(step)[0].name for step in (0, config.phases[0].steps, config.steps - 1)]
    assert names == ["pairs", "critic", "adversarial"]
    assert config.at(config.phases[0].steps)[1] == 0
    with pytest.raises(ValueError, match="ends before"):
        config.at(config.steps)


def test_decay_can_stop_above_zero() -> None:
    phase = Phase("x", steps=100, decay_from=0.5, decay_to=0.2)
    assert [phase.rate_factor(step) for step in (0, 49, 75, 100)] == pytest.approx([1, 1, 0.6, 0.2])


def test_difference_names_the_field() -> None:
    assert difference(SMALL.to_json(), SMALL.to_json()) is None
    old, new = SMALL.to_json(), SMALL.to_json()
    new["phases"][2]["weights"]["cycle"] = 3.0
    assert difference(old, new) == "phases.2.weights.cycle was 10.0 and is 3.0"
    assert difference({"a": 1}, {"a": 1, "b": None, "c": 2}) == "c was None and is 2"
