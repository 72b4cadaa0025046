"""What is found in a file of people, and what is refused. No database."""

import contextlib
import csv
import io
import json
import time
import tracemalloc
import zipfile
from typing import Any

import pytest

from campaigns.errors import ImportRefused
from campaigns.intake import Accepted, Refused, error_rows, find_columns, open_source, read_options, read_rows
from tests.campaigns.sheets import sheet_xml, workbook


class Read:
    """A file that was read: `people` (email, name, attributes), `refused` (line, reason), and how."""

    def __init__(self, content: str | bytes, **options: Any) -> None:
        raw = io.BytesIO(content if isinstance(content, bytes) else content.encode())
        given = read_options(**options)
        with open_source(raw, given) as source:
            self.columns, lines = find_columns(source, given)
            rows = list(read_rows(self.columns, lines))
        assert not raw.closed
        self.source = source
        self.rows = [row for row in rows if isinstance(row, Accepted)]
        self.refused = [row for row in rows if isinstance(row, Refused)]

    @property
    def emails(self) -> list[str]:
        return [row.email for row in self.rows]


TABLE = [["email", "Vorname", "Stadt"], ["a@example.com", "Jörg", "Köln"], ["b@example.com", "Zoë", "Aşgabat"]]
WESTERN = [["email", "Vorname", "Stadt"], ["a@example.com", "Jörg", "Köln"], ["b@example.com", "Zoë", "Málaga"]]


def text_of(table: list[list[str]], delimiter: str = ",") -> str:
    return "".join(delimiter.join(row) + "\r\n" for row in table)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter: str) -> None:
    read = Read(text_of(TABLE, delimiter))
    assert read.source.delimiter == delimiter
    assert [row.name for row in read.rows] == ["Jörg", "Zoë"]


def test_the_delimiter_is_the_one_that_fits_the_lines_not_the_most_frequent() -> None:
    read = Read("email;note, long, and, winding\na@example.com;x, y\nb@example.com;z\n")
    assert (read.source.delimiter, read.emails) == (";", ["a@example.com", "b@example.com"])


def test_the_line_excel_puts_above_the_header_is_obeyed() -> None:
    read = Read("sep=;\r\nemail;x\r\na@example.com;1,5\r\nno;2\r\n")
    assert read.emails == ["a@example.com"]
    assert read.refused[0].line == 4


@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        *(("utf-8", "utf-8-sig"), ("utf-8-sig", "utf-8-sig"), ("utf-16", "utf-16")),
        *(("utf-16-le", "utf-16-le"), ("utf-16-be", "utf-16-be"), ("cp1252", "cp1252")),
    ],
)
def test_the_encoding_is_found(encoding: str, found: str) -> None:
    read = Read(text_of(WESTERN).encode(encoding))
    assert read.source.encoding == found
    assert [row.name for row in read.rows] == ["Jörg", "Zoë"]
    assert bool(read.source.notes) == (encoding == "cp1252")


def test_a_given_encoding_is_used() -> None:
    read = Read(text_of(TABLE).encode("iso8859-9"), encoding="ISO-8859-9")
    assert '"stadt": "Aşgabat"' in read.rows[1].attributes


def test_one_row_in_another_encoding_is_refused_alone() -> None:
    content = (
        "email,name\na@example.com,Jörg\n".encode() + "b@example.com,Zoë\n".encode("cp1252") + b"c@example.com,C\n"
    )
    read = Read(content)
    assert read.emails == ["a@example.com", "c@example.com"]
    (row,) = read.refused
    assert (row.line, "encoding" in row.reason) == (3, True)
    assert row.cells == ["b@example.com", "Zo\ufffd"]


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("email,Stra\xdfe\na@example.com,x\n".encode("cp1252"), {"encoding": "utf-8"}),
        ("email,Ort é".encode() + b",Stra\xdfe\na@example.com,x,y\n", {}),
        (b"email,x\x00y\na@example.com,1\n" + b"b@example.com,2\n" * 400, {"encoding": "utf-8"}),
        (b"email,\x81\na@example.com,x\n", {"encoding": "windows-1252"}),
    ],
)
def test_titles_that_are_not_in_the_encoding_refuse_the_file(content: bytes, options: dict[str, Any]) -> None:
    with pytest.raises(ImportRefused, match="titles has a NUL character, or bytes that are not in the file's encoding"):
        Read(content, **options)


