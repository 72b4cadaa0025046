"""What a campaign gives to all of its mails."""

import json
from collections.abc import Mapping
from typing import Any

from queue_core.texts import grouped

# Each mail is filled in from a copy of it.
CONTEXT_MAX = 64 * 1024


def check_context(context: Mapping[str, Any]) -> None:
    """Raise ValueError with a sentence when these values are too many."""
    size = len(json.dumps(context, ensure_ascii=False).encode(errors="replace"))
    if size > CONTEXT_MAX:
        raise ValueError(
            f"These values have {grouped(size)} bytes of JSON; {grouped(CONTEXT_MAX)} are allowed. "
            "Long texts belong in the template."
        )
