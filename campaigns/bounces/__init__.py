"""Mails that come back: what they say, and reading them out of a mailbox. Knows no database."""

from campaigns.bounces.notice import Kind, Notice
from campaigns.bounces.parse import MAX_BYTES, parse

__all__ = ["MAX_BYTES", "Kind", "Notice", "parse"]
