"""Measure invisible watermarks that work offline: how many of 32 hidden bits survive, and what hiding them costs.

    pip install invisible-watermark blind-watermark
    python -m tools.watermarks [PICTURE...]

Neither is a dependency of this package; docs/provenance.md says why. Prints a table, a row a method: the PSNR of the
marked picture, the share of right bits after each treatment (half are right by chance), seconds to mark and to read.
"""

import argparse
import importlib
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.facs import ROOT

Pixels = NDArray[np.uint8]
BITS = 32


def saved(picture: Pixels) -> Pixels:
    """Return a picture as JPEG of quality 75 keeps it."""
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 75])[1], 1), np.uint8)


def scaled(picture: Pixels, share: float) -> Pixels:
    """Return a picture scaled by a share."""
    return np.asarray(cv2.resize(picture, None, fx=share, fy=share, interpolation=cv2.INTER_AREA), np.uint8)


TREATMENTS: dict[str, Callable[[Pixels], Pixels]] = {
    "untouched": lambda picture: picture,
    "JPEG 75": saved,
    "scaled to 75 %": lambda picture: scaled(picture, 0.75),
    "both": lambda picture: saved(scaled(picture, 0.75)),
    "scaled to 25 %": lambda picture: scaled(picture, 0.25),
}


class Imwatermark:
    """A method of invisible-watermark."""

    def __init__(self, method: str) -> None:
        module = importlib.import_module("imwatermark")
        self._method, self._encoder, self._decoder = (
            method,
            module.WatermarkEncoder(),
            module.WatermarkDecoder("bits", BITS),
        )
        if method == "rivaGan":
            self._encoder.loadModel()
            self._decoder.loadModel()

    def mark(self, picture: Pixels, bits: list[int]) -> Pixels:
        """Return the picture with the bits in it."""
        self._encoder.set_watermark("bits", bits)
        return np.asarray(self._encoder.encode(picture, self._method), np.uint8)

    def read(self, picture: Pixels) -> Any:
        """Return bits; none of a picture that is too small for the library."""
        return self._decoder.decode(picture, self._method) if min(picture.shape[:2]) > 256 else []


class BlindWatermark:
    """blind-watermark, whose reader is not told the size that the picture had."""

    def __init__(self) -> None:
        self._make = importlib.import_module("blind_watermark").WaterMark

    def mark(self, picture: Pixels, bits: list[int]) -> Pixels:
        """Return the picture with the bits in it."""
        mark = self._make(password_img=1, password_wm=1)
        mark.read_img(img=picture.copy())
        mark.read_wm([bit == 1 for bit in bits], mode="bit")
        return np.asarray(np.clip(mark.embed(), 0, 255), np.uint8)

    def read(self, picture: Pixels) -> Any:
        """Return bits."""
        mark = self._make(password_img=1, password_wm=1)
        return np.array(mark.extract(embed_img=picture, wm_shape=BITS, mode="bit")) > 0.5


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description="What do invisible watermarks survive?")
    parser.add_argument("pictures", type=Path, nargs="*", default=[ROOT / "examples" / "portrait.jpg"])
    pictures = [np.asarray(cv2.imread(str(path)), np.uint8) for path in parser.parse_args().pictures]
    print("| method | PSNR, dB |", " | ".join(TREATMENTS), "| seconds to mark, to read |")
    print("|---|--:|" + "--:|" * (len(TREATMENTS) + 1))
    methods: dict[str, Any] = {name: Imwatermark(name) for name in ("dwtDct", "dwtDctSvd", "rivaGan")}
    for name, method in {**methods, "blind-watermark": BlindWatermark()}.items():
        rng, psnr = np.random.default_rng(0), []
        times: tuple[list[float], list[float]] = ([], [])
        right: dict[str, list[float]] = {treatment: [] for treatment in TREATMENTS}
        for picture in pictures:
            bits, began = rng.integers(0, 2, BITS), time.perf_counter()
            marked = method.mark(picture, bits.tolist())
            times[0].append(time.perf_counter() - began)
            psnr.append(cv2.PSNR(picture, marked))
            for treatment, treat in TREATMENTS.items():
                treated, began = treat(marked), time.perf_counter()
                read = method.read(treated)
                times[1].append(time.perf_counter() - began)
                right[treatment].append(float(np.mean(np.asarray(read).astype(int) == bits)) if len(read) else 0.5)
        shares = " | ".join(f"{statistics.mean(values):.2f}" for values in right.values())
        seconds = ", ".join(f"{statistics.mean(values):.1f}" for values in times)
        print(f"| {name} | {statistics.mean(psnr):.1f} | {shares} | {seconds} |", flush=True)


if __name__ == "__main__":
    main()
