"""The only writer of task states: guarded statements over many rows at once, that return what moved.

Each function is one statement, so one transaction when none is open. Times are PostgreSQL's own: hosts with skewed
clocks agree. A task is held by (worker, lease): a write for an attempt that lost its lease finds no row and changes
nothing.
"""

from queue_core.lifecycle.attempts import Claimed, Ended, Failure, finish, release, release_unheld, rescue
from queue_core.lifecycle.bulk import ask_to_stop as ask_bulk_to_stop
from queue_core.lifecycle.bulk import begin as begin_bulk
from queue_core.lifecycle.bulk import end as end_bulk
from queue_core.lifecycle.claim import Spot, Taker, claim, set_aside, take
from queue_core.lifecycle.gated import QueueGate, TypeGate, claim_limited, queue_gates, queue_room, type_gates
from queue_core.lifecycle.insert import NewTask, insert, replay
from queue_core.lifecycle.lanes import lanes, prune_lanes
from queue_core.lifecycle.moves import cancel, discard, edit, expire, retry, unpark
from queue_core.lifecycle.notes import Line, NoAmount, Report, how_far, log, report
from queue_core.lifecycle.prune import delete, prune
from queue_core.lifecycle.room import Room, rooms, scopes_of
from queue_core.lifecycle.settle import EndedWorkflow, Settled, settle
from queue_core.lifecycle.sql import dump_json, hold_briefly
from queue_core.lifecycle.workflows import (
    Edge,
    Retried,
    add_edges,
    ask_workflows_to_end,
    depend,
    lock_parents,
    new_workflow,
    retry_workflow,
)

__all__ = [
    "Claimed",
    "Edge",
    "Ended",
    "EndedWorkflow",
    "Failure",
    "Line",
    "NewTask",
    "NoAmount",
    "QueueGate",
    "Report",
    "Retried",
    "Room",
    "Settled",
    "Spot",
    "Taker",
    "TypeGate",
    "add_edges",
    "ask_bulk_to_stop",
    "ask_workflows_to_end",
    "begin_bulk",
    "cancel",
    "claim",
    "claim_limited",
    "delete",
    "depend",
    "discard",
    "dump_json",
    "edit",
    "end_bulk",
    "expire",
    "finish",
    "hold_briefly",
    "how_far",
    "insert",
    "lanes",
    "lock_parents",
    "log",
    "new_workflow",
    "prune",
    "prune_lanes",
    "queue_gates",
    "queue_room",
    "release",
    "release_unheld",
    "replay",
    "report",
    "rescue",
    "retry",
    "retry_workflow",
    "rooms",
    "scopes_of",
    "set_aside",
    "settle",
    "take",
    "type_gates",
    "unpark",
]
