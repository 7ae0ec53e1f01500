"""The nodes, as plain classes of ComfyUI's first API; nothing of the host is imported.

An IMAGE is a float tensor (B, H, W, C) in [0, 1], a MASK one of (B, H, W). Two types are ours: ``GANIMATION``, an
editor, and ``EXPRESSION``, a tuple of requests for action units.
"""

import json
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from ganimation import ACTION_UNITS, Editor, alphas
from ganimation.action_units import DEFAULT_AUS, EMOTIONS, REGIONS, Request
from ganimation.editing.animation import EASINGS
from ganimation.editing.session import Which
from ganimation.errors import FaceError, GanimationError
from ganimation.expressions import MAX_STRENGTH, NAMED, requests_like

CATEGORY = "ganimation"
AS_SHOWN = "as in the photo"
Inputs = dict[str, dict[str, Any]]
Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def to_pixels(images: torch.Tensor) -> list[Pixels]:
    """Return an IMAGE batch as pictures, RGB uint8 (H, W, 3).

    Raises:
        GanimationError: it is empty, or no IMAGE.
    """
    if images.dim() != 4 or images.shape[-1] not in (1, 3, 4) or images.numel() == 0:
        raise GanimationError(f"an IMAGE of shape {tuple(images.shape)}; connect pictures, (B, H, W, C), at least one")
    whole = (images.detach().cpu().float().clamp(0, 1) * 255).round().to(torch.uint8)
    return [np.ascontiguousarray(picture.expand(-1, -1, 3) if picture.shape[-1] == 1 else picture[:, :, :3])
            for picture in whole]  # fmt: skip


def to_image(pictures: Sequence[Pixels]) -> torch.Tensor:
    """Return pictures of one size, RGB uint8, as an IMAGE batch."""
    return torch.from_numpy(np.stack(pictures)).float() / 255


def slider(code: str) -> str:
    """Return the name of an AU's slider: ``AU12_lip_corner_puller``."""
    return f"{code}_{ACTION_UNITS[code].name.replace(' ', '_').replace('-', '_')}"


#: By the name of a slider its AU, by region of the face.
SLIDERS = {slider(code): code for region in REGIONS for code in DEFAULT_AUS if ACTION_UNITS[code].region == region}


def combine(base: Sequence[Request], sliders: dict[str, float], known: Sequence[str]) -> tuple[Request, ...]:
    """Return requests for an expression and sliders that are added to it, or to what the photo shows.

    Raises:
        GanimationError: a slider of an AU that the model lacks.
    """
    moved = {SLIDERS[name]: float(value) for name, value in sliders.items() if value}
    if strange := [code for code in moved if code not in known]:
        raise GanimationError(f"{', '.join(strange)}: the model does not know it; leave its slider at 0")
    found = []
    for request in base:
        change = moved.pop(request.code, 0.0)
        low = -1.0 if request.relative else 0.0
        value = min(1.0, max(low, request.value + change))
        found.append(Request(request.code, value, request.relative, request.side, request.strength, request.raises))
    return (*found, *(Request(code, value, relative=True) for code, value in moved.items()))


def which(face: int) -> Which:
    """Return the faces that a number asks for: 0 for all, else one, the largest first."""
    return "all" if face == 0 else face


