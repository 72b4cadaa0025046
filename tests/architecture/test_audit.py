"""Every verb a person calls leaves one entry: who, what, how many, through which door. Nothing else leaves any."""

import inspect
import io
import json
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connection, transaction
from django.urls import reverse
from rest_framework.test import APIClient

from campaigns import breaker
from campaigns import services as campaigns
from campaigns.intake import read_options
from campaigns.models import Campaign, DkimKey, DomainLimit, MailTransport, Recipient, Suppression
from queue_core import broker
from queue_core import services as queue
from queue_core.models import DeadLetterGroup, Schedule, Workflow
from queue_core.services import Actor, open_letters
from queue_core.services.register_worker import register_worker
from queue_core.services.worker_pool import open_pool
from tests import tasks  # noqa: F401 - registers tests.*
from tests.clocks import AUTUMN, AUTUMN_IN_WORDS
from tests.factories import CampaignFactory, TemplateFactory, UserFactory, add_recipients, completed, make_dead_letters

pytestmark = pytest.mark.django_db
Verb = Callable[[Actor | None], Any]
DOORS = ("admin", "api")
FILE = b"email\nann@example.com\nbob@example.com\nnobody\n"
# Of the services, those that no person asks for, that change nothing, or that another verb is made of.
NOT_OF_PERSONS = {
    "queue": {
        "backlog",
        "build",
        "export_tasks",
        "fire_schedules",
        "forget",
        "ping_bell",
        "prune",
        "stats",
        "submit_many",
    }
    | {"live_pools", "live_workers", "upcoming", "workers", "preview_bulk", "run_bulk"}
    | {"relatives", "settle", "state_counts", "step_counts", "step_payload", "waiting_reason", "workflow_graph"}
    | {"durations", "lineage", "why_left", "why_left_letter"}
    | {"count_types", "durations", "hold_reason", "task_type", "task_types", "why_left", "why_left_letter"}
    # What workers do, not persons.
    | {"pull_register", "pull_deregister", "pull_beat", "pull_task_beat", "pull_claim", "pull_complete", "pull_fail"}
    | {"pull_progress"},
    "campaigns": {
        "campaign_stats",
        "mailable",
        "export_campaign",
        "export_lacking",
        "who_lacks",
        "demand_deletable",
        "demand_draft",
        "demand_transport_deletable",
        "is_deletable",
        "retryable",
        "revision_of",
        "transport_refusals",
        "check_import",
        "check_transport",
        "give_up_import",
        "import_sample",
        "preflight",
        "preview_message",
        "preview_template",
        "problems",
        "read_bounces",
        "read_mails",
        "recipient_of",
        "export_suppressions",
        "forget_file",
        "launch_due",
        "run_check",
        "run_import",
        "rejected_rows",
        "status",
        "totals",
        "take_notice",
        "take_report",
        "take_click",
        "take_open",
        "unsubscribe",
        "unsubscribe_url",
    },
}


@pytest.fixture(autouse=True)
def silent_bell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "ring", lambda queue: None)


@pytest.fixture
def person(db: None) -> User:
    return UserFactory(username="ada", is_superuser=True)


def two_letters() -> list[int]:
    return [letter.pk for letter in make_dead_letters(2)]


def two_failed() -> list[int]:
    return [letter.task_id for letter in make_dead_letters(2)]


def two_pinned() -> list[int]:
    ids = two_failed()
    queue.pin(ids)
    return ids


def one_waiting() -> str:
    queue.submit("tests.noop", queue="low")
    return "low"


def group_of_three() -> DeadLetterGroup:
    make_dead_letters(3)
    return DeadLetterGroup.objects.get()


def schedule(**values: Any) -> Schedule:
    return queue.save_schedule(name="Nightly", task="tests.noop", expression="@daily", **values)


def paused_schedule() -> Schedule:
    made = schedule()
    queue.pause_schedule([made.pk])
    return made


def worker() -> int:
    return register_worker(["default"])


def paused_worker() -> int:
    made = worker()
    queue.pause_worker([made])
    return made


def pool() -> int:
    return open_pool(["default"], 1)


def workflow() -> Workflow:
    return queue.submit_workflow("w", [{"name": "tests.noop", "queue": "high"}] * 2)


