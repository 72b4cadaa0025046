"""`{"$result": "charge.receipt.id"}` inside a payload: a value out of what an earlier step returned.

The first word is the step's key, the others lead into its result: names of an object, or places in a list.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from queue_core.errors import Discard

MARK = "$result"
# The same in a callback: {"$workflow": "id"}, replaced when the workflow has ended.
WORKFLOW_MARK = "$workflow"


def replace(payload: dict[str, Any], value_of: Callable[[str], Any], mark: str = MARK) -> None:
    """Put `value_of(text)` in the place of each `{mark: text}` inside the payload, which is changed.

    ValueError for an object that has other members beside the mark, or no text. Not recursive: payloads may be deep.
    """
    containers: list[Any] = [payload]
    while containers:
        container = containers.pop()
        places = container.items() if isinstance(container, dict) else enumerate(container)
        for place, value in list(places):
            if isinstance(value, dict) and mark in value:
                if len(value) != 1 or not isinstance(value[mark], str):
                    raise ValueError(f'write {{"{mark}": "…"}}, with a text and nothing beside it')
                container[place] = value_of(value[mark])
            elif isinstance(value, dict | list):
                containers.append(value)


def unknown_yet(payload: Mapping[str, Any]) -> set[str]:
    """Names of the members whose values no one can know before earlier steps have run."""
    marks = (f'"{MARK}"', f'"{WORKFLOW_MARK}"')
    return {name for name, value in payload.items() if any(mark in json.dumps(value) for mark in marks)}


def key_of(reference: str) -> str:
    return reference.partition(".")[0]


def look_up(reference: str, result: Any) -> Any:
    """The value a reference names inside the result of its step; Discard says where the way ends."""
    key, *path = reference.split(".")
    value = result
    for number, name in enumerate(path):
        try:
            value = value[_place(value, name)]
        except (KeyError, IndexError, TypeError, ValueError):
            way = ".".join([key, *path[:number]])
            raise Discard(f"The result of step {key} has no {reference}: there is no {name!r} in {way}.") from None
    return value


def _place(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return name
    if isinstance(value, list) and name.isascii() and name.isdigit() and len(name) < 10:
        return int(name)
    raise TypeError