def test_the_apostrophe_that_keeps_a_cell_from_running_is_taken_off_once() -> None:
    table = [
        ["email", "note"],
        ["'+a@example.com", "'=1"],
        ["''-b@example.com", "'s-Hertogenbosch"],
        ["'c@example.com"],
    ]
    for read in (Read(text_of(table)), Read(workbook(S=table))):
        assert read.emails == ["+a@example.com", "'-b@example.com", "'c@example.com"]
        assert [row.attributes for row in read.rows] == ['{"note": "=1"}', '{"note": "\'s-Hertogenbosch"}', "{}"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_is_read(end: str) -> None:
    assert Read(end.join(["email,x", "a@example.com,1", "", "b@example.com,2", ""])).emails == [
        "a@example.com",
        "b@example.com",
    ]


def test_a_file_without_a_header_loses_no_first_row() -> None:
    read = Read("Ann;ann@example.com\nBob;bob@example.com\n")
    assert (read.emails, read.columns.has_header) == (["ann@example.com", "bob@example.com"], False)
    assert read.rows[0].attributes == '{"column_1": "Ann"}'
    mapped = Read("Ann;ann@example.com\n", header=False, mapping={"1": "name"})
    assert (mapped.rows[0].name, mapped.rows[0].attributes) == ("Ann", '{"name": "Ann"}')


@pytest.mark.parametrize("first", ["ann@@example.com", "Ann <ann@example.com>", "ann@example", "ann @example.com"])
def test_a_first_row_whose_address_has_a_fault_is_no_header(first: str) -> None:
    read = Read(f"Ann,{first}\nBob,bob@example.com\nCem,cem@example.com\n")
    assert (read.emails, read.columns.has_header) == (["bob@example.com", "cem@example.com"], False)
    assert [(row.line, row.email) for row in read.refused] == [(1, first)]
    assert Read("E-Mail,@handle\nann@example.com,@ann\n").columns.has_header


def test_a_mapping_that_names_one_column_twice_is_refused() -> None:
    for twice in ({"Foo": "email", "foo": "name"}, {"Foo": "email", "#1": None}):
        with pytest.raises(ImportRefused, match="names one column twice"):
            Read("Foo,Bar\nann@example.com,x\n", mapping=twice)


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"%PDF-1.4\n1 0 obj,x\n", "a PDF"), (b"\xef\xbb\xbf \n<!DOCTYPE html><table>", "a web page")],
)
def test_what_is_text_and_no_list_is_called_by_its_name(content: bytes, told: str) -> None:
    with pytest.raises(ImportRefused, match=f"This is {told}, not a list"):
        Read(content)


