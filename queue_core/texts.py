from collections.abc import Sequence


def shorten(text: str, limit: int) -> str:
    """At most so many characters, and nothing that PostgreSQL cannot store."""
    text = text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def ids_shown(ids: Sequence[int], count: int | None = None, *, most: int = 100) -> str:
    """`3 ids (7, 8, 9)`, or the first of them; `count` is how many there are where these are the first already."""
    count = len(ids) if count is None else count
    shown = [str(pk) for pk in ids[:most]] + ["…"] * (count > min(len(ids), most))
    return f"{grouped(count)} id{'' if count == 1 else 's'} ({', '.join(shown)})"


def grouped(number: int) -> str:
    """`9513` -> `9 513`, not broken at the end of a line: how numbers are written to people."""
    return f"{number:,}".replace(",", "\u00a0")
