"""Handling of untrusted text: parse JSON within limits, parse numbers, shorten messages, escape control characters."""

import json
import math
from typing import Any

#: JSON that is nested deeper than this is refused; ours has four levels.
MAX_DEPTH = 64
#: Characters of JSON that are parsed.
MAX_JSON = 16_000_000


def parse_json(text: str | bytes) -> Any:
    """Parse JSON (RFC 8259) within limits on size, depth and numbers.

    Raises:
        ValueError: not JSON, not UTF-8, longer than :data:`MAX_JSON`, nested deeper than :data:`MAX_DEPTH`, or with a
            number that no float holds. The message is one line. ``json.JSONDecodeError`` is one of these.
    """
    if len(text) > MAX_JSON:
        raise ValueError(f"JSON of {len(text)} characters; the limit is {MAX_JSON}")
    try:
        content = json.loads(text, parse_int=_integer, parse_float=_finite, parse_constant=_constant)
    except RecursionError:
        raise ValueError(f"JSON nested deeper than {MAX_DEPTH} levels") from None
    level, depth = [content], 0
    while level:
        if (depth := depth + 1) > MAX_DEPTH:
            raise ValueError(f"JSON nested deeper than {MAX_DEPTH} levels")
        level = [
            child
            for value in level
            if isinstance(value, dict | list)
            for child in (value.values() if isinstance(value, dict) else value)
        ]
    return content


def _integer(digits: str) -> int:
    _finite(digits)
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {shorten(digits)} is too large")
    return value


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def parse_count(text: str, most: int = 1_000_000) -> int | None:
    """Return a whole number from 0 to ``most`` written in ASCII digits; ``None`` if the text is anything else."""
    if not (text.isascii() and text.isdecimal() and len(text.lstrip("0")) <= len(str(most))):
        return None
    return value if (value := int(text)) <= most else None


def shorten(text: str, length: int = 40) -> str:
    """Return a text that fits in a message: its beginning, if it is longer than ``length``."""
    return text if len(text) <= length else f"{text[:length]}... ({len(text)} characters)"


def printable(text: str) -> str:
    r"""Return a text as one line without terminal control sequences, encodable as UTF-8.

    Control characters (C0, C1, line and paragraph separators, bidirectional overrides) and bytes of file names that are
    not text are escaped: ``\x1b``, ``\n``, ``\xe9``.
    """
    return "".join(character if _is_harmless(character) else _escape(character) for character in text)


def _is_harmless(character: str) -> bool:
    return character.isprintable() or character == "\u3000"


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape: a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
