"""Write the numbers of exams into docs/results.md, between the ``exam`` marks.

ganimation evaluate MODEL DATASET -o REPORT      # as often as there are data sets
python -m tools.exam_results REPORT...
"""

import argparse
import json
from pathlib import Path
from typing import Any

from tools.facs import write_between

READERS = ("annotator", "judge", "geometry")


def main() -> None:
    """Read the reports, write a table of each and one by AU of the model."""
    parser = argparse.ArgumentParser(description="Put exams into docs/results.md.")
    parser.add_argument("reports", type=Path, nargs="+", help="folders that `ganimation evaluate` wrote")
    parts = []
    for folder in parser.parse_args().reports:
        report = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        parts.append(overview(report))
        parts.append(by_au(report))
    write_between("exam", "\n\n".join(parts))


def overview(report: dict[str, Any]) -> str:
    """Return the measures of all methods as a table."""
    about, results = report["about"], report["results"]
    columns = [measured(found) for found in results.values()]
    lines = [
        f"`{about['dataset']}`, {about['faces']} faces, single AUs of the {about['neutral']} most neutral, "
        f"{about['trials']} trials a method:",
        "",
        f"| | {' | '.join(results)} |",
        f"|---|{'--:|' * len(results)}",
    ]
    for name in columns[0]:
        cells = [_number(column[name]) for column in columns]
        if set(cells) != {"-"}:
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def measured(found: dict[str, Any]) -> dict[str, Any]:
    """Return the measures of one method by the names they have in the table."""
    rows: dict[str, Any] = {}
    for reader in READERS:
        own = found["readers"][reader]
        rows |= {
            f"PCC of single AUs, {reader}": _ranged(own, "pcc", "pcc interval"),
            f"AUs at .7 and more, {reader}": own["aus at .7"],
            f"rise of the asked AU, {reader}": own["rise"],
            f"gain, emotions, {reader}": _ranged(own["gain"].get("emotion")),
        }
    place, mask, truth, moved = found["change in place"], found["mask"], found["truth"], found["movement"]
    response = " ".join("-" if value is None else f"{value:.2f}" for value in moved["response"])
    return rows | {
        "landmarks: error against human displacement": moved["error"],
        "landmarks: AUs whose gain lies within .6 and 1.4": moved["in band"],
        "landmarks: movement at .1, .2, .3, .5, .7, 1": response or "-",
        "landmarks: share of faces that move visibly at .2": moved["visible at .2"],
        "iris shift under AU05, share of the eyes' distance": moved["iris shift"],
        "height of the eyes when AU45 is 1": moved["lid aperture"],
        "asked emotion recognised": _ranged(found["emotions"].get("vote")),
        "identity distance, single AUs": _ranged(found["identity"]["single AUs"]),
        "identity distance, emotions": _ranged(found["identity"]["emotions"]),
        "zero edit, dB": found["zero edit PSNR"]["mean"],
        "change of upper-face AUs in place": place["upper"],
        "change of lower-face AUs in place": place["lower"],
        "mean of A": mask["mean"],
        "share of pixels changed": mask["changed"],
        "Fréchet distance": found["realism"]["frechet"],
        "true picture: PSNR, dB": _ranged(truth.get("PSNR")),
        "true picture: perceptual distance": _ranged(truth.get("perceptual")),
    }


def by_au(report: dict[str, Any]) -> str:
    """Return PCC and rise of each AU by each reader, of the first model."""
    name, found = next(iter(report["results"].items()))
    rows = {reader: {row["au"]: row for row in found["readers"][reader]["singles"]} for reader in READERS}
    lines = [
        f"{name}, by AU: PCC and rise at full strength; in brackets the ICC of the judge with human coders.",
        "",
        f"| AU | {' | '.join(READERS)} |",
        "|---|--:|--:|--:|",
    ]
    for code in report["about"]["aus"]:
        cells = []
        for reader in READERS:
            row = rows[reader].get(code)
            icc = report["about"]["icc"].get(reader, {}).get(code)
            trust = "" if icc is None else f" ({icc:.2f})"
            cells.append("-" if row is None else f"{row['pcc']:.2f}, {row['rise']:+.2f}{trust}")
        lines.append(f"| {code} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _ranged(found: dict[str, Any] | None, key: str = "mean", interval: str = "interval") -> str | None:
    if found is None or found[key] is None:
        return None
    low, high = found[interval]
    return f"{found[key]:.2f} ({low:.2f} to {high:.2f})" if low != high else f"{found[key]:.2f}"


def _number(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else f"{value:.2f}"


if __name__ == "__main__":
    main()
