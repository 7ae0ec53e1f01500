"""Checkpoint files: written atomically; the newest complete one is loaded."""

import re
import warnings
from pathlib import Path
from typing import Any

import torch

from ganimation.errors import MediaError, TrainingError
from ganimation.files import atomic, strerror

#: How many are kept; older ones are removed after a newer one is complete.
KEEP = 2

_NAME = re.compile(r"step-(\d{8,})\.pt")


def save(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Write a checkpoint atomically and remove old ones.

    Raises:
        TrainingError: it cannot be written; older checkpoints are as they were.
    """
    path = folder / f"step-{step:08d}.pt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic(path) as temporary:
            torch.save(state, temporary)
    except (OSError, RuntimeError, MediaError) as error:
        raise TrainingError(
            f"{path}: cannot be written ({strerror(error)}); older checkpoints are kept, run again to go on"
        ) from error
    for _, old in [entry for entry in _found(folder) if entry[0] <= step][KEEP:]:
        old.unlink(missing_ok=True)


def newest(folder: Path) -> tuple[int, dict[str, Any]] | None:
    """Return the step and state of the newest readable checkpoint; damaged ones are skipped with a warning.

    Raises:
        TrainingError: the disk refuses to be read, or there are checkpoints and all are damaged.
    """
    found = _found(folder)
    for step, path in found:
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, MemoryError) as error:
            raise TrainingError(f"{path}: cannot be read ({error}); run again when it can") from error
        except Exception as error:  # a truncated file raises whatever the zip or pickle reader stumbles on
            warnings.warn(f"{path.name} is damaged and passed over ({type(error).__name__})", stacklevel=2)
            continue
        return step, state
    if found:
        raise TrainingError(f"{folder}: all checkpoints are damaged; remove the folder to begin anew")
    return None


def _found(folder: Path) -> list[tuple[int, Path]]:
    """Return step and path of every checkpoint, newest first."""
    matches = ((_NAME.fullmatch(path.name), path) for path in (folder.iterdir() if folder.is_dir() else ()))
    return sorted(((int(match[1]), path) for match, path in matches if match), reverse=True)
