import json
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ganimation.data.dataset import FaceDataset
from ganimation.errors import MissingExtraError, TrainingError
from ganimation.training.journal import Journal, cut_metrics
from ganimation.training.monitor import WINDOW
from ganimation.training.summary import summary
from tests.training.tiny import TINY

PHASE = TINY.phases[2]
GOOD = {"mask/mean": 0.9, "mask/spread": 0.1, "mask/changed": 0.1}
SICK = GOOD | {"mask/mean": 0.999, "mask/changed": 0.0}


def test_tensorboard_has_the_curves_and_the_pictures(run: Path) -> None:
    board = EventAccumulator(str(run / "tensorboard"))
    board.Reload()
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    curve = [(event.step, event.value) for event in board.Scalars("generator/pair")]
    logged = [(line["step"], line["generator/pair"]) for line in lines if "generator/pair" in line]
    assert curve == [(step, pytest.approx(value)) for step, value in logged]
    assert [event.step for event in board.Images("edits")] == [4, 8]


def test_it_says_what_is_wrong_once_and_when_it_is_mended(dataset: Path, tmp_path: Path) -> None:
    said: list[str] = []
    journal = Journal(tmp_path, 0, TINY, FaceDataset(dataset), said.append)
    for step in range(1, 3 * WINDOW):
        journal.record(step, PHASE, SICK)
    assert len(said) == 1
    assert said[0].startswith(f"step {WINDOW}: saturated: the attention mask is 1 almost everywhere (mean 0.999, 0.00%")
    for step in range(3 * WINDOW, 12 * WINDOW):
        journal.record(step, PHASE, GOOD)
    assert len(said) == 2
    assert said[1].endswith("no longer saturated")
    journal.close()
    again: list[str] = []
    resumed = Journal(tmp_path, 2 * WINDOW, TINY, FaceDataset(dataset), again.append)
    resumed.record(2 * WINDOW + 1, PHASE, SICK)
    assert again == []  # it was said before the run was stopped
    resumed.close()


def test_metrics_beyond_the_checkpoint_and_half_lines_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"ste')
    assert cut_metrics(path, 2) == [{"step": 1}, {"step": 2}]
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'
    assert cut_metrics(tmp_path / "none.jsonl", 2) == []


def test_summary_has_a_column_a_phase(run: Path, tmp_path: Path) -> None:
    table = [line.split() for line in summary(run).splitlines()]
    assert table[0] == ["pairs", "(3)", "critic", "(2)", "adversarial", "(3)"]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    mean = sum(line["generator/adversarial"] for line in lines[5:]) / 3
    assert ["generator/adversarial", "-", "-", f"{mean:.4g}"] in table
    with pytest.raises(TrainingError, match="its metrics cannot be read"):
        summary(tmp_path)


def test_without_weights_and_biases_it_is_said(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingExtraError, match=r"ganimation\[wandb\]"):
        Journal(tmp_path, 0, TINY, FaceDataset(dataset), print, project="faces")