def ended_workflow() -> Workflow:
    made = workflow()
    queue.cancel_workflow([made.pk])
    queue.settle()
    return made


def draft() -> Campaign:
    campaign = CampaignFactory(name="Autumn")
    add_recipients(campaign, 3)
    return campaign


def scheduled() -> Any:
    return campaigns.schedule(draft(), datetime.fromisoformat(f"{AUTUMN}T01:30Z"))


def uploaded() -> Any:
    return campaigns.upload_import(draft(), io.BytesIO(FILE), filename="a.csv")


def recipient() -> Recipient:
    return draft().recipients.earliest("pk")


def sending() -> Campaign:
    return campaigns.launch(draft())


def paused() -> Campaign:
    return campaigns.pause(sending())


def over(state: str) -> Campaign:
    """A campaign that is completed, with all its recipients in one state."""
    return completed(sending(), state)


def new_campaign() -> dict[str, Any]:
    return {"name": "Autumn", "template": TemplateFactory(), "from_email": "a@example.com"}


def suppression() -> Suppression:
    return campaigns.suppress("jo@example.com")[0]


def domain_limit() -> DomainLimit:
    return campaigns.limit_domain(domain="example.com", rate_count=5)


def dkim_key() -> DkimKey:
    return campaigns.add_dkim_key(domain="example.com", selector="s1", algorithm="ed25519")


def transport() -> MailTransport:
    return campaigns.save_transport(name="Relay", host="mail.example.com")


def tripped() -> MailTransport:
    made = transport()
    breaker.trip(made.breaker_key, "no")
    return made


def _case(prepare: Callable[[], Any], verb: Callable[..., Any]) -> Callable[[], Verb]:
    """A verb on what `prepare` makes."""

    def ready() -> Verb:
        made = prepare()
        return lambda by: verb(made, by=by)

    return ready


