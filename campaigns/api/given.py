from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.serializers import BaseSerializer


def validated(form: BaseSerializer[Any]) -> dict[str, Any]:
    """What a request says, checked; a 400 that names the fields otherwise."""
    form.is_valid(raise_exception=True)
    given: dict[str, Any] = form.validated_data
    return given


def upload_of(request: Request) -> Any:
    """The file of a form, or the body as one."""
    upload = request.FILES.get("file")
    if upload is None:
        raise ValidationError({"file": ["Send a JSON list, a CSV, TSV or XLSX body, or a form with a `file`."]})
    return upload
