"""import: a CSV file into a campaign's ledger, by COPY, in one transaction: all of it or nothing."""

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TextIO

from django.db import connection, transaction

from campaigns import lifecycle
from campaigns.addresses import AddressError, parse_address
from campaigns.errors import ImportRefused, WrongState
from campaigns.models import Campaign, RecipientImport, RejectedRow
from campaigns.states import CampaignState

EMAIL_COLUMNS = ("email", "e_mail", "email_address", "e_mail_address", "mail", "address")
_NAME_COLUMNS = ("name", "full_name")
_DELIMITERS = ",;\t|"
_KEPT_REJECTED_ROWS = 100_000
_PROGRESS_EVERY = 5_000
_CELL_MAX = 10_000
_HEADER_MAX = 65_536

_STAGING = """
CREATE TEMPORARY TABLE incoming_recipients
    (line int, key text, email text, name text, attributes jsonb) ON COMMIT DROP
"""
_DISTINCT = "SELECT count(DISTINCT key) FROM incoming_recipients"
_NEW = """
SELECT count(DISTINCT i.key), count(DISTINCT s.key)
FROM incoming_recipients i LEFT JOIN suppressions s ON s.key = i.key
WHERE NOT EXISTS (SELECT 1 FROM email_recipients r WHERE r.campaign_id = %s AND r.key = i.key)
"""


@dataclass(slots=True)
class Report:
    """What became of a file. `rejected` holds (line, address, reason); the header is line 1."""

    records: int = 0
    created: int = 0
    duplicates: int = 0
    existing: int = 0
    invalid: int = 0
    suppressed: int = 0
    blank: int = 0
    rejected: list[tuple[int, str, str]] = field(default_factory=list)

    def numbers(self) -> dict[str, int]:
        names = ("records", "created", "duplicates", "existing", "invalid", "suppressed", "blank")
        return {name: getattr(self, name) for name in names}


def slug(header: str) -> str:
    """`E-mail` -> `e_mail`: how a column is called in templates."""
    return re.sub(r"\W+", "_", header.strip().lower()).strip("_")


@contextmanager
def open_text(raw: BinaryIO) -> Iterator[TextIO]:
    """The file as text; UTF-8 (with or without BOM) or UTF-16 with BOM. Raises ImportRefused for anything binary."""
    head = raw.read(4096)
    raw.seek(0)
    if not head:
        raise ImportRefused("The file is empty.")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif b"\x00" in head:
        raise ImportRefused("This is a binary file, not a CSV. Export the sheet as “CSV UTF-8” and import that.")
    else:
        encoding = "utf-8-sig"
    text = io.TextIOWrapper(raw, encoding=encoding, newline="")
    try:
        yield text
    finally:
        text.detach()  # the file is the caller's to close


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the header put what; `line` is the header's own line in the file."""

    email: int
    names: tuple[int, ...]
    attributes: tuple[tuple[int, str], ...]
    width: int
    line: int


def _first_line(text: TextIO) -> tuple[int, str]:
    """(number, text) of the first line that is not blank."""
    number, line = 1, text.readline(_HEADER_MAX)
    while line and not line.strip():
        number, line = number + 1, text.readline(_HEADER_MAX)
    return number, line


def read_header(text: TextIO) -> tuple[Columns, Any]:
    """Find the columns in the first line that is not blank; answers them and a csv reader behind it."""
    try:
        number, first = _first_line(text)
    except UnicodeError:
        raise ImportRefused("The file is not UTF-8 text. Save it as “CSV UTF-8” and import that.") from None
    delimiter = max(_DELIMITERS, key=first.count)
    headers = [slug(cell) for cell in next(csv.reader([first], delimiter=delimiter), [])]
    email = next((headers.index(name) for name in EMAIL_COLUMNS if name in headers), None)
    if email is None:
        shown = ", ".join(header for header in headers if header)[:200] or "nothing"
        raise ImportRefused(f"No e-mail column in the header (found: {shown}). Name one of the columns “email”.")
    twice = sorted({header for header in headers if header and headers.count(header) > 1})
    if twice:
        raise ImportRefused(f"Two columns are called “{twice[0]}”; every column needs a name of its own.")
    whole = tuple(headers.index(name) for name in _NAME_COLUMNS if name in headers)[:1]
    parts = tuple(headers.index(name) for name in ("first_name", "last_name") if name in headers)
    attributes = tuple((i, header) for i, header in enumerate(headers) if header and i != email)
    return Columns(email, whole or parts, attributes, len(headers), number), csv.reader(text, delimiter=delimiter)


