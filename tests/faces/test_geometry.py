"""Where landmarks go, and the mesh that carries pixels along."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from ganimation.errors import ActionUnitError
from ganimation.faces import crop, mesh
from ganimation.faces.geometry import (
    LIDS,
    LIPS,
    UNDERREAD,
    displacements,
    expected_points,
    frame,
    kept,
    measured,
    mirrored,
    move,
    opening,
    visible,
)
from ganimation.faces.pose import apertures, expect, pose
from ganimation.faces.reader import FaceReader
from ganimation.media.images import read_image
from tests.conftest import Pixels

SIZE = 128
AUS = ("AU01", "AU04", "AU12", "AU25", "AU26", "AU45")


@pytest.fixture(scope="module")
def points() -> NDArray[np.float64]:
    """The mean face in pixels of a crop."""
    return displacements().mean * SIZE - 0.5


def test_the_mean_face_lies_in_the_template_and_is_symmetric(points: NDArray[np.float64]) -> None:
    eyes = np.stack([points[[33, 133]].mean(axis=0), points[[362, 263]].mean(axis=0)])
    assert eyes == pytest.approx(crop.CropTemplate().eyes(SIZE), abs=0.2)
    assert mirrored(points, SIZE) == pytest.approx(points, abs=0.05)
    assert frame(displacements().mean) == pytest.approx(np.eye(2, 3), abs=1e-9)


@pytest.mark.parametrize(
    ("code", "landmark", "direction"),
    [
        ("AU01", 107, (0, -1)),  # inner brow up
        ("AU02", 105, (0, -1)),  # outer brow up
        ("AU04", 107, (0, 1)),  # inner brow down
        ("AU05", 159, (0, -1)),  # upper lid up
        ("AU12", 61, (-1, -1)),  # corner of the mouth out and up
        ("AU12", 291, (1, -1)),
        ("AU15", 61, (0, 1)),  # corner down
        ("AU17", 17, (0, -1)),  # lower lip up
        ("AU20", 61, (-1, 0)),  # corner out
        ("AU26", 152, (0, 1)),  # chin down
    ],
)
def test_muscles_pull_as_facs_says(code: str, landmark: int, direction: tuple[int, int]) -> None:
    shift = displacements().matrix((code,))[0][landmark] * SIZE
    for value, sign in zip(shift, direction, strict=True):
        if sign:
            assert value * sign > 0.8


def test_no_muscle_moves_an_eyeball_or_the_other_half_of_the_face() -> None:
    basis = displacements()
    assert not basis.values[:, 468:].any()
    brows, mouth = basis.mean[:, 1] < 0.36, basis.mean[:, 1] > 0.6
    for code, values in zip(basis.aus, basis.values, strict=True):
        half = {"AU01": mouth, "AU02": mouth, "AU04": mouth, "AU12": brows, "AU25": brows, "AU26": brows}.get(code)
        if half is not None:
            assert not values[half].any(), code


def test_movement_is_linear_and_goes_with_the_face(points: NDArray[np.float64]) -> None:
    change = np.array([0.5, 0.0, 0.6, 0.0, 0.4, 0.0])
    whole, half = (move(points, share * change, AUS) - points for share in (1.0, 0.5))
    assert half == pytest.approx(whole / 2, abs=1e-9)
    assert np.array_equal(move(points, np.zeros(6), AUS), points)
    turn = np.array([[0.9, -0.4], [0.4, 0.9]])
    turned = move(points @ turn.T + 7, change, AUS)
    assert turned == pytest.approx(move(points, change, AUS) @ turn.T + 7, abs=1e-6)


def test_sides_move_alone(points: NDArray[np.float64]) -> None:
    smile = np.array([0, 0, 1.0, 0, 0, 0])
    left = move(points, np.stack([np.zeros(6), smile]), AUS) - points
    assert not left[61].any()  # the corner on the picture's left is the person's right
    assert left[291] == pytest.approx((move(points, smile, AUS) - points)[291], abs=1e-9)
    assert move(points, np.stack([smile, smile]), AUS) == pytest.approx(move(points, smile, AUS), abs=1e-9)


@pytest.mark.parametrize(("asked", "shown", "left"), [(1.0, 0.0, 0.0), (0.5, 0.0, 0.5), (0.7, 0.3, 0.0)])
def test_eyes_close_by_their_own_opening(points: NDArray[np.float64], asked: float, shown: float, left: float) -> None:
    wide = visible(points)
    shut = move(wide, np.array([asked]), ("AU45",), shown)
    for lids in LIDS:
        assert opening(shut, lids) == pytest.approx(left * opening(wide, lids), abs=0.05)
    assert np.array_equal(shut[468:], points[468:])
    other = [number for number in range(300) if number not in range(130, 180)]
    assert np.abs(shut - wide)[other].max() < 0.9 * opening(wide, LIDS[0])


def test_closed_eyes_open(points: NDArray[np.float64]) -> None:
    shut = move(points, np.array([1.0]), ("AU45",))
    opened = move(shut, np.array([-1.0]), ("AU45",), 1.0)
    assert opening(opened, LIDS[0]) == pytest.approx(opening(points, LIDS[0]), rel=0.15)
    assert np.array_equal(move(points, np.array([-0.5]), ("AU45",), 0.0), points)


def test_lids_and_lips_that_meet_do_not_cross(points: NDArray[np.float64]) -> None:
    pressed = move(points, np.array([-1.0, 1.0]), ("AU25", "AU45"))
    for upper, lower in (*LIDS, LIPS):
        gaps = pressed[list(lower), 1] - pressed[list(upper), 1]
        assert gaps.min() > -0.02


def test_a_smile_alone_parts_no_lips(points: NDArray[np.float64]) -> None:
    closed = move(points, np.array([-0.5]), ("AU25",))
    gaps = {code: move(closed, np.array([0.8]), (code,))[[14, 13], 1] @ [1, -1] for code in ("AU12", "AU25")}
    assert gaps["AU12"] == pytest.approx(closed[14, 1] - closed[13, 1], abs=0.3)
    assert gaps["AU25"] > gaps["AU12"] + 3


def test_what_is_kept_is_narrower_where_a_rim_moved(points: NDArray[np.float64]) -> None:
    moved = move(points, np.array([1.0]), ("AU05",))
    after, before = kept(points, moved, LIDS[0], 0.5)
    whole, same = kept(points, points, LIDS[0], 0.5)
    assert np.array_equal(whole, same)
    assert cv2.contourArea(after.astype(np.float32)) > cv2.contourArea(whole.astype(np.float32))
    assert cv2.contourArea(before.astype(np.float32)) < cv2.contourArea(whole.astype(np.float32))


def test_faces_say_where_their_landmarks_are_expected(reader: FaceReader, astronaut: Pixels) -> None:
    (face,) = reader.read(astronaut)
    same = face.expected_points(face.aus)
    assert same == pytest.approx(face.points, abs=1e-6)
    moved = face.expected_points({"AU26": 1.0, "au1": 0.9})
    assert moved[152, 1] > face.points[152, 1] + 3
    with pytest.raises(ActionUnitError, match=r"AU14 .dimpler. is not one of"):
        face.expected_points({"AU14": 1.0})
    with pytest.raises(ActionUnitError, match=r"AU12=1.5: an intensity lies in \[0, 1\]"):
        face.expected_points({"AU12": 1.5})
    assert "AU45" in measured()
    assert expected_points(face.points, {"AU12": 0.9}, {"AU12": 0.9}) == pytest.approx(face.points)


def test_a_mesh_covers_the_face_and_leaves_holes(points: NDArray[np.float64]) -> None:
    guide = mesh.guide(points, SIZE)
    inside = mesh.fill(points[list(mesh.OVAL)], SIZE) > 0.99
    holes = apertures(points, points, SIZE)[:, :, 0] > 0.01
    assert (guide[inside & ~holes][:, 2] > 0.99).mean() > 0.99
    narrow = mesh.guide(points / 2 + SIZE / 4, SIZE)
    assert narrow[0, 0].tolist() == narrow[-1, 0].tolist() == [0, 0, 0]
    place = (guide[:, :, :2] + 1) / 2 * SIZE - 0.5  # of the mean face in itself
    y, x = np.mgrid[:SIZE, :SIZE]
    there = guide[:, :, 2] > 0
    assert np.abs(place - np.stack([x, y], axis=2))[there].max() < 0.01


def test_an_outline_without_area_covers_nothing() -> None:
    """Closed lips and shut eyes; what is kept behind them must vanish."""
    line = np.array([[20.0, 64.0], [64.0, 66.0], [100.0, 64.0], [64.0, 66.0]])
    assert mesh.fill(line, SIZE).max() < 0.5
    assert mesh.fill(line, SIZE, 0.64).max() < 0.2
    square = np.array([[10.0, 10.0], [20.5, 10.0], [20.5, 30.0], [10.0, 30.0]]) - 0.5
    assert mesh.fill(square, SIZE).sum() == pytest.approx(10.5 * 20, rel=0.04)
    assert mesh.fill(square + 4 * SIZE, SIZE).sum() == 0


def test_values_are_linear_within_triangles(points: NDArray[np.float64]) -> None:
    corners, _ = mesh.vertices(points, points)
    found = mesh.interpolate(corners, corners @ [[0.3], [-0.7]] + 5, SIZE)[:, :, 0]
    y, x = np.mgrid[:SIZE, :SIZE]
    there = mesh.guide(points, SIZE)[:, :, 2] > 0
    assert np.abs(found - (0.3 * x - 0.7 * y + 5))[there].max() < 1e-3


def test_the_flow_brings_each_landmark_from_where_it_was(points: NDArray[np.float64]) -> None:
    moved = move(points, np.array([0.3, 0.0, 0.7, 0.0, 0.5, 0.0]), AUS)
    flow = mesh.flow(points, moved, 512 // 4)
    rims = {number for pair in (*LIDS, LIPS) for rim in pair for number in rim}
    for number in range(0, 468, 7):
        x, y = np.rint(moved[number]).astype(int)
        if number in rims or not (1 < x < SIZE - 2 and 1 < y < SIZE - 2):
            continue
        assert flow[y, x] == pytest.approx(points[number] - moved[number], abs=1.2), number
    assert not mesh.flow(points, points, SIZE).any()


def test_lips_part_sharply(points: NDArray[np.float64]) -> None:
    """Above the line where the lips meet the flow goes one way, below it the other: nothing is smeared between."""
    closed = move(points, np.array([-1.0]), ("AU25",))
    opened = move(closed, np.array([1.0]), ("AU25",))
    maps = pose(closed, opened, SIZE)
    x, top, bottom = round(opened[13, 0]), opened[13, 1], opened[14, 1]
    above, below = maps[int(top) - 1, x, 4] * SIZE / 2, maps[int(bottom) + 2, x, 4] * SIZE / 2
    assert above * (closed[13, 1] - top) > 0.3
    assert below == pytest.approx(closed[14, 1] - bottom, abs=0.6)
    middle = maps[int((top + bottom) / 2), x]
    assert middle[5] > 0.9
    assert middle[6] < 0.5


def test_expectations_use_what_is_shown(points: NDArray[np.float64]) -> None:
    shown, target = np.array([0.2, 0.4]), np.array([0.7, 0.4])
    found = expect(points, shown, target, ("AU12", "AU26"))
    assert found == pytest.approx(move(points, np.array([0.5]), ("AU12",)), abs=1e-9)


def test_both_looks_of_a_face_give_the_same_landmarks(reader: FaceReader, people: list) -> None:  # type: ignore[type-arg]
    pixels = np.asarray(cv2.resize(read_image(people[0]).pixels, (512, 512), interpolation=cv2.INTER_AREA), np.uint8)
    (face,), (turned,) = reader.read(pixels), reader.read(np.ascontiguousarray(pixels[:, ::-1]))
    assert np.abs(mirrored(turned.points, 512) - face.points).mean() < 1.0


def test_lids_move_further_than_they_are_read() -> None:
    points = displacements().mean * 128
    for code, factor in (("AU05", UNDERREAD["AU05"]), ("AU12", 1.0)):
        moved, read = (
            expect(points, np.zeros(1), np.ones(1), (code,), as_read=as_read) - points for as_read in (False, True)
        )
        lids = [159, 386] if code == "AU05" else [61, 291]
        assert moved[lids] == pytest.approx(factor * read[lids], rel=1e-6)
