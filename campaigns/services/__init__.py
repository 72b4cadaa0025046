"""The verbs of campaigns: this is what admin, API, commands and tasks call."""

from campaigns.services.import_recipients import Report, import_recipients
from campaigns.services.launch import launch
from campaigns.services.pause import cancel, pause, resume
from campaigns.services.preflight import problems
from campaigns.services.status import status
from campaigns.services.unsubscribe import recipient_of, unsubscribe, unsubscribe_url

__all__ = [
    "Report",
    "cancel",
    "import_recipients",
    "launch",
    "pause",
    "problems",
    "recipient_of",
    "resume",
    "status",
    "unsubscribe",
    "unsubscribe_url",
]
