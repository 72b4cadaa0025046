"""Whether the template can be made into a mail for everybody."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from campaigns.models import Campaign, Recipient
from campaigns.services.lacking import GIVEN, OF_RECIPIENT, count_values
from campaigns.services.letters import context_for_all, context_for_one
from campaigns.services.preflight.item import AT_LAUNCH, Item, block, ok, warn
from campaigns.services.preview_message import leased
from campaigns.services.unsubscribe import NOBODY, unsubscribe_url
from campaigns.states import PreflightLevel, RecipientState
from queue_core.services.outcome import plural
from queue_core.texts import grouped
from templates_app.errors import RenderError, TemplateError
from templates_app.rendering import CompiledTemplate, compile_version
from templates_app.services import lint

# In every mail, whatever the campaign's context says.
_OURS = {"recipient", "campaign", "unsubscribe_url"}
_GIVEN = GIVEN | _OURS | {"campaign.name", "campaign.id"}
_NAMED = {"recipient.name", "recipient.email"}
_TRIED = 5
_SOMETIMES = "in a part that not every mail has (a mail that has it, and lacks this, is rejected)"


def content(campaign: Campaign, people: int | None = None) -> Iterator[Item]:
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
    found = list(_variables(campaign, compiled, people))
    yield from found
    if all(item.level != PreflightLevel.BLOCK for item in found):
        yield from _first_mails(campaign, compiled)
    for finding in lint(content=compiled.content):
        level = block if finding.level == "error" else warn
        yield level("content", str(finding), finding.code)


def _variables(campaign: Campaign, compiled: CompiledTemplate, people: int | None) -> Iterator[Item]:
    """What every mail needs blocks; what those in a branch need is for each mail to find out."""
    needed = {
        **dict.fromkeys(sorted(compiled.required - _GIVEN), True),
        **dict.fromkeys(sorted(compiled.conditional - _GIVEN), False),
    }
    counted = count_values(campaign, _attributes(needed), _attributes(sorted(compiled.asked - _NAMED)), people)
    total = counted.total
    is_part = people is not None and total == people
    looked_at = f"{'the first ' if is_part else ''}{plural(total, 'recipient')}"
    found = [*_unset(campaign, needed), *_lacking(counted.lacking, needed, looked_at if total > 1 else "")]
    yield from _denying(counted.denying, looked_at)
    if found:
        yield from found
    elif is_part:
        yield ok("variables", f"Everything that the template needs is there for {looked_at}.", AT_LAUNCH)
    else:
        yield ok("variables", "Everything that the template needs is there.")


def _attributes(paths: Iterable[str]) -> list[str]:
    return [path.removeprefix(OF_RECIPIENT) for path in paths if path.startswith(OF_RECIPIENT)]


def _first_mails(campaign: Campaign, compiled: CompiledTemplate) -> Iterator[Item]:
    """Blocks when no mail can be made for any of the first; who lacks a value is told elsewhere."""
    pending = Recipient.objects.filter(campaign=campaign, state=RecipientState.PENDING).order_by("pk")[:_TRIED]
    for_all, told = context_for_all(campaign), ""
    for recipient in pending:
        try:
            compiled.render(context_for_one(for_all, leased(recipient), unsubscribe_url(NOBODY)))
            return
        except RenderError as exc:
            if exc.missing:
                return
            told = told or str(exc)
    if told:
        yield block("content", f"No mail can be made for the first {plural(len(pending), 'recipient')}: {told}")


def _denying(denying: Mapping[str, int], looked_at: str) -> Iterator[Item]:
    for attribute, count in denying.items():
        path = f"{OF_RECIPIENT}{attribute}"
        yield warn(
            "values",
            f"{grouped(count)} of {looked_at} say no with “{attribute}” (false, no, 0), which is a text, and so true "
            f"for {{% if {path} %}}: leave the cell empty for no, or write {{% if {path} == '…' %}}.",
            path,
        )


def _unset(campaign: Campaign, needed: Mapping[str, bool]) -> Iterator[Item]:
    for path, always in needed.items():
        is_ours = path.partition(".")[0] in _OURS
        if not path.startswith(OF_RECIPIENT) and (is_ours or not _has(campaign.context, path)):
            what = "set it in the campaign's context, or give it a default"
            if is_ours:
                what = "a mail knows campaign.name, campaign.id and unsubscribe_url only; correct it"
            if always:
                yield block("variables", f"The template needs “{path}”: {what}.", path)
            else:
                yield warn("variables", f"The template needs “{path}” {_SOMETIMES}: {what}.", path)


def _has(context: Mapping[str, Any], path: str) -> bool:
    value: Any = context
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value is not None


def _lacking(lacking: Mapping[str, int], needed: Mapping[str, bool], looked_at: str) -> Iterator[Item]:
    for attribute, count in lacking.items():
        path = f"{OF_RECIPIENT}{attribute}"
        some = f"{grouped(count)} of {looked_at} lack" if looked_at else "The recipient lacks"
        what = f"import it, or write {{{{ {path}|default('…') }}}}"
        if needed[path]:
            yield block("variables", f"{some} “{attribute}”, which the template needs: {what}.", path)
        else:
            yield warn("variables", f"{some} “{attribute}”, which the template needs {_SOMETIMES}: {what}.", path)
