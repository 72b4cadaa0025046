"""The index page of the admin: what waits, what works, what went wrong. Nothing here scans a growing table."""

from typing import Any

from django.db.models import DurationField, ExpressionWrapper, F
from django.db.models.functions import Now
from django.http import HttpRequest
from django.urls import reverse

from campaigns.admin.progress import CAMPAIGN_LABELS, bar, under_way_first, with_progress
from campaigns.models import Campaign
from queue_core.admin.paginator import bounded_count, shown
from queue_core.admin.times import ago, moment
from queue_core.models import Task, Tick, Worker
from queue_core.querysets import SHOWN_STATES
from queue_core.states import TaskState, WorkerState
from queue_core.texts import grouped

_SHOWN = 6


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's DASHBOARD_CALLBACK: adds what this person may see to the index page."""
    context["title"] = "Dashboard"
    if request.user.has_perm("queue_core.view_task"):
        context |= {"cards": _task_cards(), "failures": _failures()}
    if request.user.has_perm("queue_core.view_worker"):
        context["cards"] = [*context.get("cards", []), *_worker_cards()]
    if request.user.has_perm("campaigns.view_campaign"):
        context |= {"campaigns": _campaigns(), "new_campaign": request.user.has_perm("campaigns.add_campaign")}
    return context


def _card(title: str, value: str, link: str, *, is_bad: bool = False) -> dict[str, Any]:
    return {"title": title, "value": value, "link": link, "is_bad": is_bad}


def _task_cards() -> list[dict[str, Any]]:
    tasks = reverse("admin:queue_core_task_changelist")
    cards = []
    for state in ("queued", "scheduled", "running", "failed"):
        count = bounded_count(Task.objects.filter(SHOWN_STATES[state]))
        link = f"{tasks}?state={state}"
        cards.append(_card(f"Tasks {state}", shown(count), link, is_bad=state == "failed" and count > 0))
    return cards


def _worker_cards() -> list[dict[str, Any]]:
    workers = reverse("admin:queue_core_worker_changelist")
    alive = Worker.objects.filter(state=WorkerState.ONLINE, lease_until__gt=Now()).count()
    age = ExpressionWrapper(Now() - F("ticked_at"), output_field=DurationField())
    since = Tick.objects.annotate(age=age).values_list("age", flat=True).first()
    is_late = since is None or since.total_seconds() > 10
    return [
        _card("Workers alive", shown(alive), f"{workers}?state=alive", is_bad=not alive),
        _card("Last tick", ago(since) if since is not None else "never", workers, is_bad=is_late),
    ]


def _failures() -> list[dict[str, Any]]:
    tasks = Task.objects.filter(state=TaskState.FAILED).defer("payload").order_by("-id")[:_SHOWN]
    return [
        {"task": task, "url": reverse("admin:queue_core_task_change", args=[task.pk]), "at": moment(task.finished_at)}
        for task in tasks
    ]


def _campaigns() -> list[dict[str, Any]]:
    """Those under way, then the latest."""
    rows = with_progress(under_way_first(Campaign.objects.all()))[:_SHOWN]
    return [
        {
            "name": row.name,
            "state": row.state,
            "type": CAMPAIGN_LABELS[row.state],
            "url": reverse("admin:campaigns_campaign_change", args=[row.pk]),
            "bar": bar(row),
            "sent": f"{grouped(row.n_sent)} / {grouped(row.n_to_mail)}",
            "trouble": row.trouble,
        }
        for row in rows
    ]
