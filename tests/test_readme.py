"""What the README says can be done, can be done."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ganimation.cli import main
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_lines_run(tmp_path: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len([line for line in block.splitlines() if line.strip()]) <= 5
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    subprocess.run([sys.executable, "-c", block], cwd=tmp_path, check=True)
    assert (tmp_path / "smile.png").stat().st_size > 10_000


def test_the_commands_exist_with_their_options(capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"(?:^|`)ganimation (\w+) ?([^#`\n]*)", README, flags=re.MULTILINE)
    assert {name for name, _ in commands} == {
        "edit", "animate", "drive", "read", "serve", "verify", "figure", "prepare", "train", "export", "evaluate",
        "expressions",
    }  # fmt: skip
    for name, rest in commands:
        with pytest.raises(SystemExit) as stopped:
            main([name, "--help"])
        assert stopped.value.code == 0
        text = capsys.readouterr().out
        assert all(option in text for option in re.findall(r"--\w+", rest))


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    for script in ("scripts/demo", "scripts/test"):
        assert script in README
        assert (ROOT / script).stat().st_mode & 0o111
