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


def test_emotions_use_known_aus_in_range() -> None:
    assert set(au.EMOTIONS) == {
        "neutral", "happiness", "sadness", "surprise", "fear", "anger", "disgust", "contempt",
    }  # fmt: skip
    for name, recipe in au.EMOTIONS.items():
        if name == "contempt":
            continue
        assert all(code in au.ACTION_UNITS and 0 < value <= 1 for code, value in recipe.items())
        asked = {request.code: request for request in au.emotion_requests(name, 0.5)}
        assert set(asked) == set(au.DEFAULT_AUS) - {"AU45"}
        assert all(asked[code].resolve(0.0) == pytest.approx(0.5 * recipe.get(code, 0.0)) for code in asked)


def test_strength_is_the_share_of_the_way_and_takes_no_smile_away() -> None:
    levels = {0.0: [0.3, 0.95, 0.4], 0.3: [0.48, 0.95, 0.28], 1.0: [0.9, 0.95, 0.0], 1.5: [1.0, 0.95, 0.0]}
    for strength, (low, high, other) in levels.items():
        asked = {request.code: request for request in au.emotion_requests("happiness", strength)}
        assert asked["AU12"].resolve(0.3) == pytest.approx(low)
        assert asked["AU12"].resolve(0.95) == pytest.approx(high)
        assert asked["AU04"].resolve(0.4) == pytest.approx(other)


def test_an_emotion_whose_main_au_is_lacking_is_refused() -> None:
    with pytest.raises(ActionUnitError, match=r"disgust is made of AU09 .* which this model does not know"):
        au.emotion_requests("disgust", 1.0, ("AU12", "AU17"))


def test_contempt_is_one_sided_without_the_dimpler() -> None:
    asked = {request.name: request for request in au.emotion_requests("contempt", 1.0)}
    assert (asked["AU12R"].resolve(0.1), asked["AU12L"].resolve(0.1)) == (au.ONE_SIDED, 0.0)
    assert "AU12" not in asked
    assert all(request.value == 0 for name, request in asked.items() if name != "AU12R")
    half = {request.name: request for request in au.emotion_requests("contempt", 0.5)}
    assert half["AU12R"].resolve(0.0) == pytest.approx(au.ONE_SIDED / 2)
    known = {request.name: request.value for request in au.emotion_requests("contempt", 1.0, au.OPENFACE_AUS)}
    assert known["AU14"] == 0.8


def test_bad_emotions() -> None:
    with pytest.raises(ActionUnitError, match="did you mean happiness"):
        au.emotion_requests("hapiness", 1.0)
    with pytest.raises(ActionUnitError, match="strength 2"):
        au.emotion_requests("anger", 2.0)


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
