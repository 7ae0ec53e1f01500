"""Nodes of ganimation for ComfyUI: link or copy this folder into ``custom_nodes``.

A host with the third API asks :func:`comfy_entrypoint`, an older one reads the mappings. A host that knows both takes
the mappings where they are there, so they are defined for old ones alone.
"""

import importlib.util
from typing import Any

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS", "comfy_entrypoint"]

NODE_CLASS_MAPPINGS: dict[str, type[Any]] | None = None
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] | None = None

if importlib.util.find_spec("comfy_api") is None:
    from .nodes import NODES

    NODE_CLASS_MAPPINGS = dict(NODES)
    NODE_DISPLAY_NAME_MAPPINGS = {name: cls.DISPLAY for name, cls in NODES.items()}


async def comfy_entrypoint() -> Any:
    """Return the extension, of a host with the third API."""
    import comfy_api.latest

    from .v3 import extension

    return extension(comfy_api.latest)()
