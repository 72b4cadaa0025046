"""Who lacks a value that the template needs, or has one that means no: how many in one pass, and which."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from django.db import connection

from campaigns.errors import NoAttribute
from campaigns.models import Campaign
from queue_core.csv_export import safe_cell
from templates_app.errors import TemplateError
from templates_app.rendering import compile_version

OF_RECIPIENT = "recipient."
# What every recipient has, whatever was imported.
GIVEN = {"recipient.email"}
_SLICE = 5_000

# Texts that people write for no, and that are true for a template.
_NOES = ["false", "no", "n", "off", "0"]
_COUNT = """
SELECT count(*), {} FROM (
    SELECT name, attributes FROM email_recipients WHERE campaign_id = %s AND state = 'pending' {}) r
"""
# By the index of the campaign's list; without it, all of them in whatever order is quickest.
FIRST = "ORDER BY id LIMIT %s"
_ONE = "count(*) FILTER (WHERE {})"
_SAYS_NO = "jsonb_typeof(attributes #> %s::text[]) = 'string' AND lower(attributes #>> %s::text[]) = ANY(%s)"
_WHO = """
SELECT id, email, name FROM email_recipients
WHERE campaign_id = %s AND state = 'pending' AND id > %s AND {}
ORDER BY id LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Counted:
    """Of `total` pending recipients, how many lack an attribute, or say no with it; those of whom none does are left
    out."""

    total: int
    lacking: dict[str, int]
    denying: dict[str, int]


def count_values(
    campaign: Campaign, needed: Sequence[str], asked: Sequence[str] = (), people: int | None = None
) -> Counted:
    """Who lacks the `needed` attributes, and who says no with the `asked` ones. Of the first `people`; None: of all."""
    if not needed and not asked:
        return Counted(0, {}, {})
    conditions = [_lacks(attribute) for attribute in needed]
    conditions += [(_SAYS_NO, [path := attribute.split("."), path, _NOES]) for attribute in asked]
    some = [] if people is None else [people]
    with connection.cursor() as cursor:
        sql = _COUNT.format(", ".join(_ONE.format(condition) for condition, _ in conditions), FIRST if some else "")
        cursor.execute(sql, [*chain.from_iterable(values for _, values in conditions), campaign.pk, *some])
        total, *counts = cursor.fetchone()
    lacking, denying = zip(needed, counts, strict=False), zip(asked, counts[len(needed) :], strict=True)
    return Counted(
        total,
        {name: count for name, count in lacking if count},
        {name: count for name, count in denying if count},
    )


def _lacks(attribute: str) -> tuple[str, list[Any]]:
    """The condition, and what it is about. An attribute that is null is as good as none, as is a blank name."""
    if attribute == "name":
        return "name = ''", []
    # Walks `address.street` into the objects.
    return "coalesce(attributes #> %s::text[], 'null') = 'null'", [attribute.split(".")]


def who_lacks(campaign: Campaign, variable: str, *, limit: int = _SLICE, after: int = 0) -> list[tuple[int, str, str]]:
    """(id, address, name) of the first pending recipients behind `after` that lack a value of the template.

    Raises NoAttribute for one that the template, as far as it can be read, does not use, or that every recipient has.
    """
    try:
        template = compile_version(campaign.template_version or campaign.template.version)
    except TemplateError:
        raise NoAttribute(variable) from None
    used = {found.path for found in template.variables if found.path.startswith(OF_RECIPIENT)}
    if variable not in used - GIVEN or "[]" in variable:
        raise NoAttribute(variable)
    condition, values = _lacks(variable.removeprefix(OF_RECIPIENT))
    with connection.cursor() as cursor:
        cursor.execute(_WHO.format(condition), [campaign.pk, after, *values, limit])
        return list(cursor.fetchall())


def export_lacking(campaign: Campaign, variable: str) -> Iterator[bytes]:
    """All of them as CSV (UTF-8), with a heading. Raises NoAttribute at once."""
    first = who_lacks(campaign, variable)
    return _chunks(campaign, variable, first)


def _chunks(campaign: Campaign, variable: str, found: list[tuple[int, str, str]]) -> Iterator[bytes]:
    yield _lines([("id", "email", "name")])
    while found:
        yield _lines([map(safe_cell, row) for row in found])
        found = who_lacks(campaign, variable, after=found[-1][0])


def _lines(rows: Any) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()
