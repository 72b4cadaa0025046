"""Knobs of campaigns, with the reason for each default. Override with `CAMPAIGNS_<NAME>` in the settings."""

from typing import Any

from django.conf import settings

DEFAULTS: dict[str, Any] = {
    # Recipients per chunk task: a second or less of work against a quick server, so that workers share evenly.
    "CHUNK_SIZE": 500,
    # Rows marked `sending` at once by one connection: what a killed sender leaves unconfirmed at most.
    "GROUP_SIZE": 20,
    # A pause is looked for between messages, at most this long after it was asked for.
    "PAUSE_CHECK_SECONDS": 0.5,
    # Waits before a deferred recipient is tried again; after the last one it is rejected.
    "DEFER_SECONDS": [60, 300, 1800, 7200, 21600],
    # How long a chunk waits when the mail server refuses *us* (connection, login, policy).
    "BLOCKED_SECONDS": 5.0,
    # So many such refusals in a row, over all workers, open the breaker of a transport: nobody tries for the first of
    # these waits; then one chunk does, and every further refusal makes the wait the next one.
    "BREAKER_FAILURES": 3,
    "BREAKER_SECONDS": [30, 60, 120, 240, 480, 900],
    # Outcomes are written again for so long when the database is away; then they are lost, and shown as unconfirmed.
    "SETTLE_SECONDS": 10.0,
    "CONDUCT_SECONDS": 2.0,
    # Where the policy is to send unconfirmed mails again: a mail may be what kills its senders, so not for ever.
    "RESEND_ATTEMPTS": 3,
    # News that takes longer to send than this is none any more for the last ones: the preflight says so.
    "SLOW_DAYS": 3,
    # So many mails returned for a reason that may pass (a full mailbox), within so many days, suppress the address.
    "SOFT_BOUNCES": 3,
    "SOFT_BOUNCE_DAYS": 30,
    # One run of the task reads so many mails of the bounce mailbox; the next run reads on.
    "BOUNCE_BATCH": 1_000,
    "BOUNCE_MAILBOX_TIMEOUT": 30.0,
    # Files of recipients: a million rows have 50 to 200 MiB. A workbook is unpacked in memory.
    "IMPORT_MAX_MIB": 1_024,
    "IMPORT_UNPACKED_MAX_MIB": 256,
    # An import in the background commits so many rows at once: a crash costs their reading, a launch waits for them.
    "IMPORT_SLICE": 20_000,
    # The admin imports a smaller file while the browser waits, a larger one in the background.
    "IMPORT_AT_ONCE_MIB": 2,
    # Files imported in the background are personal data: kept to look into what went wrong, then removed.
    "IMPORT_KEEP_DAYS": 7,
}


def get(name: str) -> Any:
    return getattr(settings, f"CAMPAIGNS_{name}", DEFAULTS[name])
