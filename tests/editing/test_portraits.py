"""A face that is drawn: what training composes in torch is what editing composes, finer."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ganimation.editing.backends import Network
from ganimation.editing.portraits import MusclePortrait, PortraitFactory
from ganimation.faces.crop import apply, cut
from ganimation.faces.geometry import visible
from ganimation.faces.pose import expect, pose
from ganimation.faces.reader import FaceReader
from ganimation.media.images import read_image
from ganimation.model import ModelConfig
from ganimation.networks.build import build_generator
from ganimation.networks.muscles import Muscles

Face = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def face(portrait: Path, model: Path, reader: FaceReader) -> Face:
    """Crop, landmarks, and what it shows."""
    config, photo = ModelConfig.read(model), read_image(portrait).pixels
    (found,) = reader.read(photo)
    transform = found.crop_from_photo(config.size, config.template)
    shown = np.array([found.aus[code] for code in config.aus])
    return cut(photo, transform, config.size), apply(transform, found.points), shown


def draw(model: Path, face: Face, change: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    config = ModelConfig.read(model)
    target = face[2] + np.array([change.get(code, 0.0) for code in config.aus])
    drawn = PortraitFactory(model, config, "torch", 1).portrait(*face).draw([target])
    return drawn.color, drawn.attention


def test_training_and_editing_compose_alike(model: Path, face: Face) -> None:
    """At one size, where nothing is enlarged."""
    safetensors = pytest.importorskip("safetensors.torch")
    config = ModelConfig.read(model)
    alike = ModelConfig(config.aus, config.network_size, config.condition, config.generator, detail=1)
    generator = build_generator(config.generator, len(config.aus))
    generator.load_state_dict(
        {name: value.float() for name, value in safetensors.load_file(model / "generator.safetensors").items()}
    )
    assert isinstance(generator, Muscles)
    crop, points, shown = face
    ratio = config.network_size / config.size
    small = np.ascontiguousarray(crop[::2, ::2]).astype(np.float32) / 127.5 - 1
    points = (points + 0.5) * ratio - 0.5
    target = np.clip(shown + np.where(np.isin(config.aus, ("AU12", "AU25", "AU05")), 0.6, 0.0), 0, 1)

    def shading(source: np.ndarray, guide: np.ndarray) -> tuple[np.ndarray]:
        return (generator.shading(*(torch.from_numpy(x) for x in (source, guide))).numpy(),)

    def restorer(*seen: np.ndarray) -> tuple[np.ndarray]:
        return (generator.restorer(*(torch.from_numpy(x) for x in seen)).numpy(),)

    with torch.inference_mode():
        networks: dict[str, Network] = {"generator.onnx": shading, "restorer.onnx": restorer}
        drawn = MusclePortrait(networks, alike, small, points, shown).draw([target])
        seen = visible(points)
        maps = pose(seen, expect(seen, shown, target, config.aus), config.network_size)
        color, hole, *_ = generator(
            torch.from_numpy(small.transpose(2, 0, 1)[None].copy()),
            torch.from_numpy((target - shown)[None].astype(np.float32)),
            torch.from_numpy(maps.transpose(2, 0, 1)[None].copy()),
        )
    assert drawn.moved is not None
    assert 1 - drawn.moved.share == pytest.approx(hole[0, 0].numpy(), abs=1e-5)
    difference = np.abs(drawn.color - color[0].permute(1, 2, 0).numpy())
    assert difference.mean() < 1e-3  # OpenCV interpolates in 32nds of a pixel
    assert np.quantile(difference, 0.99) < 0.03


def test_nothing_asked_is_the_face_itself(model: Path, face: Face) -> None:
    color, attention = draw(model, face, {})
    assert color == pytest.approx(face[0].astype(np.float32) / 127.5 - 1, abs=1e-5)
    assert (attention == 1).all()


def test_the_mask_says_where_and_not_how_much(model: Path, face: Face) -> None:
    little, much = draw(model, face, {"AU12": 0.05}), draw(model, face, {"AU12": 0.6})
    assert little[1].min() < 0.1
    assert np.abs(little[1] - much[1]).mean() < 0.05
    size = len(face[0])
    assert (much[1][: size // 8] == 1).mean() > 0.8
    source = face[0].astype(np.float32) / 127.5 - 1
    assert np.abs(little[0] - source).mean() < 0.25 * np.abs(much[0] - source).mean()


def test_a_portrait_computes_its_fields_once(model: Path, face: Face) -> None:
    config = ModelConfig.read(model)
    calls = []

    def shading(source: np.ndarray, guide: np.ndarray) -> tuple[np.ndarray]:
        calls.append(source.shape)
        return (np.zeros((1, len(config.aus), *source.shape[2:]), np.float32),)

    def restorer(window: np.ndarray, hole: np.ndarray, aperture: np.ndarray) -> tuple[np.ndarray]:
        return (window,)

    crop, points, shown = face
    networks: dict[str, Network] = {"generator.onnx": shading, "restorer.onnx": restorer}
    portrait = MusclePortrait(networks, config, crop.astype(np.float32) / 127.5 - 1, points, shown)
    for level in (0.1, 0.5, 0.9):
        target = shown.copy()
        target[config.aus.index("AU04")] = level
        portrait.draw([target])
    assert len(calls) == 1
