"""The rivals on the training loop, in a model folder and in the editor."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from ganimation.cli import main
from ganimation.data.dataset import FaceDataset
from ganimation.editing.editor import Editor
from ganimation.errors import ActionUnitError, TrainingError
from ganimation.media.images import read_image
from ganimation.model import ModelConfig
from ganimation.rivals import RIVALS
from ganimation.training.batches import plan
from ganimation.training.config import TrainingConfig
from ganimation.training.estimate import estimate
from ganimation.training.export import export
from ganimation.training.loop import train
from ganimation.training.presets import PRESETS
from ganimation.training.request import TrainRequest
from ganimation.training.rivals import EmotionBatches, emotions_of

METHODS = ("stargan", "cyclegan", "icgan", "diat")


def tiny(method: str, steps: int = 2) -> TrainingConfig:
    preset = PRESETS[method]
    phases = tuple(dataclasses.replace(phase, steps=steps, epochs=0) for phase in preset.phases)
    return dataclasses.replace(
        preset, size=64, batch=2, generator_width=8, critic_width=8, buffer=min(3, preset.buffer), phases=phases
    )


def train_rival(dataset: Path, run: Path, method: str) -> Path:
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    fabric.launch()
    return train(FaceDataset(dataset), run, tiny(method), fabric, TrainRequest(checkpoint_every=1, sheet_every=2))


@pytest.mark.parametrize("method", METHODS)
def test_an_estimate_times_the_networks_of_the_method(dataset: Path, method: str) -> None:
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    fabric.launch()
    config = tiny(method)
    found = estimate(FaceDataset(dataset), config, fabric, TrainRequest())
    rival = RIVALS[method](2, config.size, config.generator_width, config.critic_width)
    for net, count in ((rival.build_generator(), found.generator), (rival.build_critic(), found.critic)):
        assert sum(value.numel() for value in net.parameters()) == count
    assert [phase.name for phase in found.phases] == [phase.name for phase in config.phases]
    assert found.phases[0].faces == 2 * config.phases[0].critic_steps


@pytest.fixture(scope="module", params=METHODS)
def rival_run(request: pytest.FixtureRequest, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_rival(dataset, tmp_path_factory.mktemp("rivals") / request.param, request.param)


@pytest.fixture(scope="module")
def rival_model(rival_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rival-models") / rival_run.name
    export(rival_run, folder)
    return folder


def test_a_run_resumes_to_the_bit(rival_run: Path, dataset: Path, tmp_path: Path) -> None:
    last = max((rival_run / "checkpoints").iterdir())
    lines = (rival_run / "metrics.jsonl").read_text().splitlines()
    assert all(np.isfinite(value) for line in lines for value in json.loads(line).values() if isinstance(value, float))
    method = rival_run.name
    whole = train_rival(dataset, tmp_path / method, method)
    max((whole / "checkpoints").iterdir()).unlink()
    train_rival(dataset, whole, method)
    states = [torch.load(path, weights_only=True) for path in (last, whole / "checkpoints" / last.name)]
    for network in ("generator", "critic"):
        for name, value in states[0][network].items():
            assert torch.equal(value, states[1][network][name]), name
    assert (whole / "metrics.jsonl").read_text().splitlines() == lines
    assert list((whole / "samples").glob("*.png"))


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino", "torch"])
def test_a_model_edits_by_emotion_with_every_backend(rival_model: Path, portrait: Path, backend: str) -> None:
    editor = Editor(rival_model, backend)
    assert editor.config.emotions == ("neutral", "happiness")
    edit = editor.edit(portrait, editor.emotion("happiness"))
    (face,) = edit.faces
    assert face.color is not None
    assert face.attention is not None
    assert not face.attention.any()
    expected = Editor(rival_model, "torch").edit(portrait, {"happiness": 1})
    assert np.abs(edit.image.astype(int) - expected.image).mean() < 0.1
    assert not np.array_equal(edit.image, read_image(portrait).pixels)
    assert np.array_equal(edit.image[:20], read_image(portrait).pixels[:20])


def test_what_a_model_of_emotions_cannot_do_is_said(rival_model: Path, portrait: Path) -> None:
    editor = Editor(rival_model)
    for asked, message in (
        ({"AU12": 0.8}, "'AU12': this model knows no action units but emotions: neutral, happiness"),
        ({"anger": 1}, "'anger': this model knows no action units but emotions"),
        ({"happiness": 0.5}, "happiness at 0.5: this model has no intensities"),
        ({"happiness": 1, "neutral": 1}, "2 emotions asked; this model shows one at a time"),
    ):
        with pytest.raises(ActionUnitError, match=message):
            editor.edit(portrait, asked)


def test_the_command_edits_by_emotion_and_refuses_aus(
    rival_model: Path, portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.png"
    edit = ["edit", str(portrait), "-o", str(output), "--model", str(rival_model)]
    assert main([*edit, "--au", "AU12=0.8"]) == 2
    assert "knows no action units; ask with --emotion for one of neutral, happiness" in capsys.readouterr().err
    assert not output.exists()
    assert main([*edit, "--emotion", "happiness"]) == 0
    assert output.exists()


def test_card_and_config_say_what_the_model_is(rival_model: Path) -> None:
    config = ModelConfig.read(rival_model)
    assert (config.aus, config.kind) == ((), rival_model.name)
    assert "2 emotions" in (rival_model / "README.md").read_text()


@pytest.mark.parametrize("method", METHODS)
def test_batches_are_a_function_of_seed_and_step(dataset: Path, method: str) -> None:
    faces = FaceDataset(dataset)
    config = dataclasses.replace(tiny(method), batch=6)
    batches = EmotionBatches(faces, config, emotions_of(faces))
    (key, *_) = plan(config, 1)
    first, again = batches.draw(*key), batches.draw(*key)
    assert all(torch.equal(getattr(first, name), getattr(again, name)) for name in ("source", "other", "target", "mix"))
    assert first.source.shape == first.other.shape == (6, 3, 64, 64)
    if method in ("cyclegan", "diat"):
        assert (first.label[:, 0] == 1).all()
        assert (first.target[:, 1] == 1).all()


def test_data_sets_that_do_not_do_are_said(dataset: Path) -> None:
    faces = FaceDataset(dataset)
    for emotions, message in (
        ([None] * 6, "the data set has no emotions; prepare it with --labels"),
        (["neutral"] * 6, "the data set has the emotions neutral; neutral and at least one more are needed"),
        (["anger"] * 6, "the data set has the emotions anger; neutral and"),
        (["neutral"] * 5 + ["anger"], "emotion anger has 1 face; at least 2 are needed"),
    ):
        faces.emotions = list(emotions)
        with pytest.raises(TrainingError, match=message):
            emotions_of(faces)


def test_the_command_trains_a_rival(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = [
        "--set",
        "size=64",
        "batch=2",
        "generator_width=4",
        "critic_width=4",
        "--steps",
        "1",
        "--accelerator",
        "cpu",
    ]
    command = ["train", str(dataset), "-o", str(tmp_path / "run"), "--method", "stargan", "--accelerator", "cpu"]
    assert main([*command, *small]) == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["dataset"]["emotions"] == ["neutral", "happiness"]
    capsys.readouterr()
    assert main([*command, "--preset", "paper"]) == 2
    assert "--method stargan has its own preset; leave out --preset paper" in capsys.readouterr().err
    assert main([*command, "--init", "bundled"]) == 2
    assert "--init bundled: the method stargan begins with fresh networks" in capsys.readouterr().err
    assert main(["train", str(dataset), "-o", str(tmp_path / "x"), "--method", "icgan", "--set", "size=128"]) == 2
    assert "icgan draws 64 pixels; set size=64" in capsys.readouterr().err


def test_what_needs_action_units_is_refused_in_a_line(
    rival_model: Path, dataset: Path, portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, timeline, output = tmp_path / "t.csv", tmp_path / "t.json", tmp_path / "x.png"
    table.write_text(f"photo,emotion\n{portrait},happiness\n")
    timeline.write_text('{"keyframes": [{"time": 0, "aus": {"AU12": 1}}, {"time": 1, "aus": {"AU12": 0}}]}')
    model = ["--model", str(rival_model)]
    for command, what in (
        (["figure", "single-aus", str(portrait), "-o", str(output), *model], "the figure single-aus"),
        (["figure", "muscles", str(portrait), "-o", str(output), *model], "the figure muscles"),
        (["edit", str(table), "-o", str(tmp_path / "out"), *model], "a table"),
        (["edit", str(portrait), "--like", str(portrait), "-o", str(output), *model], "copying an expression"),
        (["animate", str(portrait), "--timeline", str(timeline), "-o", str(tmp_path / "x.gif"), *model], "a timeline"),
        (["train", str(dataset), "-o", str(tmp_path / "run"), "--init", str(rival_model)], "training further"),
    ):
        assert main(command) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert f"{what} needs a model of action units; this one ({rival_model.name}) translates to emotions" in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.csv", "t.json"]
