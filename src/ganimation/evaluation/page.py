"""The report of an exam as one self-contained HTML page."""

import base64
import io
import math
import os
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ganimation.errors import MediaError, require
from ganimation.evaluation.exam import Exam
from ganimation.evaluation.judges import CLASSIFIERS
from ganimation.evaluation.measures import GOOD, MASK, READERS, error_scores
from ganimation.files import atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ganimation.evaluation.exam import Exam

Pixels = NDArray[np.uint8]
WORST = 10


def make_folder(folder: Path) -> None:
    """Make the folder of a report, before the exam that it is for.

    Raises:
        MediaError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"{folder}: cannot be made ({error.strerror}); choose another place with -o") from error
    if not os.access(folder, os.W_OK):
        raise MediaError(f"{folder}: cannot be written to; choose another place with -o")


def write(exam: Exam, folder: Path) -> None:
    """Write ``results.json`` and ``index.html``, a page that needs nothing beside it, into a folder."""
    for name, text in (("results.json", exam.to_json), ("index.html", lambda: page(exam))):
        with atomic(folder / name) as temporary:
            temporary.write_text(text(), encoding="utf-8")


class Table(NamedTuple):
    """A table of the page."""

    head: Sequence[str]
    body: Sequence[Sequence[str]]


class Picture(NamedTuple):
    """A picture of the page: ``png`` or ``jpeg``, base64."""

    kind: str
    data: str
    caption: str


#: What a section is made of; a text is a paragraph.
Item = Table | Picture | str


def page(exam: Exam) -> str:
    """Return the page.

    Raises:
        MissingExtraError: the extra ``evaluate`` is not installed.
    """
    about, results = exam.about, exam.results
    names, models = list(results), about["models"]
    sections: list[tuple[str, list[Item]]] = [
        ("At a glance", [_overview(names, results), *_comparison(exam.comparison)]),
        ("Single AUs", _singles(names, results, about)),
        ("Emotions", [_emotions(names, results)]),
        ("What else moves", [_leakage(name, results[name], about) for name in models]),
        ("Pictures", [_pictures(name, exam) for name in names]),
        ("The worst", [picture for name in models for picture in _worst(name, exam)]),
    ]
    assets = files("ganimation.evaluation").joinpath("assets")
    environment = require("jinja2", "evaluate").Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    text: str = environment.from_string(assets.joinpath("report.html").read_text(encoding="utf-8")).render(
        about=about,
        models=", ".join(models),
        sections=sections,
        style=assets.joinpath("report.css").read_text(encoding="utf-8"),
        again="".join(f" --compare OTHER{number or ''}" for number in range(len(models) - 1)),
    )
    return text + "\n"


def _overview(names: Sequence[str], results: Mapping[str, Any]) -> Table:
    rows: list[tuple[str, Callable[[Mapping[str, Any]], Any]]] = []
    for reader in READERS:

        def of(key: str, reader: str = reader) -> Callable[[Mapping[str, Any]], Any]:
            return lambda found: found["readers"][reader][key]

        def pcc(found: Mapping[str, Any], reader: str = reader) -> Any:
            own = found["readers"][reader]
            return {"mean": own["pcc"], "interval": own["pcc interval"]}

        def gain(kind: str, reader: str = reader) -> Callable[[Mapping[str, Any]], Any]:
            return lambda found: found["readers"][reader]["gain"].get(kind)

        rows += [
            (f"PCC of read on asked, single AUs, mean ({reader})", pcc),
            ("... AUs at .7 and more", of("aus at .7")),
            (f"rise of the asked AU at full strength ({reader})", of("rise")),
            *((f"expression gain, {kind} ({reader})", gain(kind)) for kind in ("pair", "random", "emotion", "true")),
        ]
    rows += [
        ("asked emotion recognised, vote of three classifiers", lambda found: found["emotions"].get("vote")),
        ("distance of dlib's identity, single AUs (the same person: below .6)", lambda f: f["identity"]["single AUs"]),
        ("distance of dlib's identity, emotions", lambda found: found["identity"]["emotions"]),
        ("landmarks: error against human displacement, mean of AUs (a copy: 1)", lambda f: f["movement"]["error"]),
        ("... AUs whose gain lies within .6 and 1.4", lambda f: f["movement"]["in band"]),
        (
            "... movement at .1, .2, .3, .5, .7, 1 as a share of that at 1",
            lambda f: " ".join(_number(value) for value in f["movement"]["response"]),
        ),
        ("... share of faces that move visibly at .2", lambda f: f["movement"]["visible at .2"]),
        ("... iris shift under AU05, share of the eyes' distance", lambda f: f["movement"]["iris shift"]),
        ("... height of the eyes when AU45 is 1, share of the photo's", lambda f: f["movement"]["lid aperture"]),
        ("zero edit, PSNR in dB", lambda found: found["zero edit PSNR"]),
        ("change of upper-face AUs in the upper face", lambda found: found["change in place"]["upper"]),
        ("change of lower-face AUs in the lower face", lambda found: found["change in place"]["lower"]),
        ("mean of the mask A over edits", lambda found: found["mask"]["mean"]),
        ("share of pixels that edits change", lambda found: found["mask"]["changed"]),
        ("to the true picture: PSNR in dB", lambda found: found["truth"].get("PSNR")),
        ("to the true picture: SSIM", lambda found: found["truth"].get("SSIM")),
        ("to the true picture: perceptual distance (EfficientNet-lite0)", lambda f: f["truth"].get("perceptual")),
        ("Fréchet distance to the photos (EfficientNet-lite0)", lambda found: found["realism"]["frechet"]),
        ("kernel distance to the photos (EfficientNet-lite0)", lambda found: found["realism"]["kernel"]),
    ]
    body = [[title, *(_number(of(results[name])) for name in names)] for title, of in rows]
    return Table(["", *names], [row for row in body if any(cell != "-" for cell in row[1:])])


def _comparison(comparison: Mapping[str, Any]) -> list[Item]:
    """Return by how much the first model is better than each other one, on the same faces."""
    if not comparison:
        return []
    head = ["PCC of single AUs: the first model less ...", *READERS]
    body = [[name, *(_number(found[reader]) for reader in READERS)] for name, found in comparison.items()]
    return [Table(head, body), "A range without 0 is a difference that other faces would show as well."]


def _singles(names: Sequence[str], results: Mapping[str, Any], about: Mapping[str, Any]) -> list[Item]:
    keys = ("pcc", "slope", "monotonicity", "rise")
    parts: list[Item] = [_bars(names, results)]
    for name in about["models"]:
        found = {reader: {row["au"]: row for row in results[name]["readers"][reader]["singles"]} for reader in READERS}
        body = []
        for code in about["aus"]:
            cells = [code]
            for reader in READERS:
                cells += [_number(found[reader].get(code, {}).get(key)) for key in keys]
                cells += [_number(about["icc"][reader].get(code))] if reader in about["icc"] else []
            mask = results[name]["mask of single AUs"].get(code, {})
            body.append([*cells, *(_number(mask.get(key)) for key in MASK)])
        head = [name]
        for reader in READERS:
            head += [f"{reader} {key}" for key in keys] + ([f"ICC of {reader}"] if reader in about["icc"] else [])
        head += ["mask A, mean", "mask A, spread", "pixels changed"]
        parts.append(Table(head, body))
    return parts


def _bars(names: Sequence[str], results: Mapping[str, Any]) -> Picture:
    figure = _figure(13, 3.2)
    for number, reader in enumerate(READERS):
        place = figure.add_subplot(1, 3, number + 1)
        for index, name in enumerate(names):
            rows = results[name]["readers"][reader]["singles"]
            at = np.arange(len(rows)) + (index - len(names) / 2) * 0.8 / len(names)
            place.bar(at, [row["pcc"] for row in rows], 0.8 / len(names), align="edge", label=name)
        place.set_xticks(np.arange(len(rows)), [row["au"][2:] for row in rows], fontsize=7)
        place.set_title(f"PCC of read on asked, by AU ({reader})", fontsize=9)
        place.axhline(0.7, color="grey", linewidth=0.5)
        place.legend(fontsize=7)
    return _image(figure, "Single AUs asked at 0, .5 and 1 of neutral faces. The grey line is .7.")


def _emotions(names: Sequence[str], results: Mapping[str, Any]) -> Item:
    """Return how often each emotion that was asked is recognised, and by whom."""
    found = {name: results[name]["emotions"] for name in names if results[name]["emotions"]}
    if not found:
        return "The model's AUs make no emotion."
    asked = list(next(iter(found.values()))["by emotion"])
    head = ["share recognised", "vote", *CLASSIFIERS, *(f"vote, {emotion}" for emotion in asked)]
    body = [
        [
            name,
            _number(own["vote"]),
            *(_number(own[classifier]) for classifier in CLASSIFIERS),
            *(_number(own["by emotion"][emotion]) for emotion in asked),
        ]
        for name, own in found.items()
    ]
    return Table(head, body)


def _leakage(name: str, found: Mapping[str, Any], about: Mapping[str, Any]) -> Picture:
    figure = _figure(14, 4.6)
    for number, reader in enumerate(READERS):
        codes = about["readers"][reader]
        place = figure.add_subplot(1, 3, number + 1)
        matrix = np.array(found["readers"][reader]["leakage"])
        shown = place.imshow(matrix, cmap="RdBu_r", vmin=-0.6, vmax=0.6)
        place.set_xticks(range(len(codes)), [code[2:] for code in codes], fontsize=7)
        place.set_yticks(range(len(about["aus"])), [code[2:] for code in about["aus"]], fontsize=7)
        place.set_xlabel(f"read ({reader})", fontsize=8)
        place.set_ylabel("asked", fontsize=8)
        figure.colorbar(shown, shrink=0.8)
    return _image(figure, f"{name}: change of each AU that is read when one is asked from 0 to 1.")


def _pictures(name: str, exam: Exam) -> Picture:
    """Return the four most neutral faces with every AU at full strength."""
    full = [number for number, trial in enumerate(exam.trials) if trial.kind == "single" and trial.level == 1]
    faces = list(dict.fromkeys(exam.trials[number].face for number in full))[:4]
    rows = [
        np.hstack(
            [exam.faces.crops[face], *(exam.answers[name].pictures[n] for n in full if exam.trials[n].face == face)]
        )
        for face in faces
    ]
    order = " ".join(code[2:] for code in exam.about["aus"])
    return _picture(np.vstack(rows), f"{name}: the photo, then each AU at full strength: {order}.")


def _worst(name: str, exam: Exam) -> list[Picture]:
    """Return a sheet for each measure: the answers that it finds worst."""
    about, answers, parts = exam.about, exam.answers[name], list[Picture]()
    for measure, values in error_scores(exam.trials, answers, exam.faces, about["aus"], about["readers"]).items():
        order = [int(n) for n in np.argsort(-values, kind="stable") if np.isfinite(values[n])][:WORST]
        if not order:
            continue
        pairs = [np.vstack([exam.faces.crops[exam.trials[n].face], answers.pictures[n]]) for n in order]
        good = measure.startswith(GOOD)
        found = "; ".join(f"{exam.trials[n].name}: {_number(-values[n] if good else values[n])}" for n in order)
        parts.append(_picture(np.hstack(pairs), f"{name}: photo above, answer below, worst {measure} first. {found}"))
    return parts


def _number(value: Any) -> str:
    """Return a number for people, of a gain its mean and interval; a dash where there is none."""
    if isinstance(value, Mapping):
        return f"{_number(value['mean'])} ({' to '.join(_number(end) for end in value['interval'])})"
    if isinstance(value, str):
        return value
    if value is None or not math.isfinite(value):
        return "-"
    if abs(value) < 1e-6:
        return "0"
    return str(value) if isinstance(value, int) else f"{value:.3g}" if abs(value) < 0.1 else f"{value:.2f}"


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="tight")
    FigureCanvasAgg(figure)
    return figure


def _image(figure: "Figure", caption: str) -> Picture:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return Picture("png", base64.b64encode(stream.getvalue()).decode(), caption)


def _picture(picture: Pixels, caption: str) -> Picture:
    done, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    assert done
    return Picture("jpeg", base64.b64encode(data.tobytes()).decode(), caption)
