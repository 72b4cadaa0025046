"""What somebody may do with a campaign, in the state it is in: the buttons on its page."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from unfold.admin import ModelAdmin

from campaigns import services
from campaigns.admin import again_pages
from campaigns.models import Campaign
from campaigns.states import CAMPAIGN_TRANSITIONS, CampaignState

# The rate of a draft stands in its form.
_RATED = (CampaignState.SCHEDULED, CampaignState.SENDING, CampaignState.PAUSED)


def buttons(
    model_admin: ModelAdmin, request: HttpRequest, campaign: Campaign, now: dict[str, Any]
) -> list[dict[str, Any]]:
    """What `heading.html` shows; `now` is the status of the campaign."""
    offered = []
    if campaign.state == CampaignState.DRAFT and model_admin.has_import_permission(request):
        offered.append(_button("Import recipients", "upload_file", "import", campaign))
    if request.user.has_perm("campaigns.view_recipient"):
        offered.append(_button("Preview", "preview", "preview", campaign))
    if model_admin.has_launch_permission(request):
        offered += _verbs(campaign, now)
    if campaign.state in _RATED and request.user.has_perm("campaigns.change_campaign"):
        offered.append(_button("Rate", "speed", "rate", campaign))
    offered += _looks(request, campaign)
    if model_admin.has_add_permission(request):
        offered.append(_button("Duplicate", "content_copy", "duplicate", campaign))
    if model_admin.has_delete_permission(request) and services.is_deletable(campaign):
        offered.append(_button("Delete", "delete", "delete", campaign))
    return offered


def _verbs(campaign: Campaign, now: dict[str, Any]) -> list[dict[str, Any]]:
    """For who may launch."""
    verbs = {
        "launch": _button("Launch", "send", "launch", campaign, variant="primary"),
        "schedule": _button("Schedule", "schedule_send", "schedule", campaign),
        "unschedule": _button("Unschedule", "event_busy", "unschedule", campaign, post=True),
        "pause": _button("Pause", "pause", "pause", campaign, post=True),
        "resume": _button("Resume", "play_arrow", "resume", campaign, post=True, variant="primary"),
        "cancel": _button("Cancel", "block", "cancel", campaign),
    }
    again = [_button(title, icon, name, campaign) for name, title, icon in again_pages.offered(campaign.state, now)]
    return [button for verb, button in verbs.items() if campaign.state in CAMPAIGN_TRANSITIONS[verb]] + again


def _looks(request: HttpRequest, campaign: Campaign) -> list[dict[str, Any]]:
    """What changes nothing."""
    offered = [_button("Figures", "monitoring", "figures", campaign)]
    if request.user.has_perm("campaigns.view_recipient"):
        offered.append(_button("Events", "history", "events", campaign))
        offered.append(_button("Export", "download", "export", campaign))
    if request.user.has_perms(("campaigns.view_recipientimport", "campaigns.view_recipient")):
        url = f"{reverse('admin:campaigns_recipientimport_changelist')}?campaign={campaign.pk}"
        offered.append({"title": "Imports", "icon": "upload_file", "url": url})
    return offered


def _button(
    title: str, icon: str, verb: str, campaign: Campaign, *, post: bool = False, variant: str = "default"
) -> dict[str, Any]:
    url = reverse(f"admin:campaigns_campaign_{verb}", args=[campaign.pk])
    return {"title": title, "icon": icon, "url": url, "post": post, "variant": variant}
