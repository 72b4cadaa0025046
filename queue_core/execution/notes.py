"""What running tasks log and report: taken down in memory, written by the hand."""

import logging
import threading
import time
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from queue_core import conf, lifecycle
from queue_core.lifecycle import Line, Report
from queue_core.texts import shorten

if TYPE_CHECKING:
    from queue_core.execution.run import Run

_LOGGER_CHARS = 100
_LEVEL_MAX = 100
# What the queue says about attempts is on their record already.
_OWN = "queue_core.execution"

running: ContextVar["Run | None"] = ContextVar("running", default=None)


class Notes:
    """Of all tasks of a process, until they are written."""

    def __init__(self) -> None:
        self._lines: list[tuple[float, Line]] = []
        self._reports: dict[int, Report] = {}
        self._lock = threading.Lock()

    def add(self, line: Line) -> None:
        with self._lock:
            self._lines.append((time.monotonic(), line))

    def report(self, report: Report) -> None:
        with self._lock:
            self._reports[report.task_id] = report

    def is_empty(self) -> bool:
        return not (self._lines or self._reports)

    def write(self) -> None:
        """Write what there is; what the database did not take, because it is away, stays for the next time."""
        if self.is_empty():
            return
        with self._lock:
            lines, self._lines = self._lines, []
            reports, self._reports = self._reports, {}
        try:
            if lines:
                now = time.monotonic()
                lifecycle.log([replace(one, age=now - at) for at, one in lines])
                lines = []
            if reports:
                lifecycle.report(list(reports.values()))
                reports = {}
        finally:
            with self._lock:
                self._lines = lines + self._lines
                self._reports = reports | self._reports


class Capture(logging.Handler):
    """Takes down what is logged in the thread or coroutine of a running task."""

    def emit(self, record: logging.LogRecord) -> None:
        run = running.get()
        if run is None or record.name.startswith(_OWN):
            return
        try:
            message = self.format(record)
        except Exception as exc:  # what a task gives to its logger is its own affair
            message = f"{type(exc).__name__} while formatting a message: {exc}"
        log(run, message, record.levelno, record.name)


def log(run: "Run", message: Any, level: int, logger: str) -> None:
    """Take down a line of a task, up to LOG_MAX_BYTES for each attempt."""
    level = max(0, min(level, _LEVEL_MAX)) if isinstance(level, int) else logging.INFO
    limit = conf.get("LOG_MAX_BYTES")
    if run.logged > limit:
        return
    text = shorten(_text(message)[: limit + 1], limit + 1)
    size = len(text.encode())
    if run.logged + size > limit:
        text = text.encode()[: limit - run.logged].decode(errors="ignore")
    task = run.task
    if text:
        run.notes.add(Line(task.id, task.attempt, task.lease, 0.0, level, shorten(logger, _LOGGER_CHARS), text))
    if run.logged + size > limit:
        cut = f"log cut at {limit // 1024} KiB" if limit >= 1024 else f"log cut at {limit} bytes"
        run.notes.add(Line(task.id, task.attempt, task.lease, 0.0, logging.WARNING, "queue_core", cut))
    run.logged += size


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception as exc:
        return f"{type(value).__name__} whose text could not be read: {type(exc).__name__}"


def report(run: "Run", done: Any, total: Any, note: Any) -> None:
    """Take down how far a task is. Raises ValueError for what is no amount."""
    task = run.task
    run.notes.report(lifecycle.how_far(task.id, task.attempt, task.lease, done, total, _text(note)))
