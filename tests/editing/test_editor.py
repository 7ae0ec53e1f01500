import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganimation import Edit, Editor, Photo
from ganimation.action_units import DEFAULT_AUS, Request
from ganimation.cli import main
from ganimation.editing.animation import alphas
from ganimation.editing.portraits import across
from ganimation.errors import ActionUnitError, FaceError, GanimationError, MediaError, ModelError
from ganimation.media.images import read_image
from tests.conftest import Pixels


@pytest.fixture(scope="module")
def editor(model: Path) -> Editor:
    return Editor.from_pretrained(model, threads=1)


def test_torch_and_onnx_agree(model: Path, astronaut: Pixels) -> None:
    expression = {"AU12": 0.1, "AU04": 0.9}
    edits = [Editor(model, backend).edit(astronaut, expression) for backend in ("torch", "onnxruntime")]
    first, second = edits
    assert first.color == pytest.approx(second.color, abs=1e-4)
    assert first.attention == pytest.approx(second.attention, abs=1e-4)
    assert np.abs(first.image.astype(int) - second.image).max() <= 1
    assert not np.array_equal(first.image, astronaut)


def test_nothing_asked_returns_the_photo_bit_for_bit(editor: Editor, portrait: Path, tmp_path: Path) -> None:
    photo = read_image(portrait)
    (face,) = editor.read(photo)
    rounded = {code: round(value, 2) for code, value in face.aus.items()}
    for expression in ({}, face.aus, rounded, (Request("AU12", 0.0, relative=True),)):
        edit = editor.edit(photo, expression)
        assert np.array_equal(edit.image, photo.pixels)
        assert edit.color is None
        edit.save(tmp_path / "out.jpg")
        assert (tmp_path / "out.jpg").read_bytes() == portrait.read_bytes()


def test_aus_that_are_not_named_keep_the_photos_own(editor: Editor, astronaut: Pixels) -> None:
    (face,) = editor.read(astronaut)
    (edited,) = editor.edit(astronaut, {"AU04": 0.9}).faces
    assert edited.target == pytest.approx(face.aus | {"AU04": 0.9})
    (edited,) = editor.edit(astronaut, (Request("AU12", -0.3, relative=True),)).faces
    assert edited.target["AU12"] == pytest.approx(face.aus["AU12"] - 0.3)


def test_pixels_outside_the_crop_keep_their_bytes(editor: Editor, astronaut: Pixels) -> None:
    edit = editor.edit(astronaut, {"AU26": 1.0})
    (face,) = edit.faces
    from ganimation.faces.crop import bounds

    x0, y0, x1, y1 = bounds(face.transform, editor.config.size, (512, 512))
    outside = np.ones((512, 512), bool)
    outside[y0:y1, x0:x1] = False
    assert np.array_equal(edit.image[outside], astronaut[outside])
    assert not np.array_equal(edit.image, astronaut)


def test_which_faces_change(editor: Editor, sheet: Path) -> None:
    import cv2

    pixels = np.asarray(
        cv2.resize(read_image(sheet).pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8
    )
    faces = editor.read(pixels)
    assert len(faces) == 16
    request = (Request("AU26", 0.9), Request("AU25", 0.9))
    for which, count in (("largest", 1), (3, 1), ("all", 16)):
        edit = editor.edit(pixels, request, which)  # type: ignore[arg-type]
        assert len(edit.faces) == count
    assert editor.edit(pixels, request, 3).faces[0].face.box == faces[2].box
    with pytest.raises(FaceError, match="face 17: the photo has 16"):
        editor.edit(pixels, request, 17)
    with pytest.raises(FaceError, match="no face found"):
        editor.edit(np.zeros((100, 100, 3), np.uint8), request)


def test_animation_goes_from_the_photo_to_the_edit(editor: Editor, astronaut: Pixels) -> None:
    frames = list(editor.animate(astronaut, {"AU26": 1.0}, [0.0, 0.5, 1.0]))
    assert np.array_equal(frames[0], astronaut)
    assert np.array_equal(frames[2], editor.edit(astronaut, {"AU26": 1.0}).image)
    steps = [np.abs(frames[index + 1].astype(int) - frames[index]).sum() for index in (0, 1)]
    assert min(steps) > 0


def test_alphas() -> None:
    film = alphas(2.0, 25, back=True)
    assert len(film) == 50
    assert film[0] == film[-1] == 0.0
    assert max(film) == 1.0
    assert film == pytest.approx(film[::-1])
    one_way = alphas(1.0, 10, "linear", back=False, hold=0.0)
    assert one_way == pytest.approx(np.linspace(0, 1, 10))
    for bad in ((0.0, 25, "smooth"), (2.0, 0.0, "smooth"), (2.0, 25, "wobbly")):
        with pytest.raises(GanimationError):
            alphas(*bad)


def test_alpha_and_depth_pass_through(editor: Editor, astronaut: Pixels) -> None:
    alpha = np.full((512, 512), 77, np.uint8)
    edit = editor.edit(Photo(astronaut, alpha=alpha, icc_profile=b"profile"), {"AU26": 1.0})
    assert edit.photo.alpha is alpha
    assert edit.photo.icc_profile == b"profile"


def test_an_editor_is_shared_by_threads(editor: Editor, astronaut: Pixels) -> None:
    values = [0.2, 0.5, 0.8, 1.0] * 2
    alone = [editor.edit(astronaut, {"AU26": value}).image for value in values]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda value: editor.edit(astronaut, {"AU26": value}).image, values))
    assert all(np.array_equal(first, second) for first, second in zip(alone, together, strict=True))


