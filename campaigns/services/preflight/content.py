"""Whether the template can be made into a mail for everybody."""

from collections.abc import Iterator, Mapping
from typing import Any

from campaigns.models import Campaign
from campaigns.services.lacking import GIVEN, OF_RECIPIENT, count_lacking
from campaigns.services.preflight.item import Item, block, ok, warn
from templates_app.errors import TemplateError
from templates_app.rendering import CompiledTemplate, compile_version
from templates_app.services import lint

_GIVEN = GIVEN | {"campaign.name", "campaign.id", "unsubscribe_url"}


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
    for finding in lint(content=compiled.content):
        level = block if finding.level == "error" else warn
        yield level("content", str(finding), finding.code)


def _variables(campaign: Campaign, compiled: CompiledTemplate) -> Iterator[Item]:
    needed = sorted(compiled.required - _GIVEN)
    found = [*_unset(campaign, needed), *_lacking(campaign, needed)]
    yield from found or [ok("variables", "Everything that the template needs is there.")]


def _unset(campaign: Campaign, needed: list[str]) -> Iterator[Item]:
    for path in needed:
        if not path.startswith(OF_RECIPIENT) and not _has(campaign.context, path):
            message = f"The template needs “{path}”: set it in the campaign's context, or give it a default."
            yield block("variables", message, path)


def _has(context: Mapping[str, Any], path: str) -> bool:
    value: Any = context
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value is not None


def _lacking(campaign: Campaign, needed: list[str]) -> Iterator[Item]:
    attributes = [path.removeprefix(OF_RECIPIENT) for path in needed if path.startswith(OF_RECIPIENT)]
    total, lacking = count_lacking(campaign, attributes)
    for attribute, count in lacking.items():
        some = f"{count:,} of {total:,} recipients lack" if total > 1 else "The recipient lacks"
        default = f"{{{{ recipient.{attribute}|default('…') }}}}"
        message = f"{some} “{attribute}”, which the template needs: import it, or write {default}."
        yield block("variables", message, f"{OF_RECIPIENT}{attribute}")