def _rows(reader: Any, header: int, report: Report, progress: Callable[[int], None]) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of every row that is not blank. Raises ImportRefused where the file stops being a CSV."""
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                report.blank += 1
                continue
            report.records += 1
            if report.records % _PROGRESS_EVERY == 0:
                progress(report.records)
            yield reader.line_num + header, row
    except UnicodeError as exc:
        raise ImportRefused(
            f"The file is not UTF-8 text (near line {reader.line_num + header + 1}: {exc}). Save it as “CSV UTF-8”."
        ) from None
    except csv.Error as exc:
        raise ImportRefused(f"Line {reader.line_num + header} cannot be read as CSV: {exc}.") from None


def _parse(row: list[str], columns: Columns) -> tuple[str, str, str, str]:
    """(key, email, name, attributes as JSON) of a row; raises AddressError with the reason it is not acceptable."""
    if len(row) > columns.width and any(cell.strip() for cell in row[columns.width :]):
        raise AddressError(f"{len(row)} cells, the header has {columns.width}")
    if len(row) <= columns.email:
        raise AddressError("no cell for the address")
    if any("\x00" in cell or len(cell) > _CELL_MAX for cell in row):
        raise AddressError("a cell holds a NUL character or is longer than 10 000 characters")
    address = parse_address(row[columns.email])
    name = " ".join(row[i].strip() for i in columns.names if i < len(row) and row[i].strip())[:320]
    # An empty cell is an absent value: templates then name it as missing, or take their default.
    attributes = {key: row[i].strip() for i, key in columns.attributes if i < len(row) and row[i].strip()}
    return address.key, address.email, name, json.dumps(attributes, ensure_ascii=False)


def _stage(reader: Any, columns: Columns, report: Report, progress: Callable[[int], None]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_STAGING)
        with cursor.copy("COPY incoming_recipients (line, key, email, name, attributes) FROM STDIN") as copy:
            for line, row in _rows(reader, columns.line, report, progress):
                try:
                    copy.write_row((line, *_parse(row, columns)))
                except AddressError as exc:
                    report.invalid += 1
                    if len(report.rejected) < _KEPT_REJECTED_ROWS:
                        shown = row[columns.email] if len(row) > columns.email else ""
                        report.rejected.append((line, shown.replace("\x00", "")[:320], str(exc)[:200]))


def _drop_staging() -> None:
    """At once, not at the commit: the caller's transaction may import another file."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE incoming_recipients")


def _one(sql: str, params: list[Any]) -> tuple[int, ...]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return tuple(cursor.fetchone())


def import_recipients(
    campaign: Campaign,
    raw: BinaryIO,
    *,
    filename: str,
    by: Any = None,
    dry_run: bool = False,
    progress: Callable[[int], None] = lambda records: None,
) -> Report:
    """Add the recipients of a CSV file to a draft campaign.

    Addresses are unique per campaign: the first line of an address wins, those already there stay as they are,
    suppressed ones are kept on record and never mailed. With `dry_run` the same report and nothing is written.
    Raises ImportRefused (then nothing was imported) or WrongState. `progress` hears the number of rows read.
    """
    report = Report()
    with open_text(raw) as text, transaction.atomic():
        columns, reader = read_header(text)
        locked = Campaign.objects.select_for_update().get(pk=campaign.pk)
        if locked.state != CampaignState.DRAFT:
            raise WrongState(locked.name, locked.state, "given more recipients")
        _stage(reader, columns, report, progress)
        (distinct,) = _one(_DISTINCT, [])
        report.duplicates = report.records - report.invalid - distinct
        if dry_run:
            report.created, report.suppressed = _one(_NEW, [campaign.pk])
            transaction.set_rollback(True)
        else:
            report.created, report.suppressed = lifecycle.add_incoming(campaign.pk)
            _drop_staging()
        report.existing = distinct - report.created
        if not dry_run:
            _record(campaign, filename, by, report)
    progress(report.records)
    return report


def _record(campaign: Campaign, filename: str, by: Any, report: Report) -> None:
    made = RecipientImport.objects.create(
        campaign=campaign, filename=filename[-255:], created_by=by, **report.numbers()
    )
    RejectedRow.objects.bulk_create(
        [
            RejectedRow(recipient_import=made, line=line, email=email, reason=reason)
            for line, email, reason in report.rejected
        ],
        batch_size=5_000,
    )
