"""The Python of the documentation runs as it stands."""

import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT

BLOCKS = [
    pytest.param(block, id=f"{path.stem}-{number}")
    for path in sorted((ROOT / "docs").glob("*.md"))
    for number, block in enumerate(
        re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    )
]


@pytest.mark.parametrize("block", BLOCKS)
def test_the_lines_run(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ganimation import Editor
    from ganimation.media.video import write_film

    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    if "driver.mp4" in block:
        write_film(Editor().animate("examples/portrait.jpg", {"AU12": 1.0}, [0.0, 0.5, 1.0]), "driver.mp4", 25)
    exec(compile(block, "docs", "exec"), {})
