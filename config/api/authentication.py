from typing import Any

from rest_framework.authentication import BasicAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request


class Basic(BasicAuthentication):
    """User name and password with each request: for scripts and trying out."""

    def authenticate_credentials(self, userid: str, password: str, request: Request | None = None) -> Any:
        if "\x00" in userid:  # PostgreSQL cannot even look for it
            raise AuthenticationFailed("Invalid username/password.")
        # Django's own request: wrong passwords are counted by it.
        return super().authenticate_credentials(userid, password, getattr(request, "_request", request))
