"""The vocabulary of the Facial Action Coding System: an action unit's name, the muscle that makes it, where it shows.

Knows nothing of pictures. Intensities are in [0, 1] everywhere; FACS codes (0 and A-E, written 0-5) occur only in
input files; :func:`intensity_from_facs` converts them. An *expression* is a ``dict[str, float]`` of AU intensities.
"""

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import SupportsFloat

from ganimation.errors import ActionUnitError
from ganimation.text import parse_json

#: The AUs of the bundled model. Other models bring their own list in their config.
DEFAULT_AUS = (
    "AU01", "AU02", "AU04", "AU05", "AU06", "AU07", "AU09", "AU10",
    "AU12", "AU15", "AU17", "AU20", "AU24", "AU25", "AU26", "AU45",
)  # fmt: skip

#: The AUs whose intensity OpenFace 2 writes (columns ``AU01_r`` ...), in its order.
OPENFACE_AUS = (
    "AU01", "AU02", "AU04", "AU05", "AU06", "AU07", "AU09", "AU10", "AU12",
    "AU14", "AU15", "AU17", "AU20", "AU23", "AU25", "AU26", "AU45",
)  # fmt: skip

REGIONS = ("brows", "eyes", "nose and cheeks", "mouth and chin")


@dataclass(frozen=True)
class ActionUnit:
    """One facial movement of FACS: code (``"AU12"``), name, the muscle that makes it, and the region where it shows."""

    code: str
    name: str
    muscle: str
    region: str


# Names and muscles: Ekman, Friesen & Hager, Facial Action Coding System, 2002.
_ALL = (
    ActionUnit("AU01", "inner brow raiser", "frontalis, pars medialis", "brows"),
    ActionUnit("AU02", "outer brow raiser", "frontalis, pars lateralis", "brows"),
    ActionUnit("AU04", "brow lowerer", "corrugator supercilii, depressor supercilii", "brows"),
    ActionUnit("AU05", "upper lid raiser", "levator palpebrae superioris", "eyes"),
    ActionUnit("AU06", "cheek raiser", "orbicularis oculi, pars orbitalis", "nose and cheeks"),
    ActionUnit("AU07", "lid tightener", "orbicularis oculi, pars palpebralis", "eyes"),
    ActionUnit("AU09", "nose wrinkler", "levator labii superioris alaeque nasi", "nose and cheeks"),
    ActionUnit("AU10", "upper lip raiser", "levator labii superioris", "mouth and chin"),
    ActionUnit("AU11", "nasolabial deepener", "zygomaticus minor", "nose and cheeks"),
    ActionUnit("AU12", "lip corner puller", "zygomaticus major", "mouth and chin"),
    ActionUnit("AU14", "dimpler", "buccinator", "mouth and chin"),
    ActionUnit("AU15", "lip corner depressor", "depressor anguli oris", "mouth and chin"),
    ActionUnit("AU16", "lower lip depressor", "depressor labii inferioris", "mouth and chin"),
    ActionUnit("AU17", "chin raiser", "mentalis", "mouth and chin"),
    ActionUnit("AU18", "lip puckerer", "incisivii labii", "mouth and chin"),
    ActionUnit("AU20", "lip stretcher", "risorius, platysma", "mouth and chin"),
    ActionUnit("AU22", "lip funneler", "orbicularis oris", "mouth and chin"),
    ActionUnit("AU23", "lip tightener", "orbicularis oris", "mouth and chin"),
    ActionUnit("AU24", "lip pressor", "orbicularis oris", "mouth and chin"),
    ActionUnit("AU25", "lips part", "depressor labii inferioris, or relaxed mentalis", "mouth and chin"),
    ActionUnit("AU26", "jaw drop", "relaxed masseter and internal pterygoid", "mouth and chin"),
    ActionUnit("AU27", "mouth stretch", "pterygoids, digastric", "mouth and chin"),
    ActionUnit("AU28", "lip suck", "orbicularis oris", "mouth and chin"),
    ActionUnit("AU43", "eyes closed", "relaxed levator palpebrae superioris", "eyes"),
    ActionUnit("AU45", "blink", "relaxed levator palpebrae superioris; orbicularis oculi", "eyes"),
)

#: Every AU this package knows, by code.
ACTION_UNITS: Mapping[str, ActionUnit] = {unit.code: unit for unit in _ALL}

