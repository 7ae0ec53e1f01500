"""Run a workflow of ComfyUI that uses our nodes, without ComfyUI: what its example pictures are drawn with.

    python -m tools.run_workflow WORKFLOW.json PICTURE --images NAME=FILE...

Workflows are in the form of ``Export (API)``. Of the host's own nodes there are those that load and save pictures.
"""

import argparse
import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from ganimation import read_image, write_film
from ganimation.media.images import photo_from_array, write_image
from tools.facs import ROOT

PACK = ROOT / "integrations" / "comfyui"


def load_pack(name: str = "ganimation_comfyui") -> ModuleType:
    """Return the pack, imported from its folder under a name of its own, as the host does."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            name, PACK / "__init__.py", submodule_search_locations=[str(PACK)]
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


def run_workflow(
    workflow: Mapping[str, Any], nodes: Mapping[str, type[Any]], images: Mapping[str, Path]
) -> dict[str, torch.Tensor]:
    """Run a workflow; return what each node that saves was given, by its number.

    Args:
        workflow: nodes by number, each with ``class_type`` and ``inputs``.
        nodes: of the pack, by class.
        images: files by the names that ``LoadImage`` is given.
    """
    results: dict[str, tuple[Any, ...]] = {}
    saved: dict[str, torch.Tensor] = {}

    def value(given: Any) -> Any:
        return result(given[0])[given[1]] if isinstance(given, list) else given

    def result(number: str) -> tuple[Any, ...]:
        if number not in results:
            kind, given = workflow[number]["class_type"], workflow[number]["inputs"]
            inputs = {name: value(entry) for name, entry in given.items()}
            if kind == "LoadImage":
                pixels = read_image(images[inputs["image"]]).pixels
                results[number] = (torch.from_numpy(pixels.astype(np.float32) / 255)[None],)
            elif kind.startswith("Save"):
                saved[number], results[number] = inputs["images"], ()
            else:
                results[number] = getattr(nodes[kind](), nodes[kind].FUNCTION)(**inputs)
        return results[number]

    for number in workflow:
        result(number)
    return saved


def main() -> None:
    """Run a workflow and write what it saves, several pictures as a film."""
    parser = argparse.ArgumentParser(description="Run a workflow of ComfyUI without ComfyUI.")
    parser.add_argument("workflow", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--images", nargs="+", default=[], metavar="NAME=FILE")
    options = parser.parse_args()
    images = {name: Path(file) for name, _, file in (text.partition("=") for text in options.images)}
    load_pack()
    nodes = sys.modules["ganimation_comfyui"].NODE_CLASS_MAPPINGS
    (frames,) = run_workflow(json.loads(options.workflow.read_text(encoding="utf-8")), nodes, images).values()
    pictures = [np.asarray((frame * 255).round().to(torch.uint8)) for frame in frames]
    if len(pictures) > 1:
        write_film(pictures, options.picture, 12)
    else:
        write_image(photo_from_array(pictures[0]), options.picture)


if __name__ == "__main__":
    main()
