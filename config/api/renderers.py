from collections.abc import Mapping
from typing import Any

from rest_framework.renderers import JSONRenderer

PROBLEM = "application/problem+json"


class Json(JSONRenderer):
    """JSON, under its own media type where it tells of a problem."""

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> Any:
        response = (renderer_context or {}).get("response")
        # The browsable page borrows this renderer for its content; the page stays HTML.
        if response is not None and response.exception and response.accepted_renderer is self:
            response["Content-Type"] = PROBLEM
        return super().render(data, accepted_media_type, renderer_context)
