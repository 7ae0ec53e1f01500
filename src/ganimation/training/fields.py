"""The fields of a configuration by their names: change them, describe them, compare them."""

import dataclasses
import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.fields import FieldInfo

from ganimation.errors import TrainingError
from ganimation.training.config import TrainingConfig


def override(config: TrainingConfig, *changes: str) -> TrainingConfig:
    """Return the configuration with fields changed.

    Args:
        config: to change.
        changes: ``size=64``; a phase's field by the phase's name, ``adversarial.steps=500``, or in all phases,
            ``weights.attention=0.3``.

    Raises:
        TrainingError: there is no such field, or the value is not of its type or beyond its limits.
    """
    content = config.to_json()
    for text in changes:
        name, equals, value = text.partition("=")
        if not equals:
            raise TrainingError(f"{text!r}: write NAME=VALUE, for example size=64 or weights.attention=0.3")
        path = name.strip().split(".")
        places = [phase for phase in content["phases"] if phase["name"] == path[0]]
        if places:
            path = path[1:]
        else:
            places = content["phases"] if path[0] in content["phases"][0].keys() - content.keys() else [content]
        for place in places:
            _set(place, path, value.strip(), name, content)
    return TrainingConfig.from_json(content)


def _set(place: dict[str, Any], path: list[str], value: str, name: str, defaults: Mapping[str, Any]) -> None:
    """Set the field at ``path`` of nested JSON values; what a phase leaves to the run is taken from ``defaults``."""
    known = [key for key in place if key not in ("preset", "method", "init", "phases", "name")]
    if not path or path[0] not in known:
        close = difflib.get_close_matches(path[0] if path else "", known, n=1) or known
        raise TrainingError(f"{name}: no such field; did you mean {' or '.join(close)}?")
    if len(path) == 1:
        place[path[0]] = value
        return
    if place[path[0]] is None:
        place[path[0]] = defaults[path[0]].copy() if isinstance(defaults.get(path[0]), dict) else None
    if not isinstance(place[path[0]], dict):
        raise TrainingError(f"{name}: {path[0]} has no fields of its own")
    _set(place[path[0]], path[1:], value, name, defaults)


def describe(config: TrainingConfig) -> str:
    """Return all fields with their values in a configuration, their limits and descriptions, a line each."""
    return "\n".join(_lines(config, ""))


def _lines(part: Any, prefix: str) -> Iterator[str]:
    fields: Mapping[str, FieldInfo] = type(part).__pydantic_fields__
    for name, info in fields.items():
        value = getattr(part, name)
        if name in ("preset", "method", "init", "name"):
            continue
        if dataclasses.is_dataclass(value):
            yield from _lines(value, f"{prefix}{name}.")
        elif name == "phases":
            for phase in value:
                yield from _lines(phase, f"{phase.name}.")
        else:
            text = " ".join((info.description or "").split())
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
            yield f"{prefix}{name}={'' if shown in ({}, None) else shown}  {text}"


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    """Name the first field in which two configurations, as JSON values, differ, with both values."""
    before, after = _flat(old), _flat(new)
    for name in [*before, *(name for name in after if name not in before)]:
        if before.get(name) != after.get(name):
            return f"{name} was {before.get(name)!r} and is {after.get(name)!r}"
    return None


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Return nested objects and lists as one dictionary with dotted names."""
    if isinstance(value, Mapping):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        items = [(str(index), item) for index, item in enumerate(value)]
    else:
        return {name: value}
    return {key: leaf for part, item in items for key, leaf in _flat(item, f"{name}.{part}".lstrip(".")).items()}
