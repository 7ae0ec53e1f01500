"""Single AUs asked one after the other of every face of a data set, and what is read back."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ganimation.data.dataset import FaceDataset
from ganimation.editing.backends import Backend, load_backend
from ganimation.errors import DatasetError
from ganimation.evaluation import metrics
from ganimation.faces.crop import CropTemplate
from ganimation.faces.reader import FaceReader
from ganimation.model import ModelConfig

LEVELS = (0.0, 0.5, 1.0)

Pixels = NDArray[np.uint8]
Array = NDArray[np.float64]


class CropEditor:
    """A model's generator on aligned faces: crops and AUs in, edited crops out.

    Args:
        folder: of the model.
        backend: see :func:`ganimation.editing.backends.load_backend`.
        threads: of the backend; 0 lets it choose.
    """

    def __init__(self, folder: Path, backend: str = "auto", threads: int = 0) -> None:
        self.config = ModelConfig.read(folder)
        self._run: Backend = load_backend(folder, self.config, backend, threads)

    def __call__(self, crops: Pixels, source_aus: Array, target_aus: Array) -> Pixels:
        """Return edited crops, (N, S, S, 3) RGB uint8.

        As when a photo is edited, the generator sees the crop at its own size, and its colours and mask are scaled to
        the crop's (Eq. 1).

        Args:
            crops: (N, S, S, 3) RGB uint8.
            source_aus: (N, AUs) in [0, 1].
            target_aus: (N, AUs) in [0, 1].
        """
        size, side = self.config.size, crops.shape[1]
        small = np.stack([resize(crop, size) for crop in crops]).transpose(0, 3, 1, 2) / 127.5 - 1
        told = target_aus - source_aus if self.config.condition == "relative" else target_aus
        edited = np.empty_like(crops)
        for row in range(len(crops)):  # one by one: larger batches are no faster on a CPU
            color, attention = self._run(small[row : row + 1], told[row : row + 1].astype(np.float32))
            c = resize(color[0].transpose(1, 2, 0), side)
            a = resize(attention[0].transpose(1, 2, 0), side).reshape(side, side, 1)
            value = (1 - a) * (c + 1) * 127.5 + a * crops[row]
            edited[row] = np.clip(np.rint(value), 0, 255)
        return edited


def resize(image: Pixels | NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Return a square image at another size; averaged down, or interpolated linearly."""
    image = image.astype(np.float32)
    if image.shape[0] == side:
        return image
    how = cv2.INTER_AREA if side < image.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (side, side), interpolation=how), np.float32)


class CropReader:
    """AUs of aligned faces, by the annotator that made the labels.

    Args:
        template: of the crops.
        jobs: threads.
    """

    def __init__(self, template: CropTemplate, jobs: int) -> None:
        self._template, self._jobs = template, jobs
        self._reader = FaceReader(threads=1)

    def __call__(self, crops: Pixels) -> Array:
        """Return intensities (N, 16) of crops (N, S, S, 3) RGB uint8; NaN where no face is seen."""
        with ThreadPoolExecutor(self._jobs) as pool:
            read = pool.map(lambda crop: self._reader.measure_crops(crop[None], self._template)[0], crops)
            return np.array(list(read), np.float64)


@dataclass(frozen=True)
class Sweep:
    """What was read back from single-AU edits.

    Attributes:
        aus: codes, in order.
        levels: asked of each AU.
        before: (faces, AUs) read from the photos.
        after: (faces, AUs asked, levels, AUs read).
        zero_psnr: of the network's answer to no change, against the photo, a mean over faces in dB.
    """

    aus: tuple[str, ...]
    levels: tuple[float, ...]
    before: Array
    after: Array
    zero_psnr: float

    def by_au(self) -> Iterator[dict[str, float | str]]:
        """Yield for each AU its correlation, slope, monotonicity and rise at full strength."""
        asked = np.broadcast_to(np.array(self.levels), (len(self.after), len(self.levels)))
        for index, code in enumerate(self.aus):
            read = self.after[:, index, :, index]
            yield {
                "au": code,
                "pcc": metrics.pcc(asked.ravel(), read.ravel()),
                "slope": metrics.slope(asked.ravel(), read.ravel()),
                "monotonicity": metrics.monotonicity(read),
                "rise": float(np.nanmean(read[:, -1] - self.before[:, index])),
            }

    def leakage(self) -> Array:
        """Return (AUs asked, AUs read), the change of what is read between the lowest and the highest level."""
        return np.asarray(np.nanmean(self.after[:, :, -1] - self.after[:, :, 0], axis=0), np.float64)


def sweep(
    edit: Callable[[Pixels, Array, Array], Pixels],
    aus: tuple[str, ...],
    dataset: FaceDataset,
    faces: int,
    jobs: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Sweep:
    """Ask every AU at every level of the most neutral faces of a data set and read the results.

    Args:
        edit: as :meth:`CropEditor.__call__`.
        aus: that it knows, in order.
        dataset: with the same AUs.
        faces: how many; those whose AUs are smallest in sum.
        jobs: threads that read.
        progress: called with edits done and in all.

    Raises:
        DatasetError: the data set has other AUs.
    """
    if dataset.info.aus != aus:
        raise DatasetError(f"the data set has {' '.join(dataset.info.aus)}, the model {' '.join(aus)}; prepare it anew")
    rows = np.argsort(dataset.aus.sum(axis=1), kind="stable")[:faces]
    crops = dataset.images(rows, dataset.info.size)
    read = CropReader(dataset.info.template, jobs)
    before = read(crops)
    known = np.where(np.isnan(before), dataset.aus[rows], before)
    after = np.empty((len(rows), len(aus), len(LEVELS), len(aus)))
    for index in range(len(aus)):
        for step, level in enumerate(LEVELS):
            target = known.copy()
            target[:, index] = level
            after[:, index, step] = read(edit(crops, known, target))
        progress(index + 1, len(aus))
    same = edit(crops, known, known)
    zero = [min(99.0, metrics.psnr(first, second)) for first, second in zip(crops, same, strict=True)]
    return Sweep(aus, LEVELS, before, after, float(np.mean(zero)))
