"""Who lacks a value that the template needs: how many in one pass over the audience, and which."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from django.db import connection

from campaigns.errors import NoAttribute
from campaigns.models import Campaign
from queue_core.csv_export import safe_cell
from templates_app.errors import TemplateError
from templates_app.rendering import compile_version

OF_RECIPIENT = "recipient."
# What every recipient has, whatever was imported.
GIVEN = {"recipient.email", "recipient.name"}
_SLICE = 5_000

# An attribute that is null is as good as none; `#>` walks `address.street` into the objects.
_COUNT = """
SELECT count(*), {} FROM (
    SELECT attributes FROM email_recipients WHERE campaign_id = %s AND state = 'pending' {}) r
"""
# By the index of the campaign's list; without it, all of them in whatever order is quickest.
FIRST = "ORDER BY id LIMIT %s"
_ONE = "count(*) FILTER (WHERE coalesce(attributes #> %s::text[], 'null') = 'null')"
_WHO = """
SELECT id, email, name FROM email_recipients
WHERE campaign_id = %s AND state = 'pending' AND id > %s AND coalesce(attributes #> %s::text[], 'null') = 'null'
ORDER BY id LIMIT %s
"""


def count_lacking(
    campaign: Campaign, attributes: Sequence[str], people: int | None = None
) -> tuple[int, dict[str, int]]:
    """(pending recipients, how many of them lack each attribute); those that nobody lacks are left out.

    Of the first `people`; None: of all.
    """
    if not attributes:
        return 0, {}
    paths = [attribute.split(".") for attribute in attributes]
    some = [] if people is None else [people]
    with connection.cursor() as cursor:
        sql = _COUNT.format(", ".join([_ONE] * len(paths)), FIRST if some else "")
        cursor.execute(sql, [*paths, campaign.pk, *some])
        total, *counts = cursor.fetchone()
    return total, {name: count for name, count in zip(attributes, counts, strict=True) if count}


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
    attribute = variable.removeprefix(OF_RECIPIENT)
    with connection.cursor() as cursor:
        cursor.execute(_WHO, [campaign.pk, after, attribute.split("."), limit])
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
