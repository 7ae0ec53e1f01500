"""Compare models by single AUs alone, in two minutes each instead of an exam's ten: what one change of training gained.

    python -m tools.ablations DATASET MODEL... [--sheet SHEET.webp] [--mark ablations]

The faces are the most neutral of the first 210 of the data set, as in the exam (`ganimation evaluate`), with the same
trials and readers. Prints a table, a row a model, and with ``--mark`` writes it between those marks of docs/results.md.
The sheet shows expressions on the example portrait, a row a model.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ganimation.data.dataset import DatasetInfo
from ganimation.evaluation import measures
from ganimation.evaluation.evaluators import Evaluators
from ganimation.evaluation.exam import STEPPED, choose_split, look_at_faces
from ganimation.evaluation.methods import Model
from ganimation.evaluation.trials import Faces, Trial, plan, run_trials
from tools import sheets
from tools.facs import ROOT, write_between

LOOKED_AT, NEUTRAL = 210, 24
PORTRAIT = ROOT / "examples" / "portrait.jpg"
HEAD = (
    "| model | annotator: PCC, AUs at .7, rise | judge: PCC, AUs at .7, rise | identity | change in place "
    "| zero edit, dB | landmarks: error, AUs in band, iris shift, lids | response at .1 .2 .3 .5 .7 |"
)


def main() -> None:
    """Print a table; draw a sheet."""
    parser = argparse.ArgumentParser(description="What did a change of training gain?")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--mark")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    info = DatasetInfo.read(options.dataset)
    evaluators = Evaluators(info.template)
    faces = look_at_faces(options.dataset, info, choose_split(info), LOOKED_AT, evaluators)
    trials = plan(faces.shown, info.aus, NEUTRAL, steps=STEPPED)
    neutral = {trial.face for trial in trials if trial.kind == "single"}
    trials = [trial for trial in trials if trial.face in neutral and trial.kind in ("single", "step", "zero")]
    lines = [HEAD, "|---|--:|--:|--:|--:|--:|--:|--:|"]
    for model in options.models:
        lines.append(row(model, trials, faces, info.aus, evaluators, options.jobs))
        print(lines[-1], flush=True)
    if options.sheet:
        sheets.draw([PORTRAIT], options.models, options.sheet)
    if options.mark:
        write_between(options.mark, "\n".join(lines))


def row(folder: Path, trials: list[Trial], faces: Faces, aus: Sequence[str], evaluators: Evaluators, jobs: int) -> str:
    """Return a model's line of the table."""
    answers = run_trials(Model(folder), trials, faces, evaluators, jobs)
    found = measures.report(trials, answers, faces, aus, evaluators.aus)
    cells = [
        f"{own['pcc']:.2f}, {own['aus at .7']}, {own['rise']:+.2f}"
        for own in (found["readers"][reader] for reader in ("annotator", "judge"))
    ]
    place = found["change in place"]
    cells += [f"{found['identity']['single AUs']['mean']:.2f}", f"{place['upper']:.2f}, {place['lower']:.2f}"]
    cells.append(f"{found['zero edit PSNR']['mean']:.1f}")
    moved = found["movement"]
    cells.append(
        f"{moved['error']:.2f}, {moved['in band']}, {100 * moved['iris shift']:.1f} %, {moved['lid aperture']:.2f}"
    )
    cells.append(" ".join(f"{value:.2f}" for value in moved["response"][:-1]))
    return f"| {folder.name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
