"""The log of a run: metrics.jsonl, TensorBoard, sample sheets, and findings of the monitor.

Only the first process has one.
"""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganimation.data.dataset import FaceDataset
from ganimation.errors import TrainingError, require
from ganimation.files import atomic
from ganimation.text import parse_json
from ganimation.training.config import Phase, TrainingConfig
from ganimation.training.monitor import Finding, Health
from ganimation.training.samples import write_png


class Journal:
    """The log of a run.

    Args:
        run: its folder.
        step: steps done; what a killed run wrote beyond them is removed.
        config: of the run.
        dataset: that it learns from.
        say: called with a line for people.
        project: of Weights & Biases, to log there too; empty for not.

    Raises:
        MissingExtraError: ``project`` is given and wandb is not installed.
    """

    def __init__(
        self,
        run: Path,
        step: int,
        config: TrainingConfig,
        dataset: FaceDataset,
        say: Callable[[str], None],
        project: str = "",
    ) -> None:
        self._run, self._config, self._say = run, config, say
        self._health, self._wrong = Health(), ""
        variance = float(dataset.aus.var(axis=0).mean())
        self._ignorance = {"mean": variance, "sum": variance * len(dataset.info.aus)}
        self._wandb = _wandb_run(project, run, config) if project else None
        for line in cut_metrics(run / "metrics.jsonl", step):
            self._look(line)
        writer = require("torch.utils.tensorboard", "train").SummaryWriter
        self._board: Any = writer(str(run / "tensorboard"), purge_step=step + 1)

    def record(self, step: int, phase: Phase, values: dict[str, float]) -> None:
        """Write the terms of a step; report findings that are new or resolved."""
        line = {"step": step, "phase": phase.name, **values}
        try:
            with (self._run / "metrics.jsonl").open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")
        except OSError as error:
            raise TrainingError(f"{self._run}: metrics.jsonl cannot be written ({error.strerror})") from error
        for name, value in values.items():
            self._board.add_scalar(name, value, step)
        if self._wandb is not None:
            self._wandb.log({"phase": phase.name, **values}, step=step)
        before = self._wrong if self._health.phase == phase.name else ""
        finding = self._look(line)
        if self._wrong != before:
            self._say(f"step {step}: {finding.name}: {finding.text}" if finding else f"step {step}: no longer {before}")

    def _look(self, line: dict[str, Any]) -> Finding | None:
        """Update the monitor with a line of metrics; return the first finding."""
        phase = next(phase for phase in self._config.phases if phase.name == line["phase"])
        self._health.update(phase, {name: value for name, value in line.items() if "/" in name})
        ignorance = self._ignorance[phase.weights.expression_form]
        found = self._health.findings(phase, self._config, ignorance)
        self._wrong = found[0].name if found else ""
        return found[0] if found else None

    def sheet(self, step: int, picture: NDArray[np.uint8]) -> None:
        """Write a sheet of pictures, RGB (H, W, 3), as a PNG and to TensorBoard."""
        write_png(picture, self._run / "samples" / f"step-{step:08d}.png")
        self._board.add_image("edits", picture, step, dataformats="HWC")
        if self._wandb is not None:
            self._wandb.log({"edits": require("wandb", "wandb").Image(picture)}, step=step)

    def flush(self) -> None:
        """Flush to disk, so that no checkpoint is newer than its metrics."""
        self._board.flush()
        with (self._run / "metrics.jsonl").open("rb") as stream:
            os.fsync(stream.fileno())

    def close(self) -> None:
        """Finish; nothing can be recorded after."""
        self._board.close()
        if self._wandb is not None:
            self._wandb.finish()


def cut_metrics(path: Path, step: int) -> list[dict[str, Any]]:
    """Drop lines that a killed run wrote after the checkpoint it resumes from; return those that stay."""
    if not path.exists():
        return []
    kept, lines = [], []
    for text in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            line = parse_json(text)
            if line["step"] <= step:
                kept.append(text)
                lines.append(line)
        except ValueError:  # the kill came in the middle of a line
            continue
    with atomic(path) as temporary:
        temporary.write_text("".join(text.rstrip("\n") + "\n" for text in kept), encoding="utf-8")
    return lines


def _wandb_run(project: str, run: Path, config: TrainingConfig) -> Any:
    wandb = require("wandb", "wandb")
    identity = hashlib.sha256(str(run.resolve()).encode()).hexdigest()[:16]
    config_json = config.to_json()
    return wandb.init(project=project, name=run.name, dir=str(run), id=identity, resume="allow", config=config_json)
