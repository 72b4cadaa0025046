"""read_bounces: everything in the bounce mailbox, each mail by `take_notice`."""

from collections import Counter
from collections.abc import Iterable

from campaigns import conf
from campaigns.bounces.mailbox import open_mailbox
from campaigns.services.take_notice import Taken, take_notice

READ_BOUNCES = "campaigns.read_bounces"


def read_bounces(url: str) -> dict[str, int]:
    """Read the mailbox: what was understood is removed from it, what a person may want to see is set aside.

    Returns how many mails there were, by kind, and `new`, `suppressed`, `set_aside`. Safe to break off and repeat: a
    mail is removed after it was acted on, and nothing counts twice. Raises MailboxError.
    """
    counts: Counter[str] = Counter()
    with open_mailbox(url, conf.get("BOUNCE_MAILBOX_TIMEOUT")) as mailbox:
        for name, raw in mailbox.mails(conf.get("BOUNCE_BATCH")):
            taken = take_notice(raw)
            counts += _tally(taken)
            if taken.understood:
                mailbox.remove(name)
            elif not taken.early:
                mailbox.set_aside(name)
    return dict(counts)


def read_mails(mails: Iterable[bytes]) -> dict[str, int]:
    """The same for mails that are at hand, from files or a pipe."""
    counts: Counter[str] = Counter()
    for raw in mails:
        counts += _tally(take_notice(raw))
    return dict(counts)


def _tally(taken: Taken) -> Counter[str]:
    told = {
        "mails": 1,
        str(taken.notice.kind): 1,
        "new": taken.new,
        "suppressed": taken.suppressed,
        "early": taken.early,
        "set_aside": not taken.understood and not taken.early,
    }
    return Counter({name: int(count) for name, count in told.items() if count})
