import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import safetensors.torch
import torch
from lightning_fabric import Fabric
from pyarrow import parquet

from ganimation.action_units import DEFAULT_AUS
from ganimation.data.dataset import FaceDataset, write_shards
from ganimation.errors import DatasetError, ModelError, TrainingError
from ganimation.training import checkpoints
from ganimation.training.export import export
from ganimation.training.loop import build_game, train, weigh_aus
from ganimation.training.request import TrainRequest
from ganimation.training.state import build_networks
from tests.training.tiny import PAINT, STEPS, TINY, train_tiny


def weights(run: Path) -> dict[str, torch.Tensor]:
    found = checkpoints.newest(run / "checkpoints")
    assert found is not None
    assert found[0] == sum(STEPS)
    nets = {net: found[1][net] for net in ("generator", "critic")}
    nets |= {f"average{number}": average for number, average in enumerate(found[1]["averages"])}
    return {f"{net}.{name}": value for net, weights in nets.items() for name, value in weights.items()}


def assert_same_run(first: Path, second: Path) -> None:
    assert (first / "metrics.jsonl").read_text() == (second / "metrics.jsonl").read_text()
    ours, theirs = weights(first), weights(second)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_run_writes_what_it_says(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 9))
    assert [line["phase"] for line in lines] == ["pairs"] * 3 + ["critic"] * 2 + ["adversarial"] * 3
    assert "critic/wasserstein" not in lines[0]
    assert "generator/pair" not in lines[4]
    assert {
        "critic/wasserstein", "critic/hinge", "critic/expression", "critic/reread", "generator/adversarial",
        "generator/expression", "generator/pair", "generator/restore", "generator/shading",
        "critic/opening", "generator/opening",
        "mask/changed", "mask/asked", "mask/response",
    } <= set().union(*(line.keys() for line in lines[5:]))  # fmt: skip
    assert "mask/mean" not in lines[-1]
    assert len(list((run / "averages").glob("updates-*-0.safetensors"))) == 6
    assert all(np.isfinite(value) for line in lines for value in line.values() if not isinstance(value, str))
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["step-00000007.pt", "step-00000008.pt"]
    assert cv2.imread(str(run / "samples" / "step-00000008.png")) is not None


def test_phases_train_what_they_name(dataset: Path, tmp_path: Path) -> None:
    """The critic phase leaves the generator alone, the pairs phase the critic."""
    pairs, critic, _ = TINY.phases
    start, _ = build_networks(TINY, DEFAULT_AUS)
    for phases, moved, still in (((pairs,), "generator", "critic"), ((critic,), "critic", "generator")):
        config = dataclasses.replace(TINY, phases=phases)
        run = train_tiny(dataset, tmp_path / moved, config)
        found = checkpoints.newest(run / "checkpoints")
        assert found is not None
        fresh = dict(zip(("generator", "critic"), build_networks(config, DEFAULT_AUS), strict=True))
        assert any(not torch.equal(value, found[1][moved][name]) for name, value in fresh[moved].state_dict().items())
        assert all(torch.equal(value, found[1][still][name]) for name, value in fresh[still].state_dict().items())
    assert start.num_aus == 16


def test_killed_at_a_random_moment_and_run_again_is_bit_identical(dataset: Path, run: Path, tmp_path: Path) -> None:
    """A real process; killed once it has written a checkpoint and some lines beyond it."""
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "tests.training.tiny", str(dataset), str(folder)]
    root = Path(__file__).resolve().parent.parent.parent
    process = subprocess.Popen(command, cwd=root, start_new_session=True, stderr=subprocess.DEVNULL)
    metrics = folder / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and len(metrics.read_text().splitlines()) >= 5):
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert len(metrics.read_text().splitlines()) < sum(STEPS)
    subprocess.run(command, cwd=root, check=True, stderr=subprocess.DEVNULL)
    assert_same_run(run, folder)


