"""The command line as a person uses it: real files, real models, exit statuses and one line for bad input."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from ganimation.action_units import DEFAULT_AUS, EMOTIONS
from ganimation.cli import main
from ganimation.media.clip import Clip
from ganimation.media.images import read_image


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that must fail; return its one line."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def test_edit(model: Path, portrait: Path, tmp_path: Path) -> None:
    out = tmp_path / "smile.png"
    assert main(["edit", str(portrait), "--au", "AU12=0.8", "AU26=+0.5", "--model", str(model), "-o", str(out)]) == 0
    source, edited = read_image(portrait).pixels, read_image(out).pixels
    assert edited.shape == source.shape
    assert not np.array_equal(edited, source)


def test_edit_asking_nothing_copies_the_file(model: Path, portrait: Path, tmp_path: Path) -> None:
    out = tmp_path / "same.jpg"
    assert main(["edit", str(portrait), "--model", str(model), "-o", str(out)]) == 0
    assert out.read_bytes() == portrait.read_bytes()


def test_expression_sources_add_up(model: Path, portrait: Path, tmp_path: Path) -> None:
    """--au overrides --expression, which overrides --emotion."""
    (tmp_path / "x.json").write_text(json.dumps({"AU26": 0.3, "AU04": 0.4}))
    base = ["edit", str(portrait), "--model", str(model)]
    many = [*base, "--emotion", "surprise", "--expression", str(tmp_path / "x.json"), "--au", "AU04=0.9"]
    assert main([*many, "-o", str(tmp_path / "a.png")]) == 0
    explicit = dict(EMOTIONS["surprise"]) | {"AU26": 0.3, "AU04": 0.9}
    rest = {code: 0.0 for code in DEFAULT_AUS if code not in explicit and code != "AU45"}
    aus = [f"{code}={value}" for code, value in (explicit | rest).items()]
    assert main([*base, "--au", *aus, "-o", str(tmp_path / "b.png")]) == 0
    assert np.array_equal(read_image(tmp_path / "a.png").pixels, read_image(tmp_path / "b.png").pixels)


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webp"])
def test_animate(model: Path, portrait: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"film{suffix}"
    arguments = [
        "--emotion",
        "happiness",
        "--seconds",
        "0.4",
        "--max-side",
        "200",
        "--model",
        str(model),
        "-o",
        str(out),
    ]
    assert main(["animate", str(portrait), *arguments]) == 0
    if suffix == ".mp4":
        with av.open(out) as film:
            frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert len(frames) == 10
        assert frames[0].shape == (200, 200, 3)
    else:
        with Image.open(out) as picture:
            assert picture.n_frames >= 5  # type: ignore[attr-defined]  # Pillow merges frames that are alike


def test_read(portrait: Path, sheet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", str(portrait), str(sheet), "--json"]) == 0
    photos = json.loads(capsys.readouterr().out)
    assert [photo["photo"] for photo in photos] == [str(portrait), str(sheet)]
    assert [len(photo["faces"]) for photo in photos] == [1, 16]
    face = photos[0]["faces"][0]
    assert face.keys() == {"box", "score", "certainty", "yaw", "roll", "doubt", "aus"}
    assert list(face["aus"]) == list(DEFAULT_AUS)
    assert main(["read", str(portrait), str(sheet), "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 17
    assert float(rows[0]["AU12"]) == pytest.approx(face["aus"]["AU12"], abs=1e-4)
    assert main(["read", str(portrait)]) == 0
    assert "face 1 at" in capsys.readouterr().out


def test_from_photos_to_a_model(photos: Path, labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """prepare, train with the smallest real preset for a few steps, resume, export, edit."""
    faces, run, model = (str(tmp_path / name) for name in ("faces", "run", "model"))
    assert main(["prepare", str(photos), "-o", faces, "--size", "64", "--labels", str(labels), "--jobs", "1"]) == 0
    assert "6 train, 2 validation" in capsys.readouterr().out
    train = ["train", faces, "-o", run, "--steps", "4", "--accelerator", "cpu", "--precision", "32-true"]
    assert main(train) == 0
    before = (Path(run) / "metrics.jsonl").read_text()
    assert len(before.splitlines()) == 4
    assert main(train) == 0
    assert (Path(run) / "metrics.jsonl").read_text() == before
    capsys.readouterr()
    assert "training.seed was 0 and is 5" in fails(capsys, *train, "--seed", 5)
    assert "seed=-1" in fails(capsys, *train, "--seed", -1)
    assert main(["export", run, "-o", model]) == 0
    assert {path.name for path in Path(model).iterdir()} == {
        "config.json", "generator.safetensors", "critic.safetensors", "generator.onnx", "restorer.onnx", "README.md",
    }  # fmt: skip
    assert main(["export", run, "-o", model]) == 0
    photo = photos / "person0" / "studio_portrait.jpg"
    assert main(["edit", str(photo), "--au", "AU12=1", "--model", model, "-o", str(tmp_path / "out.png")]) == 0


def test_bad_photos(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out" / "x.png"
    out.parent.mkdir()
    (tmp_path / "text.jpg").write_text("hello")
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    Image.new("1", (30_000, 30_000)).save(tmp_path / "huge.png")
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "noise.jpg"), noise)
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "noise.jpg").read_bytes()[:5000])
    for name, reason in (
        ("text.jpg", "not a picture"),
        ("cut.jpg", "cut short"),
        ("dot.png", "1x1 is too small"),
        ("huge.png", "--max-megapixels raises it"),
        ("noise.jpg", "no face found"),
        ("missing.jpg", "no such file"),
    ):
        line = fails(capsys, "edit", tmp_path / name, "--au", "AU12=0.5", "--model", model, "-o", out)
        assert reason in line
        film = out.with_suffix(".mp4")
        assert reason in fails(capsys, "animate", tmp_path / name, "--au", "AU12=0.5", "--model", model, "-o", film)
    assert list(out.parent.iterdir()) == []
    assert "no such file" in fails(capsys, "read", tmp_path / "missing.jpg")
    assert "--max-megapixels nan" in fails(capsys, "read", tmp_path / "dot.png", "--max-megapixels", "nan")


def test_bad_requests(model: Path, portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "x.png"
    base = ("edit", portrait, "--model", model, "-o", out)
    assert "did you mean" in fails(capsys, *base, "--au", "AUX=0.5")
    assert "AU12=3: an intensity lies in [0, 1]" in fails(capsys, *base, "--au", "AU12=3")
    assert "AU14 (dimpler) is not one of this model's" in fails(capsys, *base, "--au", "AU14=0.5")
    assert "did you mean happiness" in fails(capsys, *base, "--emotion", "happines")
    assert "strength 1.6" in fails(capsys, *base, "--emotion", "anger", "--strength", 1.6)
    assert "face 2: the photo has 1" in fails(capsys, *base, "--au", "AU12=0.5", "--face", 2)
    assert "--face left" in fails(capsys, *base, "--au", "AU12=0.5", "--face", "left")
    assert "cannot read" in fails(capsys, *base, "--expression", tmp_path / "none.json")
    assert "unknown backend" in fails(capsys, *base, "--backend", "abacus")
    assert "no such model folder" in fails(capsys, "edit", portrait, "--model", tmp_path / "none", "-o", out)
    assert "cannot write .xyz" in fails(capsys, "edit", portrait, "--model", model, "-o", tmp_path / "x.xyz")
    assert "no such folder" in fails(capsys, "edit", portrait, "--model", model, "-o", tmp_path / "no" / "x.png")
    assert "cannot write .png" in fails(capsys, "animate", portrait, "--model", model, "-o", out)
    film = ("animate", portrait, "--model", model, "-o", tmp_path / "x.mp4", "--au", "AU12=1")
    assert "--max-side 3" in fails(capsys, *film, "--max-side", 3)
    assert "-1 seconds" in fails(capsys, *film, "--seconds", -1)
    assert "unknown easing" in fails(capsys, *film, "--easing", "bouncy")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_output(model: Path, portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tmp_path.chmod(0o500)
    assert "not writable" in fails(capsys, "edit", portrait, "--model", model, "-o", tmp_path / "x.png")
    tmp_path.chmod(0o700)


def test_an_output_that_refuses_late(
    model: Path, portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a read-only or full file system answers when the file is made, whoever runs the command."""

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    line = fails(capsys, "edit", portrait, "--au", "AU12=1", "--model", model, "-o", tmp_path / "x.png")
    assert "Read-only file system" in line
    assert "choose another place" in line
    line = fails(capsys, "animate", portrait, "--au", "AU12=1", "--model", model, "-o", tmp_path / "x.mp4")
    assert "Read-only file system" in line


