"""The verbs of the queue: this is what admin, API, commands, other apps and tasks call."""

from queue_core.services.backlog import Backlog, backlog
from queue_core.services.cancel import cancel
from queue_core.services.discard import discard
from queue_core.services.outcome import BulkOutcome
from queue_core.services.ping_bell import BellDown, ping_bell
from queue_core.services.replay import replay, replay_letters
from queue_core.services.retry import retry
from queue_core.services.submit import Submitted, build, submit, submit_many
from queue_core.services.submit_batch import InvalidBatch, submit_batch

__all__ = [
    "Backlog",
    "BellDown",
    "BulkOutcome",
    "InvalidBatch",
    "Submitted",
    "backlog",
    "build",
    "cancel",
    "discard",
    "ping_bell",
    "replay",
    "replay_letters",
    "retry",
    "submit",
    "submit_batch",
    "submit_many",
]
