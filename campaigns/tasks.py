"""The tasks of campaigns: ids in, one service call, nothing else."""

import datetime
from typing import Any

from django.conf import settings

from campaigns.services.check_import import CHECK_FILE, run_check
from campaigns.services.chunk import CONDUCT, DELIVER
from campaigns.services.conduct import conduct
from campaigns.services.deliver import deliver_chunk
from campaigns.services.import_file import FORGET_FILE, forget_file
from campaigns.services.launch_task import LAUNCH_DUE
from campaigns.services.oversee import OVERSEE, oversee
from campaigns.services.read_bounces import READ_BOUNCES, read_bounces
from campaigns.services.run_import import give_up_import, run_import
from campaigns.services.schedule_campaign import launch_due
from campaigns.services.start_import import IMPORT_FILE
from queue_core.registry import task

_IMPORT_ATTEMPTS = 10


@task(name=DELIVER, queue="mail", takes_context=True, acks="each", internal=True)
def deliver_chunk_task(context: Any, *, chunk: int, **_: Any) -> None:
    deliver_chunk(chunk, task_id=context.task_id, lease=context.lease, should_stop=lambda: context.stopping)


# Without its conductor a campaign never ends, so neither errors nor lost workers over the days may use it up.
@task(name=CONDUCT, queue="mail", priority=10, max_attempts=1_000, max_crashes=1_000, internal=True)
def conduct_task(*, campaign: int, **_: Any) -> None:
    conduct(campaign)


@task(name=LAUNCH_DUE, queue="mail", priority=20, max_attempts=100, max_crashes=100, internal=True)
def launch_due_task(*, campaign: int, at: str, **_: Any) -> str:
    return launch_due(campaign, datetime.datetime.fromisoformat(at))


@task(name=OVERSEE, queue="default", priority=50, max_attempts=1)
def oversee_task(**_: Any) -> dict[str, int]:
    return oversee()


@task(name=READ_BOUNCES, queue="low", max_attempts=1)
def read_bounces_task(**_: Any) -> dict[str, int]:
    """Without a mailbox there is nothing to do; the shipped schedule asks again."""
    return read_bounces(settings.BOUNCE_MAILBOX_URL) if settings.BOUNCE_MAILBOX_URL else {}


@task(
    name=IMPORT_FILE,
    internal=True,
    queue="default",
    takes_context=True,
    acks="each",
    timeout=21_600,
    max_attempts=_IMPORT_ATTEMPTS,
    max_crashes=20,
)
def import_file_task(context: Any, *, recipient_import: int, **_: Any) -> None:
    try:
        run_import(recipient_import, progress=context.progress)
    except Exception as exc:
        if context.attempt >= _IMPORT_ATTEMPTS:
            give_up_import(recipient_import, f"Its task failed {context.attempt} times, last with {exc!r:.300}.")
        raise


@task(name=CHECK_FILE, queue="default", takes_context=True, timeout=21_600, max_attempts=3, internal=True)
def check_import_file_task(context: Any, *, recipient_import: int, **_: Any) -> None:
    run_check(recipient_import, progress=context.progress)


@task(name=FORGET_FILE, queue="low", internal=True)
def forget_import_file_task(*, recipient_import: int, **_: Any) -> None:
    forget_file(recipient_import)
