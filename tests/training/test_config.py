import json

import pytest

from ganimation.errors import TrainingError
from ganimation.training.config import Phase, TrainingConfig, emphasis_weights
from ganimation.training.fields import describe, difference, override
from ganimation.training.presets import OFFICIAL, PAPER, PRESETS, SMALL, preset
from ganimation.training.terms import check_weights


def test_presets_by_name() -> None:
    names = ("paper", "official", "bundled", "small", "finetune", "stargan", "cyclegan", "icgan", "diat")
    assert {preset(name) for name in names} == set(PRESETS.values())
    with pytest.raises(TrainingError, match="one of paper, official, bundled, small"):
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
    assert names == ["pairs", "mouths", "relax"]
    assert config.at(config.phases[0].steps)[1] == 0
    with pytest.raises(ValueError, match="ends before"):
        config.at(config.steps)


def test_decay_can_stop_above_zero() -> None:
    phase = Phase("x", steps=100, decay_from=0.5, decay_to=0.2)
    assert [phase.rate_factor(step) for step in (0, 49, 75, 100)] == pytest.approx([1, 1, 0.6, 0.2])


@pytest.mark.parametrize("config", PRESETS.values(), ids=list(PRESETS))
def test_every_preset_is_possible_and_survives_json(config: TrainingConfig) -> None:
    config.check()
    assert TrainingConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_a_field_that_was_not_there_yet_has_its_default() -> None:
    old = SMALL.to_json()
    del old["buffer"], old["phases"][0]["weights"]["cycle_form"]
    assert TrainingConfig.from_json(old) == SMALL


