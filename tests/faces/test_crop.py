import cv2
import numpy as np
import pytest

from ganimation.faces import crop
from ganimation.faces.crop import CropTemplate
from tests.conftest import Pixels

TEMPLATE = CropTemplate()


def eyes(angle: float = 0.0, distance: float = 47.36, centre: tuple[float, float] = (250.0, 120.0)) -> np.ndarray:
    half = distance / 2 * np.array([np.cos(angle), np.sin(angle)])
    return np.array([np.array(centre) - half, np.array(centre) + half])


@pytest.mark.parametrize("angle", [0.0, 0.4, -1.2, 3.0])
def test_eyes_land_on_the_template(angle: float) -> None:
    transform = crop.crop_from_photo(eyes(angle), 128, TEMPLATE)
    placed = crop.apply(transform, eyes(angle))
    assert placed == pytest.approx(np.array([[0.315, 0.35], [0.685, 0.35]]) * 128 - 0.5)
    assert crop.apply(crop.invert(transform), placed) == pytest.approx(eyes(angle))


def test_attention_of_one_leaves_the_photo_bit_identical(astronaut: Pixels) -> None:
    transform = crop.crop_from_photo(eyes(0.3), 64, TEMPLATE)
    color = np.random.default_rng(0).uniform(-1, 1, (64, 64, 3)).astype(np.float32)
    pasted = crop.paste_back(astronaut, color, np.ones((64, 64), np.float32), transform)
    assert np.array_equal(pasted, astronaut)
    assert pasted is not astronaut


@pytest.mark.parametrize("angle", [0.0, 0.5])
@pytest.mark.parametrize("size", [64, 128, 512])
def test_cut_then_paste_is_the_identity(astronaut: Pixels, angle: float, size: int) -> None:
    """Painting a crop onto its own place changes little, where it has the photo's resolution or more."""
    place = eyes(angle, distance=0.37 * 60)
    transform = crop.crop_from_photo(place, size, TEMPLATE)
    color = crop.cut(astronaut, transform, size).astype(np.float32) / 127.5 - 1
    pasted = crop.paste_back(astronaut, color, np.zeros((size, size), np.float32), transform)
    difference = np.abs(pasted.astype(int) - astronaut)
    changed = difference.max(axis=2) > 0
    assert difference[changed].mean() < 4


def test_paste_at_whole_pixels_is_exact(astronaut: Pixels) -> None:
    """Where the crop's pixels are the photo's, inside the border the crop itself arrives."""
    transform = np.array([[1.0, 0.0, -100.0], [0.0, 1.0, -50.0]])
    painted = 255 - astronaut[50:178, 100:228]
    color = painted.astype(np.float32) / 127.5 - 1
    pasted = crop.paste_back(astronaut, color, np.zeros((128, 128), np.float32), transform)
    assert np.array_equal(pasted[60:168, 110:218], painted[10:118, 10:118])
    outside = np.ones(astronaut.shape[:2], bool)
    outside[50:178, 100:228] = False
    assert np.array_equal(pasted[outside], astronaut[outside])


def test_crop_beyond_the_photo_touches_only_the_photo(astronaut: Pixels) -> None:
    transform = crop.crop_from_photo(eyes(0.2, centre=(5.0, 2.0)), 64, TEMPLATE)
    assert crop.cut(astronaut, transform, 64).shape == (64, 64, 3)
    pasted = crop.paste_back(astronaut, np.ones((64, 64, 3), np.float32), np.zeros((64, 64), np.float32), transform)
    assert pasted.shape == astronaut.shape
    assert np.array_equal(pasted[300:], astronaut[300:])
    away = crop.crop_from_photo(eyes(centre=(5000.0, 5000.0)), 64, TEMPLATE)
    pasted = crop.paste_back(astronaut, np.ones((64, 64, 3), np.float32), np.zeros((64, 64), np.float32), away)
    assert np.array_equal(pasted, astronaut)


def test_a_large_face_is_averaged_not_sampled() -> None:
    """A fine checkerboard has no grey; its crop at a tenth of the size is grey."""
    board = (np.indices((1200, 1200)).sum(axis=0) % 2 * 255).astype(np.uint8)[:, :, None].repeat(3, axis=2)
    transform = crop.crop_from_photo(eyes(0.0, distance=370.0, centre=(600.0, 500.0)), 100, TEMPLATE)
    middle = crop.cut(board, transform, 100)[20:80, 20:80]
    assert np.abs(middle.astype(int) - 127).max() <= 2


