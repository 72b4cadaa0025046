"""Running one claimed task and saying how it ended.

`Runner` runs functions, in the main thread or in one of several; `run_coroutine` runs an `async def` on a loop;
`Isolated` has a Runner in a child process. All classify the outcome in one place, outcomes.py.
"""

from queue_core.execution.alarms import Alarm, CoroutineAlarm, SignalAlarm, ThreadAlarm
from queue_core.execution.coroutines import close_shared_connections, run_coroutine
from queue_core.execution.isolated import Isolated, Isolation, isolates
from queue_core.execution.notes import Capture, Notes
from queue_core.execution.run import Context, Run
from queue_core.execution.runner import Runner, acks_each, is_async

__all__ = [
    "Alarm",
    "Capture",
    "Context",
    "CoroutineAlarm",
    "Isolated",
    "Isolation",
    "Notes",
    "Run",
    "Runner",
    "SignalAlarm",
    "ThreadAlarm",
    "acks_each",
    "close_shared_connections",
    "is_async",
    "isolates",
    "run_coroutine",
]