def test_the_first_sheet_that_is_shown_is_read_and_the_others_are_named() -> None:
    people: list[list[object]] = [["email"], ["a@example.com"]]
    content = workbook(Notes=[["Remark"], ["x"], ["y"]], Lookup=[["Key"]], Members=people)
    with pytest.raises(ImportRefused, match="Or read another sheet: “Lookup”, “Members”"):
        Read(content)
    hidden = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(hidden, "w") as new:
        for name in old.namelist():
            part = old.read(name)
            for sheet, state in ((b"Notes", b"hidden"), (b"Lookup", b"veryHidden")):
                part = part.replace(b'name="' + sheet + b'"', b'name="' + sheet + b'" state="' + state + b'"')
            new.writestr(name, part)
    read = Read(hidden.getvalue())
    assert (read.source.sheet, read.emails) == ("Members", ["a@example.com"])
    assert read.source.sheets == ["Notes", "Lookup", "Members"]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("E-Mail-Adresse;Vorname;Nachname", "Ada Lovelace"),
        ("Courriel;Prénom;Nom", "Ada Lovelace"),
        ("Correo electrónico;Nombre;Apellidos", "Ada Lovelace"),
        ("Indirizzo e-mail;Nome;Cognome", "Ada Lovelace"),
        ("E-mailadres;Voornaam;Achternaam", "Ada Lovelace"),
        ("Почта;Имя;Фамилия", "Ada Lovelace"),
        ("Kontakt;Vorname;Nachname", "Ada Lovelace"),
        ("mail;x;y", ""),
    ],
)
def test_usual_columns_are_known_in_several_languages(header: str, name: str) -> None:
    assert Read(f"{header}\nada@example.com;Ada;Lovelace\n").rows[0].name == name


@pytest.mark.parametrize("title", ["Address", "Adresse", "Contact"])
def test_a_title_that_may_mean_a_house_is_not_taken_for_the_e_mail(title: str) -> None:
    read = Read(f"{title},Reach\n1 High Street,a@example.com\n2 High Street,b@example.com\n")
    assert read.emails == ["a@example.com", "b@example.com"]
    assert json.loads(read.rows[0].attributes) == {title.lower(): "1 High Street"}
    assert read.source.notes == ["Column “Reach” holds the addresses."]


@pytest.mark.parametrize("title", ["Address", "Adresse", "Contact"])
def test_a_title_that_may_mean_a_house_is_the_e_mail_where_its_cells_are(title: str) -> None:
    assert Read(f"{title},City\na@example.com,York\nb@example.com,Bath\n").emails == ["a@example.com", "b@example.com"]


def test_a_column_called_address_is_the_e_mail_where_no_cells_tell() -> None:
    assert [row.reason for row in Read("City,Address\nYork,nobody\nBath,\n").refused] == ["no @", "empty"]


def test_a_mapping_names_and_leaves_out_columns() -> None:
    read = Read(
        "Work mail,Private mail,Given,secret\na@example.com,p@example.com,Ann,x\n",
        mapping={"Work mail": "email", "Given": "First Name", "secret": None},
    )
    assert read.emails == ["a@example.com"]
    assert read.rows[0].attributes == '{"private_mail": "p@example.com", "first_name": "Ann"}'
    assert dict(read.columns.targets()) == {
        "Work mail": "email",
        "Private mail": "private_mail",
        "Given": "first_name",
        "secret": "",
    }


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"mapping": {"nope": "email"}}, "which the file has not"),
        ({"mapping": {"x": "email"}}, "Two columns are called “email”"),
        ({"mapping": {"x": "!!"}}, "cannot be the name"),
        ({"mapping": "[1]"}, "mapping is an object"),
        ({"mapping": "{"}, "mapping is an object"),
        ({"mapping": {"x": 5}}, "on its left"),
        ({"mapping": {"email": None}}, "No e-mail column"),
        ({"delimiter": "x"}, "one of comma"),
        ({"delimiter": 5}, "one of comma"),
        ({"encoding": "zip"}, "not known"),
        ({"encoding": "idna"}, "not known"),
        ({"encoding": "utf-8\x00"}, "not known"),
        ({"encoding": 5}, "not known"),
        ({"header": "maybe"}, "true or false"),
        ({"sheet": 5}, "The sheet"),
        ({"sheet": "\udcf6"}, "The sheet"),
        ({"mapping": '{"\\ud800": "email"}'}, "half a character"),
        ({"mapping": {"x": "\udcf6"}}, "half a character"),
        ({"encoding": "utf-16"}, "is not utf-16"),
    ],
)
def test_an_option_that_does_not_fit_is_refused_with_what_would(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ImportRefused, match=word):
        Read("email,x\na@example.com,Ann\nb@example.com,B\n,\n", **options)


