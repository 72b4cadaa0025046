from typing import Any

from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView


# no-store: a token is not to be kept anywhere on its way.
@method_decorator(never_cache, "dispatch")
class Token(TokenObtainPairView):
    """A user name and password for a pair of tokens; send `Authorization: Bearer <access>` from then on."""

    def get_serializer_context(self) -> dict[str, Any]:
        # Django's own request: wrong passwords are counted by it.
        return {**super().get_serializer_context(), "request": self.request._request}


@method_decorator(never_cache, "dispatch")
class Refresh(TokenRefreshView):
    """The refresh token for a new access token."""


class MeSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    username = serializers.CharField(source="get_username")
    is_staff = serializers.BooleanField()
    is_superuser = serializers.BooleanField()
    permissions = serializers.SerializerMethodField()

    def get_permissions(self, user: Any) -> list[str]:
        return sorted(user.get_all_permissions())


class Me(APIView):
    """Who you are here, and what you may do."""

    permission_classes = [IsAuthenticated]

    @extend_schema(responses=MeSerializer)
    def get(self, request: Request) -> Response:
        return Response(MeSerializer(request.user).data)
