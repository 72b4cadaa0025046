import io
import json
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from campaigns import lifecycle, services
from campaigns.errors import CampaignError, ImportRefused, WrongState
from campaigns.models import Campaign, Recipient, RecipientImport, RejectedRow, Suppression
from tests.factories import CampaignFactory, counts_by_scan

EXAMPLE = Path(services.__file__).parent.parent / "example"


def run(campaign: Campaign, content: str | bytes, **options: bool) -> services.Report:
    raw = content if isinstance(content, bytes) else content.encode()
    return services.import_recipients(campaign, io.BytesIO(raw), filename="list.csv", **options)


@pytest.fixture
def campaign(db: None) -> Campaign:
    return CampaignFactory.create()


def test_import_of_the_example_accounts_for_every_record(campaign: Campaign) -> None:
    expected = json.loads((EXAMPLE / "expected.json").read_text())
    report = run(campaign, (EXAMPLE / "audience.csv").read_bytes())
    assert report.numbers() == {
        "records": expected["records"],
        "created": expected["unique"],
        "duplicates": expected["duplicates"],
        "existing": 0,
        "invalid": expected["invalid"],
        "suppressed": 0,
        "blank": expected["blank_lines"],
    }
    assert Recipient.objects.count() == expected["unique"]
    assert RejectedRow.objects.count() == expected["invalid"]
    assert lifecycle.counts(campaign.pk) == counts_by_scan(campaign)


def test_import_keeps_the_first_of_an_address_and_its_spelling(campaign: Campaign) -> None:
    report = run(campaign, "email;Name;City\r\nAda@Example.com;Ada;Köln\r\nada@example.COM;Eve;\r\n")
    assert (report.created, report.duplicates) == (1, 1)
    row = Recipient.objects.get()
    assert (row.email, row.key, row.name) == ("Ada@example.com", "ada@example.com", "Ada")
    assert row.attributes == {"name": "Ada", "city": "Köln"}


def test_import_leaves_empty_cells_out(campaign: Campaign) -> None:
    run(campaign, "E-Mail,First name,Last name\na@example.com,  ,Lovelace\n")
    row = Recipient.objects.get()
    assert (row.attributes, row.name) == ({"last_name": "Lovelace"}, "Lovelace")


def test_a_second_import_of_the_same_file_adds_nobody(campaign: Campaign) -> None:
    run(campaign, "email\na@example.com\nb@example.com\n")
    report = run(campaign, "email\nB@example.com\nc@example.com\nc@example.com\n")
    assert (report.created, report.existing, report.duplicates) == (1, 1, 1)
    assert lifecycle.counts(campaign.pk) == counts_by_scan(campaign)


def test_a_dry_run_says_the_same_and_writes_nothing(campaign: Campaign) -> None:
    Suppression.objects.create(key="s@example.com", email="s@example.com")
    run(campaign, "email\nold@example.com\n")
    content = "email\nold@example.com\ns@example.com\nnew@example.com\nNEW@example.com\nbad\n\n"
    before = lifecycle.counts(campaign.pk)
    dry = run(campaign, content, dry_run=True)
    assert lifecycle.counts(campaign.pk) == before
    assert (Recipient.objects.count(), RecipientImport.objects.count()) == (1, 1)
    assert dry.numbers() == run(campaign, content).numbers()


def test_import_records_suppressed_addresses_and_never_revives_them(campaign: Campaign) -> None:
    Suppression.objects.create(key="s@example.com", email="s@example.com", reason="unsubscribed")
    report = run(campaign, "email\nS@Example.com\na@example.com\n")
    assert (report.created, report.suppressed) == (2, 1)
    row = Recipient.objects.get(key="s@example.com")
    assert (row.state, row.detail) == ("suppressed", "unsubscribed")


def test_import_names_the_line_of_every_rejected_row(campaign: Campaign) -> None:
    report = run(campaign, 'email,note\nok@example.com,"two\nlines"\n\nno-at,x\n,empty\nb@example.com,x,y\n')
    assert [(line, reason) for line, _, reason, _ in report.rejected] == [
        (5, "no @"),
        (6, "empty"),
        (7, "3 cells, the header has 2"),
    ]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf", "No e-mail column"),
        (b"\n\n\n", "No e-mail column"),
        (b"name,city\nAda,London\n", "found: name, city"),
        (b"email,Email\na@example.com,b@example.com\n", "Two columns are called"),
        (b"email,city,City \na@example.com,x,y\n", "Two columns are called"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "binary"),
        (b"PK\x03\x04\x14\x00\x06\x00", "cannot be read"),
        (b"\xd0\xcf\x11\xe0old sheet", "old .xls"),
        (b"email\n" + b"x" * 3_000_000, "longer than 2.097.152"),
        (",".join(f"c{n}" for n in range(10_000)).encode(), "10000 columns"),
        (b'"email\na@example.com\n', "a quote is opened and never closed"),
    ],
)
def test_import_refuses_what_is_no_list_and_leaves_nothing(campaign: Campaign, content: bytes, word: str) -> None:
    with pytest.raises(ImportRefused, match=word):
        run(campaign, content)
    assert not Recipient.objects.exists()
    assert not RecipientImport.objects.exists()


