"""Named expressions, blends of them, and an expression taken from another photo, as requests for action units."""

import difflib
from collections.abc import Iterable, Mapping, Sequence

from ganimation.action_units import ACTION_UNITS, DEFAULT_AUS, EMOTIONS, REGIONS, Request, split_side
from ganimation.errors import ActionUnitError
from ganimation.text import shorten

#: Largest strength of an expression; at 1 its AUs have the intensities of its recipe.
MAX_STRENGTH = 1.5

#: Contempt of a model without AU14: R12 of EMFACS.
ONE_SIDED_CONTEMPT = {"AU12R": 0.6}

#: Expressions that are not emotions: they ask for their own AUs alone, and leave the rest of the face as it is.
NAMED: Mapping[str, Mapping[str, float]] = {
    "smile": {"AU06": 0.3, "AU12": 0.7},
    "laugh": {"AU06": 0.7, "AU12": 1.0, "AU25": 0.9, "AU26": 0.5},
    "smirk": {"AU12R": 0.7},
    "frown": {"AU04": 0.9},
    "raised-brows": {"AU01": 0.8, "AU02": 0.8},
    "wide-eyes": {"AU05": 0.9},
    "squint": {"AU06": 0.5, "AU07": 0.8},
    "wink": {"AU45L": 1.0},
    "closed-eyes": {"AU45": 1.0},
    "open-mouth": {"AU25": 0.8, "AU26": 0.7},
    "pout": {"AU15": 0.5, "AU17": 0.8},
    "kiss": {"AU18": 0.9},
}

#: Other words for them, which are suggested.
SYNONYMS: Mapping[str, str] = {
    "joy": "happiness", "happy": "happiness", "sad": "sadness", "surprised": "surprise", "afraid": "fear",
    "fearful": "fear", "scared": "fear", "angry": "anger", "disgusted": "disgust", "contemptuous": "contempt",
    "blink": "closed-eyes", "sleep": "closed-eyes", "grin": "laugh", "scowl": "frown", "pucker": "kiss",
    "sneer": "contempt", "calm": "neutral",
}  # fmt: skip


def expression_requests(text: str, strength: float, known: Iterable[str] = DEFAULT_AUS) -> tuple[Request, ...]:
    """Return the requests of an expression, or of a blend: ``happiness``, ``wink``, ``happiness:0.7+surprise:0.4``.

    ``strength`` interpolates from the source intensities (0) to the recipe (1) and extrapolates above 1. With an
    emotion there is a request for every AU in ``known`` except AU45 (blink), which keeps its source intensity: AUs of
    the recipe never fall below what is shown, and the others go to 0. In a blend, weighted intensities add up, to 1 at
    most.

    Args:
        text: names of :data:`ganimation.action_units.EMOTIONS` and :data:`NAMED`, each with a weight in (0, 1.5] or
            without, for 1.
        strength: in [0, 1.5].
        known: AUs of the model. Those of a recipe that it lacks are left out, if they are the lesser part of it;
            contempt without AU14 is AU12 of the right side alone.

    Raises:
        ActionUnitError: an unknown name (another is suggested), a recipe whose main AUs ``known`` lacks, or a weight or
            a strength out of range.
    """
    if not 0.0 <= strength <= MAX_STRENGTH:
        raise ActionUnitError(f"strength {strength:g}: it lies in [0, {MAX_STRENGTH:g}]")
    known, total, whole = tuple(known), dict[str, float](), False
    for part in text.split("+"):
        name, weight = _parse_part(part.strip())
        whole = whole or name in EMOTIONS
        for code, value in _recipe(name, known).items():
            total[code] = total.get(code, 0.0) + weight * value
    sided = {code for code, side in map(split_side, total) if side}
    asked: dict[str, float] = {}
    for name, value in total.items():
        code, side = split_side(name)
        for own in ("L", "R") if code in sided and not side else (side,):
            asked[code + own] = asked.get(code + own, 0.0) + value
    if whole:
        for code in sided - {"AU45"}:
            asked = {code + side: 0.0 for side in ("L", "R")} | asked
        rest = (code for code in known if code != "AU45" and code not in sided)
        asked = dict.fromkeys(rest, 0.0) | asked
    return tuple(
        Request(code, min(1.0, value), side=side, strength=strength, raises=value > 0)
        for name, value in asked.items()
        for code, side in [split_side(name)]
        if code in known
    )