@pytest.mark.parametrize("name", ["items", "__class__", "keys", "get"])
def test_attributes_may_have_any_name_and_are_only_data(name: str) -> None:
    assert Read(f"email,{name}\na@example.com,1\n").rows[0].attributes == f'{{"{name.strip("_")}": "1"}}'


def test_a_quote_that_is_never_closed_costs_its_own_line_only() -> None:
    many = "".join(f"r{n}@example.com,x\n" for n in range(20_000))
    read = Read(f'email,note\na@example.com,"open\n{many}')
    assert len(read.rows) == 20_000
    assert [(row.line, row.reason) for row in read.refused] == [
        (2, "a quote is opened and never closed, or a cell is far too long")
    ]


def test_a_quote_that_is_not_doubled_costs_its_own_line_only() -> None:
    read = Read('email,note\na@example.com,"say "no""\nb@example.com,"say ""yes"""\n')
    assert (read.emails, read.refused[0].line) == (["b@example.com"], 2)


def test_line_breaks_do_not_reach_the_name() -> None:
    read = Read('email,name\na@example.com,"Ann\r\nBcc: all@example.com"\n"b@example.com\nBcc: x@example.com",B\n')
    assert read.rows[0].name == "Ann Bcc: all@example.com"
    assert len(read.refused) == 1


def test_marks_in_the_middle_of_joined_files_are_dropped() -> None:
    assert Read("\ufeffemail\na@example.com\n\ufeffb@example.com\n").emails == ["a@example.com", "b@example.com"]


def test_a_line_without_end_is_refused_in_little_memory() -> None:
    class Endless(io.RawIOBase):
        """200 MiB of one line."""

        left = 200 << 20

        def seek(self, position: int, whence: int = 0) -> int:
            self.left = 0 if whence == 2 else 200 << 20
            return 200 << 20 if whence == 2 else 0

        def read(self, size: int = -1) -> bytes:
            size = min(size, self.left)
            self.left -= size
            return b"x" * size

    options = read_options()
    tracemalloc.start()
    with pytest.raises(ImportRefused, match="longer than"), open_source(Endless(), options):  # type: ignore[arg-type]
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 << 20


def test_a_record_without_end_is_read_in_little_memory() -> None:
    options, raw = read_options(), io.BytesIO(b"email,x\na@example.com,1\n" + b'"a\n",' * 3_000_000)
    tracemalloc.start()
    with open_source(raw, options) as source:
        _, lines = find_columns(source, options)
        next(lines)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 120 << 20


def test_a_record_without_end_costs_its_own_line_only() -> None:
    read = Read("email,x\na@example.com,1\n" + '"a\n",' * 450_000 + "\nb@example.com,2\n")
    assert read.emails == ["a@example.com", "b@example.com"]
    assert (read.refused[0].line, read.refused[0].reason) == (
        3,
        "a quote is opened and never closed, or a cell is far too long",
    )


def test_a_file_of_nothing_but_open_quotes_is_given_up_before_long() -> None:
    """Each of its lines opens a quote anew: read to its end from every one of them, this took hours."""
    began = time.process_time()
    with pytest.raises(ImportRefused, match="a quote that is never closed"):
        Read(b"email,x\na@example.com,1\n" + b'a","\n' * 300_000)
    assert time.process_time() - began < 30


def test_some_quotes_that_are_never_closed_cost_their_own_lines_only() -> None:
    many = "".join(f"r{n}@example.com,x\n" for n in range(2_000))
    read = Read("email,note\n" + f'a@example.com,"open\n{many}' * 50)
    assert (len(read.rows), len(read.refused)) == (100_000, 50)


