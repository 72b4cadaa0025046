"""Write the example audience, `audience.csv`, and what an import of it must find, `expected.json` and the README.

The numbers are known by construction: every row is made as new, as a twin of an earlier one or as broken, and is
counted as such. The same seed gives the same bytes on every machine.
"""

import argparse
import csv
import io
import json
import random
import sys
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
HEADER = ["E-mail", "First Name", "Last Name", "City", "Plan", "Last Order", "Notes"]
SEED = 1840  # the year of the first postage stamp
RECORDS = 10_000
PEOPLE_PER_IDN_DOMAIN = 10
EMPTY_LINES, COMMA_LINES, SPACE_LINES = 32, 5, 3
BROKEN_PER_KIND = 5
COUNTS_BEGIN, COUNTS_END = "<!-- counts: written by make_audience.py -->", "<!-- end of counts -->"


@dataclass(frozen=True)
class Person:
    """One record of the file, in the order of its columns."""

    email: str
    first_name: str
    last_name: str
    city: str
    plan: str
    last_order: str
    notes: str

    def cells(self) -> list[str]:
        return [self.email, self.first_name, self.last_name, self.city, self.plan, self.last_order, self.notes]


def _a_labels(domain: str) -> str:
    """The ASCII twin of a lower-case domain. The `idna` codec of Python is of 2003 and would turn `ß` into `ss`."""
    labels = domain.split(".")
    return ".".join(f"xn--{la.encode('punycode').decode()}" if not la.isascii() else la for la in labels)


def _at_domain(change: Callable[[str], str]) -> Callable[[str], str]:
    def changed(email: str) -> str:
        local, _, domain = email.partition("@")
        return f"{local}@{change(domain)}"

    return changed


@dataclass(frozen=True)
class Twin:
    """How the address of `count` people is written a second time; only addresses that pass `suits` are taken."""

    kind: str
    count: int
    rewrite: Callable[[str], str]
    suits: Callable[[str], bool] = str.isascii


def _has_unicode_domain(email: str) -> bool:
    return not email.isascii()


def _has_accents(email: str) -> bool:
    return unicodedata.normalize("NFD", email) != email


TWINS = [
    Twin("same text", 60, lambda email: email),
    Twin("capital letters", 90, str.upper),
    Twin("capital initial", 60, str.capitalize),
    Twin("capitals in the domain", 30, _at_domain(str.upper)),
    Twin("blanks around", 60, lambda email: f"  {email} "),
    Twin("no-break space behind", 30, lambda email: f"{email}\u00a0"),
    Twin("tab behind", 15, lambda email: f"{email}\t"),
    Twin("zero-width space in front", 15, lambda email: f"\u200b{email}"),
    Twin("punycode of a Unicode domain", 18, _at_domain(_a_labels), _has_unicode_domain),
    Twin("decomposed accents", 4, lambda email: unicodedata.normalize("NFD", email), _has_accents),
]

# Kind -> how an address that works is spoilt.
BROKEN: dict[str, Callable[[str], str]] = {
    "no e-mail": lambda email: "",
    "only blanks": lambda email: "   ",
    "no @": lambda email: email.replace("@", "."),
    "two @": lambda email: email.replace("@", "@@"),
    "two addresses": lambda email: f"{email}; second.{email}",
    "nothing before the @": lambda email: email[email.index("@") :],
    "nothing after the @": lambda email: email[: email.index("@") + 1],
    "blank inside": lambda email: email.replace("@", " @"),
    "dot at the end": lambda email: f"{email}.",
    "dot before the @": lambda email: email.replace("@", ".@"),
    "two dots in the domain": lambda email: f"{email}..com",
    "no top-level domain": lambda email: email[: email.index("@")] + "@localhost",
    "a number as top-level domain": lambda email: email[: email.index("@")] + "@192.0.2.25",
    "a comma in the domain": lambda email: email[: email.index("@")] + "@example,com",
    "a hyphen starts the domain": lambda email: email.replace("@", "@-"),
    "65 characters before the @": lambda email: "x" * 65 + email[email.index("@") :],
    "64 characters in a label": lambda email: email.replace("@", "@" + "y" * 64 + "."),
    "accent before the @": lambda email: f"é{email}",
    "name and address": lambda email: f"Reader <{email}>",
    "quoted": lambda email: '"' + email.replace("@", '"@'),
    "a link": lambda email: f"mailto:{email}",
}


