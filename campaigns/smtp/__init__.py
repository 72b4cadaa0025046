"""An SMTP client made for campaigns: pipelined, one round trip a message, with an honest outcome for each."""

from campaigns.smtp.outcome import BEFORE_MAIL, Outcome, Stage, Verdict, classify
from campaigns.smtp.session import ENDS, Envelope, Session
from campaigns.smtp.transport import Transport

__all__ = ["BEFORE_MAIL", "ENDS", "Envelope", "Outcome", "Session", "Stage", "Transport", "Verdict", "classify"]