#: The seven basic emotions and contempt as AU recipes.
#:
#: Which AUs: EMFACS (Friesen & Ekman, EMFACS-7: Emotional Facial Action Coding System, 1983) in the form tabulated by
#: Matsumoto, Keltner, Shiota, O'Sullivan & Frank, "Facial expressions of emotion", Handbook of Emotions, 3rd ed., 2008,
#: with fear as the paper's introduction lists it. AU23 of anger is shown through AU24, the lip pressor, which the
#: default AUs have. Contempt is one-sided; of a model without AU14 it is AU12 of the right side alone (R12 in EMFACS).
#: Intensities: ours, chosen so that ``strength`` 1 is a full but natural expression.
EMOTIONS: Mapping[str, Mapping[str, float]] = {
    "neutral": {},
    "happiness": {"AU06": 0.6, "AU12": 0.9, "AU25": 0.5},
    "sadness": {"AU01": 1.0, "AU04": 0.7, "AU15": 1.0, "AU17": 0.6},
    "surprise": {"AU01": 0.9, "AU02": 0.9, "AU05": 0.8, "AU25": 0.8, "AU26": 0.8},
    "fear": {"AU01": 0.9, "AU02": 0.6, "AU04": 0.6, "AU05": 1.0, "AU07": 0.3, "AU20": 0.9, "AU25": 0.8, "AU26": 0.4},
    "anger": {"AU04": 1.0, "AU05": 0.5, "AU07": 0.9, "AU24": 0.9},
    "disgust": {"AU09": 1.0, "AU10": 0.9, "AU15": 0.5, "AU17": 0.6},
    "contempt": {"AU12": 0.3, "AU14": 0.8},
}


def half_of(code: str) -> int | None:
    """Return 0 for an AU of the upper face, 1 for one of the lower, ``None`` for nose and cheeks: both."""
    return {"brows": 0, "eyes": 0, "mouth and chin": 1}.get(ACTION_UNITS[code].region)


def parse_code(text: str, known: Iterable[str] = tuple(ACTION_UNITS)) -> str:
    """Return the canonical code (``"AU01"``) of what a person wrote: ``AU1``, ``au01``, ``1`` or ``inner brow raiser``.

    Args:
        text: what was written.
        known: the codes to accept, for example those of a model.

    Raises:
        ActionUnitError: nothing in ``known`` is called that; the message names the nearest.
    """
    known = tuple(known)
    if not isinstance(text, str):
        raise ActionUnitError(f"unknown action unit {text!r}: it is text, like AU12")
    word = " ".join(text.strip().lower().replace("_", " ").replace("-", " ").split())
    if match := re.fullmatch(r"(?:au ?)?0*(\d{1,2})", word):
        code = f"AU{int(match[1]):02d}"
        if code in known:
            return code
        if code in ACTION_UNITS:
            unit = ACTION_UNITS[code]
            raise ActionUnitError(f"{code} ({unit.name}) is not one of this model's AUs: {', '.join(known)}")
    names = {ACTION_UNITS[code].name: code for code in known if code in ACTION_UNITS}
    if word in names:
        return names[word]
    candidates = {**names, **{code.lower(): code for code in known}}
    nearest = difflib.get_close_matches(word, candidates, n=1, cutoff=0.0)
    hint = f"; did you mean {candidates[nearest[0]]}?" if nearest else ""
    raise ActionUnitError(f"unknown action unit {text!r}{hint} Known: {', '.join(known)}")


def check_intensity(value: float, code: str) -> float:
    """Return ``value`` if it is an intensity in [0, 1].

    Raises:
        ActionUnitError: it is not a finite number in [0, 1].
    """
    if not (math.isfinite(value) and 0.0 <= value <= 1.0):
        raise ActionUnitError(f"{code}={value:g}: an intensity lies in [0, 1] (FACS 0-5 divided by 5)")
    return float(value)


def intensity_from_facs(code: float) -> float:
    """Convert a FACS intensity (0 absent, 1-5 for A-E) to ours, in [0, 1].

    Raises:
        ActionUnitError: ``code`` is not in [0, 5].
    """
    if not (math.isfinite(code) and 0.0 <= code <= 5.0):
        raise ActionUnitError(f"FACS intensity {code:g}: it lies in [0, 5], 0 for absent and 1-5 for A-E")
    return code / 5.0


@dataclass(frozen=True)
class Request:
    """Request for one AU: a target intensity in [0, 1] or, if ``relative``, a change of the source in [-1, 1].

    ``side`` is ``L`` or ``R`` for the person's left or right side alone, empty for both. If the request is absolute,
    ``strength`` interpolates from the source intensity (0) to the target (1) and extrapolates above 1, and with
    ``raises`` the target is at least the source intensity.
    """

    code: str
    value: float
    relative: bool = False
    side: str = ""
    strength: float = 1.0
    raises: bool = False

    @property
    def name(self) -> str:
        """``AU12``, or ``AU12L`` of one side."""
        return self.code + self.side

    def resolve(self, shown: float) -> float:
        """Return the target intensity in [0, 1], given the source intensity ``shown``."""
        if self.relative:
            return min(1.0, max(0.0, shown + self.value))
        goal = max(self.value, shown) if self.raises else self.value
        return min(1.0, max(0.0, shown + self.strength * (goal - shown))) if self.strength != 1.0 else goal


