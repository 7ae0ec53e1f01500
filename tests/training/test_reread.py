import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ganimation.data.dataset import FaceDataset
from ganimation.errors import TrainingError
from ganimation.training.reread import Rereader
from tests.training.tiny import GAME, train_tiny


def test_photos_are_read_as_they_were_labelled(dataset: Path) -> None:
    faces = FaceDataset(dataset)
    images = torch.from_numpy(faces.images(np.arange(6), 64)).permute(0, 3, 1, 2) / 127.5 - 1
    read = Rereader(faces.info, threads=1)(images).numpy()
    assert read.shape == faces.aus.shape
    assert np.abs(read - faces.aus).mean() < 0.05
    assert np.corrcoef(read.ravel(), faces.aus.ravel())[0, 1] > 0.9


def test_what_is_no_face_is_nan_and_teaches_nothing(dataset: Path) -> None:
    read = Rereader(FaceDataset(dataset).info, threads=1)(torch.zeros(2, 3, 64, 64))
    assert read.isnan().all()
    assert read.shape == (2, 16)


def test_labels_of_another_hand_are_refused(dataset: Path) -> None:
    info = dataclasses.replace(FaceDataset(dataset).info, annotator="openface")
    with pytest.raises(TrainingError, match=r"from 'openface' .* --set reread_every=0"):
        Rereader(info, threads=1)


def test_the_terms_are_logged_where_it_is_due(dataset: Path, tmp_path: Path) -> None:
    phase = dataclasses.replace(GAME.phases[0], steps=3)
    config = dataclasses.replace(GAME, reread_every=2, batch=4, phases=(phase,))
    lines = (train_tiny(dataset, tmp_path / "run", config) / "metrics.jsonl").read_text().splitlines()
    assert ["critic/reread" in json.loads(line) for line in lines] == [True, False, True]
    assert "mask/obedience" in json.loads(lines[0])