# name of the verb -> (what is made ready and then done, what the entry says)
QUEUE: dict[str, tuple[Callable[[], Verb], str]] = {
    "submit": (_case(lambda: "tests.noop", queue.submit), "Submitted 1 task."),
    "submit_batch": (
        _case(lambda: [{"name": "tests.noop", "payload": {}}] * 3, queue.submit_batch),
        "Submitted 3 tasks.",
    ),
    "retry": (
        _case(lambda: [*two_failed(), queue.submit("tests.noop").id], queue.retry),
        "Retried 2 tasks; 1 was not failed or cancelled.",
    ),
    "replay": (_case(two_failed, queue.replay), "Replayed 2 tasks."),
    "replay_letters": (_case(two_letters, queue.replay_letters), "Replayed 2 dead letters."),
    "replay_group": (_case(group_of_three, queue.replay_group), "Replayed 3 dead letters."),
    "discard": (_case(two_letters, queue.discard), "Discarded 2 dead letters."),
    "discard_group": (_case(group_of_three, queue.discard_group), "Discarded 3 dead letters."),
    "cancel": (_case(lambda: [queue.submit("tests.noop").id], queue.cancel), "Cancelled 1 task."),
    "edit_task": (
        _case(lambda: [queue.submit("tests.noop").id], lambda ids, by: queue.edit_task(ids, priority=5, by=by)),
        "Changed priority. Changed 1 task.",
    ),
    "delete_tasks": (
        _case(lambda: [*two_failed(), queue.submit("tests.noop").id], queue.delete_tasks),
        "Deleted 2 tasks; 1 was not over.",
    ),
    "pin": (_case(two_failed, queue.pin), "Pinned 2 tasks."),
    "unpin": (_case(two_pinned, queue.unpin), "Unpinned 2 tasks."),
    "purge_queue": (_case(one_waiting, queue.purge_queue), "Purged: cancelled 1 task."),
    "start_bulk": (
        _case(two_failed, lambda _, by: queue.start_bulk("retry", query="state:failed", by=by)),
        "Asked to retry all tasks that match state:failed: 2.",
    ),
    "stop_bulk": (_case(lambda: queue.start_bulk("retry", query="state:failed").pk, queue.stop_bulk), "Asked to stop."),
    "submit_workflow": (
        lambda: lambda by: queue.submit_workflow("w", [{"name": "tests.noop"}] * 2, by=by),
        "Submitted 2 steps.",
    ),
    "cancel_workflow": (
        _case(lambda: [workflow().pk, ended_workflow().pk], queue.cancel_workflow),
        "Cancelled 1 workflow; 1 was over already, or cancelled before.",
    ),
    "retry_workflow": (_case(ended_workflow, queue.retry_workflow), "Retried 2 steps."),
    "pause_queue": (_case(lambda: "low", queue.pause_queue), "Paused."),
    "resume_queue": (_case(lambda: queue.pause_queue("low").name, queue.resume_queue), "Resumed."),
    "limit_queue": (
        lambda: lambda by: queue.limit_queue("low", max_running=3, rate="100/m", by=by),
        "Limited to 3 at once, 100/m in a time.",
    ),
    "pause_worker": (_case(lambda: [worker()], queue.pause_worker), "Paused 1 worker."),
    "resume_worker": (
        _case(lambda: [paused_worker(), worker()], queue.resume_worker),
        "Resumed 1 worker; 1 was not paused.",
    ),
    "drain_worker": (_case(lambda: [worker()], queue.drain_worker), "Drained 1 worker."),
    "stop_worker": (_case(lambda: [worker(), worker()], queue.stop_worker), "Stopped 2 workers."),
    "scale_pool": (_case(pool, lambda made, by: queue.scale_pool(made, 3, by=by)), "Scaled to 3."),
    "pause_type": (_case(lambda: "tests.noop", queue.pause_type), "Paused."),
    "resume_type": (_case(lambda: queue.pause_type("tests.noop").name, queue.resume_type), "Resumed."),
    "limit_type": (
        lambda: lambda by: queue.limit_type("tests.noop", max_running=3, by=by),
        "Limited: 3 at once, as the code says in a time.",
    ),
    "save_schedule": (lambda: lambda by: schedule(by=by), "Created."),
    "pause_schedule": (_case(lambda: [schedule().pk], queue.pause_schedule), "Paused 1 schedule."),
    "resume_schedule": (_case(lambda: [paused_schedule().pk], queue.resume_schedule), "Resumed 1 schedule."),
    "run_schedule_now": (_case(schedule, queue.run_schedule_now), "Run by hand."),
    "delete_schedule": (_case(lambda: [schedule().pk], queue.delete_schedule), "Deleted 1 schedule."),
}
CAMPAIGNS: dict[str, tuple[Callable[[], Verb], str]] = {
    "create_campaign": (lambda: lambda by: campaigns.create_campaign(**new_campaign(), by=by), "Created."),
    "edit_campaign": (
        _case(draft, lambda made, by: campaigns.edit_campaign(made, name="Winter", reply_to="", by=by)),
        "Changed name.",
    ),
    "delete_campaign": (_case(draft, campaigns.delete_campaign), "Deleted with 3 recipients."),
    "launch": (_case(draft, campaigns.launch), "Launched: 3 recipients to mail."),
    "launch_as_planned": (_case(draft, campaigns.launch_as_planned), "Launched: 3 recipients to mail."),
    "edit_recipient": (
        _case(recipient, lambda made, by: campaigns.edit_recipient(made, name="Jo", by=by)),
        "Changed name.",
    ),
    "remove_recipient": (_case(recipient, campaigns.remove_recipient), "Removed."),
    "send_template_test": (
        _case(lambda: draft().template, lambda made, by: campaigns.send_template_test(made, ["jo@example.com"], by=by)),
        "Test mail to jo@example.com.",
    ),
    "schedule": (
        _case(draft, lambda made, by: campaigns.schedule(made, datetime.fromisoformat(f"{AUTUMN}T01:30Z"), by=by)),
        f"Scheduled for {AUTUMN_IN_WORDS}, 01:30 UTC.",
    ),
    "unschedule": (_case(scheduled, campaigns.unschedule), "Unscheduled."),
    "send_test": (
        _case(draft, lambda made, by: campaigns.send_test(made, ["jo@example.com"], by=by)),
        "Test mail to jo@example.com.",
    ),
    "duplicate_campaign": (
        _case(draft, lambda made, by: campaigns.duplicate_campaign(made, recipients=True, by=by)),
        "Duplicated “Autumn” with 3 recipients.",
    ),
    "start": (_case(paused, campaigns.start), "Resumed."),
    "pause": (_case(sending, campaigns.pause), "Paused."),
    "resume": (_case(paused, campaigns.resume), "Resumed."),
    "cancel": (_case(sending, campaigns.cancel), "Cancelled."),
    "import_recipients": (
        _case(draft, lambda made, by: campaigns.import_recipients(made, io.BytesIO(FILE), filename="a.csv", by=by)),
        "Added 2 recipients from a.csv.",
    ),
    "add_recipients": (
        _case(draft, lambda made, by: campaigns.add_recipients(made, [{"email": "ann@example.com"}], by=by)),
        "Added 1 recipient.",
    ),
    "start_import": (
        _case(draft, lambda made, by: campaigns.start_import(made, io.BytesIO(FILE), filename="a.csv", by=by)),
        "Importing a.csv in the background.",
    ),
    "upload_import": (
        _case(draft, lambda made, by: campaigns.upload_import(made, io.BytesIO(FILE), filename="a.csv", by=by)),
        "Uploaded a.csv.",
    ),
    "edit_import": (
        _case(uploaded, lambda made, by: campaigns.edit_import(made, read_options(encoding="utf-8"), by=by)),
        "Changed how a.csv is read.",
    ),
    "begin_import": (_case(uploaded, campaigns.begin_import), "Importing a.csv in the background."),
    "cancel_import": (
        _case(
            lambda: campaigns.start_import(draft(), io.BytesIO(FILE), filename="a.csv"),
            campaigns.cancel_import,
        ),
        "Cancelled the import of a.csv.",
    ),
    "import_suppressions": (
        _case(lambda: io.BytesIO(FILE), lambda raw, by: campaigns.import_suppressions(raw, by=by)),
        "Imported 2 addresses.",
    ),
    "retry_failed": (
        _case(lambda: over("rejected"), campaigns.retry_failed),
        "Retried 3 recipients.",
    ),
    "mark_sent": (_case(lambda: over("unconfirmed"), campaigns.mark_sent), "Marked as sent 3 recipients."),
    "send_again": (_case(lambda: over("unconfirmed"), campaigns.send_again), "Sent again 3 recipients."),
    "suppress": (_case(lambda: "jo@example.com", campaigns.suppress), "Suppressed 1 address."),
    "edit_suppression": (
        _case(suppression, lambda made, by: campaigns.edit_suppression(made, source="letter", by=by)),
        "Changed source of 1 suppressed address.",
    ),
    "unsuppress": (_case(suppression, campaigns.unsuppress), "Took 1 address off the list."),
}
CAMPAIGNS |= {
    "save_transport": (
        lambda: lambda by: campaigns.save_transport(name="Relay", host="mail.example.com", by=by),
        "Created.",
    ),
    "limit_domain": (
        lambda: lambda by: campaigns.limit_domain(domain="example.com", rate_count=5, by=by),
        "Limited: 5 in 60 s.",
    ),
    "edit_domain_limit": (
        _case(domain_limit, lambda row, by: campaigns.edit_domain_limit(row, rate_count=7, by=by)),
        "Limited: 7 in 60 s.",
    ),
    "delete_domain_limit": (_case(domain_limit, campaigns.delete_domain_limit), "Deleted."),
    "add_dkim_key": (
        lambda: lambda by: campaigns.add_dkim_key(domain="example.com", selector="s", algorithm="ed25519", by=by),
        "Created: s._domainkey.example.com.",
    ),
    "switch_dkim_key": (
        _case(dkim_key, lambda row, by: campaigns.switch_dkim_key(row, enabled=False, by=by)),
        "Switched off.",
    ),
    "delete_dkim_key": (_case(dkim_key, campaigns.delete_dkim_key), "Deleted."),
    "delete_transport": (_case(transport, campaigns.delete_transport), "Deleted."),
    "reset_transport": (_case(tripped, campaigns.reset_transport), "Reset its breaker."),
}
CASES = [
    pytest.param(*case, id=f"{app}.{verb}")
    for app, cases in (("queue", QUEUE), ("campaigns", CAMPAIGNS))
    for verb, case in cases.items()
]


