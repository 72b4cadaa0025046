from django.urls import include, re_path
from rest_framework.routers import SimpleRouter

from campaigns.api import events, views
from campaigns.api.dkim_keys import DkimKeyViewSet
from campaigns.api.domain_limits import DomainLimitViewSet
from campaigns.api.figures import CampaignTasks
from campaigns.api.imports import CampaignImports, Imports
from campaigns.api.suppressions import SuppressionViewSet
from campaigns.api.templates import CampaignTemplateViewSet
from campaigns.api.transports import TransportViewSet

router = SimpleRouter()
router.register("campaigns", views.CampaignViewSet, basename="campaign")
router.register("recipients", views.RecipientViewSet, basename="recipient")
router.register("imports", Imports, basename="import")
router.register("suppressions", SuppressionViewSet, basename="suppression")
router.register("dkim-keys", DkimKeyViewSet, basename="dkim-key")
router.register("templates", CampaignTemplateViewSet, basename="template")
router.register("domain-limits", DomainLimitViewSet, basename="domain-limit")
router.register("transports", TransportViewSet, basename="transport")

in_campaign = SimpleRouter()
in_campaign.register("recipients", views.CampaignRecipients, basename="campaign-recipient")
in_campaign.register("imports", CampaignImports, basename="campaign-import")
in_campaign.register("tasks", CampaignTasks, basename="campaign-task")
in_campaign.register("events", events.CampaignEvents, basename="campaign-event")

urlpatterns = [*router.urls, re_path(rf"^campaigns/(?P<campaign>{views.ID})/", include(in_campaign.urls))]
