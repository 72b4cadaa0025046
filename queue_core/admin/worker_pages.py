"""The worker admin's own pages: the fleet that is alive, what is asked of workers, and the size of a pool."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import ModelAdmin
from unfold.widgets import CHECKBOX_CLASSES

from queue_core import services
from queue_core.admin.ledger import actor, demand, page
from queue_core.admin.worker_rows import allowed, pool_rows, worker_rows
from queue_core.errors import QueueError
from queue_core.services.outcome import plural
from queue_core.services.scale_pool import SIZES
from queue_core.states import Desire

_ID_MAX = 2**63 - 1
_TICKED_MAX = 1_000
SHOWN_WORKERS = 500
STEER = "queue_core.steer_worker"


@dataclass(frozen=True, slots=True)
class Verb:
    """What may be asked; with a `warning` it asks first."""

    name: str
    desire: Desire
    act: Callable[..., services.BulkOutcome]
    done: str
    icon: str
    warning: str = ""


_SMALLER = "Nobody takes their place: their pools get smaller by them, and are scaled to have them back."
VERBS = (
    Verb("pause", Desire.PAUSE, services.pause_worker, "Paused", "pause"),
    Verb("resume", Desire.RUN, services.resume_worker, "Resumed", "play_arrow"),
    Verb(
        *("drain", Desire.DRAIN, services.drain_worker, "Drained", "hourglass_bottom"),
        warning=f"They finish all they hold, and end. {_SMALLER}",
    ),
    Verb(
        *("stop", Desire.STOP, services.stop_worker, "Stopped", "stop"),
        warning=f"They finish what runs, give back the rest, and end. {_SMALLER}",
    ),
)


class ScaleForm(forms.Form):
    wanted = forms.IntegerField(min_value=SIZES[0], max_value=SIZES[-1], label="Processes")


def fleet(model_admin: ModelAdmin, request: HttpRequest, tabs: list[dict[str, Any]]) -> HttpResponse:
    """Pools and workers that are alive."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    found = list(services.live_workers()[: SHOWN_WORKERS + 1])
    return page(
        model_admin,
        request,
        "queue_core/admin/workers.html",
        title="Workers",
        tab_list=tabs,
        pools=pool_rows(list(services.live_pools())),
        workers=worker_rows(found[:SHOWN_WORKERS]),
        shown_workers=SHOWN_WORKERS if len(found) > SHOWN_WORKERS else None,
        verbs=VERBS if may_steer(request) else (),
        checkbox=" ".join(CHECKBOX_CLASSES),
        largest=SIZES[-1],
    )


def may_steer(request: HttpRequest) -> bool:
    return request.user.has_perm(STEER)


def steer(model_admin: ModelAdmin, request: HttpRequest) -> HttpResponse:
    """Asks workers for a verb; one that ends them is asked about first."""
    demand(model_admin.has_view_permission(request) and may_steer(request))
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    verb = next((one for one in VERBS if one.name == request.POST.get("verb")), None)
    ids = _ids(request.POST.getlist("worker"))
    if verb is None or not ids:
        messages.warning(request, f"Tick the workers (up to {_TICKED_MAX}) and choose what they are to do.")
    elif verb.warning and "sure" not in request.POST:
        return _question(model_admin, request, verb, ids)
    else:
        outcome = verb.act(ids, by=actor(request))
        tell = messages.success if outcome.changed else messages.warning
        tell(request, outcome.sentence(verb.done, "worker"))
    return HttpResponseRedirect(_back(ids if "alone" in request.POST else []))


def _question(model_admin: ModelAdmin, request: HttpRequest, verb: Verb, ids: list[int]) -> HttpResponse:
    is_alone = "alone" in request.POST
    hidden = [("verb", verb.name), ("sure", "1"), *(("worker", pk) for pk in ids)]
    count = plural(len(ids), "worker")
    return page(
        model_admin,
        request,
        "queue_core/admin/confirm.html",
        title=f"{verb.name.capitalize()} {count}",
        question=f"{verb.name.capitalize()} {count}? {verb.warning}",
        hidden=[*hidden, ("alone", "1")] if is_alone else hidden,
        button=f"{verb.name.capitalize()} {count}",
        back=_back(ids if is_alone else []),
    )


def scale(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    demand(model_admin.has_view_permission(request) and may_steer(request))
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    form = ScaleForm(request.POST)
    if not form.is_valid():
        messages.error(request, f"A pool has {SIZES[0]} to {SIZES[-1]} processes: give a whole number.")
        return HttpResponseRedirect(_back([]))
    try:
        pool = services.scale_pool(pk, form.cleaned_data["wanted"], by=actor(request))
    except QueueError as exc:
        messages.warning(request, str(exc))
    else:
        messages.success(request, f"The pool {pool.name} is to have {plural(pool.wanted, 'worker')}.")
    return HttpResponseRedirect(_back([]))


def _ids(texts: list[str]) -> list[int]:
    """Of ticked workers; none at all when one of them is no id."""
    is_good = len(texts) <= _TICKED_MAX and all(t.isascii() and t.isdigit() and len(t) <= 19 for t in texts)
    ids = [int(text) for text in texts] if is_good else []
    return ids if all(0 < pk <= _ID_MAX for pk in ids) else []


def _back(ids: list[int]) -> str:
    if ids:
        return reverse("admin:queue_core_worker_change", args=ids[:1])
    return reverse("admin:queue_core_worker_changelist")


def buttons(request: HttpRequest, worker: Any) -> list[dict[str, Any]]:
    """The verbs this person may ask of this worker now."""
    if not may_steer(request):
        return []
    offered = allowed(worker)
    return [
        {"title": one.name.capitalize(), "icon": one.icon, "verb": one.name} for one in VERBS if one.desire in offered
    ]