@pytest.mark.parametrize(("app", "services", "cases"), [("queue", queue, QUEUE), ("campaigns", campaigns, CAMPAIGNS)])
def test_every_verb_knows_who_asks_and_is_tested_here(app: str, services: Any, cases: dict[str, Any]) -> None:
    verbs = {name for name in services.__all__ if inspect.isfunction(getattr(services, name))}
    assert verbs == set(cases) | NOT_OF_PERSONS[app]
    assert {name for name in verbs if "by" in inspect.signature(getattr(services, name)).parameters} == set(cases)


# --- the verbs


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("ready", "text"), CASES)
def test_a_verb_leaves_one_entry_with_the_number(ready: Any, text: str, door: str, person: User) -> None:
    verb = ready()
    assert not LogEntry.objects.exists()
    verb(Actor(person, door))
    entry = LogEntry.objects.get()
    assert (entry.user, entry.change_message) == (person, f"{text} ({door})")
    assert entry.object_repr


@pytest.mark.parametrize(("ready", "text"), CASES)
def test_what_no_person_asked_for_leaves_none(ready: Any, text: str) -> None:
    ready()(None)
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(("ready", "text"), CASES)
def test_a_command_leaves_a_line_in_the_log(ready: Any, text: str, caplog: pytest.LogCaptureFixture) -> None:
    verb = ready()
    with caplog.at_level(logging.INFO, "queue_core.services.audit"):
        verb(Actor(None, "command"))
    (line,) = caplog.messages
    assert line.endswith(f"{text} (command)")
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(("ready", "text"), CASES)
def test_a_verb_that_is_undone_leaves_none(ready: Any, text: str, person: User) -> None:
    verb = ready()
    with transaction.atomic():
        verb(Actor(person, "api"))
        transaction.set_rollback(True)
    assert not LogEntry.objects.exists()


