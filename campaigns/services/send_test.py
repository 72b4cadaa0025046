"""send_test: a campaign's mail to somebody who tries it, now, beside the ledger; likewise a template's."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from campaigns import mailer
from campaigns.addresses import AddressError, parse_address
from campaigns.errors import TestRefused
from campaigns.lifecycle import Leased
from campaigns.mailer import Report, Route, Work
from campaigns.message import MessageError, Skeleton
from campaigns.models import Campaign, Recipient, Suppression
from campaigns.services.letters import Letters
from campaigns.services.preview_message import leased, made_up
from campaigns.services.preview_template import no_campaign, recipient_in
from campaigns.smtp import Verdict
from queue_core.services import Actor, audit
from templates_app.errors import TemplateError
from templates_app.models import EmailTemplate
from templates_app.rendering import compile_version
from templates_app.variables import sample_context

ADDRESSES_MAX = 10
# A person waits for the answers: all of them together.
_SECONDS = 30.0
_LEAVE_SECONDS = 5.0
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
    letters = _letters(campaign)
    row = leased(recipient) if recipient is not None else made_up(letters)
    _try(letters, row)
    route = _route(campaign)
    wanted = _not_suppressed(addresses)
    audit.record(Campaign, [campaign.pk], _told_of(wanted), by=by, name=campaign.name)
    return _sent(addresses, wanted, letters, row, route)


def send_template_test(
    template: EmailTemplate,
    to: Sequence[str],
    *,
    recipient: Recipient | None = None,
    context: Mapping[str, Any] | None = None,
    from_email: str = "",
    by: Actor | None = None,
) -> list[TestOutcome]:
    """The same with the current version of a template: as `recipient` would get it in their campaign, else filled
    with sample values, in whose place `context` puts its own. From `from_email`, or who used it last."""
    addresses = _checked(to)
    if recipient is not None:
        campaign = recipient.campaign
        campaign.template_version = template.version
    else:
        campaign = no_campaign(template, {**_samples(template), **(context or {})})
    campaign.from_email = from_email or campaign.from_email
    letters = _letters(campaign, "Give one as `from_email`, or set DEFAULT_FROM_EMAIL.")
    row = leased(recipient) if recipient is not None else made_up(letters, recipient_in(context))
    _try(letters, row)
    route = _route(campaign)
    wanted = _not_suppressed(addresses)
    audit.record(EmailTemplate, [template.pk], _told_of(wanted), by=by, name=template.name)
    return _sent(addresses, wanted, letters, row, route)


def _samples(template: EmailTemplate) -> dict[str, Any]:
    try:
        return sample_context(compile_version(template.version).variables)
    except TemplateError as exc:
        raise _unmade(exc) from None


def _not_suppressed(addresses: Mapping[str, str]) -> list[str]:
    suppressed = set(Suppression.objects.filter(key__in=addresses).values_list("key", flat=True))
    return [email for key, email in addresses.items() if key not in suppressed]


def _told_of(wanted: Sequence[str]) -> str:
    return f"Test mail to {', '.join(wanted) or 'nobody'}."


def _sent(
    addresses: Mapping[str, str], wanted: Sequence[str], letters: Letters, row: Leased, route: Route
) -> list[TestOutcome]:
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


def _letters(campaign: Campaign, advice: str = "") -> Letters:
    try:
        Skeleton(campaign.from_email)
    except MessageError as exc:
        raise TestRefused("from_email", f"The mail cannot be made: {exc} {advice}".strip()) from None
    try:
        return Letters(campaign, tracks=False)
    except (TemplateError, MessageError) as exc:
        raise _unmade(exc) from None


def _try(letters: Letters, row: Leased) -> None:
    try:
        letters.make(row)
    except (TemplateError, MessageError) as exc:
        raise _unmade(exc) from None


def _unmade(exc: Exception) -> TestRefused:
    return TestRefused("recipient", f"The mail cannot be made: {exc}")


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
        until = time.monotonic() + _SECONDS
        while len(reports) < len(work) and not crew.halted and (left := until - time.monotonic()) > 0:
            found = crew.collect(len(work) - len(reports), left)
            reports |= {report.key: report for report in found}
            if not found:
                break
    finally:
        last, _ = crew.dismiss(_LEAVE_SECONDS)
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