def _spellings(entries: list[str]) -> list[tuple[str, str]]:
    """`Ελένη/eleni` -> the name and how it is written in an address; `Chloé` needs no second half."""
    pairs = []
    for entry in entries:
        shown, _, plain = entry.partition("/")
        folded = unicodedata.normalize("NFKD", shown).encode("ascii", "ignore").decode().lower()
        pairs.append((shown, plain or folded))
    return pairs


class Town:
    """Draws people from the lists of `people.json`; no two have the same address."""

    def __init__(self, lists: dict[str, Any], rng: random.Random) -> None:
        self._lists = lists
        self._rng = rng
        self._taken: set[str] = set()
        self._circles = [(_spellings(c["given"]), _spellings(c["family"]), c["cities"]) for c in lists["circles"]]

    def person(self, domain: str) -> Person:
        given, family, cities = self._rng.choice(self._circles)
        (first_name, first), (last_name, last) = self._rng.choice(given), self._rng.choice(family)
        day = date(2025, 9, 1) + timedelta(days=self._rng.randrange(400))
        return Person(
            email=self._free_address(first, last, domain),
            first_name=self._unless(0.06, first_name),
            last_name=self._unless(0.04, last_name),
            city=self._unless(0.12, self._rng.choice(cities)),
            plan=self._unless(0.10, self._rng.choice(self._lists["plans"])),
            last_order=self._unless(0.15, f"{day.day} {day:%B %Y}"),
            notes=self._unless(0.85, self._rng.choice(self._lists["notes"])),
        )

    def namesake(self, person: Person, domain: str) -> Person:
        """Somebody else whose address differs from that of `person` in the domain only."""
        local = person.email[: person.email.index("@")]
        email = f"{local}@{domain}"
        self._taken.add(email)
        return replace(self.person(domain), email=email)

    def people(self, count: int) -> list[Person]:
        """`count` people, among them the longest and the strangest address that is still valid."""
        long_local = "the.longest.local.part.a.mailbox.may.have.is.sixty-four.letters1"
        long_domain = ".".join(["a" * 63, "b" * 63, "c" * 40, "example"])
        extremes = [self.person("example.com") for _ in range(3)]
        return [
            replace(extremes[0], email=f"{long_local}@example.com"),
            replace(extremes[1], email=f"r@{long_domain}"),
            replace(extremes[2], email="!#$%&'*+-/=?^_`{|}~@example.org"),
            *(self.person(self._rng.choice(self._lists["domains"])) for _ in range(count - 3)),
        ]

    def _unless(self, share: float, value: str) -> str:
        return "" if self._rng.random() < share else value

    def _free_address(self, first: str, last: str, domain: str) -> str:
        shapes = [f"{first}.{last}", f"{first[0]}.{last}", f"{first}_{last}", f"{last}-{first}", f"{first}{last}"]
        tag = self._rng.choice(["", "", "", "", "", "", "", "", "", "+tea", "+news", "+2026"])
        local = self._rng.choice(shapes)
        number = 0
        while (email := f"{local}{number or ''}{tag}@{domain}") in self._taken:
            number += self._rng.randrange(1, 90)
        self._taken.add(email)
        return email


def _twins_of(people: list[Person], rng: random.Random) -> dict[str, list[Person]]:
    groups = {}
    for twin in TWINS:
        originals = rng.sample([person for person in people if twin.suits(person.email)], twin.count)
        groups[twin.kind] = [replace(person, email=twin.rewrite(person.email)) for person in originals]
    return groups


def _broken(town: Town) -> dict[str, list[Person]]:
    groups = {}
    for kind, spoil in BROKEN.items():
        readers = [town.person("example.net") for _ in range(BROKEN_PER_KIND)]
        groups[kind] = [replace(reader, email=spoil(reader.email)) for reader in readers]
    return groups


