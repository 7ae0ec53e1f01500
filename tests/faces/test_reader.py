from pathlib import Path

import cv2
import numpy as np
import pytest

from ganimation.action_units import DEFAULT_AUS
from ganimation.faces.annotator import align
from ganimation.faces.detector import FaceDetector
from ganimation.faces.landmarks import FaceLandmarker, cut_region, region_from_points
from ganimation.faces.reader import FaceReader, both_ways
from ganimation.media.images import read_image
from tests.conftest import Pixels


def test_the_astronaut_smiles(reader: FaceReader, astronaut: Pixels) -> None:
    (face,) = reader.read(astronaut)
    assert face.aus.keys() == set(DEFAULT_AUS)
    assert face.aus["AU12"] > 0.6
    assert face.aus["AU25"] > 0.4
    assert face.aus["AU04"] < 0.2
    assert face.aus["AU45"] < 0.3
    x, y, width, height = face.box
    assert 150 < x < 220
    assert 50 < y < 100
    assert 80 < width < 160
    assert 100 < height < 180
    assert face.eyes[0, 0] < face.eyes[1, 0]


def test_a_neutral_portrait_is_neutral(reader: FaceReader, portrait: Path) -> None:
    (face,) = reader.read(read_image(portrait).pixels)
    assert max(face.aus.values()) < 0.3


def test_a_photo_and_its_mirror_image_give_the_same_aus(reader: FaceReader, people: list[Path]) -> None:
    differences = []
    for path in people[:6]:
        pixels = cv2.resize(read_image(path).pixels, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
        face, mirrored = (reader.read(np.ascontiguousarray(view))[0] for view in (pixels, pixels[:, ::-1]))
        differences.append([abs(face.aus[code] - mirrored.aus[code]) for code in DEFAULT_AUS])
    assert np.mean(differences) < 0.006
    assert np.max(differences) < 0.04


def test_every_face_of_a_group_is_read_as_if_alone(reader: FaceReader, sheet: Path) -> None:
    pixels = read_image(sheet).pixels
    faces = reader.read(pixels)
    assert len(faces) == 16  # two batches
    widths = [face.box[2] * face.box[3] for face in faces]
    assert widths == sorted(widths, reverse=True)
    x, y, width, height = (int(value) for value in faces[0].box)
    around = pixels[max(0, y - height // 2) : y + 3 * height // 2, max(0, x - width // 2) : x + 3 * width // 2]
    alone = reader.read(np.ascontiguousarray(around))[0]
    assert max(abs(alone.aus[code] - faces[0].aus[code]) for code in DEFAULT_AUS) < 0.12


@pytest.mark.parametrize("shape", [(100, 2000), (2000, 100), (20, 640), (500, 33_000), (33_000, 500)])
def test_long_pictures_are_read_alike_each_time(reader: FaceReader, astronaut: Pixels, shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 90, np.uint8)
    height, width = (min(side, 200) for side in shape)
    image[:height, :width] = astronaut[20 : 20 + height, 120 : 120 + width]
    answers = [[face.box for face in reader.read(image)] for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]


def test_pictures_without_a_face_have_none(reader: FaceReader) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3)).astype(np.uint8)
    for image in (noise, np.zeros((2, 2, 3), np.uint8), np.full((37, 1000, 3), 255, np.uint8)):
        assert reader.read(image) == []


@pytest.mark.parametrize("angle", [-25.0, 25.0])
def test_a_turned_head_gives_nearly_the_same_aus(reader: FaceReader, astronaut: Pixels, angle: float) -> None:
    matrix = cv2.getRotationMatrix2D((220.0, 130.0), angle, 1.0)
    turned = cv2.warpAffine(astronaut, matrix, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    straight, tilted = (reader.read(np.asarray(image, np.uint8))[0].aus for image in (astronaut, turned))
    assert np.mean([abs(straight[code] - tilted[code]) for code in DEFAULT_AUS]) < 0.06


def test_a_batch_equals_its_members(astronaut: Pixels) -> None:
    landmarker = FaceLandmarker(threads=1)
    region = region_from_points(FaceDetector().detect(astronaut)[0].points)
    crops = np.stack([cut_region(astronaut, region), np.zeros((256, 256, 3), np.uint8)])
    together = landmarker(both_ways(crops))
    alone = landmarker(crops[:1])
    assert together.points.shape == (4, 478, 3)
    assert together.points[0] == pytest.approx(alone.points[0], abs=0.01)
    assert together.blendshapes[0] == pytest.approx(alone.blendshapes[0], abs=0.01)
    assert together.presence[0] > 0.5 > together.presence[1]


def test_alignment_takes_pose_out() -> None:
    rng = np.random.default_rng(0)
    face = rng.normal(size=(478, 3))
    angles = rng.uniform(-0.5, 0.5, (5, 3))
    moved = np.stack([2.5 * face @ cv2.Rodrigues(angle)[0].T + rng.normal(size=3) for angle in angles])
    assert align(moved, face) - face.mean(axis=0) == pytest.approx(
        np.broadcast_to(align(face[None], face), (5, 478, 3)) - face.mean(axis=0)
    )
