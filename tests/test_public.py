"""The public surface, and what importing it costs."""

import subprocess
import sys

import pytest

import ganimation


def test_every_public_name_exists_and_nothing_else() -> None:
    for name in ganimation.__all__:
        assert getattr(ganimation, name) is not None
    assert set(ganimation.__all__) == set(ganimation._HOME)
    with pytest.raises(AttributeError, match="nothing"):
        _ = ganimation.nothing


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
