import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from ganimation.data.dataset import FaceDataset
from ganimation.errors import TrainingError
from ganimation.faces.geometry import LIPS, opening
from ganimation.training.batches import Batches, draw_targets
from ganimation.training.config import Phase, TargetMix
from tests.training.tiny import TINY

HALF = Phase("x", steps=1, paired=0.5)


def same(first: object, second: object) -> bool:
    return all(torch.equal(getattr(first, f), getattr(second, f)) for f in ("source", "target_aus", "truth", "mix"))


def test_batches_depend_on_seed_step_and_update_alone(dataset: Path) -> None:
    faces = FaceDataset(dataset)
    batches = Batches(faces, TINY)
    first = batches.draw(5, 1, HALF)
    batches.draw(6, 0, HALF)
    assert same(first, batches.draw(5, 1, HALF))
    assert same(first, Batches(faces, TINY).draw(5, 1, HALF))
    assert not same(first, batches.draw(5, 2, HALF))
    assert not same(first, Batches(faces, dataclasses.replace(TINY, seed=1)).draw(5, 1, HALF))


def test_processes_share_the_batch_of_one(dataset: Path) -> None:
    faces = FaceDataset(dataset)
    whole = Batches(faces, TINY).draw(0, 0, HALF)
    parts = [Batches(faces, TINY, rank, 2).draw(0, 0, HALF) for rank in (0, 1)]
    for rank, part in enumerate(parts):
        assert torch.equal(part.source, whole.source[rank::2])
        assert torch.equal(part.mix, whole.mix[rank::2])


def test_pairs_are_of_one_session_and_the_truth_is_the_target(dataset: Path) -> None:
    faces = FaceDataset(dataset)
    plain = dataclasses.replace(TINY, augment=False, batch=8)
    batch = Batches(faces, plain).draw(0, 0, Phase("x", steps=1, paired=1.0))
    assert batch.known.all()
    pictures = torch.from_numpy(np.stack([faces.image(row) for row in range(6)])).permute(0, 3, 1, 2) / 127.5 - 1
    for image, truth, aus, asked in zip(batch.source, batch.truth, batch.source_aus, batch.target_aus, strict=True):
        found = [
            min(range(12), key=lambda i: float((torch.cat([pictures, pictures.flip(3)])[i] - x).abs().mean()))
            for x in (image, truth)
        ]
        source, target = (i % 6 for i in found)
        assert found[0] // 6 == found[1] // 6  # mirrored together
        assert source != target
        assert faces.sessions[source] == faces.sessions[target]
        assert torch.equal(aus, torch.from_numpy(faces.aus[source]))
        assert torch.equal(asked, torch.from_numpy(faces.aus[target]))


def changed_columns(targets: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Return which AU of each row was changed."""
    return np.asarray((targets != source).argmax(axis=1))


def test_target_mix() -> None:
    rng = np.random.default_rng(0)
    source = rng.uniform(0, 1, (4000, 5)).astype(np.float32)
    other = rng.uniform(0, 1, (4000, 5)).astype(np.float32)
    top = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    alike, emphasis = [1.0] * 5, [1.0, 1.0, 6.0, 1.0, 1.0]
    targets, same = draw_targets(rng, source, other, top, TargetMix(photo=0, single=0.8, blend=0, same=0.2), alike)
    assert 0.17 < same.mean() < 0.23
    assert np.array_equal(targets[same], source[same])
    changed = targets[~same] != source[~same]
    assert (changed.sum(axis=1) == 1).all()
    assert (targets[~same][changed] <= np.broadcast_to(top, changed.shape)[changed]).all()
    further, _ = draw_targets(rng, source, other, top, TargetMix(photo=0, single=1, reach=4), alike)
    assert (further[:, 0] > top[0])[changed_columns(further, source) == 0].mean() > 0.6
    assert further.max() <= 1
    often, _ = draw_targets(rng, source, other, top, TargetMix(photo=0, single=1), emphasis)
    assert (changed_columns(often, source) == 2).mean() == pytest.approx(0.6, abs=0.05)
    noisy, _ = draw_targets(rng, source, other, top, TargetMix(noise=0.1), alike)
    assert np.abs(noisy - other).max() <= 0.1 + 1e-6
    assert 0 <= noisy.min() <= noisy.max() <= 1
    between, _ = draw_targets(rng, source, other, top, TargetMix(photo=0, blend=1), alike)
    assert ((between >= np.minimum(source, other) - 1e-6) & (between <= np.maximum(source, other) + 1e-6)).all()


def test_what_cannot_be_drawn_is_said(dataset: Path, photos: Path, tmp_path: Path) -> None:
    from ganimation.data.prepare import prepare

    prepare(photos, tmp_path / "faces", size=64, jobs=1)
    with pytest.raises(TrainingError, match=r"no two faces of the data set share .* --set paired=0"):
        Batches(FaceDataset(tmp_path / "faces"), TINY)


def test_what_is_erased_is_mostly_open_mouths(dataset: Path) -> None:
    faces = FaceDataset(dataset)
    heights = np.array([opening(faces.landmarks(row), LIPS) for row in range(len(faces))])
    plain = dataclasses.replace(TINY, augment=False, batch=64)
    batch = Batches(faces, plain).draw(0, 0, Phase("x", steps=1, erased=1.0))
    assert batch.erased.all()
    assert torch.equal(batch.truth, batch.source)
    assert torch.equal(batch.source_aus, batch.target_aus)
    drawn = [int((torch.from_numpy(faces.aus) - aus).abs().sum(dim=1).argmin()) for aus in batch.source_aus]
    assert heights[drawn].mean() > heights.mean()


def test_shut_mouths_are_asked_to_open(dataset: Path) -> None:
    faces = FaceDataset(dataset)
    batch = Batches(faces, dataclasses.replace(TINY, augment=False, batch=64)).draw(0, 0, Phase("x", opened=0.5))
    parts, jaw = (faces.info.aus.index(code) for code in ("AU25", "AU26"))
    opened, others = batch.target_aus[:32], batch.target_aus[32:]
    assert float(opened[:, parts].min()) >= 0.2
    assert float(opened[:, parts].mean()) > float(others[:, parts].mean()) + 0.2
    assert 0.3 < float((opened[:, jaw] != batch.source_aus[:32, jaw]).float().mean()) < 0.9
    holes = (batch.geometry[:, 5] - batch.geometry[:, 6]).clamp_min(0).flatten(1).sum(dim=1)
    assert float(holes[:32].median()) > float(holes[32:].median())
    assert not batch.known[:32].any()
