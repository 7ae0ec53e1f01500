"""Measures on answers that are known: a perfect editor, a copy of the photo, a shuffled editor."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ganimation.action_units import DEFAULT_AUS
from ganimation.evaluation import measures
from ganimation.evaluation.trials import LEVELS, Answers, Trial, plan

Array = NDArray[np.float64]
FACES = 6


@pytest.fixture
def shown() -> Array:
    return np.random.default_rng(0).uniform(0.0, 0.3, (FACES, 16))


@pytest.fixture
def trials(shown: Array) -> list[Trial]:
    return plan(shown, DEFAULT_AUS, 3, np.array([0, 0, 0, 1, 1, -1]))


def perfect(trials: list[Trial]) -> Array:
    return np.stack([trial.target for trial in trials])


def copied(trials: list[Trial], shown: Array) -> Array:
    return shown[[trial.face for trial in trials]]


def test_the_plan(trials: list[Trial], shown: Array) -> None:
    kinds = [trial.kind for trial in trials]
    assert kinds.count("single") == 3 * 16 * 3
    assert [kinds.count(kind) for kind in ("zero", "pair", "random", "emotion")] == [FACES] * 4
    assert kinds.count("true") == 5  # the last face has no session
    assert {trial.face for trial in trials if trial.kind == "single"} == set(np.argsort(shown.sum(axis=1))[:3].tolist())
    for trial in trials:
        assert ((trial.target >= 0) & (trial.target <= 1)).all()
        if trial.kind == "single":
            others = np.arange(16) != trial.au
            assert np.array_equal(trial.target[others], shown[trial.face][others])
            assert trial.target[trial.au] == trial.level
        if trial.kind == "true":
            assert trial.truth != trial.face
            assert np.array_equal(trial.target, shown[trial.truth])
    again = plan(shown, DEFAULT_AUS, 3, np.array([0, 0, 0, 1, 1, -1]))
    assert all(np.array_equal(a.target, b.target) for a, b in zip(trials, again, strict=True))


def test_singles_of_the_perfect_the_copy_and_the_shuffled(trials: list[Trial], shown: Array) -> None:
    faces = list(dict.fromkeys(trial.face for trial in trials if trial.kind == "single"))
    read = {"perfect": perfect(trials), "copy": copied(trials, shown)}
    for name, values in read.items():
        after = measures.singles(trials, values, 16)
        assert after.shape == (3, 16, len(LEVELS), 16)
        rows = measures.by_au(after, shown[faces], DEFAULT_AUS, DEFAULT_AUS)
        wanted = 1 if name == "perfect" else 0
        assert [row["pcc"] > 0.9 for row in rows] == [bool(wanted)] * 16
        assert [row["slope"] for row in rows] == pytest.approx([wanted] * 16)
        assert [row["monotonicity"] for row in rows] == [wanted] * 16
        assert np.allclose(measures.leakage(after), wanted * np.eye(16))
    after = np.roll(measures.singles(trials, read["perfect"], 16), 1, axis=1)
    assert all(abs(row["slope"]) < 1e-9 for row in measures.by_au(after, shown[faces], DEFAULT_AUS, DEFAULT_AUS))
    assert np.allclose(measures.leakage(after), np.roll(np.eye(16), 1, axis=0))


def test_gain_of_the_perfect_the_copy_and_the_half_hearted(trials: list[Trial], shown: Array) -> None:
    def gain(read: Array) -> Array:
        return measures.gains(trials, read, shown, shown, DEFAULT_AUS, DEFAULT_AUS)

    asked = [trial.kind != "zero" for trial in trials]
    whole, none = perfect(trials), copied(trials, shown)
    assert np.isnan(gain(whole)[np.logical_not(asked)]).all()
    told = ~np.isnan(gain(whole))
    assert told.sum() > 0.8 * sum(asked)
    assert np.allclose(gain(whole)[told], 1)
    assert np.allclose(gain(none)[told], 0)
    assert np.allclose(gain((whole + none) / 2)[told], 0.5)
    fewer = [DEFAULT_AUS.index(code) for code in ("AU12", "AU01")]
    part = measures.gains(trials, whole[:, fewer], shown[:, fewer], shown, DEFAULT_AUS, ("AU12", "AU01"))
    assert np.allclose(part[~np.isnan(part)], 1)


def test_change_in_place(trials: list[Trial]) -> None:
    change = np.tile([3.0, 1.0], (len(trials), 1))
    assert measures.in_place(trials, change, DEFAULT_AUS) == {"upper": 0.75, "lower": 0.25}
    nothing = measures.in_place(trials, 0 * change, DEFAULT_AUS)
    assert np.isnan(list(nothing.values())).all()


def test_distance_to_the_true_picture(trials: list[Trial]) -> None:
    crops = np.random.default_rng(0).integers(0, 255, (FACES, 16, 16, 3), dtype=np.uint8)
    exact = np.stack([crops[max(0, trial.truth)] for trial in trials])
    found = measures.truth(trials, exact, crops)
    assert (found["pairs"], found["PSNR"], found["SSIM"]) == (5, float("inf"), 1)
    assert measures.truth(trials, 255 - exact, crops)["SSIM"] < 0.2
    unknown = [trial.kind != "true" for trial in trials]
    rest = [trial for trial in trials if trial.kind != "true"]
    assert measures.truth(rest, exact[unknown], crops) == {}


def test_distances_between_sets() -> None:
    rng = np.random.default_rng(0)
    first, second, far = (rng.normal(shift, 1, (4000, 3)) for shift in (0, 0, 2))
    assert measures.frechet(first, second) == pytest.approx(0, abs=0.02)
    assert measures.frechet(first, far) == pytest.approx(3 * 4, rel=0.05)
    assert measures.frechet(first, 2 * first) == pytest.approx(3, rel=0.05)
    assert abs(measures.kernel_distance(first, second)) < 0.02
    assert measures.kernel_distance(first, far) > 1


def test_interval_holds_the_mean() -> None:
    values = np.random.default_rng(0).normal(5, 1, 200)
    low, high = measures.interval(values, lambda some: float(some.mean()))
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(200), rel=0.15)


def test_the_report_of_a_copy(trials: list[Trial], shown: Array) -> None:
    read, count = copied(trials, shown), len(trials)
    nowhere = np.full((count, 3), np.nan)
    answers = Answers(
        read, read[:, :15], np.zeros((count, 2)), np.full(count, 99.0), nowhere, np.empty((0, 0), np.uint8)
    )
    before = {"annotator": shown, "judge": shown[:, :15]}
    seen = {"annotator": DEFAULT_AUS, "judge": DEFAULT_AUS[:15]}
    found = measures.report(trials, answers, before, shown, DEFAULT_AUS, seen)
    for reader in found["readers"].values():
        assert reader["pcc"] == 0
        assert reader["aus at .7"] == 0
        assert reader["gain"].keys() == {"single", "pair", "random", "emotion", "true"}
        assert all(gain["mean"] == pytest.approx(0) for gain in reader["gain"].values())
    assert found["zero edit PSNR"] == 99
    assert found["faces lost"] == 0