class LoadGANimation:
    """Load a model: the weights that ship, a folder, or a repository of the Hugging Face Hub."""

    DISPLAY = "Load GANimation"
    CATEGORY = CATEGORY
    RETURN_TYPES: ClassVar = ("GANIMATION",)
    RETURN_NAMES: ClassVar = ("model",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:  # noqa: N802 - the host's name
        """Return the inputs."""
        tip = "bundled, a model folder, or OWNER/NAME[@REVISION] on the Hugging Face Hub"
        return {"required": {"model": ("STRING", {"default": "bundled", "tooltip": tip})}}

    def load(self, model: str) -> tuple[Editor]:
        """Return the editor."""
        return (Editor(model or None),)


class EditExpression:
    """Change the expression of faces by a named expression, a copied one, sliders, or all of them."""

    DISPLAY = "Edit expression"
    CATEGORY = CATEGORY
    RETURN_TYPES: ClassVar = ("IMAGE", "MASK")
    RETURN_NAMES: ClassVar = ("image", "changed")
    FUNCTION = "edit"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:  # noqa: N802
        """Return the inputs: the sliders are changes of what is shown, or of the expression that is asked."""
        sliders = {
            name: ("FLOAT", {"default": 0.0, "min": -1.0, "max": 1.0, "step": 0.01, "tooltip": _tip(code)})
            for name, code in SLIDERS.items()
        }
        return {
            "required": {
                "model": ("GANIMATION",),
                "image": ("IMAGE",),
                "named": ([AS_SHOWN, *EMOTIONS, *NAMED], {"tooltip": "an expression that the sliders are added to"}),
                "strength": ("FLOAT", {"default": 1.0, "min": 0.0, "max": MAX_STRENGTH, "step": 0.05}),
                "face": ("INT", {"default": 1, "min": 0, "max": 99, "tooltip": "1 is the largest; 0 is all"}),
                **sliders,
            },
            "optional": {
                "expression": ("EXPRESSION", {"tooltip": "of Expression from image, instead of a named one"}),
                "like": ("IMAGE", {"tooltip": "a face whose expression is copied, instead of a named one"}),
                "mask": ("MASK", {"tooltip": "where the picture may change"}),
            },
        }

    def edit(
        self, model: Editor, image: torch.Tensor, named: str, strength: float, face: int,
        expression: tuple[Request, ...] | None = None, like: torch.Tensor | None = None,
        mask: torch.Tensor | None = None, **sliders: float,
    ) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
        """Return the edited pictures and where they changed."""
        base: tuple[Request, ...] = ()
        given = sum((named != AS_SHOWN, expression is not None, like is not None))
        if given > 1:
            raise GanimationError("a named expression, an expression and a face to copy: ask for one of them")
        if named != AS_SHOWN:
            base = model.emotion(named, strength)
        elif expression is not None:
            base = expression
        elif like is not None:
            base = model.like(to_pixels(like)[0], strength=strength)
        requests = combine(base, sliders, model.config.aus)
        edited = [model.edit(picture, requests, which(face)).image for picture in to_pixels(image)]
        result, source = to_image(edited), image[..., :3].detach().cpu().float()
        changed = (result - source).abs().amax(dim=-1) > 0.6 / 255  # rounding to 8 bits is no change
        allowed = changed.float() if mask is None else changed * fit(mask, result)
        return source + allowed[..., None] * (result - source), (allowed > 0).float()


class ReadActionUnits:
    """Measure which muscles faces show."""

    DISPLAY = "Read action units"
    CATEGORY = CATEGORY
    RETURN_TYPES: ClassVar = ("STRING",)
    RETURN_NAMES: ClassVar = ("json",)
    FUNCTION = "read"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:  # noqa: N802
        """Return the inputs."""
        return {"required": {"model": ("GANIMATION",), "image": ("IMAGE",)}}

    def read(self, model: Editor, image: torch.Tensor) -> tuple[str]:
        """Return a JSON list of pictures, each a list of faces with box, score and intensities by AU."""
        pictures = [
            [
                {
                    "box": [round(float(x), 1) for x in face.box],
                    "score": round(face.score, 3),
                    "aus": {code: round(value, 3) for code, value in face.aus.items()},
                }
                for face in model.read(picture)
            ]
            for picture in to_pixels(image)
        ]
        return (json.dumps(pictures),)


class ExpressionFromImage:
    """Take the expression of a face, to give it to another."""

    DISPLAY = "Expression from image"
    CATEGORY = CATEGORY
    RETURN_TYPES: ClassVar = ("EXPRESSION", "STRING")
    RETURN_NAMES: ClassVar = ("expression", "json")
    FUNCTION = "take"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:  # noqa: N802
        """Return the inputs."""
        regions = {name.replace(" ", "_"): ("BOOLEAN", {"default": True}) for name in REGIONS}
        return {
            "required": {
                "model": ("GANIMATION",),
                "image": ("IMAGE",),
                "strength": ("FLOAT", {"default": 1.0, "min": 0.0, "max": MAX_STRENGTH, "step": 0.05}),
                **regions,
            },
            "optional": {
                "neutral": ("IMAGE", {"tooltip": "the same person at rest: the change is copied, not the intensities"})
            },
        }

    def take(
        self, model: Editor, image: torch.Tensor, strength: float, neutral: torch.Tensor | None = None, **regions: bool
    ) -> tuple[tuple[Request, ...], str]:
        """Return the requests, and the same as JSON for ``--expression``."""
        chosen = [name for name in REGIONS if regions.get(name.replace(" ", "_"), True)]
        if not chosen:
            raise GanimationError("no region is chosen; switch one on")
        model.config.require_aus("copying an expression")
        taken, rest = (None if x is None else only_face(model, x) for x in (image, neutral))
        assert taken is not None
        requests = requests_like(taken, model.config.aus, strength=strength, regions=chosen, neutral=rest)
        values = {
            request.name: f"{request.value:+.3f}" if request.relative else round(request.value, 3)
            for request in requests
        }
        return requests, json.dumps(values)


class Animate:
    """Make a batch of frames from a photo's own expression to another one."""

    DISPLAY = "Animate"
    CATEGORY = CATEGORY
    RETURN_TYPES: ClassVar = ("IMAGE",)
    RETURN_NAMES: ClassVar = ("frames",)
    FUNCTION = "animate"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:  # noqa: N802
        """Return the inputs."""
        return {
            "required": {
                "model": ("GANIMATION",),
                "image": ("IMAGE",),
                "named": ([*EMOTIONS, *NAMED], {"default": "happiness"}),
                "strength": ("FLOAT", {"default": 1.0, "min": 0.0, "max": MAX_STRENGTH, "step": 0.05}),
                "frames": ("INT", {"default": 24, "min": 2, "max": 1000}),
                "easing": (list(EASINGS),),
                "and_back": ("BOOLEAN", {"default": True}),
                "face": ("INT", {"default": 1, "min": 0, "max": 99, "tooltip": "1 is the largest; 0 is all"}),
            },
            "optional": {"expression": ("EXPRESSION", {"tooltip": "instead of the named one"})},
        }

    def animate(
        self, model: Editor, image: torch.Tensor, named: str, strength: float, frames: int, easing: str,
        and_back: bool, face: int, expression: tuple[Request, ...] | None = None,
    ) -> tuple[torch.Tensor]:  # fmt: skip
        """Return the frames of the first picture, at least two."""
        requests = model.emotion(named, strength) if expression is None else expression
        steps = alphas(frames / 25, 25, easing, back=and_back)
        return (to_image(list(model.animate(to_pixels(image)[0], requests, steps, which(face)))),)


def _tip(code: str) -> str:
    unit = ACTION_UNITS[code]
    return f"{unit.region}: {unit.name} ({code}), {unit.muscle}"


def only_face(model: Editor, image: torch.Tensor) -> dict[str, float]:
    """Return the intensities of the face in the first picture of a batch.

    Raises:
        FaceError: no face, or several.
    """
    faces = model.read(to_pixels(image)[0])
    if len(faces) != 1:
        raise FaceError(f"the picture shows {len(faces) or 'no'} face{'s' * (len(faces) != 1)}; crop it to one face")
    return faces[0].aus


def fit(mask: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Return a MASK, (B, H, W) or (H, W), in the size and number of an IMAGE.

    Raises:
        GanimationError: neither one mask nor one for each picture.
    """
    mask = mask[None] if mask.dim() == 2 else mask
    if mask.dim() != 3 or len(mask) not in (1, len(images)):
        raise GanimationError(f"a MASK of shape {tuple(mask.shape)} for {len(images)} pictures; give one, or one each")
    size = (images.shape[1], images.shape[2])
    whole = torch.nn.functional.interpolate(mask[:, None].detach().cpu().float(), size, mode="bilinear")[:, 0]
    return whole.clamp(0, 1).expand(len(images), -1, -1)


NODES = {cls.__name__: cls for cls in (LoadGANimation, EditExpression, ReadActionUnits, ExpressionFromImage, Animate)}