REPEATED = (
    *("delete_tasks", "pin", "unpin", "purge_queue"),
    *("retry", "replay_letters", "replay_group", "discard", "discard_group", "cancel"),
    *("pause_worker", "resume_worker", "drain_worker", "stop_worker", "scale_pool"),
    *("pause_queue", "resume_queue", "limit_queue", "pause_type", "resume_type", "limit_type"),
    *("pause_schedule", "resume_schedule", "delete_schedule"),
)


@pytest.mark.parametrize("ready", [QUEUE[verb][0] for verb in REPEATED], ids=REPEATED)
def test_a_verb_that_finds_nothing_to_do_leaves_none(ready: Any, person: User) -> None:
    verb = ready()
    verb(None)
    verb(Actor(person, "api"))
    assert not LogEntry.objects.exists()


def test_what_is_there_already_leaves_none(person: User) -> None:
    campaign, by = draft(), Actor(person, "api")
    campaigns.suppress("jo@example.com")
    campaigns.suppress("jo@example.com", by=by)
    campaigns.edit_campaign(campaign, name="Autumn", by=by)
    campaigns.add_recipients(campaign, [{"email": "r0@example.com"}, {"email": "no"}], by=by)
    campaigns.import_recipients(campaign, io.BytesIO(FILE), filename="a.csv", dry_run=True, by=by)
    queue.submit("tests.noop", unique_key="k")
    queue.submit("tests.noop", unique_key="k", by=by)
    assert not LogEntry.objects.exists()


def test_the_entry_of_a_group_grows_with_each_slice(person: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_letters, "SLICE", 1)
    group, seen = group_of_three(), []
    wrapped = open_letters.audit.amend
    monkeypatch.setattr(
        open_letters.audit, "amend", lambda entry, message, by: (wrapped(entry, message, by=by), seen.append(message))
    )
    queue.discard_group(group, by=Actor(person, "api"))
    assert seen == ["Discarded 2 dead letters.", "Discarded 3 dead letters."]
    entry = LogEntry.objects.get()
    assert (entry.change_message, entry.object_id) == ("Discarded 3 dead letters. (api)", group.pk)


def test_an_entry_names_what_was_asked_for(person: User) -> None:
    one, *others = [queue.submit("tests.noop").id for _ in range(100)]
    by = Actor(person, "api")
    queue.cancel([one], by=by)
    queue.cancel(others, by=by)
    single, bulk = LogEntry.objects.order_by("pk")
    assert (single.object_id, single.object_repr) == (str(one), f"task {one}")
    assert bulk.object_id is None
    assert bulk.object_repr.startswith(f"99 tasks: {others[0]}, {others[1]}")


