"""The JSON Schema of a function's arguments, by its annotations. What is not understood is anything."""

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, Union

Schema = dict[str, Any]
_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "object", type(None): "null"}
_LISTS = (list, tuple, set, frozenset)
_DEEPEST = 8  # a type that holds itself


def schema_of(func: Callable[..., Any], *, takes_context: bool) -> Schema:
    """An object with a property per argument; without a default it is required. `**rest` allows others."""
    parameters = named(func, takes_context=takes_context)
    hints = _hints(func)
    properties, required = {}, []
    for parameter in parameters:
        found = _of(hints.get(parameter.name, Any), 0)
        if parameter.default is parameter.empty:
            required.append(parameter.name)
        else:
            found = _with_default(found, parameter.default)
        properties[parameter.name] = found
    document: Schema = {"type": "object", "properties": properties}
    if required:
        document["required"] = required
    if not _has(func, inspect.Parameter.VAR_KEYWORD):
        document["additionalProperties"] = False
    return document


def named(func: Callable[..., Any], *, takes_context: bool) -> list[inspect.Parameter]:
    """The arguments that have a name, without the context."""
    rest = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    found = [parameter for parameter in inspect.signature(func).parameters.values() if parameter.kind not in rest]
    return found[1:] if takes_context else found


def by_name(func: Callable[..., Any], args: list[Any], *, takes_context: bool) -> Mapping[str, Any]:
    """Arguments given by position, under their names. ValueError: there are more of them than the function takes."""
    names = [
        parameter.name
        for parameter in named(func, takes_context=takes_context)
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    ]
    if len(args) > len(names) and not _has(func, inspect.Parameter.VAR_POSITIONAL):
        raise ValueError(f"{len(args)} arguments by position are more than the {len(names)} it takes")
    return dict(zip(names, args, strict=False))


def _has(func: Callable[..., Any], kind: Any) -> bool:
    return any(parameter.kind is kind for parameter in inspect.signature(func).parameters.values())


def _hints(func: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(func)
    # Names that only a type checker imports, and the like: a hint is no reason to fail.
    except (NameError, TypeError, AttributeError, SyntaxError):
        return {}


def _with_default(found: Schema, default: Any) -> Schema:
    if default is None and "type" in found:  # `size: int = None`
        kinds = found["type"] if isinstance(found["type"], list) else [found["type"]]
        found = {**found, "type": [*kinds, *(["null"] if "null" not in kinds else [])]}
        if "enum" in found:
            found["enum"] = [*found["enum"], None]
    elif default is None and found:
        found = {"anyOf": [found, {"type": "null"}]}
    return {**found, "default": default} if isinstance(default, str | int | float | None) else found


def _of(hint: Any, depth: int) -> Schema:
    origin = typing.get_origin(hint)
    if depth > _DEEPEST or hint is Any:
        return {}
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    if origin is Literal:
        return {"enum": list(typing.get_args(hint))}
    if origin in (Union, types.UnionType):
        return _union([_of(part, depth + 1) for part in typing.get_args(hint)])
    if hint in _LISTS or origin in _LISTS:
        return _list(hint, depth)
    if origin is dict:
        values = _of(typing.get_args(hint)[1], depth + 1)
        return {"type": "object", **({"additionalProperties": values} if values else {})}
    if typing.is_typeddict(hint) or (dataclasses.is_dataclass(hint) and isinstance(hint, type)):
        return _record(hint, depth)
    return {}


def _union(parts: list[Schema]) -> Schema:
    if {} in parts:
        return {}
    if all(part.keys() == {"type"} for part in parts):
        return {"type": [part["type"] for part in parts]}
    values = [part.get("enum") or ([None] if part == {"type": "null"} else None) for part in parts]
    if all(values):
        return {"enum": [value for some in values for value in some or ()]}
    return {"anyOf": parts}


def _list(hint: Any, depth: int) -> Schema:
    args = typing.get_args(hint)
    if not args or (typing.get_origin(hint) is tuple and not (len(args) == 2 and args[1] is Ellipsis)):
        return {"type": "array"}
    items = _of(args[0], depth + 1)
    return {"type": "array", **({"items": items} if items else {})}


def _record(hint: Any, depth: int) -> Schema:
    """A TypedDict or a dataclass."""
    hints = _hints(hint)
    if typing.is_typeddict(hint):
        required = sorted(hint.__required_keys__)
    else:
        missing = dataclasses.MISSING
        fields = dataclasses.fields(hint)
        required = [field.name for field in fields if field.default is missing and field.default_factory is missing]
    properties = {name: _of(part, depth + 1) for name, part in hints.items()}
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
