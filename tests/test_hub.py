"""Models on the Hub: a local server answers the Hub's HTTP API, commands run in processes of their own."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from ganimation.errors import ModelError
from ganimation.hub import FILES, check_repository, find_model
from ganimation.model import bundled

SHA = "0123456789abcdef0123456789abcdef01234567"
KNOWN = (None, "main", "v1", SHA)
TOKEN = "hf_test"


@dataclass
class Hub:
    """What the server has, and what it was asked."""

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    address: str = ""


def handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def json(self, content: object) -> None:
            self.answer(200, json.dumps(content).encode(), Content_Type="application/json")

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append(f"{self.command} {path}")
            api = re.fullmatch(r"/api/(?:models|datasets)/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?", path)
            file = re.fullmatch(r"/(?:datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
            match = api or file
            name = match[1] if match else ""
            files = hub.repositories.get(name)
            if files is None or (name in hub.private and TOKEN not in self.headers.get("Authorization", "")):
                self.answer(401, b"{}", X_Error_Code="RepoNotFound")
            elif (api and api[3] not in KNOWN) or (file and file[2] not in KNOWN):
                self.answer(404, b"{}", X_Error_Code="RevisionNotFound")
            elif file and file[3] in files:
                content = files[file[3]]
                tag = hashlib.sha256(content).hexdigest()
                self.answer(200, content, X_Repo_Commit=SHA, ETag=f'"{tag}"')
            elif api and api[2] == "tree":
                self.json([{"type": "file", "path": x, "size": len(y), "oid": "0" * 40} for x, y in files.items()])
            elif api:
                self.json({"id": name, "sha": SHA, "siblings": [{"rfilename": x} for x in files], "private": False})
            else:
                self.answer(404, b"{}", X_Error_Code="EntryNotFound")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = urlsplit(self.path).path
            hub.asked.append(f"POST {path}")
            if TOKEN not in self.headers.get("Authorization", ""):
                self.answer(401, b"{}")
            elif path == "/api/repos/create":
                wanted = json.loads(body)
                name = f"{wanted['organization']}/{wanted['name']}"
                hub.repositories.setdefault(name, {})
                hub.private |= {name} if wanted.get("private") or wanted.get("visibility") == "private" else set()
                self.json({"url": f"{hub.address}/{name}"})
            elif path == "/api/validate-yaml":
                self.json({"errors": [], "warnings": []})
            elif path.endswith("/preupload/main"):
                names = [file["path"] for file in json.loads(body)["files"]]
                self.json({"files": [{"path": x, "uploadMode": "regular", "shouldIgnore": False} for x in names]})
            elif "/commit/" in path:
                lines = [json.loads(line) for line in body.splitlines()]
                files = {x["value"]["path"]: base64.b64decode(x["value"]["content"]) for x in lines[1:]}
                name = path.removeprefix("/api/models/").partition("/commit/")[0]
                hub.repositories[name] |= files
                self.json({"commitUrl": f"{hub.address}/{name}/commit/{SHA}", "commitOid": SHA})
            else:
                self.answer(404)

    return Handler


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(hub))
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield hub
    server.shutdown()
    server.server_close()
    thread.join()


def ganimation(home: Path, hub: Hub | str, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    address = hub if isinstance(hub, str) else hub.address
    own = {"HOME": str(home), "HF_HOME": str(home / "hf"), "HF_ENDPOINT": address, "HF_HUB_DISABLE_XET": "1", **more}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return subprocess.run(
        [sys.executable, "-m", "ganimation", *words], env=kept | own, capture_output=True, text=True, timeout=120,
        cwd=home, check=False,
    )  # fmt: skip


def test_a_model_is_edited_with_by_its_name_and_afterwards_offline(
    hub: Hub, model: Path, portrait: Path, tmp_path: Path
) -> None:
    files = {path.name: path.read_bytes() for path in model.iterdir()}
    hub.repositories["ada/faces"] = files | {"pytorch_model.bin": b"pickle", "run.py": b"print(1)"}
    edit = ["edit", str(portrait), "--au", "AU12=1", "--model"]
    first = ganimation(tmp_path, hub, *edit, "ada/faces@v1", "-o", "first.png")
    assert first.returncode == 0, first.stderr
    assert not any("pytorch_model" in line or "run.py" in line for line in hub.asked)
    asked = len(hub.asked)
    again = ganimation(tmp_path, hub, *edit, "ada/faces@v1", "-o", "again.png", HF_HUB_OFFLINE="1")
    assert again.returncode == 0, again.stderr
    assert len(hub.asked) == asked
    local = ganimation(tmp_path, "http://127.0.0.1:9", *edit, str(model), "-o", "local.png")
    assert local.returncode == 0, local.stderr
    pictures = [(tmp_path / f"{name}.png").read_bytes() for name in ("first", "again", "local")]
    assert len(set(pictures)) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ada/none", "ada/none: no such folder here, and no such repository on the Hub, or a private one"),
        ("ada/secret", "ada/secret: no such folder here, and no such repository on the Hub, or a private one"),
        ("ada/faces@v9", "ada/faces, revision v9: the repository has no such branch, tag or commit"),
        ("ada/pickle", "ada/pickle: no model of this program (no config.json)"),
    ],
)
def test_what_the_hub_does_not_give_is_said_in_a_line(
    hub: Hub, portrait: Path, tmp_path: Path, name: str, message: str
) -> None:
    hub.repositories = {"ada/secret": {}, "ada/faces": {}, "ada/pickle": {"pytorch_model.bin": b"pickle"}}
    hub.private = {"ada/secret"}
    found = ganimation(tmp_path, hub, "edit", str(portrait), "--au", "AU12=1", "-o", "x.png", "--model", name)
    assert (found.returncode, found.stderr.count("\n")) == (2, 1), found.stderr
    assert message in found.stderr
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize("offline", ["0", "1"])
def test_without_a_network_a_line_says_so(portrait: Path, tmp_path: Path, offline: str) -> None:
    edit = ["edit", str(portrait), "--au", "AU12=1", "-o", "x.png", "--model", "ada/faces"]
    found = ganimation(tmp_path, "http://127.0.0.1:9", *edit, HF_HUB_OFFLINE=offline)
    assert (found.returncode, found.stderr.count("\n")) == (2, 1), found.stderr
    assert "ada/faces: no such folder here, not in the cache, and the Hub cannot be reached" in found.stderr


def test_a_model_is_exported_and_pushed_with_a_card_that_the_hub_reads(
    hub: Hub, run: Path, model: Path, tmp_path: Path
) -> None:
    export = ["export", str(run), "-o", "made", "--push"]
    refused = ganimation(tmp_path, hub, *export, "ada/made", HF_TOKEN="hf_other")
    assert refused.returncode == 2, refused.stderr
    assert refused.stderr == "ganimation: ada/made: the Hub does not let you write there; run `hf auth login`\n"
    pushed = ganimation(tmp_path, hub, *export, "ada/made", HF_TOKEN=TOKEN)
    assert pushed.returncode == 0, pushed.stderr
    assert f"{hub.address}/ada/made/commit/{SHA}" in pushed.stdout
    files = hub.repositories["ada/made"]
    assert set(files) == {path.name for path in model.iterdir()}
    assert files["README.md"].startswith(b"---\nlibrary_name: ganimation\n")
    assert files["README.md"].endswith((tmp_path / "made" / "README.md").read_bytes())
    assert "ada/made" in hub.private
    wrong = ganimation(tmp_path, hub, *export, "made", HF_TOKEN=TOKEN)
    assert (wrong.returncode, "--push made: it is OWNER/NAME" in wrong.stderr) == (2, True)


def test_folders_come_before_repositories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ada" / "faces").mkdir(parents=True)
    assert find_model("ada/faces") == Path("ada/faces")
    assert find_model() == find_model("bundled") == bundled()
    assert find_model("ada/deep/faces") == Path("ada/deep/faces")  # no repository's name: the config's reader refuses
    for name, revision in (("ada/faces", "v1"), ("bundled", "v1"), ("ada/other@v1", "v2")):
        with pytest.raises(ModelError, match="revision"):
            find_model(name, revision)
    for name in ("ada", "ada/made@v1", "../made"):
        with pytest.raises(ModelError, match="OWNER/NAME"):
            check_repository(name)
    assert not any("bin" in name or "pkl" in name for name in FILES)
