"""Bounces that are no reports: the QSBMF texts of qmail, and Exim's, which names the failed address in a header."""

import email
import re
from email.message import Message

from campaigns.bounces.notice import Notice, failure

_MAX_TEXT = 64 * 1024
_QMAIL = re.compile(r"Hi\. This is the\b.{0,200}", re.IGNORECASE)
_QMAIL_ADDRESS = re.compile(r"^<([^<>\s]{3,320})>:\s*$", re.MULTILINE)
# Below it the original begins, with its headers.
_CUT = re.compile(
    r"^--- Below this line is a copy of the message\.\s*$|^-{4,6} This is a copy of .{1,200}-{4,6}\s*$", re.MULTILINE
)
_MESSAGE_ID = re.compile(r"<[^<>\s]{3,250}>")


def read(mail: Message, parts: list[Message]) -> Notice | None:
    """The failure such a text tells of; None when it is no such text."""
    text = text_of(parts[0])
    said = _CUT.split(text, maxsplit=1)[0]
    addresses = _QMAIL_ADDRESS.findall(said) if _QMAIL.match(text.lstrip()) else []
    failed = str(mail.get("X-Failed-Recipients", "")).strip()
    if addresses:
        return failure("", said[said.index(f"<{addresses[0]}>:") :].partition("\n")[2], addresses[0])
    if failed and _CUT.search(text):
        address = failed.split(",")[0].strip()[:320]
        # What the server wrote of its own comes before; where its text does not name the address, all of it counts.
        return failure("", said.partition(address)[2] or said, address)
    return None


def original_ids(part: Message) -> list[str]:
    """Message-IDs of the copy below the text; none when there is no copy."""
    if part.get_content_type() != "text/plain":
        return []
    below = _CUT.split(text_of(part), maxsplit=1)[1:]
    if not below:
        return []
    headers = email.message_from_string(below[0].lstrip())
    return _MESSAGE_ID.findall(str(headers.get("Message-ID", "")))


def text_of(part: Message) -> str:
    """The beginning of a part's text, with plain line ends; bytes that are no text are replaced.

    It is read as UTF-8 whatever charset the part names: what is looked for in it is ASCII.
    """
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    return data[:_MAX_TEXT].decode("utf-8", "replace").replace("\r\n", "\n")
