"""JSON in: everything that would fail later, or be silently lost, is refused here with a 400."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.fields import BooleanField, empty
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.serializers import BaseSerializer, ListSerializer, Serializer

from config.api.problems import Problem

MAX_DEPTH = 32
_BIGINT = range(-(2**63), 2**63)
_MAX_DIGITS = 19
# A form that does not hold a field says nothing of it, as a JSON body does not: else what checks, or only tries, unless
# somebody says “false”, would be switched off by every form that does not know of it.
BooleanField.default_empty_html = empty


def check_size(parser_context: Mapping[str, Any] | None) -> None:
    """Raise the 413 before anything is read. A body without a length is none, to Django."""
    request = (parser_context or {}).get("request")
    if request is not None and int(request.META.get("CONTENT_LENGTH") or 0) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        raise Problem(413, f"The body has more than {settings.DATA_UPLOAD_MAX_MEMORY_SIZE} bytes; send it in parts.")


class StrictJson(JSONParser):
    """UTF-8 JSON of bounded size and depth, with numbers and text that PostgreSQL can store.

    Fields that the view's serializer does not know are refused by name, not ignored.
    """

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        check_size(parser_context)
        data = loads(stream.read())
        view = (parser_context or {}).get("view")
        if view is not None and hasattr(view, "get_serializer_class"):
            unknown = dict(unknown_fields(data, view.get_serializer_class()()))
            if unknown:
                raise ValidationError(unknown)
        return data


class Form(FormParser):
    """A form of the browsable pages."""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        check_size(parser_context)
        return super().parse(stream, media_type, parser_context)


class MultiPart(MultiPartParser):
    """A form with files."""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        check_size(parser_context)
        return super().parse(stream, media_type, parser_context)


def loads(body: bytes) -> Any:
    """The value, or ParseError that says what to change."""
    try:
        data = json.loads(
            body.decode("utf-8-sig"), parse_int=_integer, parse_float=_number, parse_constant=_not_a_number
        )
    except UnicodeDecodeError:
        raise ParseError("The body is not UTF-8; encode it so.") from None
    except RecursionError:
        raise ParseError(f"The body is nested deeper than {MAX_DEPTH} levels; flatten it.") from None
    except json.JSONDecodeError as exc:
        raise ParseError(f"The body is not JSON: {exc}.") from None
    _check_values(data)
    return data


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > _MAX_DIGITS or int(digits) not in _BIGINT:
        raise ParseError(f"The number {digits[:30]} is out of range; send numbers of 64 bits, or text.")
    return int(digits)


def _number(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ParseError(f"The number {digits[:30]} is out of range; send a smaller one, or text.")
    return value


def _not_a_number(name: str) -> float:
    raise ParseError(f"{name} is not JSON; send null or text.")


def _check_values(data: Any) -> None:
    """Level by level, so that no nesting can exhaust the stack."""
    level, depth = [data], 0
    while level:
        if depth > MAX_DEPTH:
            raise ParseError(f"The body is nested deeper than {MAX_DEPTH} levels; flatten it.")
        below: list[Any] = []
        for value in level:
            if isinstance(value, str):
                _check_text(value)
            elif isinstance(value, dict):
                below += value
                below += value.values()
            elif isinstance(value, list):
                below += value
        level, depth = below, depth + 1


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise ParseError("A text holds a NUL character (\\u0000), which cannot be stored; remove it.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ParseError("A text holds half of a surrogate pair (\\ud800-\\udfff); send whole characters.") from None


def unknown_fields(data: Any, serializer: Any, path: str = "") -> Iterator[tuple[str, list[str]]]:
    """(path, messages) for each key that the serializer would ignore, also in nested objects and lists of them."""
    if isinstance(serializer, ListSerializer):
        for index, item in enumerate(data if isinstance(data, list) else []):
            yield from unknown_fields(item, serializer.child, f"{path}{index}.")
    elif isinstance(serializer, Serializer) and isinstance(data, dict):
        writable = {name: field for name, field in serializer.fields.items() if not field.read_only}
        for name in data.keys() - writable.keys():
            yield f"{path}{name}", [f"Unknown field. Known: {', '.join(writable) or 'none'}."]
        for name, field in writable.items():
            if isinstance(field, BaseSerializer) and name in data:
                yield from unknown_fields(data[name], field, f"{path}{name}.")
