import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from ganimation.editing.backends import Array, Backend, load_backend
from ganimation.editing.editor import Editor
from ganimation.errors import ModelError
from ganimation.media.images import read_image
from ganimation.model import CONFIG, ONNX, ModelConfig, bundled

NAMES = ("onnxruntime", "openvino", "torch")


@pytest.fixture(scope="module")
def asked(portrait: Path) -> tuple[Array, Array]:
    """A face and a smile."""
    config = ModelConfig.read(bundled())
    crop = cv2.resize(read_image(portrait).pixels, (config.size, config.size), interpolation=cv2.INTER_AREA)
    told = np.zeros((1, len(config.aus)), np.float32)
    told[0, config.aus.index("AU12")] = 0.7
    return np.ascontiguousarray((np.asarray(crop, np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]), told


@pytest.fixture(scope="module")
def load() -> Callable[..., Backend]:
    def load(name: str, **options: str) -> Backend:
        if name == "openvino":
            pytest.importorskip("openvino", reason="the extra openvino is not installed")
        return load_backend(bundled(), ModelConfig.read(bundled()), name, 1, **options)

    return load


def psnr(one: Array, two: Array) -> float:
    return float(10 * np.log10(4 / np.square(one - two).mean()))


def test_all_backends_draw_the_same(load: Callable[..., Backend], asked: tuple[Array, Array]) -> None:
    answers = [load(name)(*asked) for name in NAMES]
    for answer in answers[1:]:
        for found, expected in zip(answer, answers[0], strict=True):
            assert found == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("name", ["openvino", "torch"])
def test_bfloat16_is_close_to_float32(
    name: str, load: Callable[..., Backend], asked: tuple[Array, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    exact, rough = load(name)(*asked), load(name, precision="bfloat16")(*asked)
    source = asked[0]
    results = [(1 - drawn.attention) * drawn.color + drawn.attention * source for drawn in (exact, rough)]
    assert 45 < psnr(*results) < 100


@pytest.mark.parametrize("name", NAMES)
def test_threads_do_not_mix_their_faces(name: str, load: Callable[..., Backend], asked: tuple[Array, Array]) -> None:
    backend, (source, told) = load(name), asked
    sources = [source, source[..., ::-1].copy(), -source]
    alone = [backend(each, told).color for each in sources]
    with ThreadPoolExecutor(3) as pool:
        for _ in range(4):
            together = pool.map(lambda each: backend(each, told).color, sources)
            assert all(np.array_equal(one, two) for one, two in zip(alone, together, strict=True))


@pytest.mark.parametrize(
    ("backend", "precision", "message"),
    [
        ("tpu", "float32", "unknown backend 'tpu'; it is one of auto, onnxruntime, openvino, torch"),
        ("torch", "float8", "unknown precision 'float8'; it is one of float32, bfloat16"),
        ("onnxruntime", "bfloat16", "onnxruntime computes no bfloat16"),
    ],
)
def test_what_cannot_be_computed_is_said(backend: str, precision: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Editor(backend=backend, precision=precision)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_damaged_model_is_named(name: str, tmp_path: Path) -> None:
    pytest.importorskip(name)
    shutil.copyfile(bundled() / CONFIG, tmp_path / CONFIG)
    with pytest.raises(ModelError, match="missing; export the model again"):
        Editor(tmp_path, name)
    (tmp_path / ONNX).write_bytes((bundled() / ONNX).read_bytes()[:1000])
    with pytest.raises(ModelError, match="damaged"):
        Editor(tmp_path, name)
    fewer = (bundled() / CONFIG).read_text().replace('"AU45"', '"AU23"').replace('"AU01",', "")
    (tmp_path / CONFIG).write_text(fewer)
    shutil.copyfile(bundled() / ONNX, tmp_path / ONNX)
    with pytest.raises(ModelError, match="does not fit its config of 15 AUs"):
        Editor(tmp_path, name)
