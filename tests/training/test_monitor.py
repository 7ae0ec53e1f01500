import dataclasses

import pytest
import torch

from ganimation.training.config import TrainingConfig
from ganimation.training.monitor import PATIENCE, WINDOW, AttentionControl, Health, mask_terms
from ganimation.training.presets import SMALL
from tests.training.tiny import PAINT

GOOD = {
    "mask/mean": 0.9, "mask/spread": 0.1, "mask/changed": 0.1, "mask/asked": 0.1, "mask/response": 0.6,
    "critic/expression": 0.01,
}  # fmt: skip
PHASE = PAINT.phases[2]
UNSTEERED = dataclasses.replace(PAINT, attention_high=1.0)
IGNORANCE = 0.03


def names(terms: dict[str, float], updates: int = PATIENCE, config: TrainingConfig = UNSTEERED) -> list[str]:
    health = Health()
    for _ in range(updates):
        health.update(PHASE, terms)
    return [finding.name for finding in health.findings(PHASE, config, IGNORANCE)]


def test_terms_of_a_copy_and_of_obedience() -> None:
    source = torch.zeros(2, 3, 8, 8)
    source_aus, asked = torch.tensor([[0.2, 0.0], [0.1, 0.3]]), torch.tensor([[0.5, 0.0], [0.0, -0.3]])
    whole = torch.ones(2, 1, 8, 8)
    copy = mask_terms(whole, source, source, asked, (source_aus, source_aus))
    assert copy["mask/response"] == 0
    assert copy["mask/changed"] == 0
    assert copy["mask/mean"] == 1
    assert copy["mask/spread"] == 0
    assert copy["mask/asked"] == pytest.approx(0.2)
    fake = source.clone()
    fake[:, 1, :4] = 0.5
    half = whole.clone()
    half[:, :, :4] = 0
    done = mask_terms(half, source, fake, asked, (source_aus, source_aus + asked))
    assert done["mask/response"] == pytest.approx(1)
    assert done["mask/changed"] == 0.5
    assert done["mask/spread"] == pytest.approx(0.504, abs=0.001)
    assert "mask/response" not in mask_terms(half, source, fake, asked, None)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"mask/mean": 0.999, "mask/changed": 0.001}, "saturated"),
        ({"mask/mean": 0.02, "mask/changed": 0.9}, "vanished"),
        ({"mask/mean": 0.5, "mask/spread": 0.001, "mask/changed": 0.9}, "flat"),
        ({"mask/response": 0.02}, "low_response"),
        ({"mask/response": 2.0}, "overshoot"),
        ({"critic/expression": 0.029, "mask/response": 0.02}, "weak_critic"),
    ],
)
def test_each_illness_has_its_name_a_knob_and_a_value(change: dict[str, float], name: str) -> None:
    assert names(GOOD | change) == [name]
    health = Health()
    for _ in range(PATIENCE):
        health.update(PHASE, GOOD | change)
    (finding,) = health.findings(PHASE, UNSTEERED, IGNORANCE)
    assert "--set adversarial.weights." in finding.text or "critic steps" in finding.text
    assert any(character.isdigit() for character in finding.text)


def test_a_healthy_run_is_not_talked_about() -> None:
    assert names(GOOD) == []
    without = {name: value for name, value in GOOD.items() if "response" not in name}
    assert names(without) == []


def test_judgement_waits_and_begins_afresh_with_each_phase() -> None:
    sick = GOOD | {"mask/mean": 0.999, "mask/changed": 0.0}
    assert names(sick, WINDOW - 1) == []
    assert names(sick, WINDOW) == ["saturated"]
    assert names(GOOD | {"mask/response": 0.0}, PATIENCE - 1) == []
    health = Health()
    for _ in range(WINDOW):
        health.update(PHASE, sick)
    health.update(SMALL.phases[0], GOOD)
    assert health.findings(SMALL.phases[0], SMALL, IGNORANCE) == []
    assert health.means == GOOD


def test_the_remedy_fits_whether_the_weight_is_steered() -> None:
    steered = dataclasses.replace(PAINT, attention_high=0.95)
    health = Health()
    for _ in range(WINDOW):
        health.update(PHASE, GOOD | {"mask/mean": 0.999, "mask/changed": 0.0})
    assert "--set attention_high=0.95" in health.findings(PHASE, UNSTEERED, IGNORANCE)[0].text
    assert "steering is at work" in health.findings(PHASE, steered, IGNORANCE)[0].text


@pytest.mark.parametrize("weight", [1e-3, 1e3])
def test_control_brings_the_mean_into_its_band(weight: float) -> None:
    """A mask that answers to its weight: the mean is 1 / (1 + weight * factor), lagging behind."""
    config = dataclasses.replace(PAINT, attention_low=0.4, attention_high=0.6)

    def answer(factor: float) -> float:
        return 1 / (1 + weight * factor)

    control, mean = AttentionControl(), answer(1.0)
    for _ in range(800):
        mean += 0.1 * (answer(control.factor) - mean)
        control.update(mean, config)
    assert 0.39 < mean < 0.61
    still = control.factor
    for _ in range(5):
        control.update(0.5, config)
    control.mean = 0.5
    control.update(0.5, config)
    assert control.factor == pytest.approx(still, rel=0.15)


def test_advice_turns_the_knob_the_right_way() -> None:
    weights = dataclasses.replace(PHASE.weights, attention=0.1)
    phase, health = dataclasses.replace(PHASE, weights=weights), Health()
    for _ in range(PATIENCE):
        health.update(phase, GOOD | {"mask/mean": 0.99, "mask/changed": 0.0})
    (finding,) = health.findings(phase, PAINT, IGNORANCE)
    assert "adversarial.weights.attention=0.5" in finding.text


def test_a_generator_without_a_learned_mask_is_judged_by_what_is_read() -> None:
    health = Health()
    terms = {name: value for name, value in GOOD.items() if name not in ("mask/mean", "mask/spread")}
    for _ in range(PATIENCE):
        health.update(SMALL.phases[3], terms | {"mask/response": 0.0})
    assert [finding.name for finding in health.findings(SMALL.phases[3], SMALL, IGNORANCE)] == ["low_response"]
