"""Nothing calls home: commands run under strace, in a home of their own that shows what they leave behind."""

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from ganimation.privacy import SWITCHES

STRACE = shutil.which("strace")

IMPORTED = ("ganimation", "onnxruntime", "openvino", "gradio", "huggingface_hub", "torch", "tensorboard", "matplotlib")

#: Addresses that are this computer's own, and calls that name none.
LOOPBACK = re.compile(r'inet_addr\("127\.|"::1"|AF_UNIX|AF_NETLINK|AF_UNSPEC|NULL, 0')

#: Files that the commands may leave: our own certificate, and caches of libraries that hold no identity.
OURS = (".config/ganimation/", ".cache/matplotlib/", ".config/matplotlib/", ".cache/fontconfig/")


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in SWITCHES and "PROXY" not in name.upper()}
    return kept | {"HOME": str(home), "GANIMATION_C2PA": "on", "XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": "", "CI": ""}


def traced(log: Path, *words: str) -> list[str]:
    assert STRACE is not None
    return [STRACE, "-f", "-qq", "-e", "trace=connect,sendto,sendmsg", "-o", str(log), *words]


def check(home: Path, log: Path) -> None:
    """Check what a command has left in its home, and whom it tried to reach."""
    left = [path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()]
    assert [path for path in left if not path.startswith(OURS)] == []
    lines = log.read_text().splitlines()
    away = [line for line in lines if re.search(r"connect\(|sa_family=AF_INET", line) and not LOOPBACK.search(line)]
    assert away == []


@pytest.mark.skipif(STRACE is None, reason="strace is not installed")
@pytest.mark.parametrize("command", ["edit", "prepare", "verify", "import"])
def test_commands_reach_nobody_and_leave_nothing(command: str, portrait: Path, tmp_path: Path) -> None:
    home, log, photos = tmp_path / "home", tmp_path / "calls", tmp_path / "photos"
    home.mkdir()
    photos.mkdir()
    for number in range(2):
        shutil.copy(portrait, photos / f"{number}.jpg")
    run = [sys.executable, "-m", "ganimation"]
    words = {
        "edit": [*run, "edit", str(portrait), "--au", "AU12=0.8", "-o", str(tmp_path / "out.jpg")],
        "prepare": [*run, "prepare", str(photos), "-o", str(tmp_path / "faces"), "--size", "64", "--jobs", "2"],
        "verify": [*run, "verify", str(portrait)],
        "import": [sys.executable, "-c", f"import {', '.join(IMPORTED)}"],
    }[command]
    subprocess.run(traced(log, *words), env=environment(home), check=True, timeout=120, capture_output=True)
    check(home, log)


@pytest.mark.skipif(STRACE is None, reason="strace is not installed")
def test_the_page_reaches_nobody_and_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason="the extra web is not installed")
    home, log = tmp_path / "home", tmp_path / "calls"
    home.mkdir()
    words = [sys.executable, "-m", "ganimation", "serve", "--port", "0"]
    with subprocess.Popen(
        traced(log, *words), env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().split()[1]
        for path in ("", "/gradio_api/info"):
            with urllib.request.urlopen(url + path) as answer:
                assert answer.status == 200
        time.sleep(3)  # what would call home does it in a thread of its own
        subprocess.run(["pkill", "-INT", "-P", str(server.pid)], check=False)
        server.wait(30)
    check(home, log)


def test_the_check_sees_who_calls_home(tmp_path: Path) -> None:
    if STRACE is None:
        pytest.skip("strace is not installed")
    home, log = tmp_path / "home", tmp_path / "calls"
    home.mkdir()
    code = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('192.0.2.1', 9))"
    subprocess.run(traced(log, sys.executable, "-c", code), env=environment(home), check=False, timeout=60)
    with pytest.raises(AssertionError):
        check(home, log)
    log.write_text("")
    (home / ".cache" / "Microsoft").mkdir(parents=True)
    (home / ".cache" / "Microsoft" / "deviceid").write_text("1")
    with pytest.raises(AssertionError):
        check(home, log)


def test_switches_are_set_by_importing_the_package_and_a_users_own_stay() -> None:
    kept = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    code = (
        "import sys, os, ganimation\n"
        "print(*(os.environ[name] for name in sys.argv[1:]), sys.modules['openvino_telemetry'])"
    )
    command = [sys.executable, "-c", code, *SWITCHES]
    said = subprocess.run(command, env=kept, check=True, capture_output=True, text=True).stdout.split()
    assert said == [*SWITCHES.values(), "None"]
    own = subprocess.run(command, env=kept | {"ORT_DISABLE_TELEMETRY": "0"}, check=True, capture_output=True, text=True)
    assert own.stdout.split()[0] == "0"


def test_a_manifest_is_fetched_from_nowhere(tmp_path: Path) -> None:
    """A file may name an address that its content credentials lie at; nobody is asked there."""
    pytest.importorskip("c2pa", reason="the extra credentials is not installed")
    import http.server
    import threading

    from PIL import Image

    from ganimation.media.credentials import read_credentials

    asked = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        xmp = (
            '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            '<rdf:Description rdf:about="" xmlns:dcterms="http://purl.org/dc/terms/" '
            f'dcterms:provenance="http://127.0.0.1:{server.server_port}/m.c2pa"/></rdf:RDF></x:xmpmeta>'
        )
        Image.new("RGB", (64, 64)).save(tmp_path / "a.jpg", xmp=xmp.encode())
        assert read_credentials(tmp_path / "a.jpg") == ""
        server.shutdown()
    assert asked == []
