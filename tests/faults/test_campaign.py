"""A quick part of the campaign of faults; scripts/faults runs the long one."""

import contextlib
import random
from pathlib import Path

import pytest

from ganimation.errors import GanimationError
from tests.faults import campaign, commands


@pytest.mark.parametrize("kind", [kind for kind in campaign.KINDS if kind not in commands.KINDS])
def test_damaged_input_is_taken_or_refused_in_one_line(kind: str) -> None:
    (outcome,) = campaign.run([kind], 40, seed=1)
    assert outcome.failures == []
    assert outcome.tried == 40
    assert outcome.counts[campaign.REFUSED] >= 5  # the damage is real


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands read."""
    folder = tmp_path_factory.mktemp("prepared")
    commands.material(folder)
    return folder


@pytest.mark.parametrize("kind", list(commands.KINDS))
def test_commands_that_are_disturbed_leave_whole_files(kind: str, prepared: Path, tmp_path: Path) -> None:
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        with contextlib.suppress(GanimationError):  # this machine has no such disks
            commands.KINDS[kind](prepared, folder, random.Random(f"{kind} {number}"))


def test_a_file_that_is_cut_short_is_found(prepared: Path, tmp_path: Path) -> None:
    command = commands.COMMANDS["edit"]
    (tmp_path / "out.png").write_bytes((prepared / "photo.png").read_bytes()[:-400])
    with pytest.raises(RuntimeError, match=r"out\.png is not whole"):
        commands.check_files(tmp_path, command, None, done=True)
    (tmp_path / "out.png").unlink()
    with pytest.raises(RuntimeError, match=r"out\.png is gone"):
        commands.check_files(tmp_path, command, None, done=True)


def test_the_same_seed_damages_the_same_bytes_and_nearly_always_some() -> None:
    content = bytes(range(256)) * 8
    one, two = ([campaign.damage(content, random.Random(number)) for number in range(50)] for _ in range(2))
    assert one == two
    assert sum(damaged != content for damaged in one) > 45


def test_what_breaks_the_rule_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("as a bug would")

    monkeypatch.setitem(campaign.KINDS, "texts", fail)
    assert campaign.attempt("texts", "/", 0, 0) == "RuntimeError: as a bug would"
    monkeypatch.setattr(campaign, "SECONDS", -1.0)
    assert campaign.attempt("texts", "/", 0, 0).startswith("over")
