"""The presets: instances of the one configuration."""

import dataclasses
from collections.abc import Mapping

from ganimation.errors import TrainingError
from ganimation.training.config import Phase, TargetMix, TrainingConfig
from ganimation.training.losses import Weights

#: The paper read literally: Sec. 5 and Eq. 5. lambda_y weighs a squared norm, hence a sum over AUs.
PAPER = TrainingConfig(
    preset="paper",
    phases=(
        Phase(
            "adversarial",
            epochs=30,
            decay_from=2 / 3,
            weights=Weights(
                expression=4000.0,
                expression_form="sum",
                attention=0.1,
                attention_form="norm",
                smoothness=0.1 * 1e-4,
            ),
        ),
    ),
)

#: The authors' code as coded. Its expression loss is a mean divided by the batch size (25) once more, times 4000, hence
#: 160 of the mean; its smoothness is 1e-5 of the batch's sum, hence 25e-5 of an image's.
OFFICIAL = dataclasses.replace(
    PAPER,
    preset="official",
    penalty_apart=True,
    shared_batch=True,
    phases=(
        Phase(
            "adversarial",
            epochs=30,
            decay_from=2 / 3,
            weights=Weights(
                expression=160.0,
                attention=0.1,
                smoothness=25e-5,
                attention_form="mean",
                smoothness_form="absolute",
            ),
        ),
    ),
)

_SMALL_WEIGHTS = Weights(
    expression=100.0,
    cycle=10.0,
    attention=0.2,
    attention_form="change",
    smoothness=1e-4,
    pair=30.0,
    color=15.0,
    tint=500.0,
)

#: A usable model on a laptop's CPU: learn from pairs of one session, let the critic catch up, then everything together.
SMALL = TrainingConfig(
    preset="small",
    size=64,
    batch=16,
    generator_width=32,
    upsample="resize",
    color_head="warp",
    injection="blocks",
    condition="relative",
    critic_width=48,
    critic_cap=256,
    penalty_every=2,
    shared_batch=True,
    reread_every=3,
    ema=0.99,
    targets=TargetMix(photo=0.35, single=0.45, blend=0.1, same=0.1),
    balance=0.5,
    augment=True,
    phases=(
        Phase(
            "pairs",
            steps=2000,
            critic_steps=0,
            paired=1.0,
            generator_rate=4e-4,
            decay_from=0.3,
            decay_to=0.2,
            weights=dataclasses.replace(
                _SMALL_WEIGHTS, pair=1.0, color=0.5, tint=20.0, attention=0.01, smoothness=1e-6
            ),
        ),
        Phase(
            "critic",
            steps=1500,
            critic_steps=1,
            train_generator=False,
            paired=0.5,
            critic_rate=2e-4,
            weights=_SMALL_WEIGHTS,
        ),
        Phase(
            "adversarial",
            steps=1500,
            critic_steps=3,
            paired=0.5,
            generator_rate=1e-4,
            critic_rate=2e-4,
            decay_from=0.7,
            decay_to=0.2,
            weights=_SMALL_WEIGHTS,
        ),
    ),
)

_FINETUNE_WEIGHTS = dataclasses.replace(
    _SMALL_WEIGHTS,
    expression=600.0,
    pair=150.0,
    tint=5000.0,
    paint=500.0,
    strain=200.0,
    bend=20.0,
    stray=600.0,
    lids=600.0,
    seam=500.0,
    place=3000.0,
    mirror=100.0,
)

#: On from a model with one's own faces, by what the bundled weights learned from, milder, and with more of true
#: pictures; minutes on a laptop's CPU.
FINETUNE = dataclasses.replace(
    SMALL,
    preset="finetune",
    batch=8,
    au_balance=0.5,
    targets=dataclasses.replace(SMALL.targets, reach=2.0),
    phases=(
        dataclasses.replace(SMALL.phases[1], steps=20, weights=_FINETUNE_WEIGHTS),
        dataclasses.replace(SMALL.phases[2], steps=200, paired=0.75, weights=_FINETUNE_WEIGHTS),
    ),
)

PRESETS: Mapping[str, TrainingConfig] = {config.preset: config for config in (PAPER, OFFICIAL, SMALL, FINETUNE)}


def preset(name: str) -> TrainingConfig:
    """Return a preset by name.

    Raises:
        TrainingError: there is none of that name.
    """
    if name not in PRESETS:
        raise TrainingError(f"unknown preset {name!r}; it is one of {', '.join(PRESETS)}")
    return PRESETS[name]