def test_bad_calls(editor: Editor, astronaut: Pixels) -> None:
    with pytest.raises(ActionUnitError, match="AU12=3"):
        editor.edit(astronaut, {"AU12": 3})
    with pytest.raises(ActionUnitError, match=r"AU14 .dimpler. is not one of this model's"):
        editor.edit(astronaut, {"AU14": 0.5})
    with pytest.raises(ActionUnitError, match="AU12: a number too large"):
        editor.edit(astronaut, {"AU12": 10**400})
    for array, kind in (
        (astronaut / 255, r"\(512, 512, 3\), float64: expected uint8.*multiply floats"),
        (astronaut[:, :, :2], r"\(512, 512, 2\), uint8: expected uint8"),
        (astronaut[:0], r"\(0, 512, 3\), uint8"),
        (astronaut.astype(np.uint16), "uint16: expected uint8"),
    ):
        with pytest.raises(MediaError, match=kind):
            editor.edit(array, {"AU12": 0.5})  # type: ignore[arg-type]
        with pytest.raises(MediaError, match=kind):
            editor.reader.read(array)  # type: ignore[arg-type]
    with pytest.raises(MediaError, match=r"fps 0: it lies in \[1, 1000\]"):
        next(editor.drive(astronaut, [astronaut], fps=0))


def test_what_pictures_are_taken(editor: Editor, portrait: Path) -> None:
    pixels = read_image(portrait).pixels
    expected = editor.edit(pixels, {"AU12": 0.9})
    with Image.open(portrait) as image:
        assert np.array_equal(editor.edit(image, {"AU12": 0.9}).image, expected.image)
    alpha = np.full(pixels.shape[:2], 200, np.uint8)
    clear = editor.edit(np.dstack([pixels, alpha]), {"AU12": 0.9})
    assert np.array_equal(clear.image, expected.image)
    assert clear.photo.alpha is not None
    assert (clear.photo.alpha == 200).all()
    content = portrait.read_bytes()
    by_path = editor.edit(portrait, {"AU12": 0.9}).image
    for given in (content, bytearray(content), memoryview(content)):
        assert np.array_equal(editor.edit(given, {"AU12": 0.9}).image, by_path)
    with pytest.raises(MediaError, match="the picture: not a picture in a format"):
        editor.read(b"not a picture")
    with pytest.raises(MediaError, match="a float; a photo is a path, bytes"):
        editor.read(0.5)  # type: ignore[arg-type]
    grey = editor.edit(pixels[:, :, 1], {"AU12": 0.9}).image
    assert np.ptp(grey.astype(int), axis=2).max() == 0
    assert np.array_equal(editor.edit(pixels[:, :, 1:2], {"AU12": 0.9}).image, grey)


def test_an_edit_says_where_it_changes_nothing(editor: Editor, portrait: Path) -> None:
    edit = editor.edit(portrait, {"AU12": 0.9})
    assert edit.changed
    assert edit.notice == ""
    shown = editor.read(portrait)[0].aus["AU12"]
    same = editor.edit(portrait, {"AU12": shown})
    assert not same.changed
    assert "shows what was asked already" in same.notice
    session = editor.session(portrait, {"AU12": 0.9})
    still = Edit(session.photo, tuple(face.draw(1.0) for face in session.faces), changed=False)
    assert f"AU12 from {shown:.2f} to 0.90 changes no pixel" in still.notice


