"""send_test: a campaign's mail to somebody who tries it, now, beside the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from campaigns import mailer
from campaigns.addresses import AddressError, parse_address
from campaigns.errors import TestRefused
from campaigns.lifecycle import Leased
from campaigns.mailer import Report, Route, Work
from campaigns.message import MessageError
from campaigns.models import Campaign, Recipient, Suppression
from campaigns.services.letters import Letters
from campaigns.services.preview_message import leased, made_up
from campaigns.smtp import Verdict
from queue_core.services import Actor, audit
from templates_app.errors import TemplateError

ADDRESSES_MAX = 10
_SECONDS = 30.0
_SUPPRESSED = (False, "on the suppression list, so not mailed")


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """What the mail server said about one address. `accepted`: it took the mail."""

    __test__ = False  # no test of pytest's

    to: str
    accepted: bool
    detail: str


def send_test(
    campaign: Campaign, to: Sequence[str], *, recipient: Recipient | None = None, by: Actor | None = None
) -> list[TestOutcome]:
    """Send the mail that `recipient` (or somebody made up) would get to up to ten addresses, and wait for the answers.

    Marked in subject and headers, its link unsubscribes nobody, and the ledger knows nothing of it. An address on the
    suppression list gets none. Raises TestRefused when nothing was sent: bad addresses, no transport, no mail.
    """
    addresses = _checked(to)
    letters, row = _prepared(campaign, recipient)
    route = _route(campaign)
    suppressed = set(Suppression.objects.filter(key__in=addresses).values_list("key", flat=True))
    wanted = [email for key, email in addresses.items() if key not in suppressed]
    audit.record(Campaign, [campaign.pk], f"Test mail to {', '.join(wanted) or 'nobody'}.", by=by, name=campaign.name)
    work = [Work(number, partial(letters.make_test, row, email, key=number)) for number, email in enumerate(wanted)]
    told = dict(zip(wanted, _send(route, work), strict=True))
    return [TestOutcome(email, *told.get(email, _SUPPRESSED)) for email in addresses.values()]


def _checked(to: Sequence[str]) -> dict[str, str]:
    """key -> address."""
    if not 1 <= len(to) <= ADDRESSES_MAX:
        raise TestRefused("to", f"Give 1 to {ADDRESSES_MAX} addresses.")
    found = {}
    for given in to:
        try:
            address = parse_address(given)
        except AddressError as exc:
            raise TestRefused("to", f"{given[:80]!r} cannot be mailed: {exc.reason}.") from None
        found[address.key] = address.email
    return found


def _prepared(campaign: Campaign, recipient: Recipient | None) -> tuple[Letters, Leased]:
    try:
        letters = Letters(campaign, tracks=False)
        row = leased(recipient) if recipient is not None else made_up(letters)
        letters.make(row)
    except (TemplateError, MessageError) as exc:
        raise TestRefused("recipient", f"The mail cannot be made: {exc}") from None
    return letters, row


def _route(campaign: Campaign) -> Route:
    routes = mailer.routes(campaign.transport_id)
    if not routes:
        raise TestRefused("transport", "No transport is enabled: enable one, or add one.")
    usable = [route for route in routes if not route.problem]
    if not usable:
        raise TestRefused("transport", routes[0].problem)
    return usable[0].narrowed()


def _send(route: Route, work: list[Work]) -> list[tuple[bool, str]]:
    crew = mailer.hire(route)
    reports: dict[int, Report] = {}
    try:
        crew.add(work)
        while len(reports) < len(work) and not crew.halted:
            found = crew.collect(len(work) - len(reports), _SECONDS)
            reports |= {report.key: report for report in found}
            if not found:
                break
    finally:
        last, _ = crew.dismiss()
        reports |= {report.key: report for report in last}
    return [_told(reports.get(item.key)) for item in work]


def _told(report: Report | None) -> tuple[bool, str]:
    if report is None:
        return (False, "no answer from the mail server")
    if report.outcome is None:
        return (False, f"the message could not be made: {report.error}")
    outcome = report.outcome
    code = f"{outcome.code} " if outcome.code else ""
    return (outcome.verdict is Verdict.SENT, f"{code}{outcome.text}".strip())
