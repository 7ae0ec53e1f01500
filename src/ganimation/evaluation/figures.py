"""The figures of the paper, on any photos: a function each, from an editor and photos to a sheet of pictures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ganimation.action_units import ACTION_UNITS, EMOTIONS, Request
from ganimation.editing.animation import alphas
from ganimation.editing.editor import Editor
from ganimation.editing.result import SAME, Edit, EditedFace
from ganimation.errors import ActionUnitError, FaceError, MediaError, require
from ganimation.faces.crop import CropTemplate, apply, crop_from_photo, cut
from ganimation.faces.geometry import measured
from ganimation.faces.reader import Face
from ganimation.files import atomic
from ganimation.media.credentials import add_credentials
from ganimation.media.images import Photo, check_writable, png_info
from ganimation.media.provenance import SOURCE_TYPE, Provenance, packet
from ganimation.media.video import shrink, write_film
from ganimation.model import ModelConfig
from ganimation.pixels import denormalize

#: Side in pixels of a picture in a sheet, and how much more than the crop template it shows.
SIDE, MARGIN = 224, 1.35
LEVELS = (0.0, 0.33, 0.66, 1.0)
SUFFIXES = (".png", ".pdf", ".svg", ".gif", ".webp", ".mp4")
#: The categories of Sec. 6.6, in the order of Fig. 9.
LIMITS = {
    "sculpture": "success: human-like sculpture",
    "drawing": "success: non-realistic drawing",
    "texture": "success: non-homogeneous texture",
    "anthropomorphic": "success: anthropomorphic face, non-real texture",
    "illumination": "success: non-standard illumination or colour",
    "sketch": "success: face sketch",
    "extreme": "failure: extreme expression",
    "nonhuman": "failure: non-human anthropomorphic face",
    "animal": "failure: animal",
}
_NAMES = tuple(name for name in EMOTIONS if name != "neutral")
_FILMS = (".gif", ".webp", ".mp4")

Pixels = NDArray[np.uint8]
Expression = Sequence[Request]


@dataclass(frozen=True)
class Sheet:
    """Pictures in rows, with their labels.

    Attributes:
        rows: pictures, RGB uint8 (H, W, 3); all of a sheet have one height. ``None`` leaves a gap.
        row_labels: at the left, as many as rows, or none.
        column_labels: above, as many as columns, or none.
        title: above all.
        captions: under the pictures, by (row, column).
    """

    rows: Sequence[Sequence[Pixels | None]]
    row_labels: Sequence[str] = ()
    column_labels: Sequence[str] = ()
    title: str = ""
    captions: Mapping[tuple[int, int], str] | None = None


@dataclass(frozen=True)
class FigureInput:
    """Input of a figure.

    Attributes:
        editor: with the model.
        photos: names and photos.
        expression: the target, for the figures that have one.
        seed: for the figure of random expressions.
        others: names and editors of other models, for the figure that compares them.
    """

    editor: Editor
    photos: Sequence[tuple[str, Photo]]
    expression: Expression
    seed: int = 0
    others: Sequence[tuple[str, Editor]] = ()


def interpolation(order: FigureInput) -> Sheet:
    """Return Fig. 1: each photo at alpha from 0, itself, to 1, the target (Sec. 6.2)."""
    shares = [step / 5 for step in range(6)]
    rows = []
    for _, photo in order.photos:
        session = order.editor.session(photo, order.expression)
        rows.append([_face_of(session.at(alpha).image, session.faces[0].face) for alpha in shares])
    return Sheet(rows, column_labels=[f"alpha = {alpha:.1f}" for alpha in shares], title=_title(order.expression))


def single_aus(order: FigureInput) -> Sheet:
    """Return Fig. 4: of the first photo each AU alone at 0, .33, .66 and 1, the others as they are (Sec. 6.1)."""
    photo, face = _only(order)
    codes = order.editor.config.aus
    rows = [[_face_of(_alone(order, photo, code, level).image, face) for level in LEVELS] for code in codes]
    return Sheet(rows, [_name(code) for code in codes], [f"{level:g}" for level in LEVELS])


def attention(order: FigureInput) -> Sheet:
    """Return Fig. 5: of the first photo each AU at full strength, with its mask A and colours C (Sec. 6.1)."""
    photo, face = _only(order)
    codes = order.editor.config.aus
    rows = []
    for code in codes:
        edit = _alone(order, photo, code, 1.0)
        rows.append([_face_of(edit.image, face), *_masks(edit.faces[0])])
    return Sheet(rows, [_name(code) for code in codes], ["edited", "attention A", "colour C"])


def emotions(order: FigureInput) -> Sheet:
    """Return our row of Fig. 6: each photo with the seven emotions (Sec. 6.3).

    One that needs AUs, or an emotion, that the model lacks stays empty.
    """
    rows = [_with_emotions(order.editor, photo, _largest(order, photo)) for _, photo in order.photos]
    return Sheet(rows, column_labels=_emotion_labels(order.editor.config))


def comparison(order: FigureInput) -> Sheet:
    """Return Fig. 6: of each photo a row a method, with the seven emotions (Sec. 6.3)."""
    editors = [(order.editor.name, order.editor), *order.others]
    rows, labels = [], []
    for _, photo in order.photos:
        face = _largest(order, photo)
        rows += [_with_emotions(editor, photo, face) for _, editor in editors]
        labels += [name for name, _ in editors]
    return Sheet(rows, labels, _emotion_labels(order.editor.config))


def _with_emotions(editor: Editor, photo: Photo, face: Face) -> list[Pixels | None]:
    """Return a face as it is and with each emotion."""
    row: list[Pixels | None] = [_face_of(photo.pixels, face)]
    for name in _NAMES:
        try:
            row.append(_face_of(editor.edit(photo, editor.emotion(name)).image, face))
        except ActionUnitError:
            row.append(None)
    return row


def _emotion_labels(config: ModelConfig) -> list[str]:
    one_sided = not config.emotions and "AU14" not in config.aus
    return ["photo", *(f"{name}\n(AU12R, no AU14)" if one_sided and name == "contempt" else name for name in _NAMES)]


def variability(order: FigureInput, rows: int = 6, columns: int = 10) -> Sheet:
    """Return Fig. 7: the first photo with many random expressions of at least 14 AUs (Sec. 6.4).

    An expression is a random blend of two emotions, each at a random strength, and a little of every other AU; the
    photo itself comes first.
    """
    photo, face = _only(order)
    rng = np.random.default_rng(order.seed)
    pictures: list[Pixels | None] = [_face_of(photo.pixels, face)]
    while len(pictures) < rows * columns:
        target = random_expression(order.editor.config.aus, rng)
        pictures.append(_face_of(order.editor.edit(photo, target).image, face))
    return Sheet([pictures[start : start + columns] for start in range(0, len(pictures), columns)])


def wild(order: FigureInput) -> Sheet:
    """Return Fig. 8: whole photos before and after, all their faces edited (Sec. 6.5)."""
    rows = []
    for _, photo in order.photos:
        edit = order.editor.edit(photo, order.expression, "all")
        rows.append([_as_high_as(picture, 2 * SIDE) for picture in (photo.pixels, edit.image)])
    return Sheet(rows, column_labels=["before", "after"], title=_title(order.expression))


def limits(order: FigureInput) -> Sheet:
    """Return Fig. 9: each photo edited, with its masks, from the best success to the worst failure (Sec. 6.6).

    Photos that are named as a category of :data:`LIMITS` come in the paper's order, under its title. Under each edit
    stands its expression gain: the share of the asked change that the annotator reads back.
    """
    found = []
    for name, photo in order.photos:
        edit = order.editor.edit(photo, order.expression)
        face = edit.faces[0]
        gain = expression_gain(order.editor, face, edit)
        picture = [_face_of(image, face.face) for image in (photo.pixels, edit.image)]
        found.append((gain, name, [*picture, *_masks(face)]))
    categories = list(LIMITS)
    found.sort(key=lambda entry: (categories.index(entry[1]) if entry[1] in LIMITS else len(LIMITS), -entry[0]))
    return Sheet(
        [row for _, _, row in found],
        [LIMITS.get(name, name) for _, name, _ in found],
        ["photo", "edited", "attention A", "colour C"],
        _title(order.expression),
        {(row, 1): f"gain {entry[0]:.2f}" for row, entry in enumerate(found)},
    )


def muscles(order: FigureInput) -> Sheet:
    """Return what each AU is to move, as arrows on the first photo: displacements of landmarks at full strength."""
    photo, face = _only(order)
    still = replace(face, aus={})
    codes = [code for code in order.editor.config.aus if code in measured()]
    tiles = [_arrows(photo.pixels, face, still.expected_points({code: 1.0})) for code in codes]
    rows = [tiles[start : start + 4] for start in range(0, len(tiles), 4)]
    rows[-1] += [None] * (4 - len(rows[-1]))  # type: ignore[list-item]
    captions = {(index // 4, index % 4): _name(code) for index, code in enumerate(codes)}
    return Sheet(rows, title="Displacement of landmarks at intensity 1", captions=captions)


def _arrows(image: Pixels, face: Face, moved: NDArray[np.float64]) -> Pixels:
    """Return a face in pale grey with an arrow for each landmark that moves visibly."""
    tile = _face_of(image, face)
    grey = cv2.cvtColor(cv2.cvtColor(tile, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    drawn = np.asarray(np.rint(0.5 * grey + 127), np.uint8)
    transform = crop_from_photo(face.eyes, SIDE, _wider())
    for start, end in zip(apply(transform, face.points), apply(transform, moved), strict=True):
        if np.linalg.norm(end - start) > SIDE / 500:
            ends = [tuple(np.rint(point * 16).astype(int).tolist()) for point in (start, end)]
            cv2.arrowedLine(drawn, ends[0], ends[1], (178, 24, 43), 1, cv2.LINE_AA, 4, 0.3)
    return drawn


FIGURES: Mapping[str, Callable[[FigureInput], Sheet]] = {
    "interpolation": interpolation,
    "single-aus": single_aus,
    "attention": attention,
    "emotions": emotions,
    "comparison": comparison,
    "variability": variability,
    "wild": wild,
    "limits": limits,
    "muscles": muscles,
}


#: Figures that a model of emotions can draw.
BY_EMOTION = ("interpolation", "emotions", "comparison", "wild")


def draw(name: str, order: FigureInput, path: Path) -> None:
    """Draw a figure.

    Args:
        name: a key of :data:`FIGURES`.
        order: what it shows.
        path: .png, .pdf or .svg; ``interpolation`` also .gif, .webp and .mp4, where the pictures follow in time.

    Raises:
        ActionUnitError: no figure of that name.
        ModelError: a figure of AUs, of a model that knows none.
        MediaError: the path cannot be written, or is a film and the figure does not move.
        FaceError: a photo without a face.
        MissingExtraError: the extra ``evaluate`` is not installed.
    """
    if name not in FIGURES:
        raise ActionUnitError(f"unknown figure {name!r}; it is one of {', '.join(FIGURES)}")
    if name not in BY_EMOTION:
        order.editor.config.require_aus(f"the figure {name}")
    check_writable(path, SUFFIXES)
    made = Provenance("figure", order.editor.fingerprint, details={"figure": name})
    if path.suffix.lower() in _FILMS:
        if name != "interpolation":
            raise MediaError(f"{path}: the figure {name} does not move; write .png, .pdf or .svg")
        write_film(_film(order), path, 25.0, made)
        return
    save(FIGURES[name](order), path, made)


def save(sheet: Sheet, path: Path, made: Provenance | None = None) -> None:
    """Write a sheet as .png, .pdf or .svg, with how it was made; text stays text in the last two."""
    require("matplotlib", "evaluate")
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = max(len(row) for row in sheet.rows)
    shapes = [picture.shape for row in sheet.rows for picture in row if picture is not None]
    wide = max(shape[1] / shape[0] for shape in shapes)
    below = 0.16 if sheet.captions else 0.04
    left = 0.065 * max((len(label) for label in sheet.row_labels), default=0)
    top = 0.35 * bool(sheet.column_labels) + 0.25 * bool(sheet.title)
    width, height = left + columns * (wide + 0.04), top + len(sheet.rows) * (1 + below)  # inches; pictures are 1 high
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    for number, row in enumerate(sheet.rows):
        y = height - top - number * (1 + below) - 1
        if sheet.row_labels:
            label = sheet.row_labels[number]
            figure.text((left - 0.05) / width, (y + 0.5) / height, label, size=7, ha="right", va="center")
        for column, picture in enumerate(row):
            x = left + column * (wide + 0.04)
            if picture is not None:
                place = figure.add_axes((x / width, y / height, wide / width, 1 / height))
                place.imshow(picture, interpolation="lanczos")
                place.set_axis_off()
            middle = (x + wide / 2) / width
            if number == 0 and sheet.column_labels:
                figure.text(middle, (y + 1.04) / height, sheet.column_labels[column], size=7, ha="center", va="bottom")
            if sheet.captions and (caption := sheet.captions.get((number, column))):
                figure.text(middle, (y - 0.02) / height, caption, size=6, ha="center", va="top")
    if sheet.title:
        figure.text(0.5, 1 - 0.03 / height, sheet.title, size=8, ha="center", va="top")
    with atomic(path) as temporary, rc_context({"svg.fonttype": "none", "pdf.fonttype": 42}):
        figure.savefig(temporary, dpi=SIDE, bbox_inches="tight", pad_inches=0.05, **_metadata(path, made))
        if made is not None:
            add_credentials(temporary, made, path.suffix.lower())


def _metadata(path: Path, made: Provenance | None) -> dict[str, Any]:
    """Return the arguments of ``savefig`` that embed the provenance, by format."""
    if made is None:
        return {}
    if path.suffix.lower() == ".png":
        return {"pil_kwargs": {"pnginfo": png_info(packet(made))}}
    words = [SOURCE_TYPE, made.to_json()]
    return {"metadata": {"Keywords": words if path.suffix.lower() == ".svg" else "; ".join(words)}}


def random_expression(aus: Sequence[str], rng: np.random.Generator) -> Expression:
    """Return an expression of at least 14 AUs, where the model knows as many: two emotions and a little of all."""
    names = [name for name in EMOTIONS if name != "neutral"]
    first, second = rng.choice(len(names), 2, replace=False)
    shares = rng.uniform(0.2, 1.0, 2)
    found = []
    for code in aus:
        felt = shares[0] * EMOTIONS[names[first]].get(code, 0.0) + shares[1] * EMOTIONS[names[second]].get(code, 0.0)
        little = float(rng.uniform(0.02, 0.25))
        found.append(Request(code, min(1.0, felt + little)))
    return tuple(found)


def expression_gain(editor: Editor, face: EditedFace, edit: Edit) -> float:
    """Return the share of the asked change that is read back from the edited photo; 0 for a copy, 1 if exact.

    The regression, through the origin, of the change that the annotator reads on the change that was asked, over AUs.
    """
    found = editor.read(edit.photo)
    near = min(found, key=lambda other: float(np.abs(other.eyes - face.face.eyes).max()), default=None)
    if near is None:
        return 0.0
    codes = list(face.target)
    asked = np.array([face.target[code] - face.face.aus.get(code, 0.0) for code in codes])
    read = np.array([near.aus.get(code, 0.0) - face.face.aus.get(code, 0.0) for code in codes])
    power = float(np.square(asked).sum())
    return float((asked * read).sum()) / power if power > SAME**2 else 0.0


def _film(order: FigureInput) -> "list[Pixels]":
    """Return the frames of Fig. 1 in time: all photos side by side, there and back."""
    sessions = [order.editor.session(photo, order.expression) for _, photo in order.photos]
    return [
        np.hstack([_face_of(session.at(alpha).image, session.faces[0].face) for session in sessions])
        for alpha in alphas(2.0, 25.0)
    ]


def _alone(order: FigureInput, photo: Photo, code: str, level: float) -> Edit:
    return order.editor.edit(photo, [Request(code, level)])


def _largest(order: FigureInput, photo: Photo) -> Face:
    found = order.editor.read(photo)
    if not found:
        raise FaceError("a photo without a face cannot be in this figure")
    return found[0]


def _only(order: FigureInput) -> tuple[Photo, Face]:
    photo = order.photos[0][1]
    return photo, _largest(order, photo)


def _face_of(image: Pixels, face: Face) -> Pixels:
    """Return a face with some room around it, (SIDE, SIDE, 3)."""
    return cut(image, crop_from_photo(face.eyes, SIDE, _wider()), SIDE)


def _wider() -> CropTemplate:
    """Return the template of the tiles, with some room around the face."""
    template = CropTemplate()
    return CropTemplate(0.5 + (template.eye_height - 0.5) / MARGIN, template.eye_distance / MARGIN)


def _masks(face: EditedFace) -> list[Pixels]:
    """Return A in grey, white keeps the photo, and C; grey where nothing was asked."""
    if face.color is None or face.attention is None:
        return [np.full((SIDE, SIDE, 3), value, np.uint8) for value in (255, 128)]
    grey = 2 * np.repeat(face.attention[:, :, None], 3, axis=2) - 1
    large = [cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR) for picture in (grey, face.color)]
    return [denormalize(np.asarray(picture, np.float32)) for picture in large]


def _as_high_as(image: Pixels, height: int) -> Pixels:
    small = shrink(image, max(height, round(height * image.shape[1] / image.shape[0])))
    return np.asarray(cv2.resize(small, (round(height * small.shape[1] / small.shape[0]), height)), np.uint8)


def _name(code: str) -> str:
    return f"{code} {ACTION_UNITS[code].name}"


def _title(expression: Expression) -> str:
    asked = [request for request in expression if request.value or request.relative]
    return "  ".join(f"{item.code} {item.value:{'+' if item.relative else ''}.2f}" for item in asked)