def test_one_field_is_overridden() -> None:
    assert override(SMALL, "size=128").size == 128
    assert override(SMALL, "augment=false", "seed=3").augment is False
    assert override(SMALL, "betas=0,0.9").betas == (0.0, 0.9)
    assert override(SMALL, "generator=conditioned").generator == "conditioned"
    assert override(SMALL, "targets.single=0.1").targets.single == 0.1
    everywhere = override(SMALL, "weights.attention=0.3")
    assert [phase.weights.attention for phase in everywhere.phases] == [0.3] * 5
    once = override(SMALL, "adversarial.weights.attention=0.5")
    assert [phase.weights.attention for phase in once.phases] == [0.0, 0.0, 0.0, 0.5, 0.0]
    steps = [phase.steps for phase in SMALL.phases]
    assert [phase.steps for phase in override(SMALL, "critic.steps=7").phases] == [*steps[:2], 7, *steps[3:]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size", "write NAME=VALUE"),
        ("sise=3", "sise: no such field; did you mean size"),
        ("weights.atention=3", "did you mean attention"),
        ("adversarial=3", "no such field"),
        ("size.x=3", "size has no fields of its own"),
        ("size=big", "size=big: input should be a valid integer"),
        ("average=much", "average=much: input should be a valid number"),
        ("augment=maybe", "augment=maybe: input should be a valid boolean"),
        ("condition=odd", "condition=odd: input should be 'absolute' or 'relative'"),
        ("betas=0.5", "betas: field required"),
        ("preset=mine", "no such field"),
    ],
)
def test_what_cannot_be_overridden_is_said(text: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        override(SMALL, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size=100", "size=100: a multiple of 8"),
        ("batch=0", "batch=0: input should be greater than or equal to 1"),
        ("average=1.5", r"average=1.5: input should be less than or equal to 0.25"),
        ("average=0.01", r"average=0.01: it must be 0, or at least 0.05"),
        ("weights.cycle=-1", "pairs.weights.cycle=-1: input should be greater than or equal to 0"),
        ("weights.cycle=inf", "weights.cycle=inf: input should be a finite number"),
        ("weights.cycle=nan", "weights.cycle=nan"),
        ("targets.photo=1", "add up to 1.65; they must to 1"),
        ("mouths.targets.photo=1", "add up to 1.65; they must to 1"),
        ("attention_low=1", "attention_low=1 is not below attention_high=1"),
        ("adversarial.paired=2", "adversarial.paired=2"),
        ("adversarial.size=32", "adversarial.size=32: the critic of whole faces has the run's size, 64"),
        ("mouths.batch=0", "mouths.batch=0"),
        ("emphasis=AU06", "emphasis.AU06=: input should be a valid number"),
        ("emphasis=AU66:3", "emphasis=AU66:3: write AU:NUMBER.*66"),
        ("emphasis=AU06:0", "emphasis.AU06=0: input should be greater than or equal to 0.01"),
    ],
)
def test_what_is_not_possible_is_said(text: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        override(SMALL, text).check()


def test_fields_that_contradict_each_other_are_said() -> None:
    with pytest.raises(TrainingError, match="cannot be steered by a factor"):
        override(SMALL, "attention_low=0.2", "weights.attention=0").check()
    with pytest.raises(TrainingError, match=r"pairs.erased=0.6 is for generator=muscles; set it to 0"):
        override(SMALL, "generator=conditioned").check()
    for change, remedy in (("size=48", "a multiple of 32"), ("condition=absolute", "set condition=relative")):
        with pytest.raises(TrainingError, match=remedy):
            override(SMALL, change).check()
    with pytest.raises(TrainingError, match=r"paired=0.7, erased=0.6 and opened=0 are more than the batch"):
        override(SMALL, "pairs.paired=0.7").check()


def test_a_phase_may_draw_its_batches_in_its_own_way() -> None:
    config = override(
        SMALL, "pairs.size=32", "pairs.batch=64", "pairs.targets.noise=0.3", "pairs.emphasis=AU06:3", "size=96"
    )
    config.check()
    own, common = (config.batch_options(phase) for phase in config.phases[:2])
    assert (own.size, own.batch, own.targets.noise, own.targets.single) == (32, 64, 0.3, SMALL.targets.single)
    assert (own.emphasis, common.emphasis) == ({"AU06": 3.0}, {})
    assert (common.size, common.batch, common.targets) == (96, SMALL.batch, SMALL.targets)
    once = override(PAPER, "adversarial.batch=50").resolve(1000)
    assert once.steps == 30 * 1000 / 50 / 5


def test_emphasis() -> None:
    emphasis = override(SMALL, "emphasis=6:3,AU45:2.5").emphasis
    assert emphasis == {"AU06": 3.0, "AU45": 2.5}
    assert emphasis_weights(emphasis, ("AU01", "AU06", "AU45")) == [1, 3, 2.5]
    assert emphasis_weights(override(SMALL, "emphasis=").emphasis, ("AU01", "AU06")) == [1, 1]
    with pytest.raises(TrainingError, match="AU06: it is not one of the data set's AUs: AU01, AU45"):
        emphasis_weights({"AU06": 3.0}, ("AU01", "AU45"))


def test_every_field_is_described() -> None:
    lines = describe(SMALL).splitlines()
    assert "size=64  side of the training images in pixels" in lines
    assert any(line.startswith("adversarial.weights.opening=0.6  of the realism") for line in lines)
    assert all(line.partition("  ")[2] for line in lines)


def test_a_configuration_of_another_version_is_refused_in_a_line() -> None:
    with pytest.raises(TrainingError, match=r"^widht=3: unexpected keyword argument$"):
        TrainingConfig.from_json(SMALL.to_json() | {"widht": 3})
    with pytest.raises(TrainingError, match=r"^phases: input should be a valid tuple$"):
        TrainingConfig.from_json(SMALL.to_json() | {"phases": None})
    old = SMALL.to_json() | {"emphasis": "AU06:3"}
    assert TrainingConfig.from_json(old).emphasis == {"AU06": 3.0}


def test_difference_names_the_field() -> None:
    assert difference(SMALL.to_json(), SMALL.to_json()) is None
    old, new = SMALL.to_json(), SMALL.to_json()
    new["phases"][2]["weights"]["pair"] = 3.0
    assert difference(old, new) == "phases.2.weights.pair was 50.0 and is 3.0"
    assert difference({"a": 1}, {"a": 1, "b": None, "c": 2}) == "c was None and is 2"


def test_weights_of_another_generator_are_refused() -> None:
    check_weights(SMALL)
    check_weights(PAPER)
    with pytest.raises(TrainingError, match=r"pairs.weights.cycle=10 is for generator=conditioned; set it to 0"):
        check_weights(override(SMALL, "weights.cycle=10"))
    with pytest.raises(TrainingError, match=r"adversarial.weights.opening=1 is for generator=muscles; set it to 0"):
        check_weights(override(PAPER, "weights.opening=1"))
