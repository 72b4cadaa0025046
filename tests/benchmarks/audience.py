"""The list that is imported: 5 % come twice, differing in case only, 1 % are no addresses."""

import random
from pathlib import Path

_DUPLICATES, _INVALID = 0.05, 0.01
_DOMAINS = 97


def write_audience(path: Path, rows: int) -> None:
    """A CSV of so many rows below its header; the same one each time."""
    rand = random.Random(rows)
    people: list[str] = []
    with path.open("w", encoding="utf-8") as out:
        out.write("email,first_name,last_name,city,plan\n")
        for number in range(rows):
            kind = rand.random()
            if kind < _INVALID:
                email = f"nobody{number}"
            elif kind < _INVALID + _DUPLICATES and people:
                email = rand.choice(people).upper()
            else:
                email = f"person.{number}@example{number % _DOMAINS}.com"
                people.append(email)
            out.write(f"{email},Zoë,Müller-{number % 1_000},Bristol,basic\n")
