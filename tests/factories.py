"""Test data. Campaigns come with a template and a sender; recipients with an address of their own."""

import csv
import io
import uuid
from typing import Any

import factory
from django.contrib.auth.models import Permission, User
from django.db import connection
from factory.django import DjangoModelFactory

from campaigns import lifecycle, services
from campaigns.models import Campaign, Recipient
from campaigns.states import RecipientState
from queue_core import lifecycle as task_lifecycle
from queue_core import services as queue
from queue_core.lifecycle import Ended, Failure
from queue_core.models import DeadLetter
from queue_core.services.register_worker import register_worker
from queue_core.states import DeathReason, Outcome, TaskState
from templates_app.models import EmailTemplate
from templates_app.rendering import Content
from templates_app.services import create_template

HTML = '<p>Hello {{ recipient.name|default("you", true) }}</p><a href="{{ unsubscribe_url }}">Unsubscribe</a>'


class TemplateFactory(DjangoModelFactory[EmailTemplate]):
    """Made by the verb, so that it has its version 1."""

    class Meta:
        model = EmailTemplate

    name = factory.Sequence(lambda n: f"Template {n}")
    subject = "Hi {{ recipient.name|default('you', true) }}"
    html = HTML
    text = ""

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> EmailTemplate:
        content = Content(kwargs.pop("subject"), kwargs.pop("html"), kwargs.pop("text"))
        return create_template(content=content, **kwargs)


class CampaignFactory(DjangoModelFactory[Campaign]):
    class Meta:
        model = Campaign

    name = factory.Sequence(lambda n: f"Campaign {n}")
    template = factory.SubFactory(TemplateFactory)
    from_email = "Team <team@example.com>"


class UserFactory(DjangoModelFactory[User]):
    """`permissions=["view_campaign"]` grants by code name."""

    class Meta:
        model = User
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"user{n}")
    is_staff = True

    @factory.post_generation
    def permissions(self: Any, create: bool, names: list[str] | None, **kwargs: Any) -> None:
        if names:
            self.user_permissions.set(Permission.objects.filter(codename__in=names))


def add_recipients(campaign: Campaign, count: int, *, domain: str = "example.com", **values: str) -> list[Recipient]:
    """Import r0@…, r1@… into a draft campaign, by the verb."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["email", "name", *values])
    writer.writerows([f"r{n}@{domain}", f"Reader {n}", *values.values()] for n in range(count))
    services.import_recipients(campaign, io.BytesIO(out.getvalue().encode()), filename="made.csv")
    return list(Recipient.objects.filter(campaign=campaign).order_by("pk"))


def completed(campaign: Campaign, state: str, code: int | None = None) -> Campaign:
    """As if a launched campaign were over, with all its recipients in `state`."""
    Recipient.objects.filter(campaign=campaign).update(state="sending", lease=(token := uuid.uuid4()))
    ids = Recipient.objects.filter(campaign=campaign).values_list("pk", flat=True)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE campaign_counts SET state = 'sending' WHERE campaign_id = %s", [campaign.pk])
    lifecycle.settle(token, [lifecycle.Settled(pk, RecipientState(state), code) for pk in ids])
    assert lifecycle.complete(campaign.pk)
    campaign.refresh_from_db()
    return campaign


def make_dead_letters(
    count: int,
    payload: dict[str, Any] | None = None,
    *,
    name: str = "tests.add",
    queue_name: str = "default",
    error: str = "ValueError: no",
    fingerprint: str = "f" * 32,
) -> list[DeadLetter]:
    """Tasks that have failed for good, by the statements of a worker. Their letters, in order."""
    row = queue.build(name, payload or {}, queue=queue_name, priority=100)
    ids = queue.submit_many([row] * count)
    failure = Failure(error, "builtins.ValueError", f"Traceback of {error}", fingerprint, DeathReason.ATTEMPTS)
    claimed = task_lifecycle.claim([queue_name], register_worker([queue_name]), count)
    task_lifecycle.finish(
        [Ended(task, TaskState.FAILED, Outcome.FAILED, 0.001, 0.002, failure=failure) for task in claimed]
    )
    return list(DeadLetter.objects.filter(task__in=ids).order_by("pk"))


def counts_by_scan(campaign: Campaign) -> dict[str, int]:
    """What the running counts must equal."""
    found: dict[str, int] = dict.fromkeys(lifecycle.counts(campaign.pk), 0)
    for state in Recipient.objects.filter(campaign=campaign).values_list("state", flat=True):
        found[state] += 1
    return found
