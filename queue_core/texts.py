def shorten(text: str, limit: int) -> str:
    """At most so many characters, and nothing that PostgreSQL cannot store."""
    text = text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
