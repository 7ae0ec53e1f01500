"""A quick part of the campaign of faults; scripts/faults runs the long one."""

import random

import pytest

from tests.faults import campaign


@pytest.mark.parametrize("kind", list(campaign.KINDS))
def test_damaged_input_is_taken_or_refused_in_one_line(kind: str) -> None:
    (outcome,) = campaign.run([kind], 40, seed=1)
    assert outcome.failures == []
    assert outcome.tried == 40
    assert outcome.counts[campaign.REFUSED] >= 5  # the damage is real


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
