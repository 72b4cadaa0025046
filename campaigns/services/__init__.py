"""The verbs of campaigns: this is what admin, API, commands and tasks call."""

from campaigns.services.campaign_stats import campaign_stats
from campaigns.services.cancel_import import cancel_import
from campaigns.services.check_import import check_import, run_check
from campaigns.services.create_campaign import create_campaign
from campaigns.services.delete_campaign import delete_campaign, demand_deletable, is_deletable
from campaigns.services.duplicate_campaign import duplicate_campaign
from campaigns.services.edit_campaign import edit_campaign, revision_of
from campaigns.services.edit_recipient import edit_recipient, remove_recipient
from campaigns.services.edit_suppression import edit_suppression
from campaigns.services.export_campaign import export_campaign
from campaigns.services.export_suppressions import export_suppressions
from campaigns.services.import_file import forget_file
from campaigns.services.import_recipients import add_recipients, import_recipients
from campaigns.services.import_suppressions import SOURCE_MAX, import_suppressions
from campaigns.services.lacking import export_lacking, who_lacks
from campaigns.services.launch import launch
from campaigns.services.limit_domain import delete_domain_limit, edit_domain_limit, limit_domain
from campaigns.services.mailable import Mailable, mailable
from campaigns.services.merge import demand_draft
from campaigns.services.pause import cancel, pause, resume
from campaigns.services.preflight import preflight, problems
from campaigns.services.preview_message import MessagePreview, preview_message
from campaigns.services.preview_template import preview_template
from campaigns.services.read_bounces import read_bounces, read_mails
from campaigns.services.rejected_rows import rejected_rows
from campaigns.services.report import Report
from campaigns.services.resolve_unconfirmed import mark_sent, send_again
from campaigns.services.retry_failed import retry_failed, retryable
from campaigns.services.run_import import give_up_import, run_import
from campaigns.services.save_dkim_key import add_dkim_key, delete_dkim_key, switch_dkim_key
from campaigns.services.save_transport import (
    check_transport,
    delete_transport,
    demand_transport_deletable,
    reset_transport,
    save_transport,
    transport_refusals,
)
from campaigns.services.schedule_campaign import launch_due, schedule, unschedule
from campaigns.services.send_test import TestOutcome, send_template_test, send_test
from campaigns.services.start import launch_as_planned, start
from campaigns.services.start_import import begin_import, start_import
from campaigns.services.status import status, totals
from campaigns.services.suppress import suppress, unsuppress
from campaigns.services.take_notice import Taken, take_notice
from campaigns.services.take_report import TooEarly, take_report
from campaigns.services.track import take_click, take_open
from campaigns.services.unsubscribe import recipient_of, unsubscribe, unsubscribe_url
from campaigns.services.upload_import import edit_import, import_sample, upload_import

__all__ = [
    "SOURCE_MAX",
    "Mailable",
    "MessagePreview",
    "Report",
    "Taken",
    "TestOutcome",
    "TooEarly",
    "add_dkim_key",
    "add_recipients",
    "begin_import",
    "campaign_stats",
    "cancel",
    "cancel_import",
    "check_import",
    "check_transport",
    "create_campaign",
    "delete_campaign",
    "delete_dkim_key",
    "delete_domain_limit",
    "delete_transport",
    "demand_deletable",
    "demand_draft",
    "demand_transport_deletable",
    "duplicate_campaign",
    "edit_campaign",
    "edit_domain_limit",
    "edit_import",
    "edit_recipient",
    "edit_suppression",
    "export_campaign",
    "export_lacking",
    "export_suppressions",
    "forget_file",
    "give_up_import",
    "import_recipients",
    "import_sample",
    "import_suppressions",
    "is_deletable",
    "launch",
    "launch_as_planned",
    "launch_due",
    "limit_domain",
    "mailable",
    "mark_sent",
    "pause",
    "preflight",
    "preview_message",
    "preview_template",
    "problems",
    "read_bounces",
    "read_mails",
    "recipient_of",
    "rejected_rows",
    "remove_recipient",
    "reset_transport",
    "resume",
    "retry_failed",
    "retryable",
    "revision_of",
    "run_check",
    "run_import",
    "save_transport",
    "schedule",
    "send_again",
    "send_template_test",
    "send_test",
    "start",
    "start_import",
    "status",
    "suppress",
    "switch_dkim_key",
    "take_click",
    "take_notice",
    "take_open",
    "take_report",
    "totals",
    "transport_refusals",
    "unschedule",
    "unsubscribe",
    "unsubscribe_url",
    "unsuppress",
    "upload_import",
    "who_lacks",
]