def test_who_resolved_a_letter_stays_with_it(person: User) -> None:
    letters = make_dead_letters(3)
    by = Actor(person, "api")
    queue.discard([letters[0].pk], by=by)
    queue.retry([letters[1].task_id], by=by)
    queue.replay_letters([letters[2].pk], by=Actor(None, "command"))
    for letter in letters:
        letter.refresh_from_db()
    assert [letter.resolved_by for letter in letters] == [person, person, None]


# --- the doors


@pytest.fixture
def ids(db: None) -> dict[str, Any]:
    """Something for every verb to work on."""
    failed, letter = make_dead_letters(2)
    return {
        "queued": queue.submit("tests.noop").id,
        "failed": failed.task_id,
        "workflow": workflow().pk,
        "cancelled": ended_workflow().pk,
        "letter": letter.pk,
        "group": letter.fingerprint,
        "schedule": schedule().pk,
        "worker": worker(),
        "paused_worker": paused_worker(),
        "pool": pool(),
        "template": TemplateFactory().pk,
        "draft": draft().pk,
        "sending": sending().pk,
        "paused": paused().pk,
        "suppression": suppression().pk,
        "dkim_key": dkim_key().pk,
        "transport": tripped().pk,
        "other": campaigns.save_transport(name="Another", host="mail.example.com").pk,
    }


API_CALLS: list[tuple[str, str, Any, str]] = [
    ("post", "tasks/", {"name": "tests.noop"}, "Submitted 1 task."),
    ("post", "tasks/batch/", {"tasks": [{"name": "tests.noop"}] * 3}, "Submitted 3 tasks."),
    ("post", "tasks/{failed}/retry/", {}, "Retried 1 task."),
    ("post", "tasks/{failed}/replay/", {}, "Replayed 1 task."),
    ("post", "tasks/{failed}/replay/", {"payload": {"a": 1}}, "Replayed 1 task with another payload."),
    ("post", "tasks/{queued}/cancel/", {}, "Cancelled 1 task."),
    ("patch", "tasks/{queued}/", {"priority": 3, "tags": ["a"]}, "Changed priority, tags. Changed 1 task."),
    ("delete", "tasks/{failed}/", None, "Deleted 1 task."),
    ("post", "tasks/{queued}/pin/", {}, "Pinned 1 task."),
    ("post", "queues/default/purge/", {}, "Purged: cancelled 1 task."),
    ("post", "workflows/", {"name": "w", "steps": [{"name": "tests.noop"}]}, "Submitted 1 step."),
    ("post", "workflows/{workflow}/cancel/", {}, "Cancelled 1 workflow."),
    ("post", "workflows/{cancelled}/retry/", {}, "Retried 2 steps."),
    ("post", "dead-letters/{letter}/replay/", {}, "Replayed 1 dead letter."),
    ("post", "dead-letters/{letter}/discard/", {}, "Discarded 1 dead letter."),
    ("post", "dead-letters/groups/{group}/replay/", {}, "Replayed 2 dead letters."),
    ("post", "dead-letters/groups/{group}/discard/", {}, "Discarded 2 dead letters."),
    ("post", "queues/low/pause/", {}, "Paused."),
    ("patch", "queues/low/", {"max_running": 2}, "Limited to 2 at once, any number in a time."),
    ("post", "workers/{worker}/pause/", {}, "Paused 1 worker."),
    ("post", "workers/{paused_worker}/resume/", {}, "Resumed 1 worker."),
    ("post", "workers/{worker}/drain/", {}, "Drained 1 worker."),
    ("post", "workers/{worker}/stop/", {}, "Stopped 1 worker."),
    ("post", "worker-pools/{pool}/scale/", {"wanted": 4}, "Scaled to 4."),
    ("post", "task-types/tests.noop/pause/", {}, "Paused."),
    ("patch", "task-types/tests.noop/", {"rate": "5/m"}, "Limited: as the code says at once, 5/m in a time."),
    ("post", "schedules/{schedule}/run-now/", {}, "Run by hand."),
    ("post", "campaigns/", {"name": "n", "template": "{template}", "from_email": "a@example.com"}, "Created."),
    ("patch", "campaigns/{draft}/", {"name": "Winter"}, "Changed name."),
    ("delete", "campaigns/{draft}/", None, "Deleted with 3 recipients."),
    ("post", "campaigns/{draft}/launch/", {}, "Launched: 3 recipients to mail."),
    ("post", "campaigns/{draft}/start/", {}, "Launched: 3 recipients to mail."),
    ("post", "campaigns/{paused}/start/", {}, "Resumed."),
    ("post", "campaigns/{sending}/pause/", {}, "Paused."),
    ("post", "campaigns/{sending}/cancel/", {}, "Cancelled."),
    ("post", "campaigns/{draft}/recipients/", {"email": "ann@example.com"}, "Added 1 recipient."),
    (
        "post",
        "campaigns/{draft}/recipients/bulk/",
        [{"email": "ann@example.com"}, {"email": "bob@example.com"}, {"email": "no"}],
        "Added 2 recipients from JSON list.",
    ),
    ("post", "suppressions/", {"email": "al@example.com"}, "Suppressed 1 address."),
    ("patch", "suppressions/{suppression}/", {"reason": "bounced"}, "Changed reason of 1 suppressed address."),
    ("delete", "suppressions/{suppression}/", None, "Took 1 address off the list."),
    (
        "post",
        "dkim-keys/",
        {"domain": "example.com", "selector": "s2", "algorithm": "ed25519"},
        "Created: s2._domainkey.example.com.",
    ),
    ("patch", "dkim-keys/{dkim_key}/", {"enabled": False}, "Switched off."),
    ("delete", "dkim-keys/{dkim_key}/", None, "Deleted."),
    ("post", "transports/", {"name": "n", "host": "mail.example.com"}, "Created."),
    ("patch", "transports/{transport}/", {"priority": 7}, "Changed priority."),
    ("post", "transports/{transport}/reset/", {}, "Reset its breaker."),
    ("delete", "transports/{transport}/", None, "Deleted."),
]


