"""The example audience and its letter: files only, recounted here without the code that made them."""

import csv
import io
import json
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import idna
import pytest
from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from campaigns.addresses import AddressError, parse_address

EXAMPLE = Path(__file__).resolve().parents[2] / "campaigns" / "example"
EXPECTED = json.loads((EXAMPLE / "expected.json").read_text(encoding="utf-8"))
RESERVED = re.compile(r"(?:.+\.)?(?:example\.(?:com|org|net)|[^.]+\.(?:example|test|invalid))")
MAILBOX = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
BARE = {
    "recipient": {"email": "jo@example.com"},
    "campaign": {"name": "Autumn letter"},
    "unsubscribe_url": "https://mail.example/unsubscribe/token",
}
FULL = {
    **BARE,
    "recipient": {
        "email": "o'brien@example.com",
        "name": "Siobhán O'Brien",
        "first_name": "Siobhán",
        "city": "<St Ives>",
        "plan": "Monthly",
        "last_order": "14 August 2026",
    },
}


def _rows() -> list[list[str]]:
    text = (EXAMPLE / "audience.csv").read_bytes().decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def _records() -> list[dict[str, str]]:
    header, *rows = _rows()
    return [dict(zip(header, row, strict=True)) for row in rows if any(cell.strip() for cell in row)]


def _plain_key(raw: str) -> str | None:
    """The key by a second reading of the rules, slow and simple; None for an address that cannot be mailed."""
    local, at, domain = unicodedata.normalize("NFC", raw.strip(" \t\u00a0\u200b")).lower().rpartition("@")
    try:
        ascii_domain = idna.encode(domain, std3_rules=True).decode()
    except idna.IDNAError:
        return None
    mailable = (
        MAILBOX.fullmatch(local)
        and len(local) <= 64
        and "." in ascii_domain
        and not ascii_domain.endswith(".")
        and not ascii_domain.rpartition(".")[2].isdigit()
    )
    return f"{local}@{ascii_domain}" if at and mailable else None


def _parsed_key(raw: str) -> str | None:
    try:
        return parse_address(raw).key
    except AddressError:
        return None


def _render(name: str, context: dict[str, object]) -> str:
    environment = ImmutableSandboxedEnvironment(autoescape=name.endswith(".html"), undefined=StrictUndefined)
    environment.globals.clear()
    return environment.from_string((EXAMPLE / name).read_text(encoding="utf-8")).render(context)


