"""Whether the template can be made into a mail for everybody."""

from collections.abc import Iterator

from django.db import connection

from campaigns.models import Campaign
from campaigns.services.preflight.item import Item, block, ok
from templates_app.errors import TemplateError
from templates_app.rendering import CompiledTemplate, compile_version

# What every recipient has, whatever was imported.
_GIVEN = {"recipient.email", "recipient.name", "campaign.name", "campaign.id", "unsubscribe_url"}
_LACKING = "SELECT count(*) FROM email_recipients WHERE campaign_id = %s AND state = 'pending' AND NOT attributes ? %s"


def content(campaign: Campaign) -> Iterator[Item]:
    template = campaign.template
    if template.archived_at is not None:
        yield block("template", f"The template “{template}” is archived: choose another one, or unarchive it.")
    if template.current_version is None:
        yield block("template", "The template has no content yet: write it first.")
        return
    try:
        compiled = compile_version(template.current_version)
    except TemplateError as exc:
        yield block("template", f"The template does not compile: {exc}")
        return
    if template.archived_at is None:
        yield ok("template", f"The template “{template}”, {template.current_version}, can be read.")
    yield from _variables(campaign, compiled)


def _variables(campaign: Campaign, compiled: CompiledTemplate) -> Iterator[Item]:
    found = [item for path in sorted(compiled.required - _GIVEN) for item in _missing(campaign, path)]
    yield from found or [ok("variables", "Everything that the template needs is there.")]


def _missing(campaign: Campaign, path: str) -> Iterator[Item]:
    root, _, rest = path.partition(".")
    if root == "recipient":
        yield from _lacking(campaign, rest)
    elif root not in campaign.context:
        message = f"The template needs “{path}”: set it in the campaign's context, or give it a default."
        yield block("variables", message, path)


def _lacking(campaign: Campaign, attribute: str) -> Iterator[Item]:
    with connection.cursor() as cursor:
        cursor.execute(_LACKING, [campaign.pk, attribute.partition(".")[0]])
        (count,) = cursor.fetchone()
    if count:
        some = "1 recipient lacks" if count == 1 else f"{count} recipients lack"
        default = f"{{{{ recipient.{attribute}|default('…') }}}}"
        message = f"{some} “{attribute}”, which the template needs: import it, or write {default}."
        yield block("variables", message, f"recipient.{attribute}")
