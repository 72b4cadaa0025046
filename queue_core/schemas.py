"""JSON Schema of a payload: taken from a function's signature, or given with the task; checked before a row is made."""

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from jsonschema import Draft202012Validator, SchemaError
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable, Unretrievable
from referencing.jsonschema import DRAFT202012

# A reason quotes the value, which may be a megabyte; what is wrong with it stands at the end.
_HEAD, _TAIL = 80, 200
_REASONS = 5

# A tuple is written as a list.
_Validator = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("array", lambda _, value: isinstance(value, list | tuple)),
)
# To JSON Schema 1.0 is an integer; a function that says `int` would get a float.
_SignatureValidator = extend(
    _Validator,
    type_checker=_Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)


class PayloadSchema:
    """The schema of a task's payload. `document` is JSON Schema 2020-12; references stay inside of it.

    Where it is `of_signature`, an integer is what Python calls one: 1, not 1.0.
    """

    def __init__(self, document: Mapping[str, Any], *, of_signature: bool = False) -> None:
        self.document = dict(document)
        self._kind = _SignatureValidator if of_signature else _Validator

    @cached_property
    def fault(self) -> str:
        """Why this is no schema; empty for one that is right."""
        try:
            json.dumps(self.document, allow_nan=False)
            Draft202012Validator.check_schema(self.document)
            resolver = self._registry.resolver()
            for reference in _references(self.document):
                resolver.lookup(reference)
        except SchemaError as exc:
            return f"{'.'.join(map(str, exc.absolute_path)) or 'schema'}: {shortened(exc.message)}"
        except (Unresolvable, Unretrievable) as exc:
            return f"$ref {exc.ref!r} leads nowhere inside this schema; other documents are never fetched"
        except (TypeError, ValueError, RecursionError) as exc:
            return f"not JSON: {exc}"
        return ""

    @cached_property
    def _registry(self) -> Any:
        return Registry().with_resource("", DRAFT202012.create_resource(self.document))

    @cached_property
    def _validator(self) -> Any:
        return self._kind(self.document, registry=self._registry)

    def problems(self, payload: Mapping[str, Any]) -> list[tuple[str, str]]:
        """(path such as "photo.width", reason) of what does not fit, the first few. Empty: it fits."""
        if self.fault:
            return [("", f"the task's schema cannot be used ({self.fault}); tell its developers")]
        try:
            if self._validator.is_valid(payload):
                return []
            errors = sorted(map(_deepest, self._validator.iter_errors(payload)), key=_path)
        except RecursionError:
            return [("", "is nested too deeply for its schema; flatten it")]
        except ArithmeticError as exc:
            return [("", f"holds a number out of range ({exc})")]
        return [(_path(error), shortened(error.message)) for error in errors[:_REASONS]]


def _path(error: Any) -> str:
    return ".".join(map(str, error.absolute_path))


def _deepest(error: Any) -> Any:
    """Of the alternatives that none fits, the one that came furthest: it says what to correct."""
    return max([error, *map(_deepest, error.context or ())], key=lambda found: len(found.absolute_path))


def shortened(reason: str) -> str:
    return reason if len(reason) <= _HEAD + _TAIL else f"{reason[:_HEAD]}…{reason[-_TAIL:]}"


def _references(document: Any) -> Iterator[str]:
    """Every `$ref` of a schema, wherever it stands."""
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
            yield from (value[key] for key in ("$ref", "$dynamicRef") if isinstance(value.get(key), str))
        elif isinstance(value, list | tuple):
            waiting += value
