"""The page as the command serves it, to this process alone, and a browser."""

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
def served(*words: str) -> Iterator[str]:
    """Yield the address of a page of its own."""
    pytest.importorskip("gradio", reason="the extra web is not installed")
    command = [sys.executable, "-c", f"from ganimation.cli import main; main({['serve', '--port', '0', *words]})"]
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True) as server,
    ):
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line.startswith("ganimation: http://127.0.0.1:")
        try:
            yield line.split()[1]
            server.send_signal(signal.SIGINT)
            server.wait(30)
            said.seek(0)
            assert said.read() == "ganimation: stopped\n"
        finally:
            server.kill()


@pytest.fixture(scope="session")
def page_url() -> Iterator[str]:
    with served() as url:
        yield url