def test_import_reads_utf_16_and_tabs(campaign: Campaign) -> None:
    run(campaign, "email\tcity\na@example.com\tKøbenhavn\n".encode("utf-16"))
    assert Recipient.objects.get().attributes == {"city": "København"}


def test_import_survives_hostile_cells(campaign: Campaign) -> None:
    padding = "p@example.com,pad\n" * 400  # a NUL at the very start would be taken for a binary file
    hostile = (
        padding + "a@example.com\x00,x\n'; DROP TABLE tasks; --@example.com,x\nb@example.com,\\N\nc@example.com,\\.\n"
    )
    report = run(campaign, "email,note\n" + hostile)
    assert (report.created, report.invalid) == (3, 2)
    assert set(Recipient.objects.values_list("attributes__note", flat=True)) == {"pad", "\\N", "\\."}


def test_import_is_for_drafts(campaign: Campaign) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(state="sending")
    with pytest.raises(WrongState, match="is sending"):
        run(campaign, "email\na@example.com\n")


class AnyText(TestCase):
    @settings(deadline=None)
    @given(st.text(max_size=200))
    def test_import_of_any_text_is_a_report_or_a_refusal(self, text: str) -> None:
        campaign = CampaignFactory.create()
        try:
            report = run(campaign, b"email,x\n" + text.encode("utf-8", "surrogatepass"))
        except CampaignError:
            assert not Recipient.objects.filter(campaign=campaign).exists()
        else:
            assert report.records == report.created + report.duplicates + report.existing + report.invalid
            assert lifecycle.counts(campaign.pk) == counts_by_scan(campaign)


def command(*arguments: str) -> str:
    out = io.StringIO()
    call_command("import_recipients", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_reports_and_writes_the_rejected_rows(campaign: Campaign, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("email,name\na@example.com,A\nnope,B\n")
    out = command(str(path), "--campaign", str(campaign.pk))
    assert out.startswith("2 records: 1 added, 0 twice in the file, 0 already in the campaign, 1 invalid.")
    assert (tmp_path / "people.csv.errors.csv").read_text().splitlines() == [
        "email,name,rejected: line,rejected: reason",
        "nope,B,3,no @",
    ]
    path.write_text("email\na@example.com\nb@example.com\n")
    dry = command(str(path), "--campaign", str(campaign.pk), "--dry-run")
    assert dry.startswith("2 records: 1 would be added, 0 twice in the file, 1 already in the campaign")


def test_the_command_imports_around_a_row_in_another_encoding(campaign: Campaign, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes("email,name\na@example.com,Jörg\n".encode() + "b@example.com,Jörg\n".encode("cp1252"))
    out = command(str(path), "--campaign", str(campaign.pk), "--encoding", "utf-8")
    assert out.startswith("2 records: 1 added, 0 twice in the file, 0 already in the campaign, 1 invalid.")
    assert "b@example.com,J\ufffdrg" in (tmp_path / "people.csv.errors.csv").read_text()
    path.write_bytes("email,Größe\na@example.com,3\n".encode("cp1252"))
    with pytest.raises(CommandError, match="The line with the titles"):
        command(str(path), "--campaign", str(campaign.pk), "--encoding", "utf-8")


@pytest.mark.parametrize(
    ("make", "number", "word"),
    [
        (lambda path: None, "own", "No such file"),
        (lambda path: path.mkdir(), "own", "Is a directory"),
        (lambda path: path.write_bytes(b"\x00\x01"), "own", "binary"),
        (lambda path: path.write_text("name\nx\n"), "own", "No e-mail column"),
        (lambda path: path.write_text("email\na@example.com\n"), "999999", "There is no campaign 999999"),
        (lambda path: path.write_text("email\na@example.com\n"), "-5", "There is no campaign -5"),
        (lambda path: path.write_text("email\na@example.com\n"), str(10**30), "There is no campaign"),
    ],
)
def test_the_command_ends_with_one_clear_line(
    campaign: Campaign, tmp_path: Path, make: object, number: str, word: str
) -> None:
    path = tmp_path / "people.csv"
    make(path)  # type: ignore[operator]
    with pytest.raises(CommandError, match=word) as error:
        command(str(path), "--campaign", str(campaign.pk) if number == "own" else number)
    assert "\n" not in str(error.value)
    assert not Recipient.objects.exists()


def test_the_command_reads_as_it_is_told(campaign: Campaign, tmp_path: Path) -> None:
    path = tmp_path / "people.txt"
    path.write_bytes("Ann|ann@example.com|Köln\n".encode("cp1252"))
    words = ["--no-header", "--delimiter=pipe", "--encoding=cp1252", "--mapping=1=name", "--mapping=2=email"]
    report = json.loads(command(str(path), "--campaign", str(campaign.pk), *words, "--mapping=3=", "--json"))
    assert (report["created"], report["found"]["columns"]) == (1, [["1", "name"], ["2", "email"], ["3", ""]])
    assert Recipient.objects.get().name == "Ann"
    with pytest.raises(CommandError, match="COLUMN=TARGET"):
        command(str(path), "--campaign", str(campaign.pk), "--mapping", "x")
    with pytest.raises(CommandError, match="one of comma"):
        command(str(path), "--campaign", str(campaign.pk), "--delimiter", "x")
    with pytest.raises(CommandError, match="device or a pipe"):
        command("/dev/zero", "--campaign", str(campaign.pk))
