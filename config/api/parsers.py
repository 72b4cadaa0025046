"""JSON and forms in: everything that would fail later, or be silently lost, is refused here with a 400."""

from collections.abc import Iterator, Mapping
from typing import IO, Any

from django.conf import settings
from django.http import QueryDict
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.fields import BooleanField, CharField, DictField, JSONField, ListField, empty
from rest_framework.parsers import DataAndFiles, FormParser, JSONParser, MultiPartParser
from rest_framework.serializers import BaseSerializer, ListSerializer, Serializer

from config.api.problems import Problem
from queue_core.json_text import JsonRefused, read_json

# What the browsable pages add to each form.
_OF_PAGES = {"csrfmiddlewaretoken", "_method", "_content", "_content_type"}
_OBJECTS = (DictField, JSONField, BaseSerializer)

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
    """A form, as strict as JSON about its fields; one that takes an object holds it as JSON text."""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        check_size(parser_context)
        return _fields_read(super().parse(stream, media_type, parser_context), parser_context)


class MultiPart(MultiPartParser):
    """The same with files; where there is one, the view reads the options beside it."""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        check_size(parser_context)
        parsed = super().parse(stream, media_type, parser_context)
        return parsed if parsed.files else DataAndFiles(_fields_read(parsed.data, parser_context), parsed.files)


def loads(body: bytes) -> Any:
    """The value, or ParseError that says what to change."""
    try:
        return read_json(body.decode("utf-8-sig"), "The body")
    except UnicodeDecodeError:
        raise ParseError("The body is not UTF-8; encode it so.") from None
    except JsonRefused as exc:
        raise ParseError(str(exc)) from None


def _fields_read(form: QueryDict, parser_context: Mapping[str, Any] | None) -> Any:
    """The form; where it holds an object as text, the same as JSON would bring it, and a field left blank is not given.

    Raises ValidationError by field for what the view's serializer would ignore.
    """
    view = (parser_context or {}).get("view")
    if view is None or not hasattr(view, "get_serializer_class"):
        return form
    serializer = view.get_serializer_class()()
    fields = {name: field for name, field in getattr(serializer, "fields", {}).items() if not field.read_only}
    given = {_field_of(name, fields): name for name in form if name not in _OF_PAGES}
    unknown = dict(unknown_fields(given, serializer))
    if unknown:
        raise ValidationError(unknown)
    if not any(isinstance(fields[name], _OBJECTS) and name in form for name in given):
        return form
    data = {name: _field_read(form, name, fields[name]) for name in given.values() if name in fields}
    data = {name: value for name, value in data.items() if value is not empty}
    unknown = dict(unknown_fields(data, serializer))
    if unknown:
        raise ValidationError(unknown)
    return data


def _field_of(name: str, fields: Mapping[str, Any]) -> str:
    """The field that DRF finds behind a name in a form: `context.a` is of `context`, `to[0]` of `to`."""
    dotted, listed = name.partition(".")[0], name.partition("[")[0]
    if isinstance(fields.get(dotted), (DictField, Serializer)):
        return dotted
    return listed if isinstance(fields.get(listed), (ListField, ListSerializer)) else name


def _field_read(form: QueryDict, name: str, field: Any) -> Any:
    if isinstance(field, ListField):
        return form.getlist(name)
    text = str(form[name])
    if not text and not isinstance(field, CharField):
        return empty
    if not isinstance(field, _OBJECTS):
        return text
    try:
        return read_json(text)
    except JsonRefused as exc:
        raise ValidationError({name: [str(exc)]}) from None


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
