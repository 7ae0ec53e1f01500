"""The page as the command serves it, to this process alone, and a browser."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def page_url() -> Iterator[str]:
    pytest.importorskip("gradio", reason="the extra web is not installed")
    command = [sys.executable, "-c", "from ganimation.cli import main; main(['serve', '--port', '0'])"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line.startswith("ganimation: http://127.0.0.1:")
        try:
            yield line.split()[1]
            server.send_signal(signal.SIGINT)
            server.wait(30)
        finally:
            server.kill()
