"""The presets: instances of the one configuration."""

import dataclasses
from collections.abc import Mapping

from ganimation.errors import TrainingError
from ganimation.rivals.icgan import ENCODERS
from ganimation.training.config import Phase, TargetMix, TrainingConfig, Weights

#: The paper read literally: Sec. 5 and Eq. 5. lambda_y weighs a squared norm, hence a sum over AUs, and lambda_idt an
#: l1 norm, hence a sum over pixels.
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
                cycle_form="norm",
            ),
        ),
    ),
)

#: The authors' code as coded. Its expression loss is a mean divided by the batch size (25) once more, times 4000, hence
#: 160 of the mean; its smoothness is 1e-5 of the batch's sum, hence 25e-5 of an image's. Its gradient penalty
#: differentiates the sum over patches, and its rates fall once an epoch, first after epoch 21.
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
            decay_by_epoch=True,
            weights=Weights(
                expression=160.0,
                attention=0.1,
                smoothness=25e-5,
                attention_form="mean",
                smoothness_form="absolute",
                penalty_form="sum",
            ),
        ),
    ),
)

_MUSCLE_WEIGHTS = Weights(
    expression=40.0,
    critic_share=0.25,
    cycle=0.0,
    attention=0.0,
    smoothness=0.0,
    pair=50.0,
    restore=170.0,
    opening=0.6,
    shading=1.0,
    adversarial_form="hinge",
)

_PAIRS = Phase(
    "pairs",
    steps=700,
    critic_steps=0,
    paired=0.4,
    erased=0.6,
    generator_rate=4e-4,
    weights=_MUSCLE_WEIGHTS,
)

_GAME = Phase(
    "adversarial",
    steps=1000,
    critic_steps=1,
    paired=0.25,
    erased=0.3,
    opened=0.15,
    generator_rate=3e-4,
    critic_rate=6e-4,
    weights=_MUSCLE_WEIGHTS,
)

#: What ships: shading from pairs and restored apertures from ground truth, at 64 pixels and at 128; then a game about
#: apertures alone, which is cheap; the critic of the whole catches up, then the game about everything, at last with
#: little loss of expression: folds that only persuade the critic's AUs relax.
BUNDLED = TrainingConfig(
    preset="bundled",
    generator="muscles",
    size=128,
    batch=16,
    generator_width=32,
    generator_blocks=4,
    condition="relative",
    critic_width=48,
    critic_layers=3,
    critic_cap=256,
    critic_spectral=True,
    penalty_every=0,
    shared_batch=True,
    reread_every=4,
    betas=(0.5, 0.99),
    average=0.05,
    targets=TargetMix(photo=0.35, single=0.55, blend=0.1, same=0.0),
    balance=0.5,
    au_balance=0.5,
    augment=True,
    phases=(
        dataclasses.replace(_PAIRS, name="coarse", steps=1500, size=64),
        dataclasses.replace(_PAIRS, decay_from=0.5, decay_to=0.2),
        Phase(
            "mouths",
            steps=2600,
            critic_steps=1,
            apertures_only=True,
            paired=0.25,
            erased=0.4,
            opened=0.35,
            generator_rate=4e-4,
            critic_rate=8e-4,
            weights=_MUSCLE_WEIGHTS,
        ),
        dataclasses.replace(_GAME, name="critic", steps=150, train_generator=False),
        _GAME,
        dataclasses.replace(
            _GAME,
            name="relax",
            steps=800,
            decay_from=0.3,
            decay_to=0.1,
            weights=dataclasses.replace(_MUSCLE_WEIGHTS, expression=4.0, critic_share=1.0),
        ),
    ),
)

#: The same in about an hour of a laptop's CPU, at 64 pixels.
SMALL = dataclasses.replace(
    BUNDLED,
    preset="small",
    size=64,
    phases=tuple(
        dataclasses.replace(phase, steps=steps)
        for phase, steps in zip(BUNDLED.phases[1:], (3000, 3000, 500, 1000, 800), strict=True)
    ),
)

#: On from a model with one's own faces, with more of true pictures; minutes on a laptop's CPU.
FINETUNE = dataclasses.replace(
    BUNDLED,
    preset="finetune",
    batch=8,
    phases=(
        dataclasses.replace(BUNDLED.phases[3], steps=20),
        dataclasses.replace(BUNDLED.phases[4], steps=200, paired=0.5, generator_rate=1e-4),
    ),
)

#: The rivals by their own facts; epochs are those of the paper that used some 200,000 faces, see docs/paper.md.
STARGAN = TrainingConfig(
    preset="stargan",
    method="stargan",
    batch=16,
    phases=(Phase("adversarial", steps=40_000, decay_from=0.5),),
)
CYCLEGAN = TrainingConfig(
    preset="cyclegan",
    method="cyclegan",
    batch=1,
    buffer=50,
    phases=(Phase("adversarial", epochs=200, critic_steps=1, generator_rate=2e-4, critic_rate=2e-4, decay_from=0.5),),
)
ICGAN = TrainingConfig(
    preset="icgan",
    method="icgan",
    size=64,
    batch=64,
    phases=(
        Phase("adversarial", epochs=25, critic_steps=1, generator_rate=2e-4, critic_rate=2e-4),
        Phase(ENCODERS, epochs=15, critic_steps=0),
    ),
)
DIAT = dataclasses.replace(CYCLEGAN, preset="diat", method="diat")

PRESETS: Mapping[str, TrainingConfig] = {
    config.preset: config for config in (PAPER, OFFICIAL, BUNDLED, SMALL, FINETUNE, STARGAN, CYCLEGAN, ICGAN, DIAT)
}


def preset(name: str) -> TrainingConfig:
    """Return a preset by name.

    Raises:
        TrainingError: there is none of that name.
    """
    if name not in PRESETS:
        raise TrainingError(f"unknown preset {name!r}; it is one of {', '.join(PRESETS)}")
    return PRESETS[name]
