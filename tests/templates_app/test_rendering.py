from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.utils.safestring import mark_safe
from hypothesis import given
from hypothesis import strategies as st

from templates_app.errors import InvalidTemplate, RenderError
from templates_app.rendering import Content, compile_content, html_to_text


def render(html="", context=None, *, subject="", text=""):
    return compile_content(Content(subject, html, text)).render(context or {})


def test_escapes_in_html_and_nowhere_else():
    mail = render("<b>{{ n }}</b>", {"n": "O'Brien & <Co>"}, subject="{{ n }}", text="{{ n }}")
    assert mail.subject == mail.text == "O'Brien & <Co>"
    assert mail.html == "<b>O&#39;Brien &amp; &lt;Co&gt;</b>"


def test_escapes_text_that_python_calls_safe():
    assert render("{{ n }}", {"n": mark_safe("<b>")}).html == "&lt;b&gt;"


@pytest.mark.parametrize("key", ["items", "keys", "values", "get", "copy", "update", "title", "pop"])
def test_finds_keys_named_like_methods(key):
    assert render(f"{{{{ recipient.{key} }}}}|{{{{ recipient['{key}'] }}}}", {"recipient": {key: "x"}}).html == "x|x"


@pytest.mark.parametrize(
    "breaker", ["\r\nBcc: evil@example.com", "\n", "\r", "\x00", "\x85", "\u2028", "\u2029", "\x0b"]
)
def test_keeps_the_subject_on_one_line(breaker):
    subject = render(context={"n": f"a{breaker} b"}, subject=" Hi {{ n }}\n").subject
    assert subject == ("Hi a Bcc: evil@example.com b" if "Bcc" in breaker else "Hi a b")


@given(st.text())
def test_leaves_no_control_character_in_the_subject(name):
    subject = render(context={"n": name.encode(errors="ignore").decode()}, subject="{{ n }}").subject
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u2028\u2029" for c in subject)
    assert len(subject) <= 255


def test_names_all_missing_values_at_once():
    html = "{{ a }}{{ b.c.d }}{{ b.e|upper }}{% for x in b.list %}{% endfor %}{{ b.n + 1 }}{% if b.q == 3 %}{% endif %}"
    with pytest.raises(RenderError) as caught:
        render(html, {"b": {}}, subject="{{ s }}")
    assert caught.value.missing == ("s", "a", "b.c.d", "b.e", "b.list", "b.n", "b.q")
    assert "a, b.c.d" in caught.value.message
    assert caught.value.part == "subject"


def test_names_a_missing_value_inside_a_list():
    with pytest.raises(RenderError) as caught:
        render("{% for p in products %}{{ p.price }}{% endfor %}", {"products": [{"name": "x"}]})
    assert caught.value.missing == ("products[].price",)


def test_treats_null_as_not_given():
    assert render("{{ x|default('friend') }}{% if x %}!{% endif %}", {"x": None}).html == "friend"
    with pytest.raises(RenderError):
        render("{{ x }}", {"x": None})


@pytest.mark.parametrize(
    "html",
    [
        "{{ x|default('-') }}",
        "{{ x or '-' }}",
        "{% if x is defined %}{{ x }}{% else %}-{% endif %}",
        "{{ x if x else '-' }}",
    ],
)
def test_accepts_absence_where_the_template_answers_for_it(html):
    assert render(html).html == "-"


def test_gives_dates_as_iso_text_and_formats_them():
    context = {"day": date(2026, 3, 1), "at": datetime(2026, 3, 1, 9, 30, tzinfo=UTC), "sum": 1234.5}
    html = "{{ day }} {{ day|date }} {{ at|date('j M Y H:i') }} {{ sum|number }}"
    assert render(html, context).html == "2026-03-01 1 March 2026 1 Mar 2026 09:30 1,234.50"


@pytest.mark.parametrize("pattern", ["%d.%m.%Y", "d" * 201])
def test_refuses_patterns_of_dates_that_are_not_meant(pattern):
    with pytest.raises(RenderError, match="letters such as"):
        render(f"{{{{ day|date('{pattern}') }}}}", {"day": "2026-03-01"})


def test_prints_no_null_of_a_list():
    context = {"tags": ["a", None, "b"], "rows": [{"x": None}, {"x": 1}]}
    assert render("{{ tags|join(', ') }}{% for t in tags %}<{{ t }}>{% endfor %}", context).html == "a, b<a><b>"


@pytest.mark.parametrize("value", [object(), Decimal(1), {1, 2}, {"a": {1: 2}}, lambda: 1, b"x"])
def test_refuses_what_is_not_plain_data(value):
    with pytest.raises(RenderError, match="context: “x"):
        render("", {"x": value})


