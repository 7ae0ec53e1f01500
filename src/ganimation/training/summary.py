"""A run in a few lines, from its metrics."""

from pathlib import Path

from ganimation.errors import TrainingError
from ganimation.text import parse_json

#: Lines at the end of a phase that are averaged.
LAST = 100


def summary(run: Path) -> str:
    """Return a table of the terms at the end of each phase, averaged over its last hundred steps.

    Raises:
        TrainingError: the run has no metrics.
    """
    try:
        lines = [parse_json(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise TrainingError(f"{run}: its metrics cannot be read ({error})") from error
    phases = list(dict.fromkeys(line["phase"] for line in lines))
    names = list(dict.fromkeys(name for line in lines for name in line if "/" in name))
    rows = [["", *(f"{phase} ({sum(line['phase'] == phase for line in lines)})" for phase in phases)]]
    for name in names:
        ends = [[line[name] for line in lines if line["phase"] == phase and name in line][-LAST:] for phase in phases]
        rows.append([name, *(f"{sum(end) / len(end):.4g}" if end else "-" for end in ends)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    )
