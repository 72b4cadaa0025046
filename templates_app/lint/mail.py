"""What is wrong with one finished mail."""

import re
from collections.abc import Iterator

from templates_app.lint.finding import Finding, error, warning
from templates_app.rendering import Rendered

# Gmail cuts longer messages and hides the rest, the unsubscribe link with it.
GMAIL_CLIPS_AT = 102 * 1024
_LONG_SUBJECT = 78
# Ours, shown as it stands, and those of other senders' programs.
_LEFT_OVER = re.compile(r"\{\{[^{}]{0,80}\}\}|\{%[^{}]{0,80}%\}|\*\|[A-Z0-9_:]{1,40}\|\*|\[%[^\[\]]{0,80}%\]")


def in_mail(rendered: Rendered) -> Iterator[Finding]:
    size = len(rendered.html.encode())
    if size > GMAIL_CLIPS_AT:
        yield warning("too-large", f"The HTML is {size // 1024} KiB; Gmail cuts mails at 102 KiB. Shorten it.")
    if not rendered.subject:
        yield error("subject-empty", "The subject is empty. Write one.", part="subject")
    if len(rendered.subject) > _LONG_SUBJECT:
        message = f"The subject has {len(rendered.subject)} characters; most readers see the first 40 to 70."
        yield warning("subject-long", message, part="subject")
    if rendered.html.strip() and not rendered.text.strip():
        yield warning("text-missing", "The text part is empty. Write one, or words besides the images.", part="text")
    for part, text in (("subject", rendered.subject), ("html", rendered.html), ("text", rendered.text)):
        if left := _LEFT_OVER.search(text):
            message = f"“{left[0]}” is in the finished mail as it stands. Correct it, or the value that holds it."
            yield warning("tag-left-over", message, part=part)
            break
