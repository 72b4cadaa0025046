"""The verbs of the queue: this is what admin, API, commands, other apps and tasks call."""

from queue_core.services import bulk_verbs as _bulk_verbs  # noqa: F401 - registers them
from queue_core.services.audit import Actor
from queue_core.services.backlog import Backlog, backlog
from queue_core.services.cancel import cancel
from queue_core.services.cancel_workflow import cancel_workflow
from queue_core.services.delete_schedule import delete_schedule
from queue_core.services.delete_tasks import delete_tasks
from queue_core.services.discard import discard
from queue_core.services.discard_group import discard_group
from queue_core.services.durations import durations
from queue_core.services.edit_task import edit_task
from queue_core.services.export_tasks import export_tasks
from queue_core.services.fire_schedules import fire_schedules
from queue_core.services.fleet import live_pools, live_workers, workers
from queue_core.services.forget import forget
from queue_core.services.hold_queue import limit_queue, pause_queue, resume_queue
from queue_core.services.hold_reason import hold_reason
from queue_core.services.hold_type import limit_type, pause_type, resume_type
from queue_core.services.lineage import Lineage, lineage
from queue_core.services.open_letters import why_left_letter
from queue_core.services.outcome import BulkOutcome
from queue_core.services.pause_schedule import pause_schedule
from queue_core.services.pin import pin, unpin
from queue_core.services.ping_bell import BellDown, ping_bell
from queue_core.services.preview_bulk import BadSelection, Preview, preview_bulk
from queue_core.services.prune import prune
from queue_core.services.pull_claim import Handed, Pulled, pull_claim
from queue_core.services.pull_finish import LeaseLost, PulledFailure, pull_complete, pull_fail, pull_task_beat
from queue_core.services.pull_progress import pull_progress
from queue_core.services.pull_register import Heard, NotPulling, pull_beat, pull_deregister, pull_register
from queue_core.services.purge_queue import purge_queue
from queue_core.services.relatives import Relatives, relatives
from queue_core.services.replay import IS_INTERNAL, KEY_IS_TAKEN, replay, replay_letters, why_left
from queue_core.services.replay_group import replay_group
from queue_core.services.resume_schedule import resume_schedule
from queue_core.services.retry import retry
from queue_core.services.retry_workflow import WorkflowUnmoved, retry_workflow
from queue_core.services.run_bulk import run_bulk
from queue_core.services.run_schedule_now import ScheduleBusy, run_schedule_now
from queue_core.services.save_schedule import InvalidSchedule, save_schedule
from queue_core.services.scale_pool import PoolGone, scale_pool
from queue_core.services.settle import settle
from queue_core.services.start_bulk import start_bulk
from queue_core.services.stats import Stats, stats
from queue_core.services.steer_worker import drain_worker, pause_worker, resume_worker, stop_worker
from queue_core.services.step_payload import step_payload
from queue_core.services.stop_bulk import BulkOver, stop_bulk
from queue_core.services.submit import Submitted, build, submit, submit_many
from queue_core.services.submit_batch import InvalidBatch, submit_batch
from queue_core.services.submit_workflow import InvalidWorkflow, submit_workflow
from queue_core.services.task_types import TypeCounts, TypeShown, count_types, task_type, task_types
from queue_core.services.upcoming import upcoming
from queue_core.services.waiting_reason import waiting_reason
from queue_core.services.workflow_graph import state_counts, step_counts, workflow_graph

__all__ = [
    "IS_INTERNAL",
    "KEY_IS_TAKEN",
    "Actor",
    "Backlog",
    "BadSelection",
    "BellDown",
    "BulkOutcome",
    "BulkOver",
    "Handed",
    "Heard",
    "InvalidBatch",
    "InvalidSchedule",
    "InvalidWorkflow",
    "LeaseLost",
    "Lineage",
    "NotPulling",
    "PoolGone",
    "Preview",
    "Pulled",
    "PulledFailure",
    "Relatives",
    "ScheduleBusy",
    "Stats",
    "Submitted",
    "TypeCounts",
    "TypeShown",
    "WorkflowUnmoved",
    "backlog",
    "build",
    "cancel",
    "cancel_workflow",
    "count_types",
    "delete_schedule",
    "delete_tasks",
    "discard",
    "discard_group",
    "drain_worker",
    "durations",
    "edit_task",
    "export_tasks",
    "fire_schedules",
    "forget",
    "hold_reason",
    "limit_queue",
    "limit_type",
    "lineage",
    "live_pools",
    "live_workers",
    "pause_queue",
    "pause_schedule",
    "pause_type",
    "pause_worker",
    "pin",
    "ping_bell",
    "preview_bulk",
    "prune",
    "pull_beat",
    "pull_claim",
    "pull_complete",
    "pull_deregister",
    "pull_fail",
    "pull_progress",
    "pull_register",
    "pull_task_beat",
    "purge_queue",
    "relatives",
    "replay",
    "replay_group",
    "replay_letters",
    "resume_queue",
    "resume_schedule",
    "resume_type",
    "resume_worker",
    "retry",
    "retry_workflow",
    "run_bulk",
    "run_schedule_now",
    "save_schedule",
    "scale_pool",
    "settle",
    "start_bulk",
    "state_counts",
    "stats",
    "step_counts",
    "step_payload",
    "stop_bulk",
    "stop_worker",
    "submit",
    "submit_batch",
    "submit_many",
    "submit_workflow",
    "task_type",
    "task_types",
    "unpin",
    "upcoming",
    "waiting_reason",
    "why_left",
    "why_left_letter",
    "workers",
    "workflow_graph",
]
