from rest_framework.routers import SimpleRouter

from monitoring.api import audit

router = SimpleRouter()
router.register("audit", audit.AuditViewSet, basename="audit")
urlpatterns = router.urls
