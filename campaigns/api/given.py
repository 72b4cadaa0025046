from typing import Any

from rest_framework.serializers import BaseSerializer


def validated(form: BaseSerializer[Any]) -> dict[str, Any]:
    """What a request says, checked; a 400 that names the fields otherwise."""
    form.is_valid(raise_exception=True)
    given: dict[str, Any] = form.validated_data
    return given
