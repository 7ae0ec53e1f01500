import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from ganimation.errors import FaceError
from ganimation.faces.reader import FaceReader
from ganimation.faces.tracker import FORGET, FaceTracker, OneEuro

Pixels = NDArray[np.uint8]


def scene(face: Pixels, *places: tuple[int, int], size: tuple[int, int] = (240, 640)) -> Pixels:
    """Return a grey wall with the same face at several places."""
    image = np.full((*size, 3), 120, np.uint8)
    for x, y in places:
        image[y : y + face.shape[0], x : x + face.shape[1]] = face
    return image


@pytest.fixture(scope="module")
def face(astronaut: Pixels) -> Pixels:
    return np.asarray(cv2.resize(astronaut[20:260, 110:350], (160, 160), interpolation=cv2.INTER_AREA), np.uint8)


def test_the_filter_stills_what_trembles_and_follows_what_moves() -> None:
    rng = np.random.default_rng(0)
    still = OneEuro(cutoff=1.0, speed=5.0)
    trembling = rng.normal(0, 0.01, 200)
    smooth = [float(still(np.array([value]), number / 30)[0]) for number, value in enumerate(trembling)]
    assert np.std(smooth[50:]) < 0.5 * np.std(trembling[50:])
    fast = OneEuro(cutoff=1.0, speed=5.0)
    moved = [float(fast(np.array([value]), number / 30)[0]) for number, value in enumerate([0.0] * 10 + [1.0] * 10)]
    assert moved[12] > 0.75  # a tenth of a second after a jump


def test_it_stays_with_one_person(face: Pixels, reader: FaceReader) -> None:
    """Two equal faces; the one on the right walks, the other comes closer than it ever was."""
    tracker = FaceTracker(reader)
    first = tracker(scene(face, (420, 40)), 0.0)
    assert first is not None
    for step in range(1, 6):
        found = tracker(scene(face, (420 - 8 * step, 40), (20 + 8 * step, 40)), step / 25)
        assert found is not None
        assert found.eyes[0, 0] == pytest.approx(first.eyes[0, 0] - 8 * step, abs=6)


def test_out_of_sight_and_back(face: Pixels, reader: FaceReader) -> None:
    tracker = FaceTracker(reader)
    assert tracker(scene(face), 0.0) is None
    assert tracker(scene(face, (420, 40)), 0.04) is not None
    assert tracker(scene(face), 0.08) is None
    assert tracker(scene(face, (20, 40)), 0.12) is None  # somebody else
    back = tracker(scene(face, (20, 40), (430, 40)), 0.16)
    assert back is not None
    assert back.eyes[0, 0] > 400
    assert tracker(scene(face, (20, 40)), 0.20) is None
    assert tracker(scene(face, (20, 40)), 0.20 + 1.1 * FORGET) is not None  # long gone


def test_the_second_face_is_followed_if_asked(face: Pixels, reader: FaceReader) -> None:
    small = np.asarray(cv2.resize(face, (120, 120), interpolation=cv2.INTER_AREA), np.uint8)
    image = scene(face, (20, 40))
    image[60:180, 450:570] = small
    found = FaceTracker(reader, 2)(image, 0.0)
    assert found is not None
    assert found.eyes[0, 0] > 450
    with pytest.raises(FaceError, match="face 3: the first frame with a face has 2"):
        FaceTracker(reader, 3)(image, 0.0)


def test_following_measures_what_reading_does(face: Pixels, reader: FaceReader) -> None:
    (read,) = reader.read(scene(face, (200, 40)))
    follow = reader.follow(scene(face, (205, 42)), read)
    assert follow is not None
    assert np.abs(follow.eyes - read.eyes - (5, 2)).max() < 1
    assert max(abs(follow.aus[code] - value) for code, value in read.aus.items()) < 0.1
    assert reader.follow(scene(face), read) is None
