"""The API: each app brings its own routes."""

from django.urls import include, path

from config.api import schema, views

urlpatterns = [
    path("auth/token/", views.Token.as_view(), name="token"),
    path("auth/token/refresh/", views.Refresh.as_view(), name="token-refresh"),
    path("auth/me/", views.Me.as_view(), name="me"),
    path("auth/", include("rest_framework.urls")),
    path("schema/", schema.Document.as_view(), name="schema"),
    path("docs/", schema.Page.as_view(), name="docs"),
    path("", include("queue_core.api.urls")),
    path("", include("campaigns.api.urls")),
    path("", include("monitoring.api.urls")),
]