def test_averaging_keeps_the_place() -> None:
    """A bright square of a large photo lies in the crop where the transform says."""
    image = np.zeros((1200, 1200, 3), np.uint8)
    image[500:540, 700:740] = 255
    transform = crop.crop_from_photo(eyes(0.3, distance=300.0, centre=(600.0, 500.0)), 128, TEMPLATE)
    cut = crop.cut(image, transform, 128)[:, :, 0].astype(float)
    found = np.array([(cut.sum(axis=0) * np.arange(128)).sum(), (cut.sum(axis=1) * np.arange(128)).sum()]) / cut.sum()
    assert found == pytest.approx(crop.apply(transform, np.array([719.5, 519.5])), abs=0.05)


def test_coinciding_eyes_are_an_error() -> None:
    with pytest.raises(ValueError, match="coincide"):
        crop.crop_from_photo(np.zeros((2, 2)), 64, TEMPLATE)


def test_moved_pixels_are_as_sharp_as_the_photo(astronaut: Pixels) -> None:
    """A flow of three pixels of a small crop moves the photo by as many of its own, turned as the crop is."""
    size = 64
    eyes = np.array([[208.0, 120.0], [262.0, 130.0]])
    transform = crop.crop_from_photo(eyes, size, crop.CropTemplate())
    source = crop.cut(astronaut, transform, size).astype(np.float32) / 127.5 - 1
    flow = np.zeros((size, size, 2), np.float32)
    flow[:, :, 0] = 3
    moved = crop.Moved(flow, np.ones((size, size), np.float32), source)
    color = moved.source[:, np.minimum(np.arange(size) + 3, size - 1)]  # what the network would have said
    pasted = crop.paste_back(astronaut, color, np.zeros((size, size), np.float32), transform, moved)
    shift = np.linalg.inv(transform[:, :2]) @ [3.0, 0.0]
    matrix = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
    area = (astronaut.shape[1], astronaut.shape[0])
    wanted = cv2.warpAffine(astronaut, matrix, area, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
    middle = np.s_[110:170, 200:270]
    assert np.abs(pasted[middle].astype(int) - wanted[middle]).mean() < 1.5
    blurred = crop.paste_back(astronaut, color, np.zeros((size, size), np.float32), transform)
    assert np.abs(blurred[middle].astype(int) - wanted[middle]).mean() > 3


def test_paint_is_what_was_not_moved(astronaut: Pixels) -> None:
    size = 32
    source = np.random.default_rng(0).uniform(-1, 1, (size, size, 3)).astype(np.float32)
    moved = crop.Moved(np.zeros((size, size, 2), np.float32), np.full((size, size), 0.25, np.float32), source)
    color = 0.25 * moved.source + 0.75 * 0.5
    assert np.allclose(moved.paint(color), 0.75 * 0.5, atol=1e-6)


def test_shading_keeps_the_photos_detail_and_what_is_restored_does_not() -> None:
    rng = np.random.default_rng(0)
    size, scale = 32, 8
    fine = rng.integers(90, 166, (size * scale, size * scale, 3), np.uint8)
    transform = np.array([[1 / scale, 0.0, (1 / scale - 1) / 2], [0.0, 1 / scale, (1 / scale - 1) / 2]])
    source = crop.cut(fine, transform, size).astype(np.float32) / 127.5 - 1
    nothing, flow = np.zeros((size, size), np.float32), np.zeros((size, size, 2), np.float32)
    middle = slice(size * scale // 4, -size * scale // 4)

    def texture(image: Pixels) -> float:
        return float(cv2.Laplacian(image[middle, middle].astype(np.float32), cv2.CV_32F).std())

    shaded = crop.paste_back(fine, source - 0.1, nothing, transform, crop.Moved(flow, nothing + 1, source))
    restored = crop.paste_back(fine, np.full_like(source, 0.9), nothing, transform, crop.Moved(flow, nothing, source))
    assert texture(shaded) > 0.9 * texture(fine)
    assert texture(restored) < 0.1 * texture(fine)
    assert shaded[middle, middle].mean() == pytest.approx(fine[middle, middle].mean() - 0.1 * 127.5, abs=2)
