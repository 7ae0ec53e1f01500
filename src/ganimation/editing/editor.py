"""Edit the faces of a photo: the paper's method on a photo in the wild (Sec. 6.5)."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganimation.action_units import REGIONS, Request, requests_from_mapping
from ganimation.editing.films import drive_photo, watch
from ganimation.editing.portraits import PortraitFactory
from ganimation.editing.result import Edit
from ganimation.editing.session import Planner, Session, Which, choose
from ganimation.errors import FaceError, MediaError
from ganimation.expressions import emotion_choice, expression_requests, requests_like
from ganimation.faces.reader import Face, FaceReader
from ganimation.hub import find_model
from ganimation.media.clip import Clip, Frame
from ganimation.media.images import Photo, decode, photo_from_array, read_image, read_image_bytes
from ganimation.model import GENERATOR, ONNX, ModelConfig, bundled

Pixels = NDArray[np.uint8]
PhotoLike = Photo | Pixels | Image.Image | bytes | bytearray | memoryview | str | os.PathLike[str]
Expression = str | Mapping[str, float | str] | Mapping[str, float] | Sequence[Request]


class Editor:
    """Edits photos with a model: detects, measures, draws and pastes back faces. Safe to share between threads.

    Args:
        folder: a model folder that ``ganimation export`` wrote; the bundled weights if ``None`` or ``bundled``;
            ``owner/name`` of a repository of the Hugging Face Hub, see :func:`ganimation.hub.find_model`.
        backend: see :func:`ganimation.editing.backends.load_networks`; likewise ``precision`` and ``device``.
        threads: of each computation; 0 lets the libraries choose.
        revision: of a repository of the Hub, a branch, tag or commit.
        device: where networks compute: ``auto``, ``cpu``, ``cuda``, ``coreml``, ``directml`` or ``intel``.

    Attributes:
        place: the library and the device that compute.
        notice: why not on a device that is there, or empty.
        config: of the model.
        fingerprint: of the model, the first twelve hexadecimal digits of the SHA-256 of its ``generator.onnx``.
        planner: prepares faces to be drawn.

    Raises:
        ModelError: the folder cannot be used.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        backend: str = "auto",
        threads: int = 0,
        precision: str = "float32",
        revision: str | None = None,
        device: str = "auto",
    ) -> None:
        path = find_model(folder, revision)
        self.config, self._folder, self._name = ModelConfig.read(path), path, str(folder)
        self.fingerprint = (self.config.files.get(ONNX) or self.config.files.get(GENERATOR, ""))[:12]
        factory = PortraitFactory(path, self.config, backend, threads, precision, device)
        self.place, self.notice = factory.place, factory.notice
        self.planner = Planner(self.config, factory, self.fingerprint)
        self._reader = FaceReader(threads)

    def __repr__(self) -> str:
        known = f"{len(self.config.entries)} {'emotions' if self.config.emotions else 'AUs'}"
        about = f"{self.config.kind}, {known}, faces of {self.config.size} pixels"
        return f"<Editor of {self._folder.name}: {about}, {self.fingerprint}>"

    @property
    def name(self) -> str:
        """``bundled``, the name of the model's folder, or of its repository on the Hub."""
        if self._folder == bundled():
            return "bundled"
        return self._folder.resolve().name if Path(self._name).exists() else self._name

    @classmethod
    def from_pretrained(
        cls,
        folder: str | os.PathLike[str] | None = None,
        backend: str = "auto",
        threads: int = 0,
        precision: str = "float32",
        revision: str | None = None,
        device: str = "auto",
    ) -> "Editor":
        """Return an editor; the same as the constructor, under the name that users of model libraries look for."""
        return cls(folder, backend, threads, precision, revision, device)

    @property
    def reader(self) -> FaceReader:
        """The reader, which detects and measures faces."""
        return self._reader

    def read(self, photo: PhotoLike) -> list[Face]:
        """Return the faces of a photo with their AU intensities, the largest first."""
        return self._reader.read(as_photo(photo).pixels)

    def edit(self, photo: PhotoLike, expression: Expression, faces: Which = "largest") -> Edit:
        """Return the photo with an expression.

        Args:
            photo: a path, the bytes of a file, a :class:`Photo`, an image of Pillow, or uint8: RGB (H, W, 3), RGBA
                (H, W, 4) or grey (H, W).
            expression: intensity by AU, as in ``{"AU12": 0.8, "AU06": "+0.3"}``, where a string may be relative; a
                named expression such as ``"happiness"``; or parsed requests, as of :meth:`emotion` and :meth:`like`.
                AUs that are not named keep what the photo shows.
            faces: ``largest``, ``all``, or a face's number from 1 in the order of :meth:`read`.

        Raises:
            ActionUnitError: an AU that the model does not know, or an intensity out of range.
            FaceError: no face, or not as many.
        """
        return self.session(photo, expression, faces).at(1.0)

    def animate(
        self, photo: PhotoLike, expression: Expression, alphas: Sequence[float], faces: Which = "largest"
    ) -> Iterator[Pixels]:
        """Yield a frame (RGB uint8) for each alpha in [0, 1], from the photo's own expression (0) to the target (1).

        The target of a frame is ``alpha * y_g + (1 - alpha) * y_r`` (Sec. 6.2). What does not change between frames
        (detection, landmarks, crops) is computed once. Arguments and errors as in :meth:`edit`.
        """
        session = self.session(photo, expression, faces)
        return (session.at(alpha).image for alpha in alphas)

    def drive(
        self,
        photo: PhotoLike,
        by: "str | os.PathLike[str] | Iterable[Pixels]",
        *,
        fps: float = 25.0,
        strength: float = 1.0,
        regions: Sequence[str] = REGIONS,
        neutral_frame: int | None = None,
        faces: Which = "largest",
    ) -> Iterator[Pixels]:
        """Yield the photo (RGB uint8) with its faces changed as a driver's face is, a frame for each of the driver's.

        All frames of the driver are read and measured before the first result is yielded.

        Args:
            photo: as in :meth:`edit`.
            by: a film, or frames (RGB uint8, all of one size).
            fps: of frames that are not a film.
            strength: factor of the driver's change from its neutral expression, in [0, 2].
            regions: of the face that move, some of :data:`ganimation.action_units.REGIONS`.
            neutral_frame: number of the driver's neutral frame, from 0; ``None`` for the mean of the tenth of the
                frames with the lowest sum of intensities.
            faces: of the photo, as in :meth:`edit`.

        Raises:
            MediaError: a film that cannot be read.
            FaceError: no face in the photo or in any frame of the driver, or not as many.
            ActionUnitError: a strength out of range.
            ModelError: a model that knows no AUs.
        """
        self.config.require_aus("driving by a film")
        if isinstance(by, str | os.PathLike):
            frames: Iterable[Frame] = Clip(by)
        else:
            if not 1.0 <= fps <= 1000.0:
                raise MediaError(f"fps {fps:g}: it lies in [1, 1000]")
            rate = Fraction(fps).limit_denominator(1001)
            frames = (Frame(pixels, number / rate) for number, pixels in enumerate(by))
        session = self.session(photo, {}, faces)
        performance = watch(self._reader, frames)
        changes = performance.changes(performance.neutral(neutral_frame), strength, regions)
        return (frame.pixels for frame in drive_photo(session, performance, changes))

    def session(self, photo: PhotoLike, expression: Expression, faces: Which = "largest") -> Session:
        """Prepare a photo to be rendered at any alpha; arguments and errors as in :meth:`edit`."""
        requests: tuple[Request, ...]
        if isinstance(expression, str):
            requests = self.emotion(expression)
        elif not isinstance(expression, Mapping):
            requests = tuple(expression)
        elif self.config.emotions:
            requests = emotion_choice(expression, self.config.emotions)
        else:
            requests = requests_from_mapping(expression, self.config.aus)
        source = as_photo(photo)
        return self.planner.session(source, choose(self.read(source), faces), requests)

    def like(
        self,
        other: PhotoLike,
        *,
        strength: float = 1.0,
        regions: Sequence[str] = REGIONS,
        neutral: PhotoLike | None = None,
    ) -> tuple[Request, ...]:
        """Return the requests that copy the expression of the face in another photo, for :meth:`edit`.

        Args:
            other: a photo of one face.
            strength: share of the way to it, in [0, 1.5].
            regions: that are copied, of :data:`ganimation.action_units.REGIONS`.
            neutral: the same person at rest; then the change is copied and not the intensities.

        Raises:
            FaceError: a photo without a face, or with several.
            ActionUnitError: an unknown region or a strength out of range.
            ModelError: a model that knows no AUs.
        """
        self.config.require_aus("copying an expression")
        rest = None if neutral is None else self._only_face(neutral).aus
        return requests_like(
            self._only_face(other).aus, self.config.aus, strength=strength, regions=regions, neutral=rest
        )

    def _only_face(self, photo: PhotoLike) -> Face:
        faces = self.read(photo)
        if len(faces) != 1:
            name = str(photo) if isinstance(photo, str | os.PathLike) else "the other photo"
            raise FaceError(f"{name}: {len(faces) or 'no'} face{'s' * (len(faces) != 1)}; crop it to one face")
        return faces[0]

    def emotion(self, name: str, strength: float = 1.0) -> tuple[Request, ...]:
        """Return the requests of a named expression or a blend, see :func:`ganimation.expressions.expression_requests`.

        Raises:
            ActionUnitError: an unknown emotion, or a strength outside [0, 1.5]; of a model without AUs, one that is
                not 1.
        """
        if self.config.emotions:
            return emotion_choice({name: strength}, self.config.emotions)
        return expression_requests(name, strength, self.config.aus)


def as_photo(photo: PhotoLike) -> Photo:
    """Return a :class:`Photo` of what a caller may pass.

    Raises:
        MediaError: a file that cannot be read, an array that is not uint8 (H, W), (H, W, 3) or (H, W, 4), or something
            else.
    """
    if isinstance(photo, Photo):
        return photo
    if isinstance(photo, np.ndarray):
        return photo_from_array(photo)
    if isinstance(photo, Image.Image):
        return decode(photo)
    if isinstance(photo, bytes | bytearray | memoryview):
        return read_image_bytes(photo)
    if not isinstance(photo, str | os.PathLike):
        raise MediaError(f"a {type(photo).__name__}; a photo is a path, bytes, an image of Pillow or an array")
    return read_image(photo)