class _Page(HTMLParser):
    """Collects the tags, the links and every attribute that could load something."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.links: list[str | None] = []
        self.loaded: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        attributes = dict(attrs)
        if tag == "a":
            self.links.append(attributes["href"])
        self.loaded += [name for name in ("src", "srcset", "background", "poster") if name in attributes]


@pytest.mark.parametrize("key_of", [_plain_key, _parsed_key])
def test_audience_holds_the_people_twins_and_mistakes_that_it_claims(key_of):
    keys = Counter(key_of(record["E-mail"]) for record in _records())
    invalid = keys.pop(None)
    assert (len(keys), keys.total() - len(keys), invalid) == (
        EXPECTED["unique"],
        EXPECTED["duplicates"],
        EXPECTED["invalid"],
    )


def test_audience_has_as_many_records_and_blank_lines_as_it_claims():
    assert len(_records()) == EXPECTED["records"] == 10_000
    assert len(_rows()) - 1 - len(_records()) == EXPECTED["blank_lines"] == 40


def test_expected_numbers_add_up():
    assert EXPECTED["records"] == EXPECTED["unique"] + EXPECTED["duplicates"] + EXPECTED["invalid"]
    assert sum(EXPECTED["duplicates_by_kind"].values()) == EXPECTED["duplicates"]
    assert sum(EXPECTED["invalid_by_kind"].values()) == EXPECTED["invalid"]


def test_audience_is_written_as_spreadsheets_write_it():
    data = (EXAMPLE / "audience.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbfE-mail,First Name,Last Name,City,Plan,Last Order,Notes\r\n")
    assert data.endswith(b"\r\n\r\n")
    assert len(data) < 1_500_000


def test_audience_writes_to_reserved_domains_only():
    domains = {key.rpartition("@")[2] for record in _records() if (key := _plain_key(record["E-mail"]))}
    assert [domain for domain in domains if not RESERVED.fullmatch(domain)] == []


def test_audience_has_the_cells_that_trip_importers():
    records = _records()
    everything = "".join(cell for record in records for cell in record.values())
    scripts = {unicodedata.name(letter).split()[0] for letter in set(everything) if letter.isalpha()}
    assert {"LATIN", "GREEK", "CYRILLIC", "CJK", "ARABIC", "HEBREW", "DEVANAGARI", "THAI", "HANGUL"} <= scripts
    notes = [record["Notes"] for record in records]
    for awkward in ("\n", "\r\n", '"', ",", "=1+1", "\t"):
        assert any(awkward in note for note in notes), awkward
    assert {record["Last Name"] for record in records} >= {"O'Brien", "D'Arcy", ""}
    assert any(record["First Name"] == record["City"] == "" for record in records)


def test_audience_has_namesakes_that_idna_2003_takes_for_twins():
    keys = {_plain_key(record["E-mail"]) for record in _records()}
    sharp = {key for key in keys if key and key.endswith("@xn--fa-hia.example")}
    assert sharp
    assert {key.replace("xn--fa-hia", "fass") for key in sharp} <= keys


def test_make_audience_writes_the_same_bytes_again(tmp_path):
    run = subprocess.run(
        [sys.executable, EXAMPLE / "make_audience.py", "--output", tmp_path], capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith("Wrote 10,000 records")
    for name in ("audience.csv", "expected.json", "README.md"):
        assert (tmp_path / name).read_bytes() == (EXAMPLE / name).read_bytes(), name


def test_make_audience_asks_for_a_folder_that_exists(tmp_path):
    run = subprocess.run(
        [sys.executable, EXAMPLE / "make_audience.py", "--output", tmp_path / "none"], capture_output=True, text=True
    )
    assert run.returncode == 2
    assert "is not a folder. Make it first" in run.stderr


def test_subject_greets_by_name_and_is_one_line():
    assert _render("subject.txt", FULL) == "🍂 Siobhán, the autumn teas are in and your monthly box is packed"
    assert _render("subject.txt", BARE) == "🍂 Good news, the autumn teas are in"


@pytest.mark.parametrize("name", ["body.html", "body.txt"])
@pytest.mark.parametrize("empty", [{}, {"name": "", "first_name": "", "city": "", "plan": "", "last_order": ""}])
def test_letter_reads_well_without_any_attribute(name, empty):
    letter = _render(name, {**BARE, "recipient": {**BARE["recipient"], **empty}})
    assert "there" in letter
    assert "before everybody else hears" in letter
    assert "Your plan" not in letter
    assert "Your last order" not in letter


@pytest.mark.parametrize("name", ["body.html", "body.txt"])
def test_letter_names_its_reader_its_sender_and_the_way_out(name):
    letter = _render(name, FULL)
    for text in ("Siobhán", "Monthly", "14 August 2026", "Autumn letter", "12 Example Quay", FULL["unsubscribe_url"]):
        assert text in letter, text
    assert max(len(line.encode()) for line in letter.splitlines()) < 998


def test_html_escapes_what_readers_typed_and_text_does_not():
    assert "&lt;St Ives&gt;" in _render("body.html", FULL)
    assert "<St Ives>" in _render("body.txt", FULL)


def test_html_loads_nothing_and_shows_one_button_and_a_way_out():
    html = _render("body.html", FULL)
    page = _Page(html)
    assert page.loaded == []
    assert not {"img", "link", "script", "iframe", "video"} & page.tags.keys()
    assert "url(" not in html
    assert page.links == ["https://harbourlane.example/autumn", FULL["unsubscribe_url"]]
    assert len(html.encode()) < 12_000
