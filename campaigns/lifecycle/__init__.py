"""The only writer of campaign and recipient states: guarded statements that return what moved.

Every move of recipients also moves the counts of its campaign, in the same statement, so a status is read without
counting. A recipient in flight is held by the lease of the chunk task that sends it. What happens to a mail besides,
and after, is an event; a mail that was sent is in the ledger and has none.
"""

from campaigns.lifecycle.audience import add_incoming, copy_audience, preview_incoming, remove, rewrite
from campaigns.lifecycle.campaign import complete, counts, is_sending, is_under_way, move_campaign, note_trouble, totals
from campaigns.lifecycle.delivery import Leased, Settled, Wish, line, recover, release, revive, settle, settle_and_lease
from campaigns.lifecycle.events import Happened, count_click, record_events
from campaigns.lifecycle.imports import is_checking, is_running, move_import
from campaigns.lifecycle.pace import forget_pace, next_tries, note_pace, pace
from campaigns.lifecycle.reopen import Retryable, reopen_rejected, resolve, retryable

__all__ = [
    "Happened",
    "Leased",
    "Retryable",
    "Settled",
    "Wish",
    "add_incoming",
    "complete",
    "copy_audience",
    "count_click",
    "counts",
    "forget_pace",
    "is_checking",
    "is_running",
    "is_sending",
    "is_under_way",
    "line",
    "move_campaign",
    "move_import",
    "next_tries",
    "note_pace",
    "note_trouble",
    "pace",
    "preview_incoming",
    "record_events",
    "recover",
    "release",
    "remove",
    "reopen_rejected",
    "resolve",
    "retryable",
    "revive",
    "rewrite",
    "settle",
    "settle_and_lease",
    "totals",
]
