"""The nodes for ComfyUI as plain classes, on pictures, and as a stub of the host loads them."""

import asyncio
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from ganimation.editing.editor import Editor
from ganimation.errors import FaceError, GanimationError
from ganimation.media.images import read_image
from tests.conftest import ROOT
from tools.run_workflow import PACK, load_pack, run_workflow


@pytest.fixture(scope="module")
def nodes() -> dict[str, Any]:
    found: dict[str, Any] = load_pack().NODE_CLASS_MAPPINGS
    return found


@pytest.fixture(scope="module")
def editor() -> Editor:
    return Editor(threads=1)


@pytest.fixture(scope="module")
def photo(portrait: Path) -> torch.Tensor:
    """(1, 360, 360, 3)."""
    pixels = cv2.resize(read_image(portrait).pixels, (360, 360), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(np.asarray(pixels, np.float32) / 255)[None]


def sliders(nodes: dict[str, Any], **values: float) -> dict[str, float]:
    names = [name for name in nodes["EditExpression"].INPUT_TYPES()["required"] if name.startswith("AU")]
    return {name: values.get(name[:4], 0.0) for name in names}


def edit(nodes: dict[str, Any], editor: Editor, image: torch.Tensor, **options: Any) -> Any:
    own = {"named": "as in the photo", "strength": 1.0, "face": 1, **sliders(nodes), **options}
    return nodes["EditExpression"]().edit(editor, image, **own)


def test_sliders_move_what_they_name_and_nothing_else_changes(
    nodes: dict[str, Any], editor: Editor, photo: torch.Tensor
) -> None:
    names = list(sliders(nodes))
    assert names[:3] == ["AU01_inner_brow_raiser", "AU02_outer_brow_raiser", "AU04_brow_lowerer"]
    assert len(names) == len(editor.config.aus)
    still, unchanged = edit(nodes, editor, photo)
    assert torch.equal(still, photo)
    assert unchanged.sum() == 0
    image, changed = edit(nodes, editor, photo, **sliders(nodes, AU12=0.7))
    shown = [editor.read((x[0].numpy() * 255).round().astype(np.uint8))[0].aus["AU12"] for x in (photo, image)]
    assert shown[1] > shown[0] + 0.2
    assert 0.01 < changed.mean() < 0.5
    assert torch.equal(image[changed == 0], photo[changed == 0])
    batch, _ = edit(nodes, editor, photo.repeat(2, 1, 1, 1), **sliders(nodes, AU12=0.7))
    assert torch.equal(batch, image.repeat(2, 1, 1, 1))


def test_sliders_are_added_to_an_expression(nodes: dict[str, Any], editor: Editor) -> None:
    combine = sys.modules["ganimation_comfyui.nodes"].combine
    base = editor.emotion("surprise", 0.8)
    found = {x.code: x for x in combine(base, sliders(nodes, AU26=-0.3, AU45=0.2), editor.config.aus)}
    before = {x.code: x for x in base}
    assert found["AU26"].value == pytest.approx(before["AU26"].value - 0.3)
    assert found["AU26"].strength == 0.8
    assert (found["AU45"].value, found["AU45"].relative) == (0.2, True)
    assert found["AU01"] == before["AU01"]
    with pytest.raises(GanimationError, match="AU26: the model does not know it; leave its slider at 0"):
        combine((), sliders(nodes, AU26=0.5), ("AU12",))


def test_a_mask_keeps_what_it_does_not_name(nodes: dict[str, Any], editor: Editor, photo: torch.Tensor) -> None:
    mask = torch.zeros(1, 90, 90)
    mask[:, :45] = 1  # the upper half, at another size
    whole, _ = edit(nodes, editor, photo, named="surprise")
    image, changed = edit(nodes, editor, photo, named="surprise", mask=mask)
    assert torch.equal(image[:, 184:], photo[:, 184:])
    assert torch.equal(image[:, :176], whole[:, :176])
    assert changed[:, 184:].sum() == 0 < changed[:, :176].sum()
    with pytest.raises(GanimationError, match=r"a MASK of shape \(3, 9, 9\) for 1 pictures"):
        edit(nodes, editor, photo, named="surprise", mask=torch.zeros(3, 9, 9))


def test_an_expression_goes_from_one_face_to_another(
    nodes: dict[str, Any], editor: Editor, photo: torch.Tensor, people: list[Path]
) -> None:
    pixels = cv2.resize(read_image(people[1]).pixels, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    other = torch.from_numpy(np.asarray(pixels, np.float32) / 255)[None]
    regions = {"brows": False, "eyes": False, "nose_and_cheeks": True, "mouth_and_chin": True}
    expression, text = nodes["ExpressionFromImage"]().take(editor, other, 1.0, **regions)
    values = json.loads(text)
    assert {"AU12", "AU25"} <= set(values)
    assert not {"AU01", "AU05"} & set(values)
    (read,) = nodes["ReadActionUnits"]().read(editor, other)
    assert values["AU12"] == pytest.approx(json.loads(read)[0][0]["aus"]["AU12"], abs=0.002)
    by_expression, _ = edit(nodes, editor, photo, expression=expression)
    assert not torch.equal(by_expression, photo)
    by_face, _ = edit(nodes, editor, photo, like=other)
    assert not torch.equal(by_face, photo)
    _, text = nodes["ExpressionFromImage"]().take(editor, other, 1.0, neutral=other)
    assert all(float(value) == 0 for value in json.loads(text).values())
    with pytest.raises(GanimationError, match="no region is chosen"):
        nodes["ExpressionFromImage"]().take(editor, other, 1.0, **dict.fromkeys(regions, False))
    with pytest.raises(GanimationError, match="ask for one of them"):
        edit(nodes, editor, photo, named="smile", like=other)
    with pytest.raises(FaceError, match="the picture shows no faces"):
        nodes["ExpressionFromImage"]().take(editor, torch.zeros(1, 64, 64, 3), 1.0)


@pytest.mark.parametrize("shape", [(0, 64, 64, 3), (64, 64, 3), (1, 64, 64, 2)])
def test_what_is_no_picture_is_said(nodes: dict[str, Any], editor: Editor, shape: tuple[int, ...]) -> None:
    with pytest.raises(GanimationError, match="connect pictures"):
        edit(nodes, editor, torch.zeros(*shape), named="smile")


@pytest.mark.parametrize("path", sorted((PACK / "workflows").glob("*.json")), ids=lambda path: path.stem)
def test_workflows_run_and_set_every_input(
    nodes: dict[str, Any], path: Path, people: list[Path], portrait: Path
) -> None:
    workflow = json.loads(path.read_text(encoding="utf-8"))
    for node in workflow.values():
        if node["class_type"] in nodes:
            wanted = nodes[node["class_type"]].INPUT_TYPES()
            assert set(wanted["required"]) <= set(node["inputs"]) <= {x for group in wanted.values() for x in group}
            if node["class_type"] == "Animate":
                node["inputs"]["frames"] = 4
    (saved,) = run_workflow(workflow, nodes, {"portrait.jpg": portrait, "other.jpg": people[1]}).values()
    source = torch.from_numpy(read_image(portrait).pixels.astype(np.float32) / 255)
    assert saved.shape[1:] == source.shape
    assert len(saved) == (4 if path.stem == "animate" else 1)
    assert (saved[len(saved) // 2] - source).abs().max() > 0.1
    assert (ROOT / "docs" / "pictures" / f"comfyui-{path.stem}.webp").exists()


class Host:
    """The third API of the host, as far as the pack needs it: what is defined is kept."""

    class ComfyExtension:
        pass

    class io:  # noqa: N801
        class ComfyNode:
            pass

        class Type:
            def __init__(self, name: str) -> None:
                self.name = name

            def Input(self, key: str, **options: Any) -> tuple[str, str, dict[str, Any]]:  # noqa: N802
                return self.name, key, options

            def Output(self, **options: Any) -> tuple[str, dict[str, Any]]:  # noqa: N802
                return self.name, options

        Float, Int, String, Boolean = Type("FLOAT"), Type("INT"), Type("STRING"), Type("BOOLEAN")
        Image, Mask, Combo = Type("IMAGE"), Type("MASK"), Type("COMBO")
        Custom = Type

        @staticmethod
        def Schema(**fields: Any) -> dict[str, Any]:  # noqa: N802
            return fields

        @staticmethod
        def NodeOutput(*values: Any) -> tuple[Any, ...]:  # noqa: N802
            return values


@pytest.fixture
def newer_host(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    package, latest = ModuleType("comfy_api"), ModuleType("comfy_api.latest")
    package.latest = latest  # type: ignore[attr-defined]
    latest.ComfyExtension, latest.io = Host.ComfyExtension, Host.io  # type: ignore[attr-defined]
    package.__spec__ = importlib.machinery.ModuleSpec("comfy_api", None)
    monkeypatch.setitem(sys.modules, "comfy_api", package)
    monkeypatch.setitem(sys.modules, "comfy_api.latest", latest)
    yield load_pack("ganimation_comfyui_v3")
    for name in [name for name in sys.modules if name.startswith("ganimation_comfyui_v3")]:
        del sys.modules[name]


def test_a_newer_host_is_given_the_same_nodes_by_its_own_api(
    newer_host: ModuleType, nodes: dict[str, Any], editor: Editor, photo: torch.Tensor
) -> None:
    assert newer_host.NODE_CLASS_MAPPINGS is None
    found = asyncio.run(asyncio.run(newer_host.comfy_entrypoint()).get_node_list())
    schemas = {node.define_schema()["node_id"]: (node.define_schema(), node) for node in found}
    assert list(schemas) == list(nodes)
    schema, node = schemas["EditExpression"]
    inputs = {key: (kind, options) for kind, key, options in schema["inputs"]}
    assert inputs["model"] == ("GANIMATION", {"optional": False})
    assert inputs["named"][0] == "COMBO"
    assert inputs["named"][1]["options"][0] == "as in the photo"
    assert inputs["mask"][1]["optional"] is True
    assert [kind for kind, _ in schema["outputs"]] == ["IMAGE", "MASK"]
    options = {"named": "smile", "strength": 1.0, "face": 1, **sliders(nodes)}
    image, _ = node.execute(model=editor, image=photo, **options)
    assert torch.equal(image, edit(nodes, editor, photo, named="smile")[0])


def test_an_older_host_reads_the_mappings(nodes: dict[str, Any]) -> None:
    pack = load_pack()
    assert set(pack.NODE_DISPLAY_NAME_MAPPINGS) == set(nodes)
    for cls in nodes.values():
        assert len(cls.RETURN_TYPES) == len(cls.RETURN_NAMES)
        assert callable(getattr(cls, cls.FUNCTION))
    assert isinstance(nodes["LoadGANimation"]().load("bundled")[0], Editor)