@pytest.mark.parametrize("backend", ["onnxruntime", "torch"])
def test_damaged_models(model: Path, tmp_path: Path, backend: str) -> None:
    with pytest.raises(ModelError, match="no such model folder"):
        Editor(tmp_path / "missing", backend)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="not a model folder"):
        Editor(tmp_path / "empty", backend)
    weights = "generator.onnx" if backend == "onnxruntime" else "generator.safetensors"
    for number, damage in enumerate((b"", b"garbage", (model / weights).read_bytes()[:2000])):
        folder = tmp_path / f"broken{number}"
        shutil.copytree(model, folder)
        (folder / weights).write_bytes(damage)
        with pytest.raises(ModelError, match=f"{weights}: damaged"):
            Editor(folder, backend)
        (folder / weights).unlink()
        with pytest.raises(ModelError, match=f"{weights}: missing"):
            Editor(folder, backend)
    with pytest.raises(ModelError, match="unknown backend 'cuda'"):
        Editor(model, "cuda")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format_version": 9}, "format version 9"),
        ({"aus": ["AU77"]}, "damaged"),
        ({"aus": list(DEFAULT_AUS[:5])}, r"its config says \(1, 5, 64, 64\)"),
        ({"condition": "both"}, "condition 'both'"),
        ({"surprise": 1}, "damaged"),
        ({"template": 3}, "damaged"),
    ],
)
def test_damaged_configs(model: Path, tmp_path: Path, change: dict[str, object], reason: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ModelError, match=reason):
        Editor(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        Editor(folder)


def test_two_drawings_meet_in_the_middle() -> None:
    sides = np.stack([np.zeros((3, 50, 50), np.float32), np.ones((3, 50, 50), np.float32)])
    joined = across(sides)
    assert not joined[:, :, :20].any()
    assert (joined[:, :, 30:] == 1).all()
    assert (np.diff(joined, axis=2) >= 0).all()
    assert np.array_equal(across(sides[1:]), sides[1])


def test_a_side_overrides_both(editor: Editor, portrait: Path) -> None:
    session = editor.session(portrait, {"AU12": 0.2, "AU12L": 0.9})
    face = session.faces[0].draw(1.0)
    assert face.left is not None
    assert (face.target["AU12"], face.left["AU12"]) == (0.2, 0.9)
    assert editor.session(portrait, {"AU12": 0.2}).faces[0].draw(0.5).left is None


def test_an_expression_is_copied_from_another_photo(
    portrait: Path, people: list[Path], sheet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    editor, smiling = Editor(threads=1), people[1]
    shown = editor.read(smiling)[0].aus
    edit = editor.edit(portrait, editor.like(smiling, regions=["mouth and chin"]))
    target, own = edit.faces[0].target, editor.read(portrait)[0].aus
    assert target["AU25"] == pytest.approx(shown["AU25"])
    assert target["AU01"] == pytest.approx(own["AU01"])
    change = editor.edit(portrait, editor.like(smiling, neutral=people[0])).faces[0].target
    rest = editor.read(people[0])[0].aus
    assert change["AU12"] == pytest.approx(min(1, max(0, own["AU12"] + shown["AU12"] - rest["AU12"])))
    output = tmp_path / "x.jpg"
    command = ["edit", str(portrait), "-o", str(output)]
    assert main([*command, "--like", str(smiling), "--regions", "mouth", "--strength", "1.2"]) == 0
    assert output.exists()
    output.unlink()
    for options, message in (
        (["--like", str(sheet)], r"16 faces; crop it to one face"),
        (["--neutral", str(smiling)], "--neutral and --regions belong to --like"),
        (["--like", str(smiling), "--regions", "ears"], "unknown region 'ears'"),
    ):
        assert main([*command, *options]) == 2
        assert message in capsys.readouterr().err
        assert not output.exists()


def test_a_name_is_an_expression_too(portrait: Path) -> None:
    editor = Editor("bundled", threads=1)
    by_name, by_requests = (editor.edit(portrait, asked).image for asked in ("wink", editor.emotion("wink")))
    assert np.array_equal(by_name, by_requests)
    assert editor.name == "bundled"