def test_a_truncated_checkpoint_is_passed_over(dataset: Path, run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train_tiny(dataset, folder, every=3)
    newest = folder / "checkpoints" / "step-00000008.pt"
    newest.write_bytes(newest.read_bytes()[:1000])
    with pytest.warns(UserWarning, match=r"step-00000008.pt is damaged and passed over"):
        train_tiny(dataset, folder, every=3)
    assert_same_run(run, folder)


def test_a_checkpoint_of_other_networks_is_said(dataset: Path, run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    path = folder / "checkpoints" / "step-00000007.pt"
    (folder / "checkpoints" / "step-00000008.pt").unlink()
    state = torch.load(path, weights_only=True)
    name, value = next(iter(state["generator"].items()))
    whole = dict(state)
    for wrong in (
        whole | {"generator": state["generator"] | {name: value[:1]}},
        {key: part for key, part in whole.items() if key != "critic"},
        whole | {"control": {"surprise": 1}},
        whole | {"history": 3},
        whole | {"seconds": "long"},
        whole | {"generator": [1]},
    ):
        torch.save(wrong, path)
        with pytest.raises(TrainingError, match="the checkpoint of step 7 does not fit this run"):
            train_tiny(dataset, folder)
    torch.save(whole, path)
    cut = [average | {name: average[name][:1]} for average in state["averages"]]
    for number, weights in enumerate(cut):
        (folder / "averages" / f"updates-00000005-{number}.safetensors").write_bytes(safetensors.torch.save(weights))
    for other in folder.glob("averages/updates-0000000[!5]-*"):
        other.unlink()
    with pytest.raises(ModelError, match="the weights do not fit the networks of the config"):
        export(folder, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_what_a_killed_run_left_is_swept(tmp_path: Path) -> None:
    half = tmp_path / ".step-00000001-a.partial.pt"
    half.write_bytes(b"half")
    os.utime(half, (0, 0))
    checkpoints.save(tmp_path, 2, {"x": torch.ones(3)})
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000002.pt"]


def test_a_full_disk_loses_nothing_older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints.save(tmp_path, 1, {"x": torch.ones(3)})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TrainingError, match="No space left"):
        checkpoints.save(tmp_path, 2, {"x": torch.ones(3)})
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001.pt"]
    found = checkpoints.newest(tmp_path)
    assert found is not None
    assert found[0] == 1


def test_a_finished_run_is_left_as_it_is(dataset: Path, run: Path) -> None:
    before = (run / "metrics.jsonl").read_text()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train_tiny(dataset, run)
    assert (run / "metrics.jsonl").read_text() == before


def test_another_configuration_is_named(dataset: Path, run: Path) -> None:
    with pytest.raises(TrainingError, match=r"training.seed was 0 and is 7"):
        train_tiny(dataset, run, dataclasses.replace(TINY, seed=7))


def test_a_loss_that_is_not_finite_stops_the_run(dataset: Path, tmp_path: Path) -> None:
    wild = dataclasses.replace(TINY.phases[2], steps=60, critic_rate=1e6, generator_rate=1e6)
    config = dataclasses.replace(TINY, phases=(TINY.phases[0], wild))
    with pytest.raises(TrainingError, match=r"(critic|generator|mask)/\w+ is (nan|inf|-inf) at step"):
        train_tiny(dataset, tmp_path / "run", config)
    assert checkpoints.newest(tmp_path / "run" / "checkpoints") is not None


def test_a_gradient_penalty_can_be_asked_of_muscles_too(dataset: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, phases=TINY.phases[2:], penalty_every=1)
    lines = (train_tiny(dataset, tmp_path / "run", config) / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["critic/gradient_penalty"] > 0


def test_the_separate_penalty_step_trains(dataset: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(PAINT, phases=PAINT.phases[2:], penalty_apart=True, condition="absolute")
    lines = (train_tiny(dataset, tmp_path / "run", config) / "metrics.jsonl").read_text().splitlines()
    assert {
        "critic/gradient_penalty", "generator/cycle", "generator/attention", "generator/smoothness", "mask/mean",
        "mask/spread", "mask/factor",
    } <= json.loads(lines[0]).keys()  # fmt: skip


def receive(number: signal.Signals) -> None:
    """Do what Python does when a signal arrives; a real one has taken the whole test process with it, now and then."""
    handler = signal.getsignal(number)
    assert callable(handler)
    assert handler is not signal.default_int_handler
    handler(number, None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_finishes_the_step_and_goes_on_from_there(
    dataset: Path, run: Path, tmp_path: Path, number: signal.Signals
) -> None:
    folder = tmp_path / "run"
    steps: list[int] = []

    def ask(step: int, terms: dict[str, float]) -> None:
        steps.append(step)
        if step == 3:
            receive(number)

    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    fabric.launch()
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt, match="stopped after step 4; the same command goes on"):
        train(FaceDataset(dataset), folder, TINY, fabric, TrainRequest(checkpoint_every=100), report=ask)
    assert signal.getsignal(number) == before
    assert steps == [1, 2, 3, 4]
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["step-00000004.pt"]
    train_tiny(dataset, folder)
    assert_same_run(run, folder)


def test_a_batch_that_cannot_be_shared_is_said(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"a batch of 4 .* in 3 parts each; .* --set batch=3"):
        train_tiny(dataset, tmp_path / "run", request=TrainRequest(accumulate=3))


def test_a_config_that_is_damaged_is_said(dataset: Path, run: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"training": {}, "dataset": {}}')
    with pytest.raises(TrainingError, match="cannot be used for a run"):
        train_tiny(dataset, tmp_path)


def test_a_picture_of_another_size_stops_the_run_and_loses_nothing(dataset: Path, run: Path, tmp_path: Path) -> None:
    """The data set goes bad between two halves of a run."""
    faces, folder = tmp_path / "faces", tmp_path / "run"
    shutil.copytree(dataset, faces)
    stopped = Fabric(accelerator="cpu", devices=1, precision="32-true")
    stopped.launch()

    def interrupt(step: int, terms: dict[str, float]) -> None:
        if step == 3:
            receive(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(FaceDataset(faces), folder, TINY, stopped, report=interrupt)
    small = cv2.imencode(".jpg", np.zeros((32, 32, 3), np.uint8))[1].tobytes()
    table = parquet.read_table(next(faces.glob("train-*"))).to_pylist()
    rows = ({**row, "image": {"bytes": small, "path": "small.jpg"}} for row in table)
    write_shards(faces, "train", rows, len(table), FaceDataset(faces).info.aus)
    with pytest.raises(DatasetError, match=r"small.jpg: 32x32 in the data set, expected 64 pixels square"):
        train_tiny(faces, folder)
    assert checkpoints.newest(folder / "checkpoints") is not None
    shutil.rmtree(faces)
    shutil.copytree(dataset, faces)
    train_tiny(faces, folder)
    assert_same_run(run, folder)


def test_a_run_is_trained_by_one_at_a_time(dataset: Path, tmp_path: Path) -> None:
    said: list[str] = []

    def again(step: int, terms: dict[str, float]) -> None:
        if step == 2:
            with pytest.raises(TrainingError, match="another process is training it") as caught:
                train_tiny(dataset, tmp_path / "run")
            said.append(str(caught.value))

    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    fabric.launch()
    train(FaceDataset(dataset), tmp_path / "run", TINY, fabric, report=again)
    assert len(said) == 1


def test_when_all_checkpoints_are_damaged_nothing_begins_anew(dataset: Path, tmp_path: Path) -> None:
    train_tiny(dataset, tmp_path / "run")
    metrics = (tmp_path / "run" / "metrics.jsonl").read_text()
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        path.write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(TrainingError, match="all checkpoints are damaged"):
        train_tiny(dataset, tmp_path / "run")
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == metrics


def test_a_damaged_checkpoint_of_the_future_does_not_push_out_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "step-00000900.pt").write_bytes(b"damaged")
    for step in (100, 200, 300):
        checkpoints.save(tmp_path, step, {"x": torch.ones(1)})
    with pytest.warns(UserWarning, match="step-00000900.pt is damaged"):
        found = checkpoints.newest(tmp_path)
    assert found is not None
    assert found[0] == 300
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"step-00000{step}.pt" for step in (200, 300, 900)]


def test_aus_that_vary_little_count_more_with_a_mean_of_one() -> None:
    aus = np.array([[0.0, 0.0], [0.2, 0.8]], np.float32)
    assert weigh_aus(aus, 1.0).tolist() == pytest.approx([32 / 17, 2 / 17])
    assert weigh_aus(aus, 0.0).tolist() == [1.0, 1.0]


def test_emphasis_weighs_errors_of_an_au(dataset: Path) -> None:
    cpu, faces = Fabric(accelerator="cpu", devices=1, precision="32-true"), FaceDataset(dataset)
    config = dataclasses.replace(TINY, emphasis={"AU06": 3.0}, au_balance=0.0, reread_every=0)
    first, *others = config.phases
    config = dataclasses.replace(config, phases=(dataclasses.replace(first, emphasis={"AU01": 2.0}), *others))
    weights = build_game(config, faces, cpu).au_weights
    for code, phases in (("AU01", config.phases[:1]), ("AU06", config.phases[1:])):
        for phase in phases:
            found = dict(zip(faces.info.aus, weights[phase.name].tolist(), strict=True))
            assert {name for name, value in found.items() if value != 1} == {code}
    assert not build_game(dataclasses.replace(TINY, au_balance=0.0, reread_every=0), faces, cpu).au_weights
