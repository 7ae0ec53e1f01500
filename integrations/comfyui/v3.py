"""The same nodes for ComfyUI's third API, made from their definitions in the first."""

from typing import Any

from .nodes import NODES

#: Names of the host's types in its third API, where they are not those of ours.
TYPES = {"FLOAT": "Float", "INT": "Int", "STRING": "String", "BOOLEAN": "Boolean", "IMAGE": "Image", "MASK": "Mask"}


def extension(api: Any) -> Any:
    """Return the extension's class.

    Args:
        api: the module ``comfy_api.latest``.
    """

    class GANimationExtension(api.ComfyExtension):  # type: ignore[misc]
        """The pack."""

        async def get_node_list(self) -> list[Any]:
            """Return the nodes."""
            return [_node(api.io, name, cls) for name, cls in NODES.items()]

    return GANimationExtension


def _kind(io: Any, name: str) -> Any:
    return getattr(io, TYPES[name]) if name in TYPES else io.Custom(name)


def _input(io: Any, name: str, definition: tuple[Any, ...], *, optional: bool) -> Any:
    kind, options = definition[0], dict(definition[1]) if len(definition) > 1 else {}
    if isinstance(kind, list):
        return io.Combo.Input(name, options=kind, optional=optional, **options)
    return _kind(io, kind).Input(name, optional=optional, **options)


def _node(io: Any, name: str, cls: type[Any]) -> type[Any]:
    """Return a node of the third API that does what one of the first does."""
    inputs = [
        _input(io, key, definition, optional=group == "optional")
        for group, entries in cls.INPUT_TYPES().items()
        for key, definition in entries.items()
    ]

    class Node(io.ComfyNode):  # type: ignore[misc]
        """A node, see :mod:`nodes`."""

        @classmethod
        def define_schema(own) -> Any:  # noqa: N804 - cls is the node of the first API
            """Return what the host shows."""
            outputs = [
                _kind(io, kind).Output(display_name=label)
                for kind, label in zip(cls.RETURN_TYPES, cls.RETURN_NAMES, strict=True)
            ]
            return io.Schema(
                node_id=name, display_name=cls.DISPLAY, category=cls.CATEGORY, description=cls.__doc__,
                inputs=inputs, outputs=outputs,
            )  # fmt: skip

        @classmethod
        def execute(own, **values: Any) -> Any:  # noqa: N804
            """Do it."""
            return io.NodeOutput(*getattr(cls(), cls.FUNCTION)(**values))

    Node.__name__ = name
    return Node
