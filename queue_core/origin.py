"""Who or what asks for things at this moment: a request and its person, or the running task.

Kept in a context variable, which every thread and coroutine has its own of. What is submitted takes it along, and it is
set again while that task runs, so it reaches whatever the task submits and logs.
"""

import json
import logging
import re
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Origin:
    """`user` answers the id of the person, or None; it is asked only when something is submitted."""

    request_id: str = ""
    traceparent: str = ""
    door: str = ""
    user: Callable[[], Any] = field(default=lambda: None, repr=False)
    # While a task runs.
    task_id: int | None = None
    task: str = ""
    attempt: int = 0

    def stored(self) -> str | None:
        """JSON text for the column `context` of what is submitted now; None when nobody is known to ask."""
        told = {
            "request_id": self.request_id,
            "traceparent": self.traceparent,
            "user_id": self.user(),
            "door": self.door,
            "parent_task": self.task_id,
        }
        known = {name: value for name, value in told.items() if value not in (None, "")}
        return json.dumps(known, default=str) if known else None

    @classmethod
    def of_task(cls, context: str | None, *, task_id: int, task: str, attempt: int) -> "Origin":
        """The origin of what a running task does; `context` is the JSON text of its own."""
        if context is None:
            return cls(task_id=task_id, task=task, attempt=attempt)
        told = json.loads(context)
        return cls(
            request_id=told.get("request_id", ""),
            traceparent=told.get("traceparent", ""),
            user=lambda: told.get("user_id"),
            task_id=task_id,
            task=task,
            attempt=attempt,
        )


current: ContextVar[Origin] = ContextVar("origin", default=Origin())  # noqa: B039 - frozen


def valid_traceparent(text: str) -> str:
    """The W3C header as it is, or "" when it is none."""
    return text if _TRACEPARENT.fullmatch(text) else ""


class LogFields(logging.Filter):
    """Gives each record of the process's log `task_id`, `task`, `attempt`, `request_id`, and `about` with them all."""

    def filter(self, record: logging.LogRecord) -> bool:
        now = current.get()
        record.task_id, record.task, record.attempt = now.task_id, now.task, now.attempt
        record.request_id = now.request_id
        said = f"task {now.task_id} {now.task} attempt {now.attempt}" if now.task_id else ""
        parts = [said, f"request {now.request_id}" if now.request_id else ""]
        about = " ".join(filter(None, parts))
        record.about = f" [{about}]" if about else ""
        return True