def test_refuses_data_without_end():
    loop = []
    loop.append(loop)
    with pytest.raises(RenderError, match="nested too deeply"):
        render("", {"x": loop})


@pytest.mark.parametrize(
    ("html", "line"),
    [
        ("\n\n{% if %}", 3),
        ("{{ x", 1),
        ("a\n{{ x|nope }}", 2),
        ("{{ x is nope }}", 1),
        ("{% if x %}", 1),
        (f"\n{{{{ {'9' * 5_000} }}}}", 2),
    ],
)
def test_says_which_line_is_wrong(html, line):
    with pytest.raises(InvalidTemplate) as caught:
        render(html)
    (message,) = caught.value.by_part()["html"]
    assert message.startswith(f"line {line}: ")


def test_reports_the_first_problem_of_each_part():
    with pytest.raises(InvalidTemplate) as caught:
        render("{{", subject="{% x %}", text="{{ a.b() }}")
    assert set(caught.value.by_part()) == {"subject", "html", "text"}


@pytest.mark.parametrize(
    "html",
    ["\n{{ 1 / 0 }}", "\n{{ 'a' - 1 }}", "\n{{ [1] }}", "\n{{ 'x'|date }}", "\n{{ {}[[]] }}", "\n{{ {}[:1] }}"],
)
def test_says_on_which_line_a_value_did_not_fit(html):
    with pytest.raises(RenderError, match="html: line 2: "):
        render(html)


@pytest.mark.parametrize("html", ["{{ x }}", "{{ x }}{% for y in [1, 2] %}{{ x }}{% endfor %}", r"{{ '\ud800' }}"])
def test_refuses_characters_that_cannot_be_sent(html):
    with pytest.raises(RenderError, match="surrogates"):
        render(html, {"x": "\ud800"})


@pytest.mark.parametrize("part", ["subject", "html", "text"])
def test_refuses_templates_whose_characters_cannot_be_sent(part):
    with pytest.raises(InvalidTemplate, match="no text"):
        compile_content(Content(**{"subject": "s", "html": "<p>h</p>", "text": "t", part: "a\n\ud800"}))


def test_supports_what_templates_are_written_with():
    html = (
        "{% set greeting = 'Hi' %}{{ greeting ~ ' ' ~ name }}"
        "{% for p in products if p.n > 1 %}{{ loop.index }}/{{ loop.length }} {{ p.name }}{{ loop.cycle('a', 'b') }}"
        "{% if not loop.last %}, {% endif %}{% else %}none{% endfor %}"
        "{% with x = 2 %}{{ x * 3 }}{% endwith %}{% filter upper %}up{% endfilter %}"
        "{{ products|map(attribute='name')|join('+') }}{{ products|sum(attribute='n') }}{{ 'x' if 0 }}{{ name[:1] }}"
    )
    context = {"name": "Ada", "products": [{"name": "t", "n": 1}, {"name": "u", "n": 2}, {"name": "v", "n": 3}]}
    assert render(html, context).html == "Hi Ada1/2 ua, 2/2 vb6UPt+u+v6A"


def test_makes_the_text_from_the_html():
    html = """
      <style>p { color: red }</style><div style="display: none">Preheader</div>
      <h1>Tea &amp; more</h1><p>Dear {{ name }},<br>hello</p>
      <ul>{% for t in teas %}<li>{{ t }}</li>{% endfor %}</ul>
      <img src="x" alt="Leaf"> <a href="{{ url }}">Order</a> <a href="mailto:a@b.c">a@b.c</a> <a href="#top">Up</a>
    """
    mail = render(html, {"name": "<Ada>", "teas": ["green", "black"], "url": "https://example.com/?a=1&b=2"})
    assert mail.text == (
        "Tea & more\n\nDear <Ada>,\nhello\n\n- green\n\n- black\n\nLeaf Order (https://example.com/?a=1&b=2) a@b.c Up"
    )


def test_makes_the_text_from_the_mail_where_values_bring_markup():
    assert render("<p>{{ body|safe }}</p>", {"body": "<b>Hi</b> <i>you</i>"}).text == "Hi you"


def test_makes_the_text_when_a_tag_spans_what_text_leaves_out():
    assert render("<style>{% if x %}</style><p>a</p><style>{% endif %}</style><p>b</p>", {"x": 1}).text == "a\n\nb"


