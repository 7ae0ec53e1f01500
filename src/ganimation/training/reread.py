"""AUs of generated images, read by the annotator that labelled the photos.

A critic that learns AUs from photos alone is soon fooled: the generator finds pixels that please its AU head and show
nothing to anybody else. Where the critic is told what the annotator reads in generated images, those pixels stop
working. Beyond the paper.
"""

import torch
from torch import Tensor

from ganimation.data.dataset import DatasetInfo
from ganimation.errors import TrainingError
from ganimation.faces.annotator import ANNOTATOR
from ganimation.faces.reader import FaceReader
from ganimation.pixels import denormalize_batch


class Rereader:
    """AU intensities of generated images, by the annotator.

    Args:
        info: of the data set.
        threads: of the landmarker.

    Raises:
        TrainingError: the data set's labels are not the annotator's, so that its readings would contradict them.
    """

    def __init__(self, info: DatasetInfo, threads: int) -> None:
        if info.annotator != ANNOTATOR:
            raise TrainingError(
                f"the labels of the data set come from {info.annotator!r} and rereading would come from {ANNOTATOR!r}; "
                "train with --set reread_every=0"
            )
        self._template = info.template
        self._reader = FaceReader(threads)
        self._columns = [self._reader.aus.index(code) for code in info.aus]

    def __call__(self, images: Tensor) -> Tensor:
        """Return intensities, (N, AUs) in [0, 1]; NaN where no face is seen.

        Args:
            images: (N, 3, S, S) in [-1, 1].
        """
        found = self._reader.measure_crops(denormalize_batch(images), self._template)[:, self._columns]
        return torch.from_numpy(found).to(images.device)