def test_a_file_over_the_limit_is_refused_unread(settings: Any) -> None:
    settings.CAMPAIGNS_IMPORT_MAX_MIB = 1
    with pytest.raises(ImportRefused, match="more than 1 MiB"):
        Read(b"x" * (1 << 20) + b"x")


# --- workbooks


def test_a_workbook_is_read_with_its_values_as_text() -> None:
    date = '<c r="D2" s="1"><v>45292</v></c>'
    formula = '<c r="F2" t="str"><f>A1&amp;"x"</f><v>kept</v></c>'
    rows = [["E-Mail", "n", "ok", "day", "half", "sum"], ["a@example.com", 1, True, date, 0.5, formula], ["no", 2]]
    read = Read(workbook(People=rows))
    assert read.rows[0].attributes == '{"n": "1", "ok": "true", "day": "2024-01-01", "half": "0.5", "sum": "kept"}'
    assert [(row.line, row.reason) for row in read.refused] == [(3, "no @")]
    assert (read.source.kind, read.source.sheet) == ("xlsx", "People")


def test_a_sheet_is_chosen_by_its_name() -> None:
    content = workbook(First=[["email"], ["a@example.com"]], Second=[["email"], ["b@example.com"]])
    assert Read(content).emails == ["a@example.com"]
    assert "First" in Read(content).source.notes[0]
    assert Read(content, sheet="Second").emails == ["b@example.com"]
    with pytest.raises(ImportRefused, match="First, Second"):
        Read(content, sheet="Third")


def test_lines_of_a_sheet_are_numbered_as_they_are_shown() -> None:
    xml = sheet_xml([["email"], ["a@example.com"]]).replace('r="1"', 'r="3"').replace('r="2"', 'r="6"')
    xml = xml.replace("A1", "A3").replace("A2", "A6").replace("a@example.com", "nobody")
    assert [row.line for row in Read(workbook(S=xml)).refused] == [6]


def test_links_to_elsewhere_in_a_workbook_are_left_alone() -> None:
    more: dict[str, str | bytes] = {"xl/externalLinks/externalLink1.xml": '<externalLink href="http://192.0.2.1/x"/>'}
    assert Read(workbook(more, S=[["email"], ["a@example.com"]])).emails == ["a@example.com"]


def bomb(declared: int | None = None) -> bytes:
    content = workbook({"xl/media/zeros.bin": b"\x00" * (3 << 20)}, S=[["email"]])
    if declared is not None:
        at = content.rindex(b"PK\x01\x02", 0, content.rindex(b"xl/media/zeros.bin"))
        content = content[: at + 24] + declared.to_bytes(4, "little") + content[at + 28 :]
    return content


@pytest.mark.parametrize("declared", [None, 10])
def test_a_workbook_that_unpacks_to_too_much_is_refused_whatever_it_declares(
    declared: int | None, settings: Any
) -> None:
    settings.CAMPAIGNS_IMPORT_UNPACKED_MAX_MIB = 2
    with pytest.raises(ImportRefused, match="more than 2 MiB"):
        Read(bomb(declared))


def test_a_cell_in_the_far_corner_does_not_fill_the_memory() -> None:
    far = '<c r="XFD1048576" t="inlineStr"><is><t>x</t></is></c>'
    with pytest.raises(ImportRefused, match="far from the others"):
        Read(workbook(S=[["email"], ["a@example.com"], [far]]))


MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def rows_of(xml: str) -> str:
    return f'<worksheet xmlns="{MAIN}"><sheetData>{xml}</sheetData></worksheet>'


