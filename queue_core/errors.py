"""What can go wrong, and what a task may say about itself."""

import difflib
import reprlib
from typing import Any

_NAMED = 12
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 100


def shown(value: Any) -> str:
    """What somebody gave, for a message: short, however long or deep it is."""
    return _SHORT.repr(value)


class QueueError(Exception):
    """Base of everything this app refuses; the text is fit for a person to read."""


class Contended(QueueError):
    """Others change the same at this moment, again and again; nothing was done."""


class UnknownTask(QueueError):
    field = "name"

    def __init__(self, name: Any, known: list[str]) -> None:
        like = difflib.get_close_matches(name[:200], known, n=3) if isinstance(name, str) else []
        told = f"Did you mean {' or '.join(like)}?" if like else f"Registered: {_listed(known)}."
        super().__init__(f"No task is registered as {shown(name)}. {told}")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return (", ".join(names[:_NAMED]) or "none") + more


class UnknownQueue(QueueError):
    field = "queue"

    def __init__(self, name: Any, known: list[str]) -> None:
        super().__init__(f"There is no queue {shown(name)}. Queues (setting QUEUES): {', '.join(known)}.")


class InvalidSubmission(QueueError):
    """A field of a submission is not acceptable; `field` names it."""

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        super().__init__(f"{field}: {reason}")


class InvalidPayload(InvalidSubmission):
    """A payload that its task's schema refuses; `reasons` are (path inside of it, why)."""

    def __init__(self, reasons: list[tuple[str, str]]) -> None:
        self.reasons = reasons
        self.field = "payload"
        told = "; ".join(f"{f'payload.{path}' if path else 'payload'}: {reason}" for path, reason in reasons)
        QueueError.__init__(self, told)


class NothingSubmitted(QueueError):
    """Of many submissions some are not acceptable. `errors` says which, and why: {"tasks.3.queue": [reason]}."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        self.errors = errors
        first = next(f"{field}: {reasons[0]}" for field, reasons in errors.items())
        more = f" And {len(errors) - 1} more, see errors." if len(errors) > 1 else ""
        super().__init__(f"Nothing was submitted. {first}.{more}")


class InvalidSteer(QueueError):
    """What is asked of workers or pools cannot be; `field` names what is wrong."""

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        super().__init__(f"{field}: {reason}")


# Ten years: a time beyond Python's years could be stored, and its row never read again.
LONGEST_DELAY = 10 * 366 * 86_400.0


def _wait(what: str, seconds: Any) -> float:
    """Seconds from 0 to LONGEST_DELAY: less than none is none. ValueError for what is no number."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds != seconds:
        raise ValueError(f"{what} takes a number of seconds, not {shown(seconds)}")
    return float(min(max(0.0, seconds), LONGEST_DELAY))


class Snooze(Exception):
    """Raised by a task: put me back for `seconds` seconds; no attempt is used up."""

    def __init__(self, seconds: float) -> None:
        self.seconds = _wait("Snooze", seconds)
        super().__init__(f"snoozed for {self.seconds:g} s")


class RetryLater(Exception):
    """Raised by a task: this attempt failed, try again in `seconds` seconds (not by the backoff)."""

    def __init__(self, reason: str, *, seconds: float) -> None:
        self.seconds = _wait("RetryLater", seconds)
        super().__init__(reason)


class Discard(Exception):
    """Raised by a task: this can never work, fail now and do not retry."""


class TaskCancelled(BaseException):
    """Somebody asked the task to end. Raised in it after a grace, or by itself; not an Exception, like a timeout."""


class TaskTimeout(BaseException):
    """The task ran longer than its timeout. Not an Exception, so that `except Exception` cannot swallow it."""
