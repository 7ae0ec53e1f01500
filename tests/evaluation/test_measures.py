"""Measures on answers that are known: a perfect editor, a copy of the photo, a shuffled editor."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ganimation.action_units import DEFAULT_AUS
from ganimation.evaluation import measures, movement
from ganimation.evaluation.evaluators import Look
from ganimation.evaluation.judges import EMOTIONS
from ganimation.evaluation.trials import LEVELS, STEPS, Answers, Faces, Trial, is_full, plan
from ganimation.faces.geometry import displacements
from ganimation.faces.pose import expect

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


def test_leakage_leaves_out_faces_that_are_lost() -> None:
    after = np.tile([0.0, 0.5, 1.0], (2, 16, 16, 1)).transpose(0, 1, 3, 2)
    after[0, 3, 2] = np.nan  # one answer in which no face is seen
    after[:, 5, 2] = np.nan  # and one AU whose answers all hide it
    found = measures.leakage(after)
    assert np.isnan(found[5]).all()
    assert (np.delete(found, 5, axis=0) == 1).all()


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
    assert measures.region_locality(trials, change, DEFAULT_AUS) == {"upper": 0.75, "lower": 0.25}
    nothing = measures.region_locality(trials, 0 * change, DEFAULT_AUS)
    assert np.isnan(list(nothing.values())).all()


def test_distance_to_the_true_picture(trials: list[Trial]) -> None:
    crops = np.random.default_rng(0).integers(0, 255, (FACES, 16, 16, 3), dtype=np.uint8)
    exact = np.stack([crops[max(0, trial.truth)] for trial in trials])

    def apart(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
        return float(np.abs(one.astype(int) - other).mean())

    found = measures.truth(trials, exact, crops, apart)
    assert (found["pairs"], found["PSNR"]["mean"], found["SSIM"]["mean"]) == (5, 99, 1)
    assert found["perceptual"] == {"mean": 0, "interval": (0, 0)}
    wrong = measures.truth(trials, 255 - exact, crops, apart)
    assert wrong["SSIM"]["mean"] < 0.2
    assert wrong["perceptual"]["mean"] > 100
    unknown = [trial.kind != "true" for trial in trials]
    rest = [trial for trial in trials if trial.kind != "true"]
    assert measures.truth(rest, exact[unknown], crops, apart) == {}


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


def faces_of(shown: Array, pictures: NDArray[np.uint8] | None = None) -> Faces:
    count = len(shown)
    nothing = np.empty((count, 0))
    looks = [Look(own, nothing[0], np.full((3, 7), np.nan), nothing[0], displacements().mean) for own in shown]
    crops = np.zeros((count, 8, 8, 3), np.uint8) if pictures is None else pictures
    read = {reader: shown[:, : len(SEEN[reader])] for reader in measures.READERS}
    return Faces(crops, np.full(count, -1), [""] * count, shown, looks, read, nothing.astype(np.float32), nothing)


SEEN = {"annotator": DEFAULT_AUS, "judge": DEFAULT_AUS[:15], "geometry": DEFAULT_AUS[:15]}


def answers_of(read: Array, trials: list[Trial], **other: Array) -> Answers:
    """Return answers in which all read the same, and nothing else was seen unless it is given."""
    count = len(read)
    emotions = np.full((count, 3, 7), np.nan)
    emotions[[trial.kind == "emotion" for trial in trials]] = np.eye(7)[EMOTIONS.index("neutral")]
    seen = {
        "emotions": emotions,
        "identity": np.full(count, np.nan),
        "change": np.zeros((count, 2)),
        "psnr": np.full(count, 99.0),
        "mask": np.full((count, 3), np.nan),
        "pooled": np.empty((count, 0)),
        "points": np.tile(displacements().mean, (count, 1, 1)),
    }
    pictures = np.zeros((count, 8, 8, 3), np.uint8)
    read_by = {reader: read[:, : len(codes)] for reader, codes in SEEN.items()}
    return Answers(read_by, **(seen | other), pictures=pictures)


def test_the_report_of_a_copy(trials: list[Trial], shown: Array) -> None:
    answers = answers_of(copied(trials, shown), trials)
    found = measures.report(trials, answers, faces_of(shown), DEFAULT_AUS, SEEN)
    assert found["readers"].keys() == set(measures.READERS)
    for reader in found["readers"].values():
        assert reader["pcc"] == 0
        assert reader["aus at .7"] == 0
        assert reader["gain"].keys() == {"single", "pair", "random", "emotion", "true"}
        assert all(gain["mean"] == pytest.approx(0) for gain in reader["gain"].values())
    assert found["zero edit PSNR"]["mean"] == 99
    assert found["emotions"]["vote"]["mean"] == 0
    assert found["faces lost"] == 0


def test_the_report_of_the_perfect(trials: list[Trial], shown: Array) -> None:
    mask = np.tile([0.5, 0.1, 0.2], (len(trials), 1))
    mask[[trial.kind == "single" and trial.au == 3 for trial in trials], 0] = 0.75
    identity = np.where([is_full(trial) for trial in trials], 0.25, np.nan)
    answers = answers_of(perfect(trials), trials, mask=mask, identity=identity)
    found = measures.report(trials, answers, faces_of(shown), DEFAULT_AUS, SEEN)
    for reader in found["readers"].values():
        assert reader["pcc"] > 0.99
        assert all(gain["mean"] == pytest.approx(1) for gain in reader["gain"].values())
    assert found["identity"]["single AUs"]["mean"] == 0.25
    assert [found["mask of single AUs"][code]["mean"] for code in ("AU04", "AU05")] == [0.5, 0.75]


def moved(trials: list[Trial], shown: Array, power: float = 1.0) -> Array:
    """Return landmarks that move as muscles do; with a power above 1, too little at first."""
    mean, found = displacements().mean, []
    for trial in trials:
        own = shown[trial.face]
        target = trial.target
        if trial.kind == "step":
            full = own.copy()
            full[trial.au] = 1.0
            target = own + trial.level**power * (full - own)
        found.append(expect(mean, own, target, DEFAULT_AUS, as_read=True))
    return np.stack(found)


def test_movement_of_a_copy_of_muscles_and_of_a_switch(shown: Array) -> None:
    trials = plan(shown, DEFAULT_AUS, 3, steps=2)
    assert [trial.kind for trial in trials].count("step") == 2 * 16 * 6
    before = np.tile(displacements().mean, (FACES, 1, 1))
    still = np.tile(displacements().mean, (len(trials), 1, 1))
    copy = movement.report(trials, still, before, shown, DEFAULT_AUS)
    assert (copy["error"], copy["in band"], copy["response"], copy["lid aperture"]) == (pytest.approx(1), 0, [], 1)
    assert copy["visible at .2"] != copy["visible at .2"]  # nothing moves, so there is no curve
    muscle = movement.report(trials, moved(trials, shown), before, shown, DEFAULT_AUS)
    assert muscle["error"] == pytest.approx(0, abs=1e-6)
    assert muscle["in band"] == muscle["of"] == 16
    assert muscle["response"] == pytest.approx(STEPS, abs=0.01)
    assert muscle["monotone"] == 1
    assert muscle["iris shift"] == 0
    assert muscle["lid aperture"] < 0.05
    assert muscle["visible at .2"] > 0.8
    switch = movement.report(trials, moved(trials, shown, 4.0), before, shown, DEFAULT_AUS)
    assert switch["error"] == pytest.approx(0, abs=1e-6)  # at full strength nobody sees it
    assert switch["response"][:3] == pytest.approx([0, 0, 0.01], abs=0.01)
    assert switch["visible at .2"] < 0.2


def test_emotions_are_counted(trials: list[Trial]) -> None:
    """Two classifiers say what was asked, the third is surer of fear: the vote is with it."""
    emotions = np.full((len(trials), 3, 7), np.nan)
    for row, trial in enumerate(trials):
        if trial.kind == "emotion":
            emotions[row] = 0.0
            emotions[row, :2, EMOTIONS.index(trial.name)] = 0.3
            emotions[row, 2, EMOTIONS.index("fear")] = 0.9
    asked = [trial.name for trial in trials if trial.kind == "emotion"]
    assert set(asked) != {"fear"}
    found = measures.votes(trials, emotions)
    share = asked.count("fear") / len(asked)
    assert found["vote"]["mean"] == pytest.approx(share)
    assert (found["face_api"], found["facex"], found["fer"]) == (1, 1, pytest.approx(share))
    assert found["by emotion"] == {name: float(name == "fear") for name in found["by emotion"]}
    assert found["by emotion"].keys() == set(asked)
    assert measures.votes([trial for trial in trials if trial.kind != "emotion"], emotions) == {}


def test_the_better_of_two_is_found(trials: list[Trial], shown: Array) -> None:
    best, none = answers_of(perfect(trials), trials), answers_of(copied(trials, shown), trials)
    found = measures.comparison(trials, best, none, DEFAULT_AUS, SEEN)
    for lead in found.values():
        assert lead["mean"] > 0.99
        assert lead["interval"][0] > 0.99
    for lead in measures.comparison(trials, best, best, DEFAULT_AUS, SEEN).values():
        assert lead == {"mean": 0.0, "interval": (0.0, 0.0)}


def test_the_worst_are_found(trials: list[Trial], shown: Array) -> None:
    """One answer is spoiled in each way; it must be the worst of that measure."""
    rows = {kind: [t.kind for t in trials].index(kind) for kind in ("zero", "emotion", "true")}
    full = [number for number, trial in enumerate(trials) if is_full(trial)]
    upper = next(number for number in full if DEFAULT_AUS[trials[number].au] == "AU02")
    read = perfect(trials)
    read[rows["emotion"]] = shown[trials[rows["emotion"]].face]  # nothing happened
    read[full[9], (trials[full[9]].au + 1) % 16] += 0.5  # its neighbour moved
    change = np.tile([1.0, 1.0], (len(trials), 1))
    change[upper, 1] = 7.0  # the mouth moved
    psnr = np.full(len(trials), 50.0)
    psnr[rows["zero"]] = 20.0
    identity = np.where([is_full(trial) for trial in trials], 0.2, np.nan)
    identity[full[4]] = 0.7
    answers = answers_of(read, trials, change=change, psnr=psnr, identity=identity)
    answers.pictures[rows["true"]] = 200
    found = measures.error_scores(trials, answers, faces_of(shown), DEFAULT_AUS, SEEN)
    worst = {name: int(np.nanargmax(values)) for name, values in found.items()}
    assert worst == {
        "expression gain (annotator)": rows["emotion"],
        "expression gain (judge)": rows["emotion"],
        "expression gain (geometry)": rows["emotion"],
        "identity distance": full[4],
        "other AUs that move": full[9],
        "change in the wrong half": upper,
        "zero edit": rows["zero"],
        "PSNR to the true picture": rows["true"],
    }
