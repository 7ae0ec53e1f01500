import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ganimation.action_units import DEFAULT_AUS, Request
from ganimation.cli import main
from ganimation.editing.editor import Editor
from ganimation.errors import ActionUnitError, FaceError, MediaError
from ganimation.evaluation import figures
from ganimation.evaluation.figures import FIGURES, LIMITS, SIDE, FigureInput, Sheet
from ganimation.media.images import Photo, read_image

SMILE = (Request("AU12", 0.8), Request("AU06", 0.3, relative=True))


@pytest.fixture(scope="module")
def order(model: Path, portrait: Path) -> FigureInput:
    photo = read_image(portrait)
    return FigureInput(Editor(model, threads=1), [("one", photo), ("two", photo)], SMILE)


@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [
        ("interpolation", 2, 6),
        ("single-aus", 16, 4),
        ("attention", 16, 3),
        ("emotions", 2, 8),
        ("variability", 6, 10),
        ("wild", 2, 2),
        ("limits", 2, 4),
    ],
)
def test_each_figure_has_its_pictures_and_labels(order: FigureInput, name: str, rows: int, columns: int) -> None:
    sheet = FIGURES[name](order)
    assert [len(row) for row in sheet.rows] == [columns] * rows
    assert len(sheet.row_labels) in (0, rows)
    assert len(sheet.column_labels) in (0, columns)
    pictures = [picture for row in sheet.rows for picture in row if picture is not None]
    assert len({picture.shape[0] for picture in pictures}) == 1
    first, last = sheet.rows[0][0], sheet.rows[0][1]
    assert first is not None
    assert last is not None
    assert not np.array_equal(first, last)


def test_alpha_0_is_the_photo_and_the_level_0_of_nothing_too(order: FigureInput) -> None:
    sheet = FIGURES["interpolation"](order)
    photo = FIGURES["emotions"](order).rows[0][0]
    assert photo is not None
    assert sheet.rows[0][0] is not None
    assert np.array_equal(sheet.rows[0][0], photo)
    assert sheet.title == "AU12 0.80  AU06 +0.30"


def test_all_seven_emotions_are_drawn_and_contempt_without_the_dimpler_says_so(order: FigureInput) -> None:
    sheet = FIGURES["emotions"](order)
    assert sheet.column_labels[-1] == "contempt\n(AU12R, no AU14)"
    assert all(picture is not None for picture in sheet.rows[0])


def test_a_comparison_has_a_row_a_method(order: FigureInput) -> None:
    sheet = FIGURES["comparison"](dataclasses.replace(order, others=(("again", order.editor),)))
    assert list(sheet.row_labels) == [order.editor.name, "again"] * 2
    assert list(sheet.column_labels)[:2] == ["photo", "happiness"]
    assert len(sheet.rows[0]) == 8
    for first, second in zip(*sheet.rows[:2], strict=True):
        assert first is not None
        assert second is not None
        assert np.array_equal(first, second)


def test_failures_come_last(order: FigureInput) -> None:
    sheet = FIGURES["limits"](order)
    assert sheet.captions is not None
    gains = [float(sheet.captions[row, 1].split()[1]) for row in range(2)]
    assert gains == sorted(gains, reverse=True)


def test_random_expressions_move_at_least_14_aus_and_follow_the_seed() -> None:
    for seed in range(20):
        expression = figures.random_expression(DEFAULT_AUS, np.random.default_rng(seed))
        assert sum(request.value > 0 for request in expression) >= 14
        assert all(0 <= request.value <= 1 for request in expression)
        assert expression == figures.random_expression(DEFAULT_AUS, np.random.default_rng(seed))
        assert expression != figures.random_expression(DEFAULT_AUS, np.random.default_rng(seed + 1))


@pytest.mark.parametrize(("suffix", "head"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")])
def test_sheets_are_written(tmp_path: Path, suffix: str, head: bytes) -> None:
    picture = np.full((SIDE, SIDE, 3), 99, np.uint8)
    sheet = Sheet([[picture, None], [picture, picture]], ["a", "b"], ["x", "y"], "title", {(0, 0): "caption"})
    figures.save(sheet, tmp_path / f"figure{suffix}")
    assert (tmp_path / f"figure{suffix}").read_bytes().startswith(head)


def test_letters_of_a_pdf_stay_letters(order: FigureInput, tmp_path: Path) -> None:
    figures.save(Sheet([[np.zeros((8, 8, 3), np.uint8)]], ["AU12"]), tmp_path / "figure.svg")
    assert "<text" in (tmp_path / "figure.svg").read_text()


def test_interpolation_moves(order: FigureInput, tmp_path: Path) -> None:
    figures.draw("interpolation", order, tmp_path / "figure.gif")
    assert (tmp_path / "figure.gif").read_bytes()[:4] == b"GIF8"


def test_what_cannot_be_drawn_is_said(order: FigureInput, tmp_path: Path) -> None:
    with pytest.raises(ActionUnitError, match="unknown figure 'fig4'; it is one of interpolation, single-aus"):
        figures.draw("fig4", order, tmp_path / "figure.png")
    with pytest.raises(MediaError, match="the figure wild does not move"):
        figures.draw("wild", order, tmp_path / "figure.gif")
    with pytest.raises(MediaError, match=r"figure.txt"):
        figures.draw("wild", order, tmp_path / "figure.txt")
    wall = FigureInput(order.editor, [("wall", Photo(np.zeros((64, 64, 3), np.uint8)))], SMILE)
    for name in FIGURES:
        with pytest.raises(FaceError):
            figures.draw(name, wall, tmp_path / "figure.png")
    assert list(tmp_path.iterdir()) == []


def test_limits_are_titled_as_in_the_paper(model: Path, portrait: Path, tmp_path: Path) -> None:
    photo = read_image(portrait)
    editor = Editor(model, threads=1)
    names = ["animal", "mine.jpg", "sketch", "sculpture"]
    order = FigureInput(editor, [(name, photo) for name in names], editor.emotion("happiness"))
    assert FIGURES["limits"](order).row_labels == [LIMITS["sculpture"], LIMITS["sketch"], LIMITS["animal"], "mine.jpg"]
    assert [text.split(":")[0] for text in LIMITS.values()] == ["success"] * 6 + ["failure"] * 3
    words = [f"sketch={portrait}", str(portrait), "-o", str(tmp_path / "limits.png"), "--model", str(model)]
    assert main(["figure", "limits", *words]) == 0
    assert (tmp_path / "limits.png").stat().st_size > 10_000
