"""478 landmarks, presence and 52 blendshapes of faces: Google's face landmarker, run in batches by ONNX Runtime."""

from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ganimation.assets import read_asset
from ganimation.faces.crop import Transform, apply, cut, invert, similarity

#: Side of the crop that the landmarker sees, in pixels.
SIDE = 256

#: Order of the 52 blendshapes (ARKit's names; the first is a rest class).
BLENDSHAPES = (
    "_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight",
)  # fmt: skip

# Corners of the eye on the picture's left and of the one on its right.
_EYE_CORNERS = ((33, 133), (362, 263))


@dataclass(frozen=True)
class Landmarks:
    """Output of the landmarker for N crops.

    Attributes:
        points: (N, 478, 3) float32; x and y in pixels of the crop, z in the same unit, smaller is nearer.
        presence: (N,) in [0, 1]; below 0.5 there is no usable face.
        blendshapes: (N, 52) logits, in the order of :data:`BLENDSHAPES`.
    """

    points: NDArray[np.float32]
    presence: NDArray[np.float32]
    blendshapes: NDArray[np.float32]


class FaceLandmarker:
    """The face landmarker; safe to share between threads.

    Args:
        threads: of ONNX Runtime; 0 lets it choose.
    """

    def __init__(self, threads: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        model = read_asset("ganimation.faces", "face_landmarker.onnx")
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def __call__(self, crops: NDArray[np.uint8]) -> Landmarks:
        """Return the landmarks of crops, (N, 256, 256, 3) RGB uint8."""
        points, presence, logits = self._session.run(None, {"crop": np.multiply(crops, np.float32(1 / 255))})
        return Landmarks(points, presence, logits)


def region_from_points(points: NDArray[np.floating]) -> Transform:
    """Return the transform from the photo to the landmarker's crop, from the detector's five points."""
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    across, down = points[1] - points[0], mouth - eyes
    # Medians over 600 faces of where region_from_landmarks lies relative to the five points.
    side = max(3.41 * float(np.hypot(*across)), 3.52 * float(np.hypot(*down)))
    return _square(eyes + 0.446 * down, across, side)


def region_from_landmarks(points: NDArray[np.floating]) -> Transform:
    """Return the transform from the photo to the landmarker's crop, from landmarks in pixels of the photo, (478, 2)."""
    eyes = eye_centres(points)
    across = eyes[1] - eyes[0]
    upright = similarity(np.zeros(2), across / np.hypot(*across), np.zeros(2), np.array([1.0, 0.0]))
    turned = apply(upright, points)
    low, high = turned.min(axis=0), turned.max(axis=0)
    return _square(apply(invert(upright), (low + high) / 2), across, 1.5 * float((high - low).max()))


def region_from_eyes(eyes: NDArray[np.floating]) -> Transform:
    """Return the transform to the landmarker's crop where the eyes' centres alone are known, (2, 2)."""
    across = eyes[1] - eyes[0]
    down = np.array([-across[1], across[0]])
    # Medians over 83 faces of where region_from_landmarks lies relative to the eyes.
    return _square(eyes.mean(axis=0) + 0.516 * down, across, 3.98 * float(np.hypot(*across)))


def _square(centre: NDArray[np.floating], across: NDArray[np.floating], side: float) -> Transform:
    """Return the transform that takes a square of ``side`` around ``centre``, its top along ``across``, to the crop."""
    half = across / np.hypot(*across) * side / 2
    middle = (SIDE - 1) / 2
    return similarity(centre, centre + half, np.full(2, middle), np.array([middle + SIDE / 2, middle]))


def eye_centres(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the midpoints of the eyes' corners, picture's left first, (2, 2); lids and gaze do not move them."""
    return np.stack([points[list(corners), :2].mean(axis=0) for corners in _EYE_CORNERS]).astype(np.float64)


def cut_region(image: NDArray[np.uint8], region: Transform) -> NDArray[np.uint8]:
    """Cut the landmarker's crop out of a photo."""
    return cut(image, region, SIDE)