@pytest.mark.parametrize(
    "rows",
    [
        "<row>" + "<c><v>1</v></c>" * 5_000 + "</row>" + "<row><c><v>1</v></c></row>" * 3_000,
        "<row>"
        + "<c x=' r=\"A1\"'><v>1</v></c>" * 5_000
        + "</row>"
        + '<row><c xr="A1"><f> r="A1"</f></c></row>' * 3_000,
        "<row>" + "<x:c><v>1</v></x:c>" * 5_000 + '</row><row r="3000"><x:c><v>1</v></x:c></row>',
        '<row><c r="A1"><v>1</v></c></row>' + "<row/>" * 700_000 + '<row><c r="P700001"><v>1</v></c></row>',
        '<row><c r="A1"><v>1</v></c></row>' + "<row/>" * 3_000 + "<row>" + "<c><v>1</v></c>" * 5_000 + "</row>",
        "<row>" + "<c><v>1</v></c>" * 1_001 + '</row><row r="1048576"/>',
        "<row>" + "<c><v>1</v></c>" * 16 + '</row><row r="1048576"><c><v>1</v></c></row>',
        '<row><c r="a1"><v>1</v></c><c r="xfd100000"><v>1</v></c></row>',
        '<row><c r="A1"><v>1</v></c><c r="XFD0000000000100000"><v>1</v></c></row>',
        '<row><c r="A1"><v>1</v></c><c r="AAAAAA1"><v>1</v></c></row>',
        f'<row><c r="A1"><v>1</v></c><c r="{"A" * 5_000}1"><v>1</v></c></row>',
        '<row r="4294967295"><c><v>1</v></c></row>',
        f'<row r="{"9" * 5_000}"><c><v>1</v></c></row>',
    ],
)
@pytest.mark.parametrize("place", ["xl/worksheets/sheet1.xml", "xl/elsewhere.bin"])
def test_a_sheet_that_would_be_laid_out_large_is_refused_wherever_its_cells_say_they_are(rows: str, place: str) -> None:
    with pytest.raises(ImportRefused, match="far from the others"):
        Read(moved(workbook(S=rows_of(rows)), place))


@pytest.mark.parametrize("word", ["row ", 't="s" ', "<!-- <row ", 'r="A', "c "])
def test_what_a_cell_is_full_of_does_not_slow_down_its_measuring(word: str) -> None:
    text = f"<row><c><v>{'<![CDATA[' + word * 100_000 + ']]>'}</v></c></row>"
    content, began = workbook(S=rows_of(text)), time.process_time()
    with contextlib.suppress(ImportRefused):
        Read(content)
    assert time.process_time() - began < 5


@pytest.mark.parametrize("tag", ["a-b:row", "row x='>'", 'row x=">"'])
def test_a_row_says_its_number_in_any_form_that_is_xml(tag: str) -> None:
    with pytest.raises(ImportRefused, match="far from the others"):
        Read(workbook(S=rows_of(f'<row>{"<c><v>1</v></c>" * 16}</row><{tag} r="1048576"/>')))


def test_cells_that_do_not_say_where_they_are_are_read() -> None:
    line = '<row><c t="inlineStr"><is><t>{}</t></is></c><c><v>1</v></c></row>'
    people = "".join(line.format(f"p{n}@example.com") for n in range(20_000))
    read = Read(workbook(S=rows_of(line.format("email").replace("<c><v>1</v></c>", "") + people)), header=False)
    assert len(read.rows) == 20_000


