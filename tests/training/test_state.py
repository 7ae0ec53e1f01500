"""Beginning from a model."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from ganimation.action_units import DEFAULT_AUS
from ganimation.errors import ModelError, TrainingError
from ganimation.model import CRITIC, GENERATOR, hash_weights
from ganimation.training import checkpoints
from ganimation.training.presets import SMALL
from ganimation.training.request import TrainRequest
from ganimation.training.run import start as start_run
from ganimation.training.state import Start, build_networks
from tests.training.tiny import TINY, train_tiny

CPU = TrainRequest(accelerator="cpu", devices="1", precision="32-true")


def test_a_model_gives_its_weights_and_its_shape(model: Path) -> None:
    start = Start.read(model)
    config = start.fit(dataclasses.replace(SMALL, size=192))
    assert (config.generator, config.size, config.generator_width) == ("muscles", 64, 4)
    assert (config.critic_width, config.critic_cap, config.critic_spectral) == (4, 8, True)
    assert config.init == start.fingerprint
    generator, critic = build_networks(config, DEFAULT_AUS, start)
    assert all(torch.equal(value, start.generator[name]) for name, value in generator.state_dict().items())
    assert all(torch.equal(value, start.critic[name]) for name, value in critic.state_dict().items())


def test_at_another_size_the_head_of_the_critic_begins_anew(model: Path) -> None:
    start = Start.read(model)
    config = dataclasses.replace(start.fit(SMALL), size=128)
    assert start.misfit(config) is None
    _, critic = build_networks(config, DEFAULT_AUS, start)
    assert critic.aus.weight.shape[-2:] == (16, 16)
    assert torch.equal(critic.realism.weight, start.critic["realism.weight"])


def test_a_run_begins_from_a_model_and_resumes_only_with_it(dataset: Path, model: Path, tmp_path: Path) -> None:
    start = Start.read(model)
    config = start.fit(
        dataclasses.replace(TINY, phases=(dataclasses.replace(TINY.phases[0], steps=1, generator_rate=0),))
    )
    run = train_tiny(dataset, tmp_path / "run", config, start=start)
    found = checkpoints.newest(run / "checkpoints")
    assert found is not None
    assert all(torch.equal(value, start.generator[name]) for name, value in found[1]["generator"].items())
    with pytest.raises(TrainingError, match=r"training.init was '\w{16}' and is ''"):
        train_tiny(dataset, run, dataclasses.replace(config, init=""))


def test_finetune_needs_nothing_but_a_model_and_faces(dataset: Path, model: Path, tmp_path: Path) -> None:
    start_run(dataset, tmp_path / "run", dataclasses.replace(CPU, steps=5, changes=["reread_every=0"], init=str(model)))
    content = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (content["training"]["preset"], content["training"]["size"]) == ("finetune", 64)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert {line["phase"] for line in lines} == {"adversarial"}
    assert all(line["generator/shading"] >= 0 for line in lines)
    with pytest.raises(TrainingError, match="preset finetune goes on from a model; name it with --init"):
        start_run(dataset, tmp_path / "other", dataclasses.replace(CPU, preset="finetune"))


def test_what_does_not_fit_is_said(dataset: Path, model: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="generator_width was 4 and is 8 with --set"):
        start_run(dataset, tmp_path / "run", dataclasses.replace(CPU, init=str(model), changes=["generator_width=8"]))
    with pytest.raises(ModelError, match="no such model folder"):
        start_run(dataset, tmp_path / "run", dataclasses.replace(CPU, init=str(tmp_path / "none")))
    fewer = tmp_path / "fewer"
    fewer.mkdir()
    for path in model.iterdir():
        (fewer / path.name).write_bytes(path.read_bytes())
    text = (fewer / "config.json").read_text().replace('"AU45"', '"AU23"')
    (fewer / "config.json").write_text(text)
    with pytest.raises(TrainingError, match="prepare the data set with the same AUs"):
        start_run(dataset, tmp_path / "run", dataclasses.replace(CPU, init=str(fewer)))
    (fewer / GENERATOR).write_bytes(b"nothing")
    with pytest.raises(ModelError, match=r"damaged \(not the file whose SHA-256"):
        Start.read(fewer)
    content = json.loads(text) | {"files": hash_weights(fewer)}
    (fewer / "config.json").write_text(json.dumps(content))
    with pytest.raises(TrainingError, match="its weights cannot be read"):
        Start.read(fewer)
    assert not (tmp_path / "run").exists()


def test_a_model_without_a_critic_can_be_begun_from(model: Path, tmp_path: Path) -> None:
    for path in model.iterdir():
        if path.name != CRITIC:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    start = Start.read(tmp_path)
    generator, _ = build_networks(start.fit(SMALL), DEFAULT_AUS, start)
    assert all(torch.equal(value, start.generator[name]) for name, value in generator.state_dict().items())
