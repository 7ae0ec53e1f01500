"""The page as the command serves it, to this process alone, and a browser."""

import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def served(*words: str, setup: str = "", notes: str = "") -> Iterator[str]:
    """Yield the address of a page of its own.

    Args:
        words: of the command, after ``serve``.
        setup: statements that are run before it, such as shorter limits.
        notes: a pattern of the lines that it may print on stderr; without one it says nothing but that it stopped.
    """
    pytest.importorskip("gradio", reason="the extra web is not installed")
    code = f"{setup}\nfrom ganimation.cli import main\nmain({['serve', '--port', '0', *words]})"
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=said, text=True) as server,
    ):
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line.startswith("ganimation: http://"), line
        try:
            yield line.split()[1]
            server.send_signal(signal.SIGINT)
            server.wait(30)
            said.seek(0)
            text = said.read()
            assert re.fullmatch(rf"(({notes})\n)*ganimation: stopped\n", text), text
        finally:
            server.kill()


@pytest.fixture(scope="session")
def page_url() -> Iterator[str]:
    with served() as url:
        yield url
