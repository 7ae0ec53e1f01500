"""The Python of the documentation runs as it stands."""

import importlib.util
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


def test_symbols_that_the_paper_s_page_names_exist() -> None:
    text = (ROOT / "docs" / "paper.md").read_text()
    names = set(re.findall(r"`((?:[a-z_]+\.)+[A-Za-z_.]+)`", text)) - {"training/presets.py"}
    names = {name for name in names if not name.endswith((".py", ".md"))}
    assert len(names) > 30
    for name in names:
        parts = name.split(".")
        for length in range(len(parts), 0, -1):
            try:
                found: object = importlib.import_module(".".join(["ganimation", *parts[:length]]))
            except ModuleNotFoundError:
                continue
            for attribute in parts[length:]:
                found = getattr(found, attribute)
            break
        else:
            raise AssertionError(f"{name} is no symbol")


def test_results_are_short_and_every_table_has_its_command() -> None:
    results = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert len(results.splitlines()) <= 200
    commands = (ROOT / "scripts" / "results").read_text(encoding="utf-8")
    written = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tools").glob("*.py"))
    pages = results + (ROOT / "docs" / "instruments.md").read_text(encoding="utf-8")
    for mark in re.findall(r"<!-- ([a-z-]+) -->", pages):
        assert f"<!-- /{mark} -->" in pages
        assert re.search(rf"(--mark|tools.put) {mark}\b", commands) or f'"{mark}"' in written, mark
    for tool in re.findall(r"-m (tools\.\w+|benchmarks\.\w+)", commands):
        assert importlib.util.find_spec(tool), tool