def _parse_part(text: str) -> tuple[str, float]:
    """Return name and weight of ``happiness:0.7``."""
    name, colon, number = text.partition(":")
    if name not in EMOTIONS and name not in NAMED:
        names = (*EMOTIONS, *NAMED)
        close = difflib.get_close_matches(name.lower(), (*names, *SYNONYMS), n=1, cutoff=0.0)[0]
        close = SYNONYMS.get(close, close)
        raise ActionUnitError(f"unknown expression {shorten(name)!r}; did you mean {close}? Known: {', '.join(names)}")
    try:
        weight = float(number) if colon else 1.0
    except ValueError:
        weight = float("nan")
    if not 0.0 < weight <= MAX_STRENGTH:
        raise ActionUnitError(f"{shorten(text)}: a weight lies in (0, {MAX_STRENGTH:g}], such as happiness:0.7")
    return name, weight


def _recipe(name: str, known: Sequence[str]) -> Mapping[str, float]:
    """Return the intensities of an expression by AU, with sides."""
    if name == "contempt" and "AU14" not in known:
        return ONE_SIDED_CONTEMPT
    recipe = EMOTIONS[name] if name in EMOTIONS else NAMED[name]
    lacking = [code for code in recipe if split_side(code)[0] not in known]
    if sum(recipe[code] for code in lacking) > sum(recipe.values()) / 2:
        names = ", ".join(f"{code} ({ACTION_UNITS[split_side(code)[0]].name})" for code in lacking)
        raise ActionUnitError(
            f"{name} is made of {names}, which this model does not know; use a model that was trained on it"
        )
    return recipe


def emotion_choice(expression: Mapping[str, float | str] | Mapping[str, float], known: Sequence[str]) -> tuple[Request]:
    """Return the request for one emotion as a whole, of a model that knows emotions and no AUs.

    Args:
        expression: one emotion and 1.
        known: emotions of the model.

    Raises:
        ActionUnitError: something else, or an emotion that the model does not know.
    """
    names = ", ".join(known)
    if len(expression) != 1:
        raise ActionUnitError(f"{len(expression)} emotions asked; this model shows one at a time, of {names}")
    ((name, value),) = expression.items()
    if name not in known:
        raise ActionUnitError(f"{name!r}: this model knows no action units but emotions: {names}")
    if value != 1:
        raise ActionUnitError(f"{name} at {value}: this model has no intensities; leave the strength at 1")
    return (Request(name, 1.0),)


def requests_like(
    other: Mapping[str, float],
    known: Sequence[str],
    *,
    strength: float = 1.0,
    regions: Sequence[str] = REGIONS,
    neutral: Mapping[str, float] | None = None,
) -> tuple[Request, ...]:
    """Return the requests that copy the expression of another face.

    Args:
        other: what that face shows, intensities by AU.
        known: AUs of the model.
        strength: share of the way to it, in [0, 1.5].
        regions: that are copied, of :data:`ganimation.action_units.REGIONS`.
        neutral: what the same person shows at rest; then the change is copied and not the intensities.

    Raises:
        ActionUnitError: an unknown region or a strength out of range.
    """
    if not 0.0 <= strength <= MAX_STRENGTH:
        raise ActionUnitError(f"strength {strength:g}: it lies in [0, {MAX_STRENGTH:g}]")
    if strange := [region for region in regions if region not in REGIONS]:
        raise ActionUnitError(f"unknown region {strange[0]!r}; it is one of {', '.join(REGIONS)}")
    codes = [code for code in known if code in other and ACTION_UNITS[code].region in regions]
    if neutral is None:
        return tuple(Request(code, other[code], strength=strength) for code in codes)
    changes = {code: min(1.0, max(-1.0, strength * (other[code] - neutral[code]))) for code in codes}
    return tuple(Request(code, change, relative=True) for code, change in changes.items())
