"""Where visitors' files lie: theirs alone, so much, and so long."""

import io
import os
from pathlib import Path

import pytest

from ganimation.errors import MediaError
from ganimation.web.store import Store
from ganimation.web.visitors import VISITOR


def test_a_store_admits_what_lies_where_it_was_put_and_no_link(tmp_path: Path) -> None:
    store = Store()
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"secret")
    VISITOR.set("browser-ada")
    try:
        path = store.take("../a b.jpg", io.BytesIO(b"photo"), 5)
        assert store.admit(str(path)) == path
        link, folder = path.with_name("link.jpg"), path.parent.with_name("folder")
        link.symlink_to(secret)
        folder.symlink_to(tmp_path)
        for bad in (
            link, secret, folder / "secret.jpg", path.parent, path.parent / ".." / path.parent.name / path.name,
            f"{path}/", f"{path}\0", f"{path.parent}//{path.name}", path.name, "", 7, None, {"path": str(path)},
        ):  # fmt: skip
            assert store.admit(str(bad) if isinstance(bad, Path) else bad) is None, bad
        VISITOR.set("browser-bob")
        assert store.admit(str(path)) is None
    finally:
        VISITOR.set("nobody")
        store.close()


def test_a_store_has_room_for_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(per_visitor=100_000, in_all=150_000)

    def bring(visitor: str, name: str, size: int) -> Path:
        VISITOR.set(visitor)
        return store.take(name, io.BytesIO(b"x" * size), size)

    try:
        own = []
        for number in range(4):
            own.append(bring("browser-ada", f"{number}.jpg", 40_000))
            os.utime(own[-1], (number, number))
        assert [path.exists() for path in own] == [False, False, True, True]
        bob = bring("browser-bob", "b.jpg", 60_000)
        assert [path.exists() for path in own] == [False, False, True, True]
        bring("browser-eve", "e.jpg", 60_000)  # those of all go, the oldest first
        assert [path.exists() for path in [*own, bob]] == [False, False, False, False, True]
        with pytest.raises(MediaError, match="no room for more files now"):  # but not what is in use
            bring("browser-fay", "f.jpg", 60_000)
        monkeypatch.setattr("ganimation.web.store.FILES", 3)
        many = [bring("browser-many", f"{number}.txt", 0) for number in range(5)]
        assert sum(path.exists() for path in many) == 3
    finally:
        VISITOR.set("nobody")
        store.close()


def test_a_store_keeps_no_empty_folders(tmp_path: Path) -> None:
    store = Store(keep=100)
    try:
        VISITOR.set("browser-ada")
        path = store.take("a.jpg", io.BytesIO(b"x"), 1)
        path.unlink()
        for folder in (path.parent, path.parent.parent):
            os.utime(folder, (0, 0))
        store.sweep(50)
        assert path.parent.exists()
        store.sweep(1000)
        os.utime(path.parent.parent, (0, 0))  # something was just removed from it
        store.sweep(1000)
        assert list(store.folder.iterdir()) == []
    finally:
        VISITOR.set("nobody")
        store.close()
