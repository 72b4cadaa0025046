from typing import Any

from rest_framework.response import Response

# A URL that no id can have is a 404 of the routing.
ID = "[0-9]{1,19}"


def whole(results: Any) -> Response:
    """A list that is never long, in the shape of a page."""
    return Response({"next": None, "previous": None, "count": len(results), "results": results})
