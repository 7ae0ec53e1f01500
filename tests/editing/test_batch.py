import csv
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from ganimation.action_units import EMOTIONS, parse_requests
from ganimation.cli import main
from ganimation.editing import batch
from ganimation.editing.editor import Editor
from ganimation.editing.tasks import Task, tasks_of_folder, tasks_of_table
from ganimation.errors import ActionUnitError, FaceError, MediaError
from ganimation.media.images import read_image

AUS = ("AU04", "AU06", "AU12", "AU25")


@pytest.fixture
def album(tmp_path: Path, portrait: Path) -> Path:
    """Two photos of a face, one below, a picture without one, and something else."""
    folder = tmp_path / "album"
    (folder / "below").mkdir(parents=True)
    small = cv2.resize(read_image(portrait).pixels, (320, 320), interpolation=cv2.INTER_AREA)[:, :, ::-1]
    cv2.imwrite(str(folder / "one.png"), small)
    cv2.imwrite(str(folder / "below" / "two.bmp"), small[:, ::-1])
    cv2.imwrite(str(folder / "wall.jpg"), np.full((200, 200, 3), 128, np.uint8))
    (folder / "notes.txt").write_text("not a photo")
    return folder


def manifest(folder: Path) -> list[dict[str, str]]:
    with (folder / batch.MANIFEST).open(newline="") as stream:
        return list(csv.DictReader(stream))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_edited_and_what_was_asked_and_measured_is_written_down(
    album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["edit", str(album), "-o", str(out), "--au", "AU12=0.8", "--jobs", "2"]) == 0
    said = capsys.readouterr()
    assert "2 made" in said.out
    assert "wall.jpg is left out: no face found" in said.err
    rows = manifest(out)
    assert [row["output"] for row in rows] == ["below/two.bmp.png", "one.png", ""]
    assert rows[2]["note"].startswith("no face found")
    for row in rows[:2]:
        assert row["request"] == "AU12=0.8"
        assert row["AU12_asked"] == "0.8000"
        assert row["AU04_asked"] == ""
        assert float(row["AU12_measured"]) > float(row["AU12_shown"]) + 0.1
        assert read_image(out / row["output"]).pixels.shape == (320, 320, 3)


