"""What an operator watches."""

import contextlib
import http.client
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.conftest import ROOT
from tests.web.conftest import served

metrics = pytest.importorskip("ganimation.web.metrics", reason="the extra web is not installed")


def ask(url: str, path: str, method: str = "GET", host: str = "10.0.0.1") -> tuple[int, bytes]:
    with contextlib.closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)) as connection:
        connection.request(method, path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read()


def values(port: int) -> dict[str, float]:
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60).read().decode()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_probes_are_answered_under_any_name_and_work_is_counted(portrait: Path) -> None:
    gradio_client = pytest.importorskip("gradio_client")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with served("--metrics-port", str(port), "--auth", "ann:secret") as url:
        assert ask(url, "/healthz") == ask(url, "/readyz") == (200, b"ok")
        assert ask(url, "/healthz", "HEAD") == (200, b"")
        assert ask(url, "/")[0] == 403
        assert ask(url, "/metrics", host="127.0.0.1")[0] in (401, 404)  # not on the page's own port
        assert values(port)['ganimation_requests_total{kind="page",status="403"}'] == 1
        client = gradio_client.Client(url, verbose=False, auth=("ann", "secret"))
        client.predict(gradio_client.handle_file(str(portrait)), {"AU12": 0.8}, "largest", api_name="/edit")
        found = values(port)
    assert found["ganimation_faces_total"] == 1
    assert found['ganimation_work_seconds_count{kind="whole"}'] == 1
    assert found['ganimation_work_seconds_sum{kind="whole"}'] > 0
    assert found['ganimation_requests_total{kind="upload",status="200"}'] == 1
    assert found["ganimation_queue"] == 0
    assert not any("portrait" in name for name in found)


def test_ready_is_not_said_while_the_queue_is_full() -> None:
    import asyncio

    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    async def nothing(*_: object) -> None:
        raise AssertionError

    app = metrics.Observed(nothing, None, lambda: False)
    for path in ("/readyz", "/healthz"):
        asyncio.run(app({"type": "http", "path": path, "method": "GET"}, nothing, send))
    assert [message["status"] for message in sent[::2]] == [503, 200]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "page"), ("/assets/x.js", "page"), ("/gradio_api/upload", "upload"), ("/gradio_api/stream/1", "frame"),
        ("/gradio_api/file=/tmp/x", "file"), ("/gradio_api/queue/join", "event"),
    ],
)  # fmt: skip
def test_requests_have_kinds(path: str, kind: str) -> None:
    assert metrics.kind_of(path) == kind


def test_a_port_that_is_taken_or_none_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for number, message in ((port, "cannot be listened at"), (0, "it lies in 1..65535")):
            command = [sys.executable, "-m", "ganimation", "serve", "--port", "0", "--metrics-port", str(number)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
            assert done.returncode == 2
            assert f"ganimation: --metrics-port {number}: {message}" in done.stderr
            assert "Traceback" not in done.stderr


def test_the_image_holds_what_it_copies_and_runs_without_rights() -> None:
    text = (ROOT / "Dockerfile").read_text()
    for name in re.findall(r"^COPY (?!--from)(.*) /source", text, flags=re.MULTILINE):
        assert all((ROOT / part).exists() for part in name.split())
    assert text.index("USER 10001") < text.index("ENTRYPOINT")
    kept = (ROOT / ".dockerignore").read_text().splitlines()
    assert kept[0] == "*"
    assert {"!src", "!pyproject.toml", "!README.md", "!LICENSE", "!NOTICE"} <= set(kept)
    compose = (ROOT / "compose.yaml").read_text()
    for word in ("read_only: true", "cap_drop: [ALL]", "no-new-privileges:true", "127.0.0.1:7860:7860"):
        assert word in compose


def test_the_image_is_linted() -> None:
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if program is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([program, str(ROOT / "Dockerfile")], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
