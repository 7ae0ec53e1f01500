"""Text that came from elsewhere."""

import json

import pytest

from ganimation.text import MAX_DEPTH, parse_count, parse_json, printable, shorten


def test_ordinary_json_is_what_json_says() -> None:
    text = '{"AU12": 0.8, "AU06": "+0.3", "list": [1, -2, 3e2, true, null, "\\u00e9"]}'
    assert parse_json(text) == json.loads(text)
    assert parse_json(text.encode()) == json.loads(text)
    assert parse_json("[" * MAX_DEPTH + "]" * MAX_DEPTH)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested deeper than 64"),
        ('{"a":' * 100_000, "nested deeper than 64"),
        ("[" * 65 + "]" * 65, "nested deeper than 64"),
        ('{"AU12": 1' + "0" * 400 + "}", r"the number 10+\.\.\. \(401 characters\) is too large"),
        ("1" * 5000, "too large"),
        ("1e999", "too large"),
        ("NaN", "NaN is not a JSON number"),
        ("-Infinity", "not a JSON number"),
        ("{", "Expecting property name"),
        (b"\xff\xfe\xff", "decode"),
        (" " * 16_000_001, "the limit is 16000000"),
    ],
)
def test_odd_json_is_refused(text: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_json(text)


def test_counts_are_digits_within_a_limit() -> None:
    assert [parse_count(text) for text in ("0", "7", "007", "1000000")] == [0, 7, 7, 1_000_000]
    for text in ("", "-1", "+1", "1.0", "nan", "1000001", "9" * 5000, "²", "٣", " 1", "1e3"):
        assert parse_count(text) is None


def test_a_terminal_obeys_nothing_that_is_printable() -> None:
    assert printable("a photo, é, 漢字.jpg") == "a photo, é, 漢字.jpg"
    assert printable("\x1b]0;x\x07\n\r\u202e\x9b31m") == r"\x1b]0;x\x07\n\r\u202e\x9b31m"
    assert printable(b"caf\xe9.jpg".decode("utf-8", "surrogateescape")) == r"caf\xe9.jpg"
    assert printable("\ud800").encode() == rb"\ud800"


def test_long_texts_are_shortened() -> None:
    assert shorten("short") == "short"
    assert shorten("9" * 50, 10) == "9999999999... (50 characters)"