def moved(content: bytes, place: str) -> bytes:
    """The workbook with its sheet at another place in the archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            part = old.read(name).replace(b"worksheets/sheet1.xml", place.removeprefix("xl/").encode())
            new.writestr(place if name == "xl/worksheets/sheet1.xml" else name, part)
    return out.getvalue()


def sharing(texts: str, cells: str, name: str = "xl/sharedStrings.xml") -> bytes:
    """A workbook whose cells (XML) show texts (XML) by their number."""
    return workbook({name: f'<sst xmlns="{MAIN}">{texts}</sst>'}, S=rows_of(cells))


LONG = f"<si><t>{'x' * 32_000}</t></si>"
SHOWN = '<row><c t="s"><v>0</v></c></row>' + '<row r="{n}"><c r="A{n}" t="s"><v>{i}</v></c></row>' * 100


@pytest.mark.parametrize(
    ("texts", "cells", "name"),
    [
        (f"<si><t>email</t></si>{LONG}", SHOWN.format(n=2, i=1), "xl/sharedStrings.xml"),
        (f"<si><t>email</t></si>{LONG}", SHOWN.format(n=2, i=1), "xl\\SharedStrings.XML"),
        (f"<!-- <si><t>q</t></si> --><si><t>email</t></si>{LONG}", SHOWN.format(n=2, i=1), "xl/sharedStrings.xml"),
        (f"{LONG}<si><t>email</t></si>", SHOWN.format(n=2, i=1).replace("<v>1", "<v> 1"), "xl/sharedStrings.xml"),
        (f"<si/>{LONG}", SHOWN.format(n=2, i=1).replace("<v>1", "<v>0</v><v>1"), "xl/sharedStrings.xml"),
        (f"<si/>{LONG}", SHOWN.format(n=2, i=1).replace("c>", "x:c>").replace("<c", "<x:c"), "xl/sharedStrings.xml"),
    ],
)
def test_a_long_text_in_many_cells_does_not_fill_the_memory(texts: str, cells: str, name: str, settings: Any) -> None:
    settings.CAMPAIGNS_IMPORT_UNPACKED_MAX_MIB = 2
    with pytest.raises(ImportRefused, match="more than 2 MiB of text"):
        Read(sharing(texts, cells, name))


@pytest.mark.parametrize(
    "texts", ["<si><si/><t>email</t></si>", "<si><t>email</t>", '<si x="<si>"><t>email</t></si>', "<si>\x0b</si>"]
)
def test_texts_whose_numbers_cannot_be_told_refuse_the_workbook(texts: str) -> None:
    with pytest.raises(ImportRefused, match="cannot be read"):
        Read(sharing(texts, '<row><c t="s"><v>0</v></c></row>'))


def test_one_long_text_among_many_short_ones_is_read(settings: Any) -> None:
    settings.CAMPAIGNS_IMPORT_UNPACKED_MAX_MIB = 2
    texts = "<si><t>email</t></si><si><t>a@example.com</t></si><si><t>note</t></si>" + LONG
    line = '<row r="{n}"><c r="A{n}" t="s"><v>{i}</v></c><c r="B{n}" t="s"><v>{j}</v></c></row>'
    cells = line.format(n=1, i=0, j=2) + "".join(line.format(n=n, i=1, j=2) for n in range(2, 5_000))
    read = Read(sharing(texts, cells + line.format(n=5_000, i=1, j=3)))
    assert len(read.rows) == 4_998
    assert [row.line for row in read.refused] == [5_000]


def archive(**parts: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as written:
        for name, content in parts.items():
            written.writestr(name.replace("_xml", ".xml").replace("xl_", "xl/"), content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (archive(content_xml="<x/>"), "an .ods file"),
        (archive(a="x"), "no .xlsx workbook"),
        (archive(xl_workbook_xml="<broken"), "cannot be read"),
        (workbook(S=[["email"]])[:-30], "cannot be read"),
        (workbook(S="<worksheet><sheetData><row"), "cannot be read|No e-mail column"),
        (workbook(S=[]), "No e-mail column"),
        (workbook(), "no sheet|cannot be read"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600, "old .xls"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "binary"),
    ],
)
def test_what_is_no_workbook_is_refused_with_what_to_do(content: bytes, word: str) -> None:
    with pytest.raises(ImportRefused, match=word):
        Read(content)


# --- the error file


def error_file(read: Read) -> list[list[str]]:
    rows = error_rows(read.columns.targets(), read.refused, has_header=read.columns.has_header)
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return list(csv.reader(io.StringIO(out.getvalue())))


def test_rejected_rows_are_written_so_that_they_can_be_mended_and_run_nothing() -> None:
    assert error_file(Read("email,=cmd\nnobody,=1+1\n")) == [
        ["email", "'=cmd", "rejected: line", "rejected: reason"],
        ["nobody", "'=1+1", "2", "no @"],
    ]


def test_a_row_whose_quotes_cannot_be_read_is_written_as_it_stood() -> None:
    broken = '"quoted local"@example.com;Quot;"x\n'
    assert error_file(Read(f"email;name;note\n{broken}a@example.com;A;\n"))[1] == [
        *('"quoted local"@example.com', "Quot", '"x'),
        *("2", "a quote inside a quoted cell is not doubled"),
    ]


TITLES = [
    (["email", "Vorname", "Notiz"], {}),
    (["Vorname", "E-Mail", "Notiz"], {}),
    (["E-Mail", "Vorname", "email"], {"email": "private"}),
    (["Kontakt", "Vorname", "Notiz"], {}),
    (["Kontakt", "Vorname", "Privat"], {"Kontakt": "email", "Vorname": "name"}),
    (["email", "mail", "x"], {"mail": "email", "email": "first"}),
    (["mail", "Vorname", "e_mail"], {"#1": "email", "#3": "other"}),
    (["mail", "address", "Notiz"], {"Notiz": None}),
    (["mail", "", "="], {"#2": "given"}),
    (None, {}),
    (None, {"2": "name", "3": None}),
]
OPENERS = {
    "csv": lambda table: text_of(table, ","),
    "tsv": lambda table: text_of(table, "\t").encode("utf-16"),
    "xlsx": lambda table: workbook(S=table),
}


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize(("titles", "mapping"), TITLES)
def test_the_error_file_is_mended_and_read_again_as_the_file_was(
    opener: str, titles: list[str] | None, mapping: dict[str, Any]
) -> None:
    good = Read(OPENERS[opener](_people(titles, "ok{}@example.com")), mapping=mapping)
    bad = Read(OPENERS[opener](_people(titles, "bad{}example.com")), mapping=mapping)
    assert len(bad.refused) == 2
    header, *rows = error_file(bad)
    assert header[-2:] == ["rejected: line", "rejected: reason"]
    assert not any("bad" in row[-1] for row in rows)
    # One of the two is mended, the other left as it is.
    mended = [header, [cell.replace("bad5", "ok5@") for cell in rows[0]], rows[1]]
    again = Read(text_of([[f'"{cell}"' for cell in row] for row in mended]))
    assert [row[1:] for row in again.rows] == [row[1:] for row in good.rows if row.email == "ok5@example.com"]
    assert [row.cells[: len(header) - 2] for row in again.refused] == [bad.refused[1].cells]
    assert error_file(again)[0] == header


def _people(titles: list[str] | None, address: str) -> list[list[str]]:
    """Six rows, the last two at this address; another column of theirs looks more like addresses than their own."""
    column = next((i for i, title in enumerate(titles or []) if title in ("E-Mail", "Kontakt", "mail")), 0)
    rows = [["Ann", "'=1", "p@example.com" if n > 4 else "x"] for n in range(1, 7)]
    for n, row in enumerate(rows, 1):
        row[column] = (address if n > 4 else "ok{}@example.com").format(n)
    return [titles, *rows] if titles else rows


def test_a_row_with_too_many_cells_can_be_mended_and_one_too_long_is_not_kept_in_part() -> None:
    read = Read(f"email,x\nann@example.com,1,2\n,{'y' * 5_001}\n")
    assert error_file(read) == [
        ["email", "x", "rejected: line", "rejected: reason"],
        ["ann@example.com", "1", "2", "3 cells, the header has 2", "2"],
        ["", "", "3", "empty; too long to be repeated here"],
    ]


def test_the_addresses_of_a_list_that_was_no_file_can_be_mended_too() -> None:
    assert list(error_rows([], [Refused(1, "nobody", "no @")])) == [
        ["email", "rejected: line", "rejected: reason"],
        ["nobody", 1, "no @"],
    ]