def test_bad_folders(dataset: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such folder of photos" in fails(capsys, "prepare", tmp_path / "none", "-o", tmp_path / "x")
    assert "not a data set" in fails(capsys, "train", tmp_path / "none", "-o", tmp_path / "x")
    assert "unknown preset" in fails(capsys, "train", dataset, "-o", tmp_path / "x", "--preset", "huge")
    assert "--steps 0" in fails(capsys, "train", dataset, "-o", tmp_path / "x", "--steps", 0)
    assert "not a run" in fails(capsys, "export", tmp_path / "none", "-o", tmp_path / "x")
    cpu = ("--accelerator", "cpu", "--devices", "zero")
    assert "cannot train like that" in fails(capsys, "train", dataset, "-o", tmp_path / "x", *cpu)
    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    (broken / "generator.onnx").write_bytes(b"no")
    line = fails(capsys, "edit", "x.jpg", "--model", broken, "-o", tmp_path / "x.png")
    assert "generator.onnx: damaged" in line
    assert not (tmp_path / "x.png").exists()


def test_ctrl_c(
    portrait: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ganimation.editing.editor.Editor.edit", interrupt)
    assert main(["edit", str(portrait), "-o", str(tmp_path / "x.png")]) == 130
    assert capsys.readouterr().err == "ganimation: stopped\n"


def run(words: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ganimation", *words]
    return subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True, timeout=60, **options)


def test_a_reader_that_leaves_is_no_error(portrait: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = run(["read", str(portrait)], stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("form", ["", "--json", "--csv"])
def test_output_that_cannot_be_written_is_said(portrait: Path, form: str) -> None:
    with Path("/dev/full").open("w") as nowhere:
        done = run(["read", str(portrait), *([form] if form else [])], stdout=nowhere)
    assert (done.returncode, done.stderr) == (2, "ganimation: standard output: No space left on device\n")


def test_names_and_numbers_without_measure(
    model: Path, portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = tmp_path / f"{'a' * 300}.jpg"
    out = tmp_path / "out.jpg"
    assert "File name too long" in fails(capsys, "read", long)
    assert "File name too long" in fails(capsys, "verify", long)
    assert "File name too long" in fails(capsys, "edit", long, "-o", out)
    assert "File name too long" in fails(
        capsys, "drive", portrait, "--by", long.with_suffix(".mp4"), "-o", tmp_path / "o.gif"
    )
    assert "a file name of 304 characters" in fails(capsys, "edit", portrait, "-o", long)
    line = fails(capsys, "edit", portrait, "-o", out, "--face", "9" * 5000)
    assert "--face 9999999999999999999999999999999999999999... (5000 characters): write largest" in line
    assert "--face 0: write largest" in fails(capsys, "edit", portrait, "-o", out, "--face", 0)
    for content in ("[" * 100_000, '{"AU12": 1' + "0" * 400 + "}", '{"AU12": NaN}'):
        (tmp_path / "e.json").write_text(content)
        assert "e.json: not JSON" in fails(capsys, "edit", portrait, "--expression", tmp_path / "e.json", "-o", out)
    (tmp_path / "t.csv").write_text("photo,face,AU12\na.png,nan,1\n")
    assert "row 1: face nan: write largest" in fails(capsys, "edit", tmp_path / "t.csv", "-o", tmp_path / "many")
    assert not out.exists()


def test_an_output_that_is_an_input_needs_a_word(
    model: Path, portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.jpg"
    shutil.copy(portrait, mine)
    (tmp_path / "link.jpg").symlink_to(mine)
    before = mine.read_bytes()
    words = ("edit", mine, "--au", "AU12=1", "--model", model)
    for out in (mine, tmp_path / "." / "mine.jpg", tmp_path / "link.jpg"):
        assert "would replace what it is made from; choose another -o, or add --overwrite" in fails(
            capsys, *words, "-o", out
        )
    assert mine.read_bytes() == before
    assert main([*map(str, words), "-o", str(mine), "--overwrite"]) == 0
    assert mine.read_bytes() != before


def test_an_edit_that_changes_nothing_says_so(
    portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["read", "--json", str(portrait)])
    shown = json.loads(capsys.readouterr().out)[0]["faces"][0]["aus"]["AU12"]
    words = ["edit", str(portrait), "-o", str(tmp_path / "o.jpg")]
    assert main([*words, "--au", f"AU12={shown}"]) == 0
    assert capsys.readouterr().err == "ganimation: the photo is as it was: it shows what was asked already\n"
    assert main(words) == 0  # nothing was asked, and nothing is said
    assert capsys.readouterr().err == ""
    assert (
        main(["animate", str(portrait), "--au", f"AU12={shown}", "--seconds", "0.2", "-o", str(tmp_path / "o.webp")])
        == 0
    )
    assert "the film shows nothing new" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with names")
@pytest.mark.parametrize("suffix", [".jpg", ".mp4", ".gif", ".webm", ".tif"])
def test_a_pipe_is_not_waited_for(suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"pipe{suffix}"
    os.mkfifo(path)
    assert "pipe" in fails(capsys, "verify", path)
    assert "pipe" in fails(capsys, "read", path)


def test_presets_are_listed_and_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets"]) == 0
    assert capsys.readouterr().out.split()[:3] == ["paper", "official", "bundled"]
    assert main(["presets", "paper"]) == 0
    assert "adversarial.weights.cycle_form=norm  the l1 ``norm`` as printed" in capsys.readouterr().out
    assert main(["presets", "papre"]) == 2
    assert "unknown preset 'papre'" in capsys.readouterr().err


def test_options_may_come_before_the_photo(portrait: Path, tmp_path: Path) -> None:
    base, out = ["-o", str(tmp_path / "a.png")], tmp_path / "b.png"
    assert main(["edit", "--au", "AU12=0.8", "AU06=-0.1", str(portrait), *base]) == 0
    assert main(["edit", str(portrait), "--au", "AU12=0.8", "--au", "AU06=-0.1", "-o", str(out)]) == 0
    assert (tmp_path / "a.png").read_bytes() == out.read_bytes()


def test_strength_scales_what_has_a_strength(
    portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = fails(capsys, "edit", portrait, "--au", "AU12=0.8", "--strength", "0.5", "-o", tmp_path / "a.png")
    assert line == "ganimation: --strength 0.5: it scales --emotion or --like; of --au change the numbers\n"
    assert not list(tmp_path.iterdir())


def test_a_gif_is_small_and_films_are_thinned(
    portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film, gif, thin = (tmp_path / name for name in ("film.mp4", "film.gif", "thin.mp4"))
    pytest.importorskip("av", reason="the extra films is not installed")
    animate = ["animate", str(portrait), "--emotion", "happiness", "--seconds", "0.6", "--fps", "20", "-o"]
    assert main([*animate, str(film)]) == 0
    assert main([*animate, str(gif)]) == 0
    with Image.open(gif) as picture:
        assert (next(iter(Clip(film))).pixels.shape[:2], picture.size) == ((720, 720), (480, 480))
    assert main(["edit", str(film), "--au", "AU26=0.5", "--fps", "10", "-o", str(thin)]) == 0
    times = [[float(frame.time) for frame in Clip(path)] for path in (film, thin)]
    assert len(times[0]) == 12
    assert times[1] == times[0][::2]
    capsys.readouterr()
    assert main(["verify", str(film)]) == 0
    asked = [line.split() for line in capsys.readouterr().out.splitlines() if "face 1" in line]
    assert [words[2] for words in asked] == ["AU06", "AU12", "AU25"]  # and not the AUs that are asked to be 0
    line = fails(capsys, "edit", film, "--au", "AU26=0.5", "--fps", "0", "-o", tmp_path / "x.mp4")
    assert line == "ganimation: --fps 0: it lies in [1, 120]\n"
