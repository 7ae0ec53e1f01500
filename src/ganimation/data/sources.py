"""The data sets of the paper in the forms in which they are distributed: RaFD, EmotioNet, OpenFace 2's output, CFEE.

A reader turns names or a list into a label a photo; docs/data.md says what to download and where it goes.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from ganimation.action_units import ACTION_UNITS, OPENFACE_AUS, intensity_from_facs
from ganimation.data.labels import MeasuredFace, PhotoLabel, read_rows
from ganimation.errors import ActionUnitError, DatasetError

#: Names of emotions in RaFD and in CFEE and EmotioNet, whose compound emotions are left out.
RAFD_EMOTIONS = {
    "neutral": "neutral", "happy": "happiness", "sad": "sadness", "surprised": "surprise", "fearful": "fear",
    "angry": "anger", "disgusted": "disgust", "contemptuous": "contempt",
}  # fmt: skip
_RAFD = re.compile(r"Rafd(\d{3})_(\d{2})_[A-Za-z]+_[A-Za-z]+_([a-z]+)_(frontal|left|right)", re.IGNORECASE)
#: What an EmotioNet list says of an AU: absent, active, or not labelled.
EMOTIONET_VALUES = ("0", "1", "999", "")
#: A code of CFEE that is present but was not graded, and the intensity that it is taken for (B of A-E).
UNGRADED, SLIGHT = -1.0, 0.4


@dataclass(frozen=True)
class Source:
    """What a reader found.

    Attributes:
        labels: by photo, as paths relative to the folder.
        aus: codes of the labels' AUs; empty where AUs are to be measured.
        annotator: who measured or coded them.
        missing: photos that a list names and that are not there, with where they come from.
    """

    labels: Mapping[str, PhotoLabel]
    aus: tuple[str, ...] = ()
    annotator: str = ""
    missing: Mapping[str, str] = field(default_factory=dict)


def read_rafd(names: Sequence[str], listed: Path | None) -> Source:
    """Read RaFD's file names: ``Rafd090_01_Caucasian_female_happy_frontal.jpg``.

    They say angle of the camera, person, emotion and gaze. Photos of one person from one angle are a session.

    Raises:
        DatasetError: a name is not of that form, or there is a list.
    """
    if listed is not None:
        raise DatasetError(f"--list {listed}: RaFD's file names say everything; leave --list out")
    labels = {}
    for name in names:
        found = _RAFD.fullmatch(PurePosixPath(name).stem)
        if found is None or found[3].lower() not in RAFD_EMOTIONS:
            raise DatasetError(
                f"{name}: not a name of RaFD, such as Rafd090_01_Caucasian_female_happy_frontal.jpg; "
                "leave other photos out of the folder"
            )
        person = f"rafd-{found[2]}"
        labels[name] = PhotoLabel(person, f"{person}-{found[1]}", emotion=RAFD_EMOTIONS[found[3].lower()])
    return Source(labels)


def read_emotionet(names: Sequence[str], listed: Path | None) -> Source:
    """Read an EmotioNet list saved as CSV: a column ``URL``, AUs as ``AU1`` or ``AU 1``, perhaps ``emotion``.

    Its AUs are discrete (0, 1, and 999 for not labelled) and are checked only: intensities are measured, as the paper
    did. A photo lies in the folder under the last part of its URL, or the name in a column ``file``.

    Raises:
        DatasetError: no list, no such column, an AU that is something else, or two URLs with the same name.
    """
    rows = read_rows(_required(listed, "an EmotioNet list"))
    column = next((name for name in (rows[0] if rows else {}) if name.lower() == "url"), None)
    if column is None:
        raise DatasetError(f"{listed}: no column URL; save EmotioNet's list as CSV with its header")
    coded = [name for name in rows[0] if re.fullmatch(r"AU ?0*\d+", name, re.IGNORECASE)]
    there, labels, missing = set(names), dict[str, PhotoLabel](), dict[str, str]()
    for line, row in enumerate(rows, start=2):
        name = row.get("file") or PurePosixPath(urlsplit(row[column]).path).name
        name = row[column] if row[column] in there else name  # the photos are fetched by this very list
        for code in coded:
            if row[code].strip() not in EMOTIONET_VALUES:
                raise DatasetError(
                    f"{listed}, line {line}: {code} is {row[code]!r}; EmotioNet has 0, 1 or 999 (unknown)"
                )
        if not name:
            raise DatasetError(f"{listed}, line {line}: no file name in the URL {row[column]!r}; add a column file")
        if name in labels or name in missing:
            raise DatasetError(f"{listed}, line {line}: {name} is named twice; add a column file with distinct names")
        if name in there:
            labels[name] = PhotoLabel(emotion=_basic(row.get("emotion", "")))
        else:
            missing[name] = row[column]
    return Source(labels, missing=missing)


def read_openface(names: Sequence[str], listed: Path | None) -> Source:
    """Read AU intensities that OpenFace 2 measured.

    ``listed`` is a folder of the CSV files that FaceLandmarkImg writes, one a photo, named like it; or one CSV with a
    column ``file``. Rows with ``success`` 0 are left out. Of several faces, the one is used whose landmarks (columns
    ``x_0`` ... ``y_67``) lie on the crop.

    Raises:
        DatasetError: cannot be read, lacks one of the 17 columns, has a value outside [0, 5], or names none of the
            photos.
    """
    path = _required(listed, "the folder that FaceLandmarkImg wrote")
    if path.is_dir():
        files = {file.relative_to(path).with_suffix("").as_posix(): file for file in sorted(path.rglob("*.csv"))}
        if not files:
            raise DatasetError(f"{path}: no CSV files in this folder")
        tables = {name: (file, read_rows(file)) for name, file in files.items()}
    else:
        tables = {}
        for row in read_rows(path):
            if "file" not in row:
                raise DatasetError(
                    f"{path}: no column 'file'; name the photos, or give the folder that FaceLandmarkImg wrote"
                )
            tables.setdefault(row["file"], (path, []))[1].append(row)
    faces = {name: _openface_faces(file, rows) for name, (file, rows) in tables.items()}
    labels = {name: faces.get(name, faces.get(PurePosixPath(name).with_suffix("").as_posix())) for name in names}
    if all(found is None for found in labels.values()):
        raise DatasetError(f"{path}: names none of the photos, for example {names[0]}")
    return Source({name: PhotoLabel(faces=found or ()) for name, found in labels.items()}, OPENFACE_AUS, "OpenFace 2")


def _openface_faces(path: Path, rows: Iterable[Mapping[str, str]]) -> tuple[MeasuredFace, ...]:
    """Return the faces of one photo, the most confident first."""
    found = []
    for row in rows:
        try:
            if float(row.get("success") or 1) == 0:
                continue
            confidence = float(row.get("confidence") or 0.0)
            count = sum(f"x_{number}" in row for number in range(68))
            points = tuple((float(row[f"x_{n}"]), float(row[f"y_{n}"])) for n in range(count))
        except (KeyError, ValueError) as error:
            raise DatasetError(f"{path}: success, confidence or a landmark is not a number ({error})") from error
        found.append((confidence, MeasuredFace(_intensities(path, row), points)))
    return tuple(face for _, face in sorted(found, key=lambda pair: -pair[0]))


def _intensities(path: Path, row: Mapping[str, str]) -> tuple[float, ...]:
    values = []
    for code in OPENFACE_AUS:
        column = f"{code}_r"
        if column not in row:
            raise DatasetError(f"{path}: no column {column}; OpenFace 2 writes AU01_r to AU45_r, 17 in all")
        try:
            values.append(intensity_from_facs(float(row[column])))
        except (ValueError, ActionUnitError) as error:
            raise DatasetError(f"{path}: {column} is {row[column]!r} ({error})") from error
    return tuple(values)


def read_cfee(names: Sequence[str], listed: Path | None) -> Source:
    """Read CFEE's codes as a CSV: ``file``, ``identity``, ``emotion`` and the AUs, 0 to 1, or -1 for not graded.

    Photos of one person are a session.

    Raises:
        DatasetError: no list, no such columns, or an AU that is something else.
    """
    rows = read_rows(_required(listed, "the CSV of CFEE's codes"))
    if not rows or {"file", "identity", "emotion"} - set(rows[0]):
        raise DatasetError(f"{listed}: expected the columns file, identity, emotion and AUs")
    coded = {name: f"AU{int(name[2:]):02d}" for name in rows[0] if re.fullmatch(r"AU\d+", name)}
    coded = {name: code for name, code in coded.items() if code in ACTION_UNITS}
    there, labels = set(names), {}
    for line, row in enumerate(rows, start=2):
        if row["file"] not in there:
            continue
        aus = []
        for name in coded:
            try:
                value = float(row[name])
            except ValueError:
                value = float("nan")
            if not (0 <= value <= 1 or value == UNGRADED):
                raise DatasetError(f"{listed}, line {line}: {name} is {row[name]!r}; it lies in [0, 1], or is -1")
            aus.append(SLIGHT if value == UNGRADED else value)
        person = f"cfee-{row['identity']}"
        face = MeasuredFace(tuple(aus))
        labels[row["file"]] = PhotoLabel(person, person, emotion=_basic(row["emotion"]), faces=(face,))
    if not labels:
        raise DatasetError(f"{listed}: names none of the photos, for example {names[0]}")
    return Source(labels, tuple(coded.values()), "CFEE coders")


def _basic(emotion: str) -> str | None:
    """Return the name of a basic emotion; ``None`` of a compound one."""
    return RAFD_EMOTIONS.get(emotion.strip().lower())


def _required(listed: Path | None, what: str) -> Path:
    if listed is None:
        raise DatasetError(f"--source needs --list: {what}")
    return listed


SOURCES: Mapping[str, Callable[[Sequence[str], Path | None], Source]] = {
    "rafd": read_rafd, "emotionet": read_emotionet, "openface": read_openface, "cfee": read_cfee,
}  # fmt: skip
