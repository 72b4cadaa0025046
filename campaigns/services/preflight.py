"""preflight: what would go wrong if this campaign were launched now."""

from django.db import connection

from campaigns import lifecycle, mailer
from campaigns.dkim import KeyProblem
from campaigns.message import MessageError, Skeleton
from campaigns.models import Campaign
from campaigns.states import LIVE_IMPORT, RecipientState
from templates_app.errors import TemplateError
from templates_app.rendering import CompiledTemplate, compile_version

# What every recipient has, whatever was imported.
_GIVEN = {"recipient.email", "recipient.name", "campaign.name", "campaign.id", "unsubscribe_url"}
_LACKING = "SELECT count(*) FROM email_recipients WHERE campaign_id = %s AND state = 'pending' AND NOT attributes ? %s"


def problems(campaign: Campaign) -> list[str]:
    """Sentences that say what blocks the launch, and what to do; none when it may go."""
    found = _sender_problems(campaign) + _import_problems(campaign)
    if not lifecycle.counts(campaign.pk)[RecipientState.PENDING]:
        found.append("There is no recipient to mail: import some first.")
    version = campaign.template.current_version
    if version is None:
        return [*found, "The template has no content yet."]
    try:
        compiled = compile_version(version)
    except TemplateError as exc:
        return [*found, f"The template does not compile: {exc}"]
    return found + _variable_problems(campaign, compiled)


def _sender_problems(campaign: Campaign) -> list[str]:
    try:
        mailer.signers_of(Skeleton(campaign.from_email, campaign.reply_to).sender.domain)
    except MessageError as exc:
        return [f"The sender cannot be used: {exc}"]
    except KeyProblem as exc:
        return [f"The mails cannot be signed: {exc}"]
    return []


def _import_problems(campaign: Campaign) -> list[str]:
    live = campaign.imports.filter(state__in=LIVE_IMPORT).values_list("filename", flat=True)[:5]
    return [f"The import of “{filename}” is not over: wait for it, or cancel it." for filename in live]


def _variable_problems(campaign: Campaign, compiled: CompiledTemplate) -> list[str]:
    found = []
    for path in sorted(compiled.required - _GIVEN):
        root, _, rest = path.partition(".")
        if root == "recipient":
            found += _lacking(campaign, rest)
        elif root not in campaign.context:
            found.append(f"The template needs “{path}”: set it in the campaign's context, or give it a default.")
    return found


def _lacking(campaign: Campaign, attribute: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(_LACKING, [campaign.pk, attribute.partition(".")[0]])
        (count,) = cursor.fetchone()
    if not count:
        return []
    some = "1 recipient lacks" if count == 1 else f"{count} recipients lack"
    default = f"{{{{ recipient.{attribute}|default('…') }}}}"
    return [f"{some} “{attribute}”, which the template needs: import it, or write {default}."]