def _filled(value: Any, ids: dict[str, Any]) -> Any:
    return json.loads(json.dumps(value).replace('"{template}"', str(ids["template"])))


@pytest.mark.parametrize(("method", "path", "body", "text"), API_CALLS)
def test_a_request_leaves_one_entry(
    method: str, path: str, body: Any, text: str, ids: dict[str, Any], person: User
) -> None:
    client = APIClient()
    client.force_authenticate(person)
    answer = getattr(client, method)(f"/api/v1/{path.format(**ids)}", _filled(body, ids))
    assert answer.status_code < 300, answer.content
    entry = LogEntry.objects.get()
    assert (entry.user, entry.change_message) == (person, f"{text} (api)")


CAMPAIGN = {
    **{"name": "Winter", "template": "{template}", "from_email": "a@example.com", "reply_to": ""},
    **{"unconfirmed": "ask", "context": "{}"},
}
TICKED = {"_selected_action": "{queued}", "action": "cancel_selected"}
# page, the id in its address, what is sent, what the entry says
ADMIN_CALLS: list[tuple[str, str, dict[str, str], str]] = [
    ("queue_core_task_add", "", {"name": "tests.noop", "payload": "{}"}, "Submitted 1 task."),
    ("queue_core_task_retry", "failed", {}, "Retried 1 task."),
    ("queue_core_task_cancel", "queued", {}, "Cancelled 1 task."),
    ("queue_core_task_replay", "failed", {"payload": "{}"}, "Replayed 1 task."),
    ("queue_core_task_forget", "failed", {}, "Deleted 1 task."),
    ("queue_core_task_pin", "failed", {}, "Pinned 1 task."),
    ("queue_core_task_changelist", "", TICKED, "Cancelled 1 task."),
    ("queue_core_deadletter_replay", "letter", {"payload": "{}"}, "Replayed 1 dead letter."),
    ("queue_core_deadletter_replay", "letter", {"payload": '{"a": 1}'}, "Replayed 1 dead letter with another payload."),
    ("queue_core_deadletter_discard", "letter", {}, "Discarded 1 dead letter."),
    (
        "queue_core_deadletter_changelist",
        "",
        {"_selected_action": "{letter}", "action": "replay_selected", "confirmed": "1"},
        "Replayed 1 dead letter.",
    ),
    ("queue_core_deadlettergroup_replay", "group", {}, "Replayed 2 dead letters."),
    ("queue_core_deadlettergroup_discard", "group", {}, "Discarded 2 dead letters."),
    ("queue_core_schedule_run_now", "schedule", {}, "Run by hand."),
    ("queue_core_workflow_cancel", "workflow", {}, "Cancelled 1 workflow."),
    ("queue_core_workflow_retry", "cancelled", {}, "Retried 2 steps."),
    ("campaigns_campaign_add", "", CAMPAIGN, "Created."),
    ("campaigns_campaign_delete", "draft", {}, "Deleted with 3 recipients."),
    ("campaigns_campaign_launch", "draft", {}, "Launched: 3 recipients to mail."),
    ("campaigns_campaign_pause", "sending", {}, "Paused."),
    ("campaigns_campaign_resume", "paused", {}, "Resumed."),
    ("campaigns_campaign_cancel", "sending", {}, "Cancelled."),
    ("campaigns_suppression_add", "", {"email": "al@example.com", "reason": "manual", "source": ""}, "Suppressed 1"),
    ("campaigns_suppression_delete", "suppression", {"post": "yes"}, "Took 1 address off the list."),
    (
        "campaigns_suppression_changelist",
        "",
        {"_selected_action": "{suppression}", "action": "delete_selected", "post": "yes"},
        "Took 1 address off the list.",
    ),
]