def _csv_lines(rows: list[Person], rng: random.Random) -> Iterator[str]:
    """The lines of the file after its header; blank ones stand between records and one ends the file."""
    blank = ["\r\n"] * (EMPTY_LINES - 1) + ["," * (len(HEADER) - 1) + "\r\n"] * COMMA_LINES + ["   \r\n"] * SPACE_LINES
    before = dict(zip(rng.sample(range(1, len(rows)), len(blank)), blank, strict=True))
    for index, row in enumerate(rows):
        yield before.get(index, "")
        buffer = io.StringIO()
        csv.writer(buffer).writerow(row.cells())
        yield buffer.getvalue()
    yield "\r\n"


def make(lists: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """The CSV file (UTF-8 with a byte order mark, CRLF) and the counts an import of it must report."""
    rng = random.Random(SEED)  # noqa: S311 - the same file each time is the point
    town = Town(lists, rng)
    people = [town.person(domain) for domain in lists["idn_domains"] for _ in range(PEOPLE_PER_IDN_DOMAIN)]
    # Another domain, so another person: IDNA 2003 would take these for twins.
    people += [town.namesake(person, "fass.example") for person in people if person.email.endswith("@faß.example")]
    broken = _broken(town)
    twins_wanted, broken_made = sum(twin.count for twin in TWINS), sum(map(len, broken.values()))
    people += town.people(RECORDS - len(people) - twins_wanted - broken_made)
    twins = _twins_of(people, rng)
    rows = people + [person for group in (*twins.values(), *broken.values()) for person in group]
    rng.shuffle(rows)
    text = ",".join(HEADER) + "\r\n" + "".join(_csv_lines(rows, rng))
    return text.encode("utf-8-sig"), {
        "records": len(rows),
        "unique": len(people),
        "duplicates": twins_wanted,
        "invalid": broken_made,
        "blank_lines": EMPTY_LINES + COMMA_LINES + SPACE_LINES,
        "duplicates_by_kind": {kind: len(group) for kind, group in twins.items()},
        "invalid_by_kind": {kind: len(group) for kind, group in broken.items()},
    }


def _with_counts(readme: str, expected: dict[str, Any]) -> str:
    """The README with the numbers between its two markers replaced."""
    head, _, rest = readme.partition(COUNTS_BEGIN)
    _, _, tail = rest.partition(COUNTS_END)
    names = {
        "records": "records (rows below the header that are not blank)",
        "unique": "valid addresses, each counted once",
        "duplicates": "duplicates of one of them",
        "invalid": "invalid",
        "blank_lines": "blank lines (counted apart)",
    }
    lines = ["| What | How many |", "|---|---:|"]
    lines += [f"| {name} | {expected[key]:,} |" for key, name in names.items()]
    for title, key in (("Duplicate", "duplicates_by_kind"), ("Invalid", "invalid_by_kind")):
        lines += ["", f"| {title} by | How many |", "|---|---:|"]
        lines += [f"| {kind} | {count:,} |" for kind, count in expected[key].items()]
    return "\n".join([f"{head}{COUNTS_BEGIN}", *lines, f"{COUNTS_END}{tail}"])


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the example audience again.")
    parser.add_argument("--output", type=Path, default=HERE, help="an existing folder (default: the one of this file)")
    folder: Path = parser.parse_args().output
    if not folder.is_dir():
        parser.error(f"{folder} is not a folder. Make it first, or leave --output out.")
    audience, expected = make(json.loads((HERE / "people.json").read_text(encoding="utf-8")))
    readme = _with_counts((HERE / "README.md").read_text(encoding="utf-8"), expected)
    (folder / "audience.csv").write_bytes(audience)
    (folder / "expected.json").write_text(json.dumps(expected, indent=2) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(readme, encoding="utf-8")
    sys.stdout.write(f"Wrote {expected['records']:,} records ({len(audience):,} bytes) to {folder}.\n")


if __name__ == "__main__":
    main()
