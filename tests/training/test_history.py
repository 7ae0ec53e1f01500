import numpy as np
import torch

from ganimation.training.history import History


def numbered(first: int, count: int = 4) -> torch.Tensor:
    return torch.arange(first, first + count).float()[:, None, None, None].expand(-1, 3, 2, 2).contiguous()


def test_without_room_everything_is_handed_through() -> None:
    batch = numbered(0)
    assert History(0).exchange(batch, np.random.default_rng(0)) is batch


def test_half_of_a_batch_is_of_the_past_and_takes_its_place() -> None:
    history, rng = History(6), np.random.default_rng(0)
    assert torch.equal(history.exchange(numbered(0), rng), numbered(0))
    assert torch.equal(history.exchange(numbered(10), rng), numbered(10))
    assert history.images is not None
    assert history.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 10, 11]
    shown = history.exchange(numbered(20), rng)[:, 0, 0, 0].tolist()
    assert set(shown[:2]) <= {0, 1, 2, 3, 10, 11}
    assert len(set(shown[:2])) == 2
    assert shown[2:] == [22, 23]
    kept = history.images[:, 0, 0, 0].tolist()
    assert sorted([*kept, *shown[:2]]) == [0, 1, 2, 3, 10, 11, 20, 21]


def test_what_is_kept_is_no_view_of_the_batch() -> None:
    history, batch = History(4), numbered(0)
    history.exchange(batch, np.random.default_rng(0))
    batch.zero_()
    assert history.images is not None
    assert history.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
