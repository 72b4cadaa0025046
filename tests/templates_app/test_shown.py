"""What is printed as it stands in the context is looked up once for a part; a template's own names are not."""

import pytest

from templates_app.environment.meter import WORK
from templates_app.errors import RenderError
from templates_app.rendering import Content, compile_content

CONTEXT = {"name": "<Jo>", "n": 7, "x": {"name": "outer", "deep": {"key": [1, 2]}}, "none": None, "items": [1, 2]}


def html(source: str) -> str:
    return compile_content(Content("s", source, "t")).render(CONTEXT).html


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("{{ name }}{{ name }}", "&lt;Jo&gt;&lt;Jo&gt;"),
        ("{{ n }}{{ x['name'] }}{{ x.name }}", "7outerouter"),
        ("{{ x.name }}{% set x = {'name': 'own'} %}{{ x.name }}", "outerown"),
        ("{% for name in ['a', 'b'] %}{{ name }}{% endfor %}{{ name }}", "ab&lt;Jo&gt;"),
        ("{% with n = 1 %}{{ n }}{% endwith %}{{ n }}", "17"),
        ("{% set n %}own{% endset %}{{ n }}", "own"),
        ("{% for item in items %}{{ loop.index }}{{ name }}{% endfor %}", "1&lt;Jo&gt;2&lt;Jo&gt;"),
        ("{% filter upper %}{{ x.name }}{% endfilter %}{{ x.name }}", "OUTERouter"),
        ("{% set t %}{{ name }}{% endset %}{{ t }}{{ t }}", "&lt;Jo&gt;&lt;Jo&gt;"),
        ("{{ none|default('-', true) }}{{ x.deep.key[1] }}", "-2"),
        ("{{ name|lower }}{{ name ~ n }}{{ name or 1 }}", "&lt;jo&gt;&lt;Jo&gt;7&lt;Jo&gt;"),
    ],
)
def test_shows_what_the_name_stands_for_there(source: str, shown: str) -> None:
    assert html(source) == shown


@pytest.mark.parametrize("source", ["{{ x }}", "{{ x.deep.key }}", "{{ self }}", "{{ loop }}", "{{ range }}"])
def test_refuses_what_is_no_text_each_time(source: str) -> None:
    compiled = compile_content(Content("s", source, "t"))
    for _ in range(2):
        with pytest.raises(RenderError, match="html"):
            compiled.render(CONTEXT)


def test_tells_all_that_is_missing_also_when_it_is_printed_twice() -> None:
    compiled = compile_content(Content("s", "{{ a }}{{ a }}{{ x.b }}{% if n %}{{ x.deep.c.d }}{% endif %}", "t"))
    rendered, missing = compiled.render_leniently(CONTEXT)
    assert rendered.html == "⟦a⟧⟦a⟧⟦x.b⟧⟦x.deep.c.d⟧"
    assert missing == dict.fromkeys(["a", "x.b", "x.deep.c.d"], "html")


def test_pays_for_each_time_it_is_printed() -> None:
    source = "{% for a in range(1000) %}{{ long }}{% endfor %}"
    with pytest.raises(RenderError, match="too much work"):
        compile_content(Content("s", source, "t")).render({"long": "x" * (WORK // 900)})


def test_a_mail_is_the_sum_of_its_pieces_most_of_which_last() -> None:
    compiled = compile_content(
        Content("s", "<p>Dear {{ name }},</p>{% if n %}<b>yes</b>{% endif %}", "Dear {{ name }}!")
    )
    rendered = compiled.render(CONTEXT)
    assert "".join(rendered.html_pieces) == rendered.html == "<p>Dear &lt;Jo&gt;,</p><b>yes</b>"
    assert set(rendered.html_pieces) - compiled.lasting == {"&lt;Jo&gt;"}
    assert set(rendered.text_pieces) - compiled.lasting == {"<Jo>"}
