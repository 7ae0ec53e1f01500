import json
from pathlib import Path

import pytest

from ganimation import action_units as au
from ganimation.errors import ActionUnitError


@pytest.mark.parametrize("text", ["AU1", "au01", "1", "AU01", "Inner Brow Raiser", "inner-brow_raiser"])
def test_codes_are_understood(text: str) -> None:
    assert au.parse_code(text) == "AU01"


@pytest.mark.parametrize(
    ("text", "nearest"), [("brow lowrer", "AU04"), ("lip corner pulle", "AU12"), ("jaw drip", "AU26")]
)
def test_a_typo_gets_the_nearest_name(text: str, nearest: str) -> None:
    with pytest.raises(ActionUnitError, match=f"did you mean {nearest}"):
        au.parse_code(text)


def test_an_au_of_facs_that_the_model_lacks_is_named() -> None:
    with pytest.raises(ActionUnitError, match=r"AU14 .dimpler. is not one of this model's"):
        au.parse_code("AU14", au.DEFAULT_AUS)


def test_absolute_and_relative_requests() -> None:
    assert au.parse_request("AU12=0.8") == au.Request("AU12", 0.8)
    assert au.parse_request("au6=+0.3") == au.Request("AU06", 0.3, relative=True)
    assert au.parse_request("AU12=-.2").resolve(0.5) == pytest.approx(0.3)
    assert au.parse_request("AU12=+0.9").resolve(0.5) == 1.0
    assert au.parse_request("AU12=0.8").resolve(0.1) == 0.8


@pytest.mark.parametrize("text", ["AU12=3", "AU12=+3", "AU12=nan", "AU12=", "AU12", "AU12=much", "=0.3"])
def test_bad_requests(text: str) -> None:
    with pytest.raises(ActionUnitError):
        au.parse_request(text)


def test_mappings_say_absolute_by_number_and_relative_by_string() -> None:
    requests = au.requests_from_mapping({"AU12": 0.8, "AU06": "+0.3", "AU04": "0.2"})
    assert requests == (au.Request("AU12", 0.8), au.Request("AU06", 0.3, relative=True), au.Request("AU04", 0.2))
    for value in (-0.3, "much", None, True):
        with pytest.raises(ActionUnitError):
            au.requests_from_mapping({"AU12": value})  # type: ignore[dict-item]
    with pytest.raises(ActionUnitError, match="2 times"):
        au.requests_from_mapping({"AU12": 0.8, "AU012": 0.1})


def test_the_same_au_twice_is_an_error() -> None:
    with pytest.raises(ActionUnitError, match="AU12 is asked for 2 times"):
        au.parse_requests(["AU12=0.8", "au12=+0.1"])


def test_json_expressions(tmp_path: Path) -> None:
    path = tmp_path / "smile.json"
    path.write_text(json.dumps({"AU12": 0.8, "AU06": "+0.3"}))
    assert au.read_requests(path) == (au.Request("AU12", 0.8), au.Request("AU06", 0.3, relative=True))


@pytest.mark.parametrize("content", ["[1]", "{", '{"AU12": true}', '{"AU12": [1]}', '{"AU99": 0.1}', '{"AU12": 7}'])
def test_bad_json_expressions(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(ActionUnitError):
        au.read_requests(path)
    with pytest.raises(ActionUnitError, match="cannot read"):
        au.read_requests(tmp_path / "missing.json")


def test_facs_intensities_pass_one_door() -> None:
    assert [au.intensity_from_facs(code) for code in (0, 1, 5)] == [0.0, 0.2, 1.0]
    with pytest.raises(ActionUnitError):
        au.intensity_from_facs(5.5)


def test_every_unit_is_described() -> None:
    for code, unit in au.ACTION_UNITS.items():
        assert unit.code == code
        assert unit.region in au.REGIONS
        assert unit.name
        assert unit.muscle
    assert set(au.DEFAULT_AUS) | set(au.OPENFACE_AUS) <= set(au.ACTION_UNITS)


def test_one_side_is_asked_for() -> None:
    assert au.parse_request("AU12L=0.8") == au.Request("AU12", 0.8, side="L")
    assert au.parse_request("au2r=+0.3") == au.Request("AU02", 0.3, relative=True, side="R")
    found = au.requests_from_mapping({"AU12": 0.2, "AU12L": 0.9, "AU01R": "-0.1"})
    assert [request.name for request in found] == ["AU12", "AU12L", "AU01R"]
    with pytest.raises(ActionUnitError, match="AU12L is asked for 2 times"):
        au.parse_requests(["AU12L=1", "12l=0.5"])
    with pytest.raises(ActionUnitError, match=r"AU12=1.5: an intensity lies in \[0, 1\]"):
        au.parse_request("AU12L=1.5")
