"""Which column of a file is the address, which make up the name, and what the others are called."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from campaigns.addresses import AddressError, parse_address
from campaigns.errors import ImportRefused
from campaigns.intake.options import Options
from campaigns.intake.table import UNSTORABLE, Broken, Line, Source, is_storable

_EMAIL = (
    *("email", "e_mail", "email_address", "e_mail_address", "emailaddress", "mail", "mail_address"),
    *("e_mail_adresse", "email_adresse", "emailadresse", "mailadresse", "mail_adresse", "adresse_e_mail"),
    *("adresse_email", "adresse_mail", "courriel", "correo", "correo_electrónico", "correo_electronico", "email_adres"),
    *("e_mailadres", "emailadres", "indirizzo_email", "indirizzo_e_mail", "posta_elettronica", "endereço_de_email"),
    *("e_post", "epost", "e_postadress", "e_postadresse", "sähköposti", "adres_e_mail", "adres_email", "e_posta"),
    *("почта", "электронная_почта", "メール", "メールアドレス", "邮箱", "电子邮件", "이메일"),
)
# May be that of a house: only where no column holds addresses of mail.
_PERHAPS = "address"
_WHOLE = (
    *("name", "full_name", "fullname", "display_name", "vollständiger_name", "nom_complet", "nombre_completo"),
    *("nome_completo", "volledige_naam", "naam", "имя_и_фамилия", "氏名", "姓名", "이름"),
)
_FIRST = (
    *("first_name", "firstname", "given_name", "forename", "vorname", "prénom", "prenom", "nombre", "nome"),
    *("voornaam", "förnamn", "fornavn", "etunimi", "imię", "imie", "имя", "名"),
)
_LAST = (
    *("last_name", "lastname", "surname", "family_name", "nachname", "familienname", "nom", "nom_de_famille"),
    *(
        "apellido",
        "apellidos",
        "cognome",
        "achternaam",
        "efternamn",
        "etternavn",
        "sukunimi",
        "nazwisko",
        "фамилия",
        "姓",
    ),
)
# The titles of what we export of a campaign: who the people are is taken over, not what became of them.
EXPORTED = ("id", "email", "name", "state", "attempts", "code", "detail", "sent_at", "created_at", "attributes")
_OF_EXPORTED = {"email", "name", "attributes"}
# The last columns of our error file: what they say is over when it comes back.
OURS = ("rejected: line", "rejected: reason")
_COLUMNS_MAX = 1_000
_SAMPLE = 20


@dataclass(frozen=True, slots=True)
class Columns:
    """Where is what, by position. `titles`: the columns as the file calls them, their numbers where it does not.

    `packed`: of a file that we exported, the column that holds all attributes as JSON.
    """

    email: int
    names: tuple[int, ...]
    attributes: tuple[tuple[int, str], ...]
    titles: tuple[str, ...]
    has_header: bool
    packed: int | None = None

    def targets(self) -> list[tuple[str, str]]:
        """Each column of the file, and what it becomes: email, an attribute, or "" for ignored."""
        named = {**dict(self.attributes), self.email: "email"}
        if self.packed is not None:
            named |= {self.packed: "attributes", **dict.fromkeys(self.names, "name")}
        return [(title, named.get(position, "")) for position, title in enumerate(self.titles)]


def slug(header: str) -> str:
    """`E-mail` -> `e_mail`: how a column is called in templates."""
    return re.sub(r"\W+", "_", header.strip().lower()).strip("_")


@dataclass(frozen=True, slots=True)
class Beginning:
    """What stands at the top of a file: its titles, or the numbers of its columns, and the first lines below."""

    titles: tuple[str, ...]
    has_header: bool
    below: list[Line]

    def rows(self) -> list[list[str]]:
        return [cells for _, cells in self.below if isinstance(cells, list)]


def read_beginning(source: Source, options: Options) -> Beginning:
    """Raises ImportRefused for a file without a line to begin with."""
    first, sample = _first_lines(source)
    has_header = options.header if options.header is not None else _is_header(first)
    below = sample[1:] if has_header else sample
    width = max([len(first), *(len(cells) for _, cells in below if isinstance(cells, list) and not has_header)])
    if width > _COLUMNS_MAX:
        raise ImportRefused(f"The file has {width} columns; {_COLUMNS_MAX} are the most that are read.")
    titles = tuple(cell.strip(" \t\ufeff") for cell in first) if has_header else tuple(map(str, range(1, width + 1)))
    # A row can be refused alone. The titles are what mappings, templates and the record of the import are made of.
    if not all(map(is_storable, titles)):
        raise ImportRefused(f"The line with the titles has {UNSTORABLE}. Name its encoding, or save it as UTF-8.")
    return Beginning(titles, has_header, below)


def _is_header(first: list[str]) -> bool:
    """Titles hold no address, and nothing that may be one with a fault: taken for titles, that row would be lost."""
    if any(map(_is_address, first)):
        return False
    return not any("@" in cell for cell in first) or known_email([slug(cell) for cell in first]) is not None


def find_columns(source: Source, options: Options) -> tuple[Columns, Iterator[Line]]:
    """The columns, and the lines below the header. Raises ImportRefused with what to name or map."""
    top = read_beginning(source, options)
    return columns_of(top, names_of(top, options), source), chain(top.below, source.lines)


def columns_of(top: Beginning, names: list[str], source: Source) -> Columns:
    """The columns that have these names; raises ImportRefused without an address or with a name twice."""
    if is_export(top.titles) and names == own_names(top.titles):
        at = {name: position for position, name in enumerate(names)}
        return Columns(at["email"], (at["name"],), (), top.titles, top.has_header, packed=at["attributes"])
    email = email_column(top, names, source)
    attributes = tuple((i, name) for i, name in enumerate(names) if name and i != email)
    _check_once(names, email)
    whole = tuple(i for i, name in attributes if name == "name")
    return Columns(email, whole or _name_columns(attributes), attributes, top.titles, top.has_header)


def _first_lines(source: Source) -> tuple[list[str], list[Line]]:
    """The first line that is not blank, and with it some lines to look at."""
    for line in source.lines:
        number, cells = line
        if isinstance(cells, Broken):
            raise ImportRefused(f"Line {number}, the first one, has {cells.reason}.")
        if any(cell.strip(" \t\ufeff") for cell in cells):
            sample = [line, *islice(source.lines, _SAMPLE)]
            return cells, sample
    raise ImportRefused("No e-mail column: the file holds nothing but blank lines.")


def names_of(top: Beginning, options: Options) -> list[str]:
    """What each column becomes: as mapped, else by its title. Raises ImportRefused for a mapping that does not fit."""
    own = own_names(top.titles) if top.has_header else [f"column_{title}" for title in top.titles]
    names = own.copy()
    mapped: dict[int, str] = {}
    for column, target in options.mapping.items():
        position = _position(column, top, own)
        if position in mapped:
            raise ImportRefused(f"The mapping names one column twice, as “{mapped[position]}” and “{column[:100]}”.")
        names[position], mapped[position] = slug(target), column[:100]
        if target and not slug(target):
            raise ImportRefused(f"“{target[:100]}” cannot be the name of an attribute: use letters, digits and _.")
    return names


def own_names(titles: Sequence[str]) -> list[str]:
    """What the columns become by their titles alone."""
    exported = is_export(titles)
    return ["" if is_ours(title) or (exported and title not in _OF_EXPORTED) else slug(title) for title in titles]


def is_ours(title: str) -> bool:
    return title.lower() in OURS


def is_export(titles: Sequence[str]) -> bool:
    return tuple(title for title in titles if not is_ours(title)) == EXPORTED


def _position(column: str, top: Beginning, own: list[str]) -> int:
    if column in top.titles:
        return top.titles.index(column)
    if top.has_header and slug(column) in own:
        return own.index(slug(column))
    number = re.fullmatch(r"#(\d{1,4})", column, re.ASCII)
    if number and 1 <= int(number[1]) <= len(top.titles):
        return int(number[1]) - 1
    known = ", ".join(filter(None, top.titles))[:300]
    raise ImportRefused(f"The mapping names a column “{column[:100]}”, which the file has not; it has: {known}.")


def email_column(top: Beginning, names: list[str], source: Source) -> int:
    """Where the address is. Raises ImportRefused when no title and no content tells."""
    known = known_email(names)
    if known is not None:
        return known
    rows = top.rows()
    held = [sum(i < len(row) and _is_address(row[i]) for row in rows) if names[i] else 0 for i in range(len(names))]
    likely = max(range(len(held)), key=held.__getitem__, default=0)
    if not held or held[likely] * 2 <= len(rows):
        if _PERHAPS in names:
            return names.index(_PERHAPS)
        shown = ", ".join(filter(None, names))[:200] or "nothing"
        others = ", ".join(f"“{name}”" for name in source.sheets if name != source.sheet)[:300]
        raise ImportRefused(
            f"No e-mail column in the header (found: {shown}). Name one of the columns “email”, or map it to email."
            + (f" Or read another sheet: {others}." if others else "")
        )
    source.notes.append(f"Column “{top.titles[likely]}” holds the addresses.")
    return likely


def known_email(names: list[str]) -> int | None:
    """The column whose name says, beyond doubt, that it is the address."""
    return next((names.index(name) for name in _EMAIL if name in names), None)


def _name_columns(attributes: tuple[tuple[int, str], ...]) -> tuple[int, ...]:
    at = {name: position for position, name in attributes}
    whole = [at[name] for name in _WHOLE if name in at][:1]
    first = [at[name] for name in _FIRST if name in at][:1]
    last = [at[name] for name in _LAST if name in at][:1]
    return tuple(whole or first + last)


def _check_once(names: list[str], email: int) -> None:
    called = [
        "email" if i == email and name not in names[:i] + names[i + 1 :] else name for i, name in enumerate(names)
    ]
    twice = sorted({name for name in called if name and called.count(name) > 1})
    if twice:
        raise ImportRefused(
            f"Two columns are called “{twice[0]}”; rename one of them, or map it to another name or to nothing."
        )


def _is_address(cell: str) -> bool:
    try:
        parse_address(cell)
    except AddressError:
        return False
    return True
