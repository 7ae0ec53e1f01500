"""Find faces: YuNet, run by OpenCV. Knows nothing of what a face shows."""

import threading
from dataclasses import dataclass
from importlib.resources import files

import cv2
import numpy as np
from numpy.typing import NDArray

#: The longest side of the picture that the detector sees; a face smaller than about 10 pixels there goes unseen.
DETECTION_SIDE = 640


@dataclass(frozen=True)
class Detection:
    """A face box with five points, in pixels of the photo.

    Attributes:
        box: x, y, width, height.
        points: (5, 2) float32: the eye on the picture's left, the one on its right, nose tip, left and right mouth corner.
        score: confidence in [0, 1].
    """

    box: tuple[float, float, float, float]
    points: NDArray[np.float32]
    score: float


class FaceDetector:
    """YuNet (Wu et al., *YuNet: A Tiny Millisecond-level Face Detector*, 2023). Safe to share between threads."""

    def __init__(self, min_score: float = 0.6) -> None:
        model = files("ganimation.faces").joinpath("assets/face_detection_yunet_2023mar.onnx").read_bytes()
        self._lock = threading.Lock()
        self._net = cv2.FaceDetectorYN.create(
            "onnx", np.frombuffer(model, np.uint8), np.empty(0, np.uint8), (320, 320), score_threshold=min_score
        )

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        """Return the faces of an image (RGB uint8, (H, W, 3)), the largest first."""
        height, width = image.shape[:2]
        scale = min(1.0, DETECTION_SIDE / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = image if scale == 1.0 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
        with self._lock:
            self._net.setInputSize(size)
            rows = self._net.detect(bgr)[1]
        if rows is None:
            return []
        to_photo = np.array([width / size[0], height / size[1]], np.float32)
        detections = []
        for row in rows:
            x, y, w, h = (row[:4].reshape(2, 2) * to_photo).reshape(-1)
            points = row[4:14].reshape(5, 2) * to_photo
            detections.append(Detection((float(x), float(y), float(w), float(h)), points, float(row[14])))
        return sorted(detections, key=lambda found: -found.box[2] * found.box[3])
