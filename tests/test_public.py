"""The public surface, and what importing it costs."""

import subprocess
import sys
from pathlib import Path

import pytest

import ganimation
from ganimation import Clip, Editor, read_image, write_film


def test_every_public_name_exists_and_nothing_else() -> None:
    for name in ganimation.__all__:
        assert getattr(ganimation, name) is not None
    assert set(ganimation.__all__) == set(ganimation._HOME)
    with pytest.raises(AttributeError, match="nothing"):
        _ = ganimation.nothing


def test_the_docs_import_from_the_public_surface_alone() -> None:
    root = Path(__file__).resolve().parent.parent
    pages = [root / "README.md", *(page for page in (root / "docs").glob("*.md") if page.name != "lab-notebook.md")]
    lines = [line for page in pages for line in page.read_text().splitlines() if line.startswith("from ganimation")]
    assert lines
    for line in lines:
        module, names = line.removeprefix("from ").split(" import ")
        assert module == "ganimation", line
        assert set(names.split(", ")) <= set(dir(ganimation)), line


def test_objects_show_themselves_in_one_short_line(portrait: Path, tmp_path: Path) -> None:
    editor, photo = Editor(threads=1), read_image(portrait)
    face = editor.read(photo)[0]
    edit = editor.edit(photo, {"AU12": 0.9, "AU25": "+0.2"})
    film = tmp_path / "film.mp4"
    write_film([edit.image[:64, :64]] * 3, film, 25)
    shown = [repr(thing) for thing in (photo, face, edit, edit.faces[0], editor, Clip(film))]
    assert all(len(line) < 130 and "\n" not in line for line in shown), shown
    assert "to 0.90" in shown[2]
    assert "64x64, 25 frames/s" in shown[5]


def test_import_and_help_load_nothing_heavy() -> None:
    code = (
        "import sys, ganimation, ganimation.cli\n"
        "try: ganimation.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'cv2', 'onnxruntime', 'av', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_editing_needs_no_torch(model: object) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['pyarrow'] = None\n"
        f"from ganimation import Editor; Editor.from_pretrained({str(model)!r})"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_missing_extra_is_named() -> None:
    from ganimation.errors import MissingExtraError, require

    with pytest.raises(MissingExtraError, match=r"nonesuch.*ganimation\[web\]"):
        require("nonesuch", "web")
