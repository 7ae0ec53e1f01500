"""The report of an exam as one HTML page that needs nothing beside it."""

import base64
import html
import io
import math
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ganimation.evaluation.measures import gains

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ganimation.evaluation.exam import Exam

Pixels = NDArray[np.uint8]
WORST = 10


def page(exam: "Exam") -> str:
    """Return the page."""
    about, results = exam.about, exam.results
    names = list(results)
    models = ", ".join(about["models"])
    parts = [
        f"<h1>Exam of {html.escape(models)}</h1>",
        f"<p>{about['faces']} faces of the data set {html.escape(about['dataset'])} ({html.escape(about['split'])}), "
        f"{about['trials']} trials for each, the single AUs of the {about['neutral']} most neutral. Two references: "
        "<b>copy</b> does nothing, <b>warp</b> moves landmarks and paints nothing. "
        f"The <b>annotator</b> ({html.escape(about['annotator'])}) made the labels that models learn from; the "
        "<b>judge</b> was fitted to human FACS codes and sees pixels alone. Its agreement with the coders (ICC) on "
        "people it never saw stands beside each AU.</p>",
        "<h2>At a glance</h2>",
        _overview(names, results),
        "<h2>Single AUs</h2>",
        _singles(names, results, about),
        "<h2>What else moves</h2>",
        *(_leakage(name, results[name], about) for name in about["models"]),
        "<h2>Pictures</h2>",
        *(_pictures(name, exam) for name in names),
        "<h2>The worst</h2>",
        *(_worst(name, exam) for name in about["models"]),
        "<h2>To do it again</h2>",
        f"<pre>ganimation evaluate MODEL DATASET --split {html.escape(about['split'])} --faces {about['asked for']} "
        f"--neutral {about['neutral']} --seed {about['seed']} -o REPORT</pre>",
        f"<p>ganimation {html.escape(about['ganimation'])}. All numbers: results.json.</p>",
    ]
    style = files("ganimation.evaluation").joinpath("assets/report.css").read_text(encoding="utf-8")
    meta = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    head = f"{meta}<title>Exam of {html.escape(models)}</title><style>{style}</style>"
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def _overview(names: Sequence[str], results: Mapping[str, Any]) -> str:
    def of_reader(reader: str, key: str) -> Callable[[Mapping[str, Any]], Any]:
        return lambda found: found["readers"][reader][key]

    def gain(reader: str, kind: str) -> Callable[[Mapping[str, Any]], Any]:
        return lambda found: found["readers"][reader]["gain"].get(kind)

    def interval(reader: str) -> Callable[[Mapping[str, Any]], str]:
        return lambda found: "{:.2f} to {:.2f}".format(*found["readers"][reader]["pcc interval"])

    rows: list[tuple[str, Callable[[Mapping[str, Any]], Any]]] = []
    for reader in ("annotator", "judge"):
        rows += [
            (f"PCC of read on asked, single AUs, mean ({reader})", of_reader(reader, "pcc")),
            ("... 95 % interval over faces", interval(reader)),
            ("... AUs at .7 and more", of_reader(reader, "aus at .7")),
            (f"rise of the asked AU at full strength ({reader})", of_reader(reader, "rise")),
        ]
        rows += [
            (f"expression gain, {kind} ({reader})", gain(reader, kind))
            for kind in ("pair", "random", "emotion", "true")
        ]
    rows += [
        ("zero edit, PSNR in dB", lambda found: found["zero edit PSNR"]),
        ("change of upper-face AUs in the upper face", lambda found: found["change in place"]["upper"]),
        ("change of lower-face AUs in the lower face", lambda found: found["change in place"]["lower"]),
        ("mean of the mask A over edits", lambda found: found["mask"]["mean"]),
        ("share of pixels that edits change", lambda found: found["mask"]["changed"]),
        ("to the true picture: PSNR in dB", lambda found: found["truth"].get("PSNR")),
        ("to the true picture: SSIM", lambda found: found["truth"].get("SSIM")),
        ("Fréchet distance to the photos (EfficientNet-lite0)", lambda found: found["realism"]["frechet"]),
        ("kernel distance to the photos (EfficientNet-lite0)", lambda found: found["realism"]["kernel"]),
    ]
    body = [[title, *(_number(of(results[name])) for name in names)] for title, of in rows]
    return _table(["", *names], [row for row in body if any(cell != "-" for cell in row[1:])])