GIVEN_TO_TEXTS = {"n": "Ada", "yes": 1, "no": 0, "u": "https://x.de/", "two": [1, 2]}


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<!-- {% set name = n|default('friend') %} --><p>Hi {{ name }}</p>", "Hi Ada"),
        ("<title>{% set a = n %}</title><div style='display:none'>{% set b = n %}</div>{{ a ~ b }}", "AdaAda"),
        ("<!-- {% if no %} --> VIP <!-- {% else %} --> normal <!-- {% endif %} -->", "normal"),
        ("<p>{% if no %}<!-- {% endif %} -->z</p>", "-->z"),
        ("<!-- {% if no %} -->{% if yes %}a<!-- {% endif %} -->b{% endif %}", ""),
        ("<td {% if yes %}title='a'>b{% else %}>c{% endif %}</td>", "b"),
        ("{% if yes %}<a href='https://a.de'>{% else %}<a href='https://b.de'>{% endif %}x</a>", "x (https://a.de)"),
        ("{% if no %}<a href='https://a.de'>{% endif %}x{% if no %}</a>{% endif %}", "x"),
        ("{% for t in two %}<a href='{{ u }}{{ t }}'>{{ t }}{% endfor %}</a>", "12 (https://x.de/2)"),
        ("<p style='{% if yes %}display:none{% endif %}'>gone</p>here", "here"),
        ("<a href='{{ u }}'>{{u}}</a> <a href='{{ u }}'>Go</a>", "https://x.de/ Go (https://x.de/)"),
        ("<p>a</p> {%- if yes -%} <p>b</p> {%- endif %} x {{- n -}} y", "a\n\nb\n\nxAday"),
        ("<h{{ 2 }}>a</h{{ 2 }}>b", "a\n\nb"),
        ("{% raw %}<!-- {% endraw %}{{ n }}{% raw %} -->{{ x }}{% endraw %}", "{{ x }}"),
        ("{% set x %}<b>{{ n }}</b>{% endset %}{{ x }}", "Ada"),
    ],
)
def test_the_text_is_that_of_the_mail_whatever_the_tags_stand_in(html: str, text: str):
    mail = render(html, GIVEN_TO_TEXTS)
    assert mail.text == html_to_text(mail.html) == text


@pytest.mark.parametrize(
    "html",
    [
        "<td {% if yes %}class='a'{% endif %}><a href='{% if yes %}{{ u }}{% else %}{{ n }}{% endif %}'>Go</a></td>",
        "<div style='display: none'>{% if yes %}{{ n }}{% endif %}</div><!-- {% for t in two %}{{ t }}{% endfor %} -->",
        "<a href='{{ u }}'>{% if yes %}{{ n }}{% endif %}</a>{% set x = 1 %}<p style='color: {{ n }}'>{{ x }}</p>",
    ],
)
def test_the_text_is_made_from_the_source_where_its_tags_are_whole(html: str, monkeypatch):
    compiled = compile_content(Content("s", html))
    monkeypatch.setattr("templates_app.rendering.compiled.html_to_text", None)
    rendered = compiled.render(GIVEN_TO_TEXTS)
    assert rendered.text == html_to_text(rendered.html)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ('<a title="a > b" href="https://x.de">go</a>', "go (https://x.de)"),
        ("<a href='//x.de/y'>go</a> <a href='/y'>go</a>", "go (//x.de/y) go"),
        ('<div style="display:none">a<div>b</div>c</div>d<p style="display:none">e<p>f</p>g', "dg"),
        ('<a href="https://x.de>x</a> y "', 'x y "'),
        ("<style>a<style></style>b<!-- c", "b"),
        ("<p>1 < 2 > 0</p>", "1 < 2 > 0"),
    ],
)
def test_reads_tags_as_mail_programs_do(html: str, text: str):
    assert html_to_text(html) == text


def test_does_not_run_tags_that_the_html_only_shows():
    assert render("<p>&#123;{ 1 + 1 }}</p>").text == "{{ 1 + 1 }}"


def test_keeps_the_text_its_author_wrote():
    assert render("<p>x</p>", {"n": "A"}, text="Hi {{ n }},\n\n\n\nbye").text == "Hi A,\n\n\n\nbye"


def test_shows_missing_values_when_lenient():
    rendered, missing = compile_content(Content("{{ s }}", "<p>{{ r.name }}</p>")).render_leniently({})
    assert (rendered.subject, rendered.html, rendered.text) == ("⟦s⟧", "<p>⟦r.name⟧</p>", "⟦r.name⟧")
    assert missing == {"s": "subject", "r.name": "html"}


def test_compiles_a_version_once():
    content = Content("once", "only {{ x }}")
    assert compile_content(content) is compile_content(Content(*content))
