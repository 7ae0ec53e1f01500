"""Named expressions, blends, and an expression of another face."""

import pytest

from ganimation import action_units as au
from ganimation.action_units import Request
from ganimation.errors import ActionUnitError
from ganimation.expressions import NAMED, expression_requests, requests_like


def test_emotions_use_known_aus_in_range() -> None:
    assert set(au.EMOTIONS) == {
        "neutral", "happiness", "sadness", "surprise", "fear", "anger", "disgust", "contempt",
    }  # fmt: skip
    for name, recipe in au.EMOTIONS.items():
        if name == "contempt":
            continue
        assert all(code in au.ACTION_UNITS and 0 < value <= 1 for code, value in recipe.items())
        asked = {request.code: request for request in expression_requests(name, 0.5)}
        assert set(asked) == set(au.DEFAULT_AUS) - {"AU45"}
        assert all(asked[code].resolve(0.0) == pytest.approx(0.5 * recipe.get(code, 0.0)) for code in asked)


def test_strength_is_the_share_of_the_way_and_takes_no_smile_away() -> None:
    levels = {0.0: [0.3, 0.95, 0.4], 0.3: [0.48, 0.95, 0.28], 1.0: [0.9, 0.95, 0.0], 1.5: [1.0, 0.95, 0.0]}
    for strength, (low, high, other) in levels.items():
        asked = {request.code: request for request in expression_requests("happiness", strength)}
        assert asked["AU12"].resolve(0.3) == pytest.approx(low)
        assert asked["AU12"].resolve(0.95) == pytest.approx(high)
        assert asked["AU04"].resolve(0.4) == pytest.approx(other)


def test_an_emotion_whose_main_au_is_lacking_is_refused() -> None:
    with pytest.raises(ActionUnitError, match=r"disgust is made of AU09 .* which this model does not know"):
        expression_requests("disgust", 1.0, ("AU12", "AU17"))


def test_contempt_is_one_sided_without_the_dimpler() -> None:
    asked = {request.name: request for request in expression_requests("contempt", 1.0)}
    assert (asked["AU12R"].resolve(0.1), asked["AU12L"].resolve(0.1)) == (0.6, 0.0)
    assert "AU12" not in asked
    assert all(request.value == 0 for name, request in asked.items() if name != "AU12R")
    half = {request.name: request for request in expression_requests("contempt", 0.5)}
    assert half["AU12R"].resolve(0.0) == pytest.approx(0.6 / 2)
    known = {request.name: request.value for request in expression_requests("contempt", 1.0, au.OPENFACE_AUS)}
    assert known["AU14"] == 0.8


def test_bad_emotions() -> None:
    with pytest.raises(ActionUnitError, match="did you mean happiness"):
        expression_requests("hapiness", 1.0)
    with pytest.raises(ActionUnitError, match="strength 2"):
        expression_requests("anger", 2.0)


def by_name(requests: tuple[Request, ...]) -> dict[str, Request]:
    return {request.name: request for request in requests}


def test_named_expressions_leave_the_rest_of_the_face() -> None:
    for name, recipe in NAMED.items():
        if name == "kiss":
            with pytest.raises(ActionUnitError, match="kiss is made of AU18"):
                expression_requests(name, 1.0)
            continue
        asked = by_name(expression_requests(name, 1.0))
        assert {code: request.value for code, request in asked.items()} == recipe
    assert set(by_name(expression_requests("wink", 1.0))) == {"AU45L"}


def test_blends_add_up_to_one_at_most() -> None:
    asked = by_name(expression_requests("happiness:0.5+surprise:1.5", 1.0))
    assert asked["AU12"].value == pytest.approx(0.45)
    assert asked["AU01"].value == 1.0
    assert asked["AU25"].value == 1.0
    assert asked["AU09"].value == 0.0
    sided = by_name(expression_requests("happiness:0.5+smirk", 1.0))
    assert sided["AU12L"].value == pytest.approx(0.45)
    assert sided["AU12R"].value == 1.0
    assert "AU12" not in sided


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("joy", "did you mean happiness"),
        ("winkk", "did you mean wink"),
        ("happiness:2", r"happiness:2: a weight lies in \(0, 1.5\]"),
        ("happiness:nan", "a weight lies in"),
        ("happiness+", "unknown expression ''"),
    ],
)
def test_bad_blends(text: str, message: str) -> None:
    with pytest.raises(ActionUnitError, match=message):
        expression_requests(text, 1.0)


def test_another_face_is_copied_whole_by_region_or_by_its_change() -> None:
    other, rest = {"AU01": 0.5, "AU12": 0.8, "AU99": 1.0}, {"AU01": 0.4, "AU12": 0.9}
    known = ("AU01", "AU12", "AU24")
    whole = by_name(requests_like(other, known, strength=0.5))
    assert {name: request.resolve(0.0) for name, request in whole.items()} == {"AU01": 0.25, "AU12": 0.4}
    assert set(by_name(requests_like(other, known, regions=["brows"]))) == {"AU01"}
    change = by_name(requests_like(other, known, neutral=rest))
    assert change["AU01"].resolve(0.3) == pytest.approx(0.4)
    assert change["AU12"].resolve(0.3) == pytest.approx(0.2)
    with pytest.raises(ActionUnitError, match="unknown region 'ears'"):
        requests_like(other, known, regions=["ears"])
    with pytest.raises(ActionUnitError, match="strength 2"):
        requests_like(other, known, strength=2)
