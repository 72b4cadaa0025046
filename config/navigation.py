"""The admin's sidebar: what somebody may see, in the order of a day's work."""

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

# group -> (title, icon, app_model)
_PAGES: dict[str, list[tuple[str, str, str]]] = {
    "Campaigns": [
        ("Campaigns", "campaign", "campaigns.campaign"),
        ("Recipients", "group", "campaigns.recipient"),
        ("Templates", "article", "templates_app.emailtemplate"),
        ("Transports", "outgoing_mail", "campaigns.mailtransport"),
        ("Domain limits", "speed", "campaigns.domainlimit"),
        ("DKIM keys", "vpn_key", "campaigns.dkimkey"),
        ("Suppressions", "do_not_disturb_on", "campaigns.suppression"),
        ("Imports", "upload_file", "campaigns.recipientimport"),
    ],
    "Queue": [
        ("Tasks", "checklist", "queue_core.task"),
        ("Queues", "low_priority", "queue_core.queue"),
        ("Task types", "category", "queue_core.typepolicy"),
        ("Workflows", "account_tree", "queue_core.workflow"),
        ("Schedules", "schedule", "queue_core.schedule"),
        ("Dead letters", "error", "queue_core.deadletter"),
        ("Dead letter groups", "stacks", "queue_core.deadlettergroup"),
        ("Bulk operations", "dynamic_feed", "queue_core.bulkoperation"),
        ("Workers", "memory", "queue_core.worker"),
    ],
    "Mail catcher": [("Caught mail", "inbox", "campaigns.caughtmessage")],
    "Access": [
        ("Users", "person", "auth.user"),
        ("Groups", "groups", "auth.group"),
        ("Failed sign-ins", "lock_clock", "axes.accessattempt"),
    ],
}


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Unfold's navigation: groups with the pages this person may view; empty groups are left out."""
    home = {"title": "Dashboard", "icon": "space_dashboard", "link": reverse("admin:index")}
    groups: list[dict[str, Any]] = [{"items": [home]}]
    for title, pages in _PAGES.items():
        items = [
            {"title": name, "icon": icon, "link": reverse(f"admin:{model.replace('.', '_')}_changelist")}
            for name, icon, model in pages
            if _may_view(request, model)
        ]
        if items:
            groups.append({"title": title, "separator": True, "items": items})
    return groups


def _may_view(request: HttpRequest, model: str) -> bool:
    """As the page itself judges it."""
    return bool(admin.site.get_model_admin(apps.get_model(model)).has_view_permission(request))