@pytest.mark.parametrize(("page", "target", "form", "text"), ADMIN_CALLS)
def test_a_page_leaves_one_entry(
    page: str, target: str, form: dict[str, str], text: str, ids: dict[str, Any], person: User, client: Any
) -> None:
    client.force_login(person)
    marks = {f"{{{name}}}": str(value) for name, value in ids.items()}
    filled = {field: marks.get(value, value) for field, value in form.items()}
    answer = client.post(reverse(f"admin:{page}", args=[ids[target]] if target else []), filled)
    assert answer.status_code == 302, answer.content.decode()[-3000:]
    entry = LogEntry.objects.get()
    assert entry.user == person
    assert entry.change_message.startswith(text)
    assert entry.change_message.endswith(" (admin)")


def test_a_draft_that_is_edited_or_filled_in_the_admin_leaves_one_entry_each(
    ids: dict[str, Any], person: User, client: Any
) -> None:
    client.force_login(person)
    template = Campaign.objects.get(pk=ids["draft"]).template_id
    client.post(reverse("admin:campaigns_campaign_change", args=[ids["draft"]]), {**CAMPAIGN, "template": template})
    upload = {"file": SimpleUploadedFile("a.csv", FILE, content_type="text/csv")}
    page = client.post(reverse("admin:campaigns_campaign_import", args=[ids["draft"]]), upload).headers["Location"]
    client.post(page.replace("change/", "preview/"), {"do": "import"})
    assert list(LogEntry.objects.order_by("pk").values_list("change_message", flat=True)) == [
        "Changed name, from_email. (admin)",
        "Uploaded a.csv. (admin)",
        "Importing a.csv. (admin)",
    ]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("submit", "tests.noop"), "Submitted 1 task."),
        (("retry", "{failed}"), "Retried 1 task."),
        (("replay", "{failed}"), "Replayed 1 task."),
        (("replay", "--group={group}"), "Replayed 2 dead letters."),
        (("workers", "pause", "{worker}"), "Paused 1 worker."),
        (("scale", "{pool}", "4"), "Scaled to 4."),
        (("cancel", "{queued}"), "Cancelled 1 task."),
        (("pause", "--queue=low"), "Paused."),
        (("pause", "--type=tests.noop"), "Paused."),
        (("launch_campaign", "{draft}"), "Launched: 3 recipients to mail."),
    ],
)
def test_a_command_leaves_one_line(
    words: tuple[str, ...], text: str, ids: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "queue_core.services.audit"):
        call_command(*[word.format(**ids) for word in words], stdout=io.StringIO())
    (line,) = caplog.messages
    assert line.endswith(f"{text} (command)")
    assert not LogEntry.objects.exists()


def test_an_entry_and_its_change_are_one_transaction(person: User) -> None:
    """When the entry cannot be written, the task is not cancelled either."""
    task_id = queue.submit("tests.noop").id
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE django_admin_log ADD CONSTRAINT full_up CHECK (false) NOT VALID")
    with pytest.raises(Exception, match="full_up"), transaction.atomic():
        queue.cancel([task_id], by=Actor(person, "api"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT state FROM tasks WHERE id = %s", [task_id])
        assert cursor.fetchone() == ("queued",)
