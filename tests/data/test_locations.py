"""Photos that lie in an object store, at URLs, or where a list has them."""

import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ganimation.data.dataset import FaceDataset
from ganimation.data.prepare import prepare
from ganimation.errors import DatasetError


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that does not write about it."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its base's name
        """Say nothing."""


@pytest.fixture
def web(photos: Path) -> Iterator[str]:
    """The photos behind a web server of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(photos)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_object_store_gives_the_same_faces(
    dataset: Path, photos: Path, labels: Path, store: str, tmp_path: Path
) -> None:
    for path in sorted(photos.rglob("*")):
        if path.is_file():
            upload(path, f"{store}/photos/{path.relative_to(photos).as_posix()}")
    prepare(f"{store}/photos/", tmp_path / "faces", size=64, labels=labels, jobs=1)
    for path in dataset.iterdir():
        if path.name != ".fingerprint":  # which has the store's marks in place of times of modification
            assert (tmp_path / "faces" / path.name).read_bytes() == path.read_bytes(), path.name
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "faces").iterdir()}
    prepare(f"{store}/photos", tmp_path / "faces", size=64, labels=labels, jobs=1)  # complete: nothing is fetched
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "faces").iterdir()} == before


def upload(path: Path, url: str) -> None:
    from ganimation.data.locations import filesystem

    filesystem(url).put_file(str(path), url)


def test_a_list_of_urls_and_paths(web: str, photos: Path, tmp_path: Path) -> None:
    shutil.copy(photos / "person0" / "studio_portrait.jpg", tmp_path / "mine.jpg")
    listed = tmp_path / "list.txt"
    good, dead = f"{web}/person1/{next((photos / 'person1').iterdir()).name}", f"{web}/nobody.jpg"
    listed.write_text(f"mine.jpg\n\n{good}\n{dead}\nhttp://127.0.0.1:1/a.jpg\ngone.jpg\n{web}/broken.jpg\n")
    info = prepare(listed, tmp_path / "faces", size=64, jobs=1)
    assert FaceDataset(tmp_path / "faces").sources == ["mine.jpg", good]
    reasons = {entry["path"]: entry["reason"] for entry in info.skipped}
    assert reasons[dead] == "not there, or its server does not answer"
    assert reasons["gone.jpg"] == "no such file"
    assert reasons["http://127.0.0.1:1/a.jpg"] == reasons[dead]
    assert reasons[f"{web}/broken.jpg"].startswith("not a picture in a format that can be read")


def test_the_list_of_emotionet_is_fetched(web: str, photos: Path, tmp_path: Path) -> None:
    listed = tmp_path / "emotionet.csv"
    url = f"{web}/person0/studio_portrait.jpg"
    listed.write_text(f"URL,AU 1,emotion\n{url},1,happy\n{web}/nobody.jpg,999,\n")
    prepare(listed, tmp_path / "faces", size=64, source="emotionet", listed=listed, jobs=1)
    faces = FaceDataset(tmp_path / "faces")
    assert faces.sources == [url]
    assert faces.emotions == ["happiness"]


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("nowhere://bucket/a", r"nowhere://bucket/a: cannot be opened \(Protocol not known: nowhere\)"),
        ("s3://no-such-bucket-anywhere/a", "cannot be listed|no photos in it"),
    ],
)
def test_bad_locations(store: str, location: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=reason) as caught:
        prepare(location, tmp_path / "faces")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "faces").exists()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", "\n", "no photos in it"),
        ("a.txt", "x.jpg\ny.jpg\nx.jpg\n", "names x.jpg twice"),
        ("a.csv", "name\nx.jpg\n", "no column URL or file"),
        ("a.csv", "", "no column URL or file"),
    ],
)
def test_bad_lists(tmp_path: Path, name: str, content: str, reason: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DatasetError, match=reason):
        prepare(tmp_path / name, tmp_path / "faces")
