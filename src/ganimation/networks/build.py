"""A generator from what a model's config says of it."""

from collections.abc import Mapping
from typing import Any

from ganimation.networks.generator import Generator
from ganimation.networks.muscles import Muscles

AnyGenerator = Generator | Muscles


def build_generator(arguments: Mapping[str, Any], num_aus: int) -> AnyGenerator:
    """Return a generator with fresh weights.

    Args:
        arguments: ``kind``, ``conditioned`` or ``muscles``, and what :class:`Generator` or :class:`Muscles` take.
        num_aus: AUs that it knows.

    Raises:
        ValueError, TypeError: it is something else.
    """
    rest = dict(arguments)
    kind = rest.pop("kind", "conditioned")
    if kind not in ("conditioned", "muscles"):
        raise ValueError(f"a generator of the kind {kind!r}; it is conditioned or muscles")
    if kind == "conditioned":
        return Generator(num_aus, **rest)
    if len(rest["halves"]) != num_aus:
        raise ValueError(f"halves {rest['halves']!r} are not of {num_aus} AUs")
    return Muscles(**rest)
