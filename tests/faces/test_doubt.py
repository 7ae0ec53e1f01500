"""How sure a face is: photos on their side are read as if they were upright, and what is doubtful is said."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from ganimation.cli import main
from ganimation.editing.editor import Editor
from ganimation.faces.reader import FAR, SURE, FaceReader
from ganimation.media.images import photo_from_array, read_image, write_image
from tests.conftest import Pixels


def turned(pixels: Pixels, degrees: float) -> Pixels:
    """The picture turned counterclockwise about its middle, on grey."""
    height, width = pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return np.asarray(cv2.warpAffine(pixels, matrix, (width, height), borderValue=(128, 128, 128)), np.uint8)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_photo_on_its_side_is_read_as_if_it_were_upright(reader: FaceReader, astronaut: Pixels, turns: int) -> None:
    (upright,) = reader.read(astronaut)
    assert upright.certainty > SURE
    assert upright.doubt == ""
    picture = np.rot90(astronaut, turns).copy()
    (face,) = reader.read(picture)
    assert face.aus == upright.aus
    assert face.certainty == upright.certainty
    assert abs(face.roll - upright.roll) == pytest.approx({1: 90, 2: 180, 3: 90}[turns], abs=6)
    assert "the photo may lie on its side" in face.doubt
    marked = np.zeros(astronaut.shape[:2], np.uint8)  # every landmark lies on the same pixel of the turned picture
    for number, (x, y) in enumerate(np.rint(upright.points[::20]).astype(int), start=1):
        marked[y, x] = number
    again = np.rot90(marked, turns)
    for x, y in np.rint(face.points[::20]).astype(int):
        assert again[y, x]
    x, y, width, height = face.box
    assert 0 <= x < x + width <= picture.shape[1]
    assert 0 <= y < y + height <= picture.shape[0]
    assert (width > height) == (turns != 2)


def test_an_edit_of_a_photo_on_its_side_is_the_edit_turned(portrait: Path) -> None:
    editor = Editor(threads=1)
    pixels = read_image(portrait).pixels
    upright = editor.edit(pixels, {"AU12": 1.0}).image
    edit = editor.edit(np.rot90(pixels).copy(), {"AU12": 1.0})
    difference = np.abs(np.rot90(edit.image, -1).astype(int) - upright.astype(int))
    assert difference.max() <= 4  # pixels are interpolated in another order
    assert np.abs(upright.astype(int) - pixels).max() > 40
    assert edit.doubts == (f"face 1 is doubtful: {edit.faces[0].face.doubt}",)


def test_tilted_heads_are_sure(reader: FaceReader, astronaut: Pixels) -> None:
    (upright,) = reader.read(astronaut)
    for degrees in (-30.0, 30.0):
        face = reader.read(turned(astronaut, degrees))[0]
        assert face.certainty > SURE
        assert face.doubt == ""
        assert face.roll == pytest.approx(upright.roll - degrees, abs=4)
        assert abs(face.aus["AU12"] - upright.aus["AU12"]) < 0.2


def test_a_smear_is_doubtful(reader: FaceReader, astronaut: Pixels) -> None:
    rows = reader.read(cv2.GaussianBlur(astronaut, (0, 0), 5.0).astype(np.uint8))
    assert all("it may be no photograph of a face" in face.doubt for face in rows)
    assert rows


def test_yaw_has_a_sign_and_a_mirror_image_has_the_other(reader: FaceReader, people: list[Path]) -> None:
    for path in people[:6]:
        pixels = read_image(path).pixels[::2, ::2].copy()
        face, mirrored = reader.read(pixels)[0], reader.read(pixels[:, ::-1].copy())[0]
        assert face.yaw == pytest.approx(-mirrored.yaw, abs=0.5)
        assert abs(face.yaw) < FAR


def test_the_commands_warn(tmp_path: Path, portrait: Path, capsys: pytest.CaptureFixture[str]) -> None:
    side = tmp_path / "side.png"
    write_image(photo_from_array(read_image(portrait).pixels[::-1, ::-1].copy()), side)
    assert main(["edit", str(side), "--au", "AU12=1", "-o", str(tmp_path / "out.png")]) == 0
    assert "ganimation: face 1 is doubtful: it is tilted by 1" in capsys.readouterr().err
    assert main(["read", str(side), "--json"]) == 0
    answer = capsys.readouterr()
    face = json.loads(answer.out)[0]["faces"][0]
    assert face["doubt"] in answer.err
    assert (face["certainty"] > SURE, abs(face["roll"]) > 170) == (True, True)
    assert main(["read", str(portrait)]) == 0
    answer = capsys.readouterr()
    assert (answer.err, "certainty 0.9" in answer.out) == ("", True)