def test_how_many_at_once_and_where_it_was_stopped_make_no_difference(album: Path, tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    command = ["edit", str(album), "--au", "AU25=0.7"]
    assert main([*command, "-o", str(whole), "--jobs", "3"]) == 0
    editor = Editor(threads=1)
    tasks = tasks_of_folder(album, stopped, (), "largest")
    asked = [Task(t.photo, t.output, parse_requests(["AU25=0.7"]), t.which) for t in tasks]

    def stop(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batch.run(editor, asked, stopped, progress=stop)
    assert not {thread.name for thread in threading.enumerate() if thread.name.startswith("edit")}
    assert 0 < len(manifest(stopped)) <= 3
    assert main([*command, "-o", str(stopped), "--jobs", "1"]) == 0
    assert files(stopped) == files(whole)


def test_only_what_changed_is_made_again(album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    command = ["edit", str(album), "-o", str(out), "--jobs", "1"]
    assert main([*command, "--au", "AU25=0.7"]) == 0
    assert main([*command, "--au", "AU25=0.7"]) == 0
    assert "0 made, 2 were there" in capsys.readouterr().out
    later = (out / "one.png").stat().st_mtime_ns + 1_000_000_000
    os.utime(album / "one.png", ns=(later, later))
    (out / "below" / "two.bmp.png").unlink()
    assert main([*command, "--au", "AU25=0.7"]) == 0
    assert "2 made" in capsys.readouterr().out
    assert main([*command, "--au", "AU25=0.6"]) == 0
    assert "2 made" in capsys.readouterr().out


def test_a_table_of_stimuli_gives_the_same_bytes_for_the_same_seed(album: Path, tmp_path: Path) -> None:
    table = album / "stimuli.csv"
    table.write_text(
        "photo,AU12,AU04,emotion,strength,output\n"
        "one.png,0.2..0.9,,,,\n"
        "one.png,,+0.5,,,brow.png\n"
        "below/two.bmp,,,surprise,0.5,\n"
    )
    runs = {}
    for name, seed, jobs in (("a", 1, 1), ("b", 1, 2), ("c", 2, 1)):
        command = ["edit", str(table), "-o", str(tmp_path / name), "--seed", str(seed), "--jobs", str(jobs)]
        assert main(command) == 0
        runs[name] = files(tmp_path / name)
    assert runs["a"] == runs["b"]
    assert set(runs["a"]) == {"0001-one.png", "brow.png", "0003-two.png", batch.MANIFEST}
    assert runs["a"]["brow.png"] == runs["c"]["brow.png"]
    assert runs["a"]["0001-one.png"] != runs["c"]["0001-one.png"]
    first, brow, surprise = manifest(tmp_path / "a")
    assert 0.2 <= float(first["AU12_asked"]) <= 0.9
    assert brow["request"] == "AU04=+0.5"
    assert float(surprise["AU01_asked"]) == pytest.approx(0.5 * EMOTIONS["surprise"]["AU01"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("picture,AU12\na.png,1\n", "a column named photo"),
        ("photo,AU12\n", "has rows"),
        ("photo,AU12\na.png,1.5\n", "row 1: AU12=1.5: an intensity lies in"),
        ("photo,AU99\na.png,1\n", "row 1: unknown action unit 'AU99'"),
        ("photo,AU12\n,1\n", "row 1: no photo is named"),
        ("photo,AU12,output\na.png,1,../b.png\n", "row 1: output ../b.png: a name inside the folder"),
        ("photo,AU12,output\na.png,1,b.png\na.png,0,b.png\n", "2 rows have the output b.png"),
        ("photo,face\na.png,left\n", "row 1: face left: write largest"),
        ("photo,emotion,strength\na.png,joy,1\n", "row 1: unknown expression 'joy'"),
    ],
)
def test_a_table_that_asks_for_what_there_is_not_is_refused(tmp_path: Path, text: str, message: str) -> None:
    table = tmp_path / "table.csv"
    table.write_text(text)
    with pytest.raises((MediaError, ActionUnitError, FaceError), match=message):
        tasks_of_table(table, AUS)


def test_what_a_row_draws_does_not_depend_on_other_rows(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("photo,AU12,AU04\na.png,0.1..0.9,-0.5..+0.5\nb.png,0.1..0.9,\n")
    both = tasks_of_table(table, AUS, seed=5)
    table.write_text("photo,AU12,AU04\na.png,1,1\nb.png,0.1..0.9,\n")
    assert tasks_of_table(table, AUS, seed=5)[1].requests == both[1].requests
    assert both[0].requests[1].relative
    assert both[0].requests[0].value != both[1].requests[0].value


def test_bad_batches_are_refused_in_one_line(album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / batch.MANIFEST).write_text("name,value\na,b\n")
    (album / "t.csv").write_text("photo,AU12\none.png,1\n")
    walls = tmp_path / "walls"
    walls.mkdir()
    (walls / "wall.jpg").write_bytes((album / "wall.jpg").read_bytes())
    for words, message in (
        ([tmp_path / "empty", "-o", tmp_path / "o", "--au", "AU12=1"], "no photos in this folder"),
        ([album, "-o", tmp_path / "file", "--au", "AU12=1"], "many photos are written to a folder"),
        ([album, "-o", tmp_path / "other", "--au", "AU12=1"], "not a manifest of ours"),
        ([album, "-o", tmp_path / "o", "--au", "AU12=1", "--jobs", "-1"], "--jobs -1"),
        ([album / "t.csv", "-o", tmp_path / "o", "--au", "AU12=1"], "says what is asked"),
        ([walls, "-o", tmp_path / "o", "--au", "AU12=1"], "none of the 1 photos could be edited"),
    ):
        assert main(["edit", *map(str, words)]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert message in lines[-1]


def test_names_that_are_no_text_are_edited_and_noted(album: Path, tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9.png")
    (album / "one.png").rename(album / odd)
    words = ["edit", str(album), "-o", str(tmp_path / "out"), "--au", "AU12=0.8", "--jobs", "1"]
    assert main(words) == 0
    assert (tmp_path / "out" / odd).exists()
    rows = {Path(row["photo"]).name: row for row in manifest(tmp_path / "out")}
    assert rows[r"caf\xe9.png"]["output"] == r"caf\xe9.png"
    before = (tmp_path / "out" / odd).stat().st_mtime_ns
    assert main(words) == 0
    assert (tmp_path / "out" / odd).stat().st_mtime_ns == before  # it was known again


def test_what_changes_nothing_is_counted(album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = Editor(threads=1).read(album / "one.png")[0].aus["AU12"]
    assert main(["edit", str(album), "-o", str(tmp_path / "out"), "--au", f"AU12={shown:.4f}"]) == 0
    assert "2 pictures are as they were: what was asked changes no pixel" in capsys.readouterr().err
    assert [row["note"] for row in manifest(tmp_path / "out") if row["output"]] == [batch.UNCHANGED] * 2


def test_ctrl_c_ends_a_batch_in_which_a_thread_hangs(album: Path, tmp_path: Path) -> None:
    code = (
        "import sys, threading\n"
        "from ganimation import cli\n"
        "from ganimation.editing import batch\n"
        "from ganimation.editing.editor import Editor\n"
        "batch.GRACE, edit, seen = 1.0, Editor.edit, []\n"
        "def hang(self, photo, *rest):\n"
        "    if seen:\n"
        "        print('hangs', flush=True)\n"
        "        threading.Event().wait()\n"
        "    seen.append(1)\n"
        "    return edit(self, photo, *rest)\n"
        "Editor.edit = hang\n"
        "cli.console()"
    )
    out = tmp_path / "out"
    words = ["edit", str(album), "-o", str(out), "--au", "AU12=0.8", "--jobs", "1"]
    command = [sys.executable, "-c", code, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "hangs\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr is not None
        assert process.stderr.read() == "ganimation: stopped\n"
    assert len([row for row in manifest(out) if row["output"]]) == 1
