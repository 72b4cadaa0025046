"""The letter of the mail benchmark, ~10 KB with its HTML and its text, each recipient's own. Peers import it too.

Its variables are written alike in Jinja and in Django's templates.
"""

FROM = "Bench <bench@example.com>"
SUBJECT = "News for {{ recipient.name }}"
_STORY = (
    "<tr><td style='padding:12px;font-family:sans-serif'><h2>Story {0} for {{{{ recipient.name }}}}</h2>"
    "<p>Rain fell on the harbour all week, and the ferries kept their times all the same. Those who waited under "
    "the clock were told that nothing was late, which was true, and that the tea was warm – “hot”, said the café – "
    "which was not.</p>"
    '<a href="https://example.com/story/{0}?to={{{{ recipient.city }}}}">Read on</a></td></tr>\n'
)
HTML = "<html><body><table>" + "".join(_STORY.format(n) for n in range(19)) + "</table></body></html>\n"
TEXT = "Hello {{ recipient.name }} of {{ recipient.city }},\n\n" + "The ferries kept their times – all the same.\n" * 44


def recipient(number: int) -> dict[str, str]:
    return {"name": f"Reader {number}", "email": f"reader{number}@example.com", "city": f"Town {number % 97}"}
