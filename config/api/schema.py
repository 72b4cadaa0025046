"""The OpenAPI description: what drf-spectacular finds, and the errors that every operation may answer."""

from typing import Any

from drf_spectacular.authentication import BasicScheme
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from config.api.renderers import PROBLEM


class OurBasicScheme(BasicScheme):  # type: ignore[no-untyped-call]  # it registers itself
    """drf-spectacular knows schemes by their exact class."""

    target_class = "config.api.authentication.Basic"
    priority = 0


class Document(SpectacularAPIView):
    """This API as OpenAPI 3.1."""


class Page(SpectacularSwaggerView):
    """This API to read and to try; its files come from this server."""

    url_name = "schema"


_PROBLEM = {
    "type": "object",
    "description": "RFC 9457",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what is wrong, and what to do"},
        "errors": {
            "type": "object",
            "description": "messages by field",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
        "state": {"type": "string", "description": "with 409: the state that does not allow the verb"},
        "problems": {"type": "array", "items": {"type": "string"}, "description": "with 409: what is not ready"},
    },
}
_METHODS = {"get", "post", "put", "patch", "delete"}


def add_problems(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """A drf-spectacular hook: problem details as the default answer of every operation."""
    result["components"].setdefault("schemas", {})["Problem"] = _PROBLEM
    for methods in result["paths"].values():
        for operation in (methods[method] for method in _METHODS & methods.keys()):
            operation["responses"]["default"] = {
                "description": "Anything else",
                "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            }
    return result
