from django.conf import settings
from django.urls import URLPattern, URLResolver, include, path

from campaigns import tracking_views, views, webhook_views

urlpatterns: list[URLPattern | URLResolver] = [
    path("unsubscribe/<str:token>/", views.unsubscribe, name="unsubscribe"),
    # Without its slash too: a redirect of a POST would end as a GET, which unsubscribes nobody (RFC 8058).
    path("unsubscribe/<str:token>", views.unsubscribe),
    path("t/c/<str:token>/", tracking_views.click, name="tracked-click"),
    path("t/o/<str:token>.gif", tracking_views.opened, name="tracked-open"),
]
# Without a secret anybody could tell us anything.
if settings.ANYMAIL.get("WEBHOOK_SECRET"):
    urlpatterns.append(path("anymail/", include((webhook_views.patterns(), "anymail"))))
