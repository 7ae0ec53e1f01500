"""Tasks of a batch, from a folder of photos or a table of stimuli."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ganimation.action_units import Request, parse_requests
from ganimation.editing.session import Which, parse_which
from ganimation.errors import ActionUnitError, GanimationError, MediaError
from ganimation.expressions import expression_requests
from ganimation.media.formats import SUFFIXES, find_photos
from ganimation.media.images import WRITABLE


@dataclass(frozen=True)
class Task:
    """A picture to make.

    Attributes:
        photo: its source.
        output: where it goes, relative to the batch's folder.
        requests: what is asked.
        which: of which faces.
    """

    photo: Path
    output: Path
    requests: tuple[Request, ...]
    which: Which = "largest"

    @property
    def asked(self) -> str:
        """The requests as text, ``AU12=0.8 AU06=+0.3``."""
        return " ".join(
            f"{r.name}={r.value:{'+' if r.relative else ''}.6g}" for r in sorted(self.requests, key=lambda r: r.name)
        )


def tasks_of_folder(folder: Path, output: Path, requests: tuple[Request, ...], which: Which) -> list[Task]:
    """Return a task for each photo of a folder and its subfolders, in order; results keep their names.

    A photo of a format that is only read, such as HEIC, becomes a PNG.

    Raises:
        MediaError: there is no photo.
    """
    inside = output.resolve()
    found = [
        path for path in find_photos(folder) if inside not in path.resolve().parents and not path.name.startswith(".")
    ]
    if not found:
        raise MediaError(f"{folder}: no photos in this folder ({' '.join(sorted(SUFFIXES))})")
    tasks, taken = [], set()
    for path in found:
        name = path.relative_to(folder)
        if path.suffix.lower() not in WRITABLE or name in taken:
            name = name.with_name(f"{path.name}.png")
        taken.add(name)
        tasks.append(Task(path, name, requests, which))
    return tasks


def tasks_of_table(path: Path, known: Sequence[str], seed: int = 0) -> list[Task]:
    """Return a task for each row of a table of stimuli.

    Columns: ``photo``, relative to the table; AUs, whose cells are intensities (``0.8``), changes (``+0.3``), ranges
    from which the seed draws (``0.2..0.8``), or empty; and, if one likes, ``emotion`` and ``strength``, ``face``, and
    ``output``, the picture's name (without it ``0001-NAME.png``, by row).

    Args:
        path: a CSV.
        known: AUs of the model.
        seed: of the ranges; what a row draws does not depend on other rows.

    Raises:
        MediaError, ActionUnitError, FaceError: the table cannot be read, or a row is invalid; the message names
            the row.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            rows, columns = list(reader), list(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MediaError(f"{path}: cannot be read as a table ({error}); give a CSV in UTF-8") from error
    if "photo" not in columns or not rows:
        raise MediaError(f"{path}: a table of stimuli has rows and a column named photo; this one has {columns}")
    units = [name for name in columns if name not in ("photo", "output", "face", "emotion", "strength")]
    tasks: list[Task] = []
    for number, row in enumerate(rows, start=1):
        try:
            tasks.append(_task_of_row(row, number, units, known, seed, path.parent))
        except GanimationError as error:
            raise type(error)(f"{path}, row {number}: {error}") from error
    outputs = [task.output for task in tasks]
    if twice := next((name for name in outputs if outputs.count(name) > 1), None):
        raise MediaError(f"{path}: {outputs.count(twice)} rows have the output {twice}; give each its own")
    return tasks


def _task_of_row(
    row: Mapping[str, str | None], number: int, units: Sequence[str], known: Sequence[str], seed: int, folder: Path
) -> Task:
    cells = {name: (value or "").strip() for name, value in row.items() if isinstance(value, str) or value is None}
    if not cells["photo"]:
        raise MediaError("no photo is named")
    rng = np.random.default_rng([seed, number])
    texts = [f"{name}={_drawn(cells[name], rng)}" for name in units if cells.get(name)]
    asked = {}
    if cells.get("emotion"):
        strength = _number(cells.get("strength") or "1", "strength")
        asked = {r.name: r for r in expression_requests(cells["emotion"], strength, known)}
    asked |= {r.name: r for r in parse_requests(texts, known)}
    face = cells.get("face") or "largest"
    name = cells.get("output") or f"{number:04d}-{Path(cells['photo']).stem}.png"
    output = Path(name)
    if output.is_absolute() or ".." in output.parts or output.suffix.lower() not in WRITABLE:
        raise MediaError(f"output {name}: a name inside the folder, ending in {' '.join(WRITABLE)}")
    return Task(folder / cells["photo"], output, tuple(asked.values()), parse_which(face, "face"))


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ActionUnitError(f"{name} {text!r}: not a number") from None


def _drawn(cell: str, rng: np.random.Generator) -> str:
    """Return a cell's value; of a range, one between its ends, to four digits."""
    match = re.fullmatch(r"([+-]?)([\d.]+?)\.\.([+-]?[\d.]+)", cell)
    if match is None:
        return cell
    low, high = _number(match[1] + match[2], "a range's end"), _number(match[3], "a range's end")
    value = round(float(rng.uniform(min(low, high), max(low, high))), 4)
    return f"{value:+.4f}" if match[1] else f"{value:.4f}"
