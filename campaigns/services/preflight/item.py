from dataclasses import dataclass
from functools import partial

from campaigns.states import PreflightLevel


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the checklist.

    `code`: the subject, for programs. `message`: a sentence that also says what to do. `detail`: more about it, or "".
    """

    level: PreflightLevel
    code: str
    message: str
    detail: str = ""


# Where only some of the recipients were looked at.
AT_LAUNCH = "The launch looks at all of them."

block = partial(Item, PreflightLevel.BLOCK)
warn = partial(Item, PreflightLevel.WARN)
note = partial(Item, PreflightLevel.NOTE)
ok = partial(Item, PreflightLevel.OK)
