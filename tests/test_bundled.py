"""The weights that ship: complete, small, and they do what they are for on a face they never saw."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from ganimation import Editor
from ganimation.action_units import DEFAULT_AUS
from ganimation.faces.crop import cut
from ganimation.faces.geometry import LIDS, opening
from ganimation.media.images import read_image
from ganimation.model import CARD, CONFIG, CRITIC, GENERATOR, ONNX, RESTORER, ModelConfig, bundled


@pytest.fixture(scope="module")
def editor() -> Editor:
    return Editor.from_pretrained(threads=1)


def test_what_ships() -> None:
    sizes = {name: (bundled() / name).stat().st_size for name in (CONFIG, GENERATOR, CRITIC, ONNX, RESTORER, CARD)}
    assert sum(sizes.values()) < 20e6
    config = ModelConfig.read(bundled())
    assert config.aus == DEFAULT_AUS
    assert config.training["steps"] >= 100
    card = (bundled() / CARD).read_text(encoding="utf-8")
    for word in (str(config.training["steps"]), "LFW", "CFEE", "research", "Not for"):
        assert word in card


@pytest.mark.parametrize("asked", ["AU12", "AU25", "AU04"])
def test_asking_for_a_movement_brings_it(editor: Editor, people: list[Path], asked: str) -> None:
    """Read back by the annotator, on neutral studio portraits of six generated people; the mean must rise."""
    rises = []
    for path in people[:12:2]:
        pixels = np.asarray(cv2.resize(read_image(path).pixels, (640, 640), interpolation=cv2.INTER_AREA), np.uint8)
        before = editor.read(pixels)[0].aus[asked]
        edit = editor.edit(pixels, {asked: 0.9} | ({"AU26": 0.7} if asked == "AU25" else {}))
        rises.append(editor.read(edit.image)[0].aus[asked] - before)
    assert np.mean(rises) > 0.1


def test_eyes_close(editor: Editor, people: list[Path]) -> None:
    """By landmarks, which see shut eyes of photos a third open."""
    heights = []
    for path in people[:12:2]:
        pixels = np.asarray(cv2.resize(read_image(path).pixels, (640, 640), interpolation=cv2.INTER_AREA), np.uint8)
        before, after = editor.read(pixels)[0], editor.read(editor.edit(pixels, {"AU45": 1.0}).image)[0]
        heights.append(np.mean([opening(after.points, lids) / opening(before.points, lids) for lids in LIDS]))
    assert np.mean(heights) < 0.5


def test_a_smile_moves_the_mouth_more_than_the_brows(editor: Editor, portrait: Path) -> None:
    photo = read_image(portrait).pixels
    edit = editor.edit(photo, {"AU12": 0.8})
    transform = edit.faces[0].transform
    size = editor.config.size
    before, after = (cut(image, transform, size).astype(int) for image in (photo, edit.image))
    change = np.abs(after - before).mean(axis=2)
    assert change[size * 6 // 10 : size * 9 // 10].mean() > 2 * change[size // 8 : size * 3 // 8].mean()


def test_a_small_request_is_a_small_movement(editor: Editor, people: list[Path]) -> None:
    """No dead zone: landmarks of faces asked for .3 of a smile move by some third of what they do at 1, upwards."""
    shares = []
    for path in people[:12:2]:
        pixels = np.asarray(cv2.resize(read_image(path).pixels, (640, 640), interpolation=cv2.INTER_AREA), np.uint8)
        before = editor.read(pixels)[0]
        rises = []
        for level in (0.3, 1.0):
            found = editor.read(
                editor.edit(pixels, {"AU12": before.aus["AU12"] + level * (1 - before.aus["AU12"])}).image
            )
            rises.append(before.points[[61, 291], 1].mean() - found[0].points[[61, 291], 1].mean())
        shares.append(rises[0] / rises[1])
    assert np.mean(shares) == pytest.approx(0.3, abs=0.12)


def test_a_tiny_change_is_no_step(editor: Editor, portrait: Path) -> None:
    """The edit begins at the photo: a hundredth of everything moves no pixel far."""
    photo = read_image(portrait).pixels
    (face,) = editor.read(photo)
    edit = editor.edit(photo, {code: min(1.0, face.aus[code] + 0.01) for code in editor.config.aus})
    error = np.square(edit.image.astype(float) - photo).mean()
    assert 10 * np.log10(255**2 / error) > 34


def test_one_side_moves_and_the_other_stays(editor: Editor, portrait: Path) -> None:
    """The person's left is the picture's right."""
    photo = read_image(portrait)
    middle = editor.read(photo)[0].eyes[:, 0].mean()
    width = photo.pixels.shape[1]

    def moved(expression: dict[str, float]) -> tuple[float, float]:
        change = np.abs(editor.edit(photo, expression).image.astype(int) - photo.pixels).sum(axis=(0, 2))
        seam = 0.02 * width
        return float(change[: int(middle - seam)].sum()), float(change[int(middle + seam) :].sum())

    right, left = moved({"AU12L": 1.0, "AU02L": 1.0})
    assert left > 4 * right
    right, left = moved({"AU12R": 1.0, "AU02R": 1.0})
    assert right > 4 * left
    both, sides = editor.edit(photo, {"AU12": 0.7}), editor.edit(photo, {"AU12L": 0.7, "AU12R": 0.7})
    assert np.abs(both.image.astype(int) - sides.image).max() <= 1
    assert sides.faces[0].target["AU12"] == 0.7
