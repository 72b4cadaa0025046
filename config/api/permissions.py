from typing import TYPE_CHECKING, Any

from rest_framework.permissions import DjangoModelPermissions
from rest_framework.request import Request

if TYPE_CHECKING:  # rest_framework.views imports this module, by the settings
    from rest_framework.views import APIView

_VIEW = ["%(app_label)s.view_%(model_name)s"]


class ModelPermissions(DjangoModelPermissions):
    """Django's model permissions; looking needs “view”, which Django REST framework leaves open.

    A viewset whose verb needs another one says so: `needs = {action: "app.codename"}`, or several of them.
    """

    perms_map = {**DjangoModelPermissions.perms_map, "GET": _VIEW, "HEAD": _VIEW, "OPTIONS": _VIEW}

    def has_permission(self, request: Request, view: "APIView") -> bool:
        needs: dict[str, str | tuple[str, ...]] = getattr(view, "needs", {})
        needed = needs.get(getattr(view, "action", None) or "")
        if needed is None:
            return bool(super().has_permission(request, view))
        user: Any = request.user
        permissions = (needed,) if isinstance(needed, str) else needed
        return bool(user and user.is_authenticated and user.has_perms(permissions))
