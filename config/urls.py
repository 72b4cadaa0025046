from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("config.api.urls")),
    path("", include("monitoring.urls")),
    path("", include("campaigns.urls")),
]

# Under /api/ also these answer with problem details.
handler400 = "config.api.problems.bad_request"
handler404 = "config.api.problems.not_found"
handler500 = "config.api.problems.server_error"
