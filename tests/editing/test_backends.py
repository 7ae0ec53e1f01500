import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ganimation.editing.backends import Array
from ganimation.editing.editor import Editor
from ganimation.editing.portraits import PortraitFactory
from ganimation.errors import ModelError
from ganimation.faces.crop import apply, cut
from ganimation.faces.reader import FaceReader
from ganimation.media.images import read_image
from ganimation.model import CONFIG, ONNX, RESTORER, ModelConfig, bundled, hash_weights

NAMES = ("onnxruntime", "openvino", "torch")


@pytest.fixture(scope="module")
def face(portrait: Path) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The crop of a face and its landmarks."""
    config, photo = ModelConfig.read(bundled()), read_image(portrait).pixels
    (found,) = FaceReader(1).read(photo)
    transform = found.crop_from_photo(config.size, config.template)
    return cut(photo, transform, config.size), apply(transform, found.points)


@pytest.fixture(scope="module")
def load() -> Callable[..., Callable[..., Array]]:
    """Return what edits a crop by a backend: (1 - A) * C + A * crop, in [-1, 1]."""

    def load(name: str, **options: str) -> Callable[..., Array]:
        if name == "openvino":
            pytest.importorskip("openvino", reason="the extra openvino is not installed")
        config = ModelConfig.read(bundled())
        painter, shown = PortraitFactory(bundled(), config, name, 1, **options), np.zeros(len(config.aus))
        target = np.array([{"AU12": 0.7, "AU25": 0.8, "AU05": 0.8}.get(code, 0.0) for code in config.aus])

        def edit(crop: NDArray[np.uint8], points: NDArray[np.float64]) -> Array:
            drawn, source = painter.portrait(crop, points, shown).draw([target]), crop.astype(np.float32) / 127.5 - 1
            keep = drawn.attention[:, :, None]
            return np.asarray((1 - keep) * drawn.color + keep * source, np.float32)

        return edit

    return load


def psnr(one: Array, two: Array) -> float:
    return float(10 * np.log10(4 / np.square(one - two).mean()))


def test_all_backends_draw_the_same(
    load: Callable[..., Callable[..., Array]], face: tuple[NDArray[np.uint8], NDArray[np.float64]]
) -> None:
    answers = [load(name)(*face) for name in NAMES]
    assert not np.array_equal(answers[0], face[0].astype(np.float32) / 127.5 - 1)
    for answer in answers[1:]:
        assert answer == pytest.approx(answers[0], abs=2e-3)


@pytest.mark.parametrize("name", ["openvino", "torch"])
def test_bfloat16_is_close_to_float32(
    name: str,
    load: Callable[..., Callable[..., Array]],
    face: tuple[NDArray[np.uint8], NDArray[np.float64]],
) -> None:
    exact, rough = load(name)(*face), load(name, precision="bfloat16")(*face)
    assert 45 < psnr(exact, rough) < 100


@pytest.mark.parametrize("name", NAMES)
def test_threads_do_not_mix_their_faces(
    name: str,
    load: Callable[..., Callable[..., Array]],
    face: tuple[NDArray[np.uint8], NDArray[np.float64]],
) -> None:
    edit, (crop, points) = load(name), face
    crops = [crop, 255 - crop, np.roll(crop, 1, axis=2)]
    alone = [edit(each, points) for each in crops]
    with ThreadPoolExecutor(3) as pool:
        for _ in range(4):
            together = pool.map(lambda each: edit(each, points), crops)
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
    shutil.copyfile(bundled() / RESTORER, tmp_path / RESTORER)
    (tmp_path / ONNX).write_bytes((bundled() / ONNX).read_bytes()[:1000])
    with pytest.raises(ModelError, match="damaged"):
        Editor(tmp_path, name)
    fewer = (bundled() / CONFIG).read_text().replace('"AU45"', '"AU23"').replace('"AU01",', "")
    (tmp_path / CONFIG).write_text(fewer)
    shutil.copyfile(bundled() / ONNX, tmp_path / ONNX)
    with pytest.raises(ModelError, match=r"fields is \(1, 16, 128, 128\), its config says \(1, 15, 128, 128\)"):
        Editor(tmp_path, name)


#: In a process of its own: imports what it needs, then forks children that load a backend and infer in two threads.
FIRST_INFERENCES = """
import os, sys, threading, time
import numpy as np, openvino
from pathlib import Path
from ganimation.editing import backends
from ganimation.model import ONNX, ModelConfig

folder, tries = Path(sys.argv[1]), int(sys.argv[2])
config = ModelConfig.read(folder)

def infer_at_once():
    sys.setswitchinterval(1e-6)
    networks, gate = backends.load_networks(folder, config, "openvino", 1), threading.Barrier(2)
    inputs = [np.zeros((1, *shape), np.float32) for shape in config.networks()[ONNX][0].values()]
    def infer():
        gate.wait()
        networks[ONNX](*inputs)
    threads = [threading.Thread(target=infer) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os._exit(0)

for _ in range(tries):
    child = os.fork()
    if not child:
        infer_at_once()
    end = time.monotonic() + 20
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > end:
            os.kill(child, 9)
            sys.exit("locked")
        time.sleep(0.005)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a new process for each try, and fork makes them fast")
def test_first_inferences_of_two_threads_do_not_lock_each_other(model: Path) -> None:
    pytest.importorskip("openvino")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FIRST_INFERENCES, str(model), "200"],
        check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "torch"])
@pytest.mark.parametrize("size", [0, -128, 4, 2048, 66, True, "128", 128.0])
def test_sizes_that_no_model_has_are_refused(name: str, size: object, model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "model")
    content = json.loads((model / CONFIG).read_text()) | {"size": size}
    (tmp_path / "model" / CONFIG).write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"damaged \(size .*a multiple of 4 in 32\.\.1024 pixels"):
        Editor(tmp_path / "model", name)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_network_that_draws_another_shape_is_refused(name: str, model: Path, tmp_path: Path) -> None:
    """As a hostile model would: its weights are the ones that its config names, but it answers with half an image."""
    pytest.importorskip(name)
    onnx = pytest.importorskip("onnx")
    shutil.copytree(model, tmp_path / "model")
    network = onnx.load(model / ONNX)
    for node in network.graph.node:
        for place, output in enumerate(node.output):
            if output == "fields":
                node.output[place] = "whole"
    for number, (value, kind) in enumerate((([0], 7), ([8], 7), ([2], 7))):
        network.graph.initializer.append(onnx.helper.make_tensor(f"at{number}", kind, [1], value))
    network.graph.node.append(onnx.helper.make_node("Slice", ["whole", "at0", "at1", "at2"], ["fields"]))
    onnx.save(network, tmp_path / "model" / ONNX)
    content = json.loads((model / CONFIG).read_text()) | {"files": hash_weights(tmp_path / "model")}
    (tmp_path / "model" / CONFIG).write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"fields is \(1, 16, 8, 64\), its config says \(1, 16, 64, 64\)"):
        Editor(tmp_path / "model", name)
