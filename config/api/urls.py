"""The API: each app brings its own routes."""

from django.urls import include, path

urlpatterns = [
    path("auth/", include("rest_framework.urls")),
    path("", include("queue_core.api.urls")),
    path("", include("templates_app.api.urls")),
    path("", include("campaigns.api.urls")),
]