def parse_request(text: str, known: Iterable[str] = tuple(ACTION_UNITS)) -> Request:
    """Parse ``AU12=0.8`` (absolute) or ``AU12=+0.3`` / ``AU12=-0.3`` (relative to what the photo shows).

    ``AU12L=0.8`` and ``AU12R=0.8`` apply to the person's left or right side alone.

    Raises:
        ActionUnitError: not of that form, an unknown AU, or a value out of range.
    """
    name, equals, number = text.partition("=")
    number = number.strip()
    if not equals or not number:
        raise ActionUnitError(f"{text!r}: write an AU and an intensity, like AU12=0.8 or AU12=+0.3")
    name, side = split_side(name)
    code = parse_code(name, known)
    try:
        value = float(number)
    except ValueError:
        raise ActionUnitError(f"{text!r}: {number!r} is not a number; write AU12=0.8 or AU12=+0.3") from None
    return _request(code, value, number[0] in "+-", side)


def split_side(name: str) -> tuple[str, str]:
    """Return ``AU12`` and ``L`` of ``AU12L``; names without a side as they are."""
    match = re.fullmatch(r"\s*((?:au)?\s*\d{1,2})\s*([lr])\s*", name, re.IGNORECASE)
    return (match[1], match[2].upper()) if match else (name, "")


def _request(code: str, value: float, relative: bool, side: str = "") -> Request:
    if not relative:
        return Request(code, check_intensity(value, code), side=side)
    if not (math.isfinite(value) and -1.0 <= value <= 1.0):
        raise ActionUnitError(f"{code}={value:+g}: a relative change lies in [-1, 1]")
    return Request(code, value, relative=True, side=side)


def parse_requests(texts: Iterable[str], known: Iterable[str] = tuple(ACTION_UNITS)) -> tuple[Request, ...]:
    """Parse several requests; the same AU twice is an error rather than a guess.

    Raises:
        ActionUnitError: as :func:`parse_request`, or an AU is named twice.
    """
    return _once([parse_request(text, known) for text in texts])


def _once(requests: Sequence[Request]) -> tuple[Request, ...]:
    """Return the requests unchanged; raise an error if an AU is named twice for the same side."""
    names = [request.name for request in requests]
    for name in names:
        if names.count(name) > 1:
            raise ActionUnitError(f"{name} is asked for {names.count(name)} times; name it once")
    return tuple(requests)


def read_requests(path: Path, known: Iterable[str] = tuple(ACTION_UNITS)) -> tuple[Request, ...]:
    """Read a JSON object of AU to intensity: ``{"AU12": 0.8, "AU06": "+0.3"}``; a string may be relative.

    Raises:
        ActionUnitError: the file cannot be read, is not such an object, or holds an unknown AU or value.
    """
    try:
        content = parse_json(path.read_bytes())
    except OSError as error:
        raise ActionUnitError(f"{path}: cannot read the expression ({error.strerror})") from error
    except ValueError as error:
        raise ActionUnitError(f"{path}: not JSON ({error})") from error
    if not isinstance(content, dict):
        raise ActionUnitError(f'{path}: expected an object like {{"AU12": 0.8}}, found a {type(content).__name__}')
    return requests_from_mapping(content, known)


def requests_from_mapping(
    expression: Mapping[str, float | str] | Mapping[str, float], known: Iterable[str] = tuple(ACTION_UNITS)
) -> tuple[Request, ...]:
    """Turn ``{"AU12": 0.8, "AU06": "+0.3"}`` into requests: numbers are absolute, strings may be relative.

    Raises:
        ActionUnitError: an unknown AU, one that is named twice, or a value that is no intensity.
    """
    known, requests = tuple(known), []
    for name, value in expression.items():
        if isinstance(value, str):
            requests.append(parse_request(f"{name}={value}", known))
        elif isinstance(value, bool) or not isinstance(value, SupportsFloat):
            raise ActionUnitError(f"{name} is {value!r}; expected a number, or a string like '+0.3'")
        else:
            plain, side = split_side(name)
            try:
                number = float(value)
            except OverflowError:
                raise ActionUnitError(f"{name}: a number too large; an intensity lies in [0, 1]") from None
            requests.append(_request(parse_code(plain, known), number, False, side))
    return _once(requests)
