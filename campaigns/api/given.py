from typing import Any

from django.http import QueryDict
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.serializers import BaseSerializer, Serializer

# Of the browsable pages.
_OF_PAGES = {"format", "csrfmiddlewaretoken"}


def validated(form: BaseSerializer[Any]) -> dict[str, Any]:
    """What a request says, checked; a 400 that names the fields otherwise."""
    form.is_valid(raise_exception=True)
    given: dict[str, Any] = form.validated_data
    return given


def asked(request: Request, form: type[Serializer[Any]]) -> dict[str, Any]:
    """The options beside a file, from the query or the fields of its form, checked by `form`.

    None is ignored: with a misspelt `dry_run` a file would be imported. 400 for one that is not known, or given twice.
    """
    fields = request.data if isinstance(request.data, QueryDict) else QueryDict()
    query, known = request.query_params, list(form().fields)
    known += ["file"] if fields and "file" not in known else []
    errors: dict[str, list[str]] = {}
    given: dict[str, Any] = {}
    for name in {*query, *fields} - _OF_PAGES:
        values = [*query.getlist(name), *fields.getlist(name)]
        if name not in known or (name == "file" and name in query):
            errors[name] = [f"Unknown. Known: {', '.join(known)}."]
        elif len(values) > 1:
            errors[name] = ["Given more than once, in the query or the form; say it once."]
        given[name] = values[0]
    if errors:
        raise ValidationError(errors)
    return validated(form(data=given))


def demand(request: Request, permission: str) -> None:
    """A 403 without it: for what only some bodies of a request need."""
    if not request.user.has_perm(permission):
        raise PermissionDenied


def upload_of(request: Request) -> Any:
    """The file of a form, or the body as one."""
    upload = request.FILES.get("file")
    if upload is None:
        raise ValidationError({"file": ["Send a JSON list, a CSV, TSV or XLSX body, or a form with a `file`."]})
    return upload