def _singles(names: Sequence[str], results: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    keys = ("pcc", "slope", "monotonicity", "rise")
    parts = []
    for name in about["models"]:
        found = {
            reader: {row["au"]: row for row in results[name]["readers"][reader]["singles"]}
            for reader in ("annotator", "judge")
        }
        body = []
        for code in about["aus"]:
            cells = [_number(found[reader].get(code, {}).get(key)) for reader in ("annotator", "judge") for key in keys]
            body.append([code, *cells, _number(about["judge"]["icc"].get(code))])
        head = ["", *(f"{reader} {key}" for reader in ("annotator", "judge") for key in keys), "ICC of the judge"]
        parts.append(f"<h3>{html.escape(name)}</h3>{_table(head, body)}")
    return _bars(names, results, about) + "".join(parts)


def _bars(names: Sequence[str], results: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    figure = _figure(11, 3.2)
    for number, reader in enumerate(("annotator", "judge")):
        place = figure.add_subplot(1, 2, number + 1)
        for index, name in enumerate(names):
            rows = results[name]["readers"][reader]["singles"]
            at = np.arange(len(rows)) + (index - len(names) / 2) * 0.8 / len(names)
            place.bar(at, [row["pcc"] for row in rows], 0.8 / len(names), align="edge", label=name)
        place.set_xticks(np.arange(len(rows)), [row["au"][2:] for row in rows])
        place.set_title(f"PCC of read on asked, by AU ({reader})", fontsize=9)
        place.axhline(0.7, color="grey", linewidth=0.5)
        place.legend(fontsize=7)
    return _image(figure, "Single AUs asked at 0, .5 and 1 of neutral faces. The grey line is .7.")


def _leakage(name: str, found: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    figure = _figure(11, 4.6)
    for number, (reader, codes) in enumerate((("annotator", about["aus"]), ("judge", about["judge"]["aus"]))):
        place = figure.add_subplot(1, 2, number + 1)
        matrix = np.array(found["readers"][reader]["leakage"])
        shown = place.imshow(matrix, cmap="RdBu_r", vmin=-0.6, vmax=0.6)
        place.set_xticks(range(len(codes)), [code[2:] for code in codes], fontsize=7)
        place.set_yticks(range(len(about["aus"])), [code[2:] for code in about["aus"]], fontsize=7)
        place.set_xlabel(f"read by the {reader}", fontsize=8)
        place.set_ylabel("asked", fontsize=8)
        figure.colorbar(shown, shrink=0.8)
    return _image(figure, f"{name}: change of each AU that is read when one is asked from 0 to 1.")


def _pictures(name: str, exam: "Exam") -> str:
    """Return the four most neutral faces with every AU at full strength."""
    full = [number for number, trial in enumerate(exam.trials) if trial.kind == "single" and trial.level == 1]
    faces = list(dict.fromkeys(exam.trials[number].face for number in full))[:4]
    rows = [
        np.hstack([exam.crops[face], *(exam.answers[name].pictures[n] for n in full if exam.trials[n].face == face)])
        for face in faces
    ]
    order = " ".join(code[2:] for code in exam.about["aus"])
    return _picture(np.vstack(rows), f"{name}: the photo, then each AU at full strength: {order}.")


def _worst(name: str, exam: "Exam") -> str:
    """Return the trials of the least expression gain, by the annotator."""
    about, answers = exam.about, exam.answers[name]
    gain = gains(exam.trials, answers.annotator, exam.before, exam.before, about["aus"], about["aus"])
    asked = [float(np.abs(trial.target - exam.before[trial.face]).max()) for trial in exam.trials]
    order = [int(n) for n in np.argsort(gain) if asked[int(n)] > 0.4 and not math.isnan(gain[n])][:WORST]
    if not order:
        return ""
    pairs = [np.vstack([exam.crops[exam.trials[n].face], answers.pictures[n]]) for n in order]
    told = "; ".join(f"{exam.trials[n].name}: {gain[n]:.2f}" for n in order)
    return _picture(np.hstack(pairs), f"{name}: photo above, answer below, least expression gain first. {told}")


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    rows = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in body)
    return f"<table><tr>{top}</tr>{rows}</table>"


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


def _image(figure: "Figure", caption: str) -> str:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return _embedded("png", stream.getvalue(), caption)


def _picture(picture: Pixels, caption: str) -> str:
    done, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    assert done
    return _embedded("jpeg", data.tobytes(), caption)


def _embedded(kind: str, data: bytes, caption: str) -> str:
    text = html.escape(caption)
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return f'<figure><img alt="{text}" src="{source}"><figcaption>{text}</figcaption></figure>'
