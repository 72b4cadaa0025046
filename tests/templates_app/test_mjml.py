"""MJML templates: compiled once, with Jinja's tags untouched, and with errors that name the author's line."""

import pytest

from templates_app import services
from templates_app.errors import InvalidTemplate, RenderError
from templates_app.models import TemplateVersion
from templates_app.rendering import Content, compile_content, compile_version, prepare
from tests.templates_app.factories import make_template

MAIL = """<mjml>
  <mj-body>
    {% for p in products %}
    <mj-section background-color="{{ colour }}">
      <mj-column>
        {% if p.n < 3 and 1 > 0 %}<mj-text>{{ p.name }} &amp; co</mj-text>{% endif %}
        <mj-button href="{{ p.url|safe_url }}">Buy</mj-button>
        <mj-image src="{{ p.image|default("https://example.com/a.png") }}" alt="{{ p.name }}" />
      </mj-column>
    </mj-section>
    {% endfor %}
    <mj-section><mj-column><mj-text><a href="{{ unsubscribe_url }}">Leave</a></mj-text></mj-column></mj-section>
  </mj-body>
</mjml>"""
PRODUCTS = [{"name": "<Tea>", "n": 1, "url": "https://example.com/t"}, {"name": "Pot", "n": 5, "url": "https://e.com/"}]
CONTEXT = {"products": PRODUCTS, "colour": "#123456", "unsubscribe_url": "https://example.com/u"}


def content(html: str) -> Content:
    return Content("Hi", html, format="mjml")


def column(inside: str) -> Content:
    return content(f"<mjml><mj-body><mj-section><mj-column>\n{inside}\n</mj-column></mj-section></mj-body></mjml>")


def test_a_mail_is_made_of_it():
    mail = compile_content(content(MAIL)).render(CONTEXT)
    assert mail.html.startswith("<!doctype html>")
    assert "<mj-" not in mail.html
    assert "jinja" not in mail.html
    assert mail.html.count("&lt;Tea&gt; &amp; co") == 1
    assert "Pot &amp; co" not in mail.html
    assert 'href="https://example.com/t"' in mail.html
    assert 'alt="Pot"' in mail.html
    assert "background-color:#123456" in mail.html.replace(": ", ":") or "#123456" in mail.html
    assert mail.text.startswith("<Tea> & co")
    assert "Leave (https://example.com/u)" in mail.text


def test_nothing_is_loaded_from_another_host_but_what_the_author_names():
    html = prepare(column("<mj-text>x</mj-text>"))
    assert "googleapis" not in html
    assert "@import" not in html


@pytest.mark.django_db
def test_the_version_keeps_both_the_source_and_what_it_was_compiled_to():
    template = services.create_template(name="M", content=content(MAIL))
    version = TemplateVersion.objects.get(template=template)
    assert (version.html, version.format) == (MAIL, "mjml")
    assert version.compiled_html == prepare(content(MAIL))
    assert compile_version(version).render(CONTEXT).html.startswith("<!doctype html>")
    assert make_template().version.compiled_html == ""


@pytest.mark.django_db
def test_a_version_is_mailed_as_it_was_compiled_then():
    version = TemplateVersion(subject="S", html=MAIL, format="mjml", compiled_html="<p>{{ colour }}</p>")
    assert compile_version(version).render(CONTEXT).html == "<p>#123456</p>"


@pytest.mark.parametrize(
    ("html", "line", "words"),
    [
        ("", 1, "cannot be read as MJML"),
        ("<p>x</p>", 1, "cannot be read as MJML"),
        ("<mjml>\n<mj-body>\n<mj-section>\n</mj-body></mjml>", 4, "</mj-body> does not close"),
        ("<mjml>\n<mj-body>", 2, "<mj-body> is never closed"),
        ("<mjml><mj-body>\n</mj-body></mjml></p>", 2, "</p> does not close"),
        ("<mjml>\n\nx<mj-body></mj-body></mjml>", 3, "unexpected token"),
        ("<mjml>{# a\nb #}\n<mj-head><mj-bad>x</mj-bad></mj-head><mj-body/></mjml>", 1, "unexpected"),
        ("<mjml><mj-body>\n<mj-include path='/etc/passwd' /></mj-body></mjml>", 2, "unable to load included"),
        ("<mjml><mj-body>\n<mj-section full-width></mj-section></mj-body></mjml>", 2, "no value in quotes"),
        ("<mjml><mj-body>\n<mj-section {{ x }}></mj-section></mj-body></mjml>", 2, "no value in quotes"),
        ("<mjml><mj-body>\n{% if %}</mj-body></mjml>", 2, "Expected an expression"),
        ("<mjml><mj-body>\n\n{{ x|nope }}</mj-body></mjml>", 3, "no filter"),
        (column("<mj-text>" + "<_a>" * 20_000 + "</_a>" * 20_000 + "</mj-text>").html, 1, "too much is nested"),
        (column("<mj-text>" + "<é>" * 20_000 + "</é>" * 20_000 + "</mj-text>").html, 1, "too much is nested"),
        ("<mjml><mj-body>" + "<mj-wrapper>" * 5_000 + "</mj-body></mjml>", 1, "more than 100 deep"),
        (
            "<mjml><mj-head>\n<mj-title>{% if 1 %}x{% endif %}</mj-title></mj-head><mj-body>x</mj-body></mjml>",
            2,
            "cannot stand there",
        ),
        (
            "<mjml><mj-body><mj-section><mj-column>\n\n"
            "<mj-text color='{% if 1 %}red{% endif %}' foo='{% if 2 %}x{% endif %}'>x</mj-text>"
            "</mj-column></mj-section></mj-body></mjml>",
            3,
            "cannot stand there",
        ),
    ],
)
def test_an_error_names_the_line_of_the_source(html, line, words):
    with pytest.raises(InvalidTemplate) as caught:
        compile_content(content(html))
    (message,) = caught.value.by_part()["html"]
    assert words in message
    if line and "{# a" not in html:
        assert message.startswith(f"line {line}: ")


def test_an_error_in_a_mail_names_no_line_of_what_the_author_never_saw():
    with pytest.raises(RenderError, match=r"^html: division by zero"):
        compile_content(column("<mj-text>{{ 1 / 0 }}</mj-text>")).render({})


@pytest.mark.parametrize(
    ("inside", "code"),
    [
        ("<mj-txt>x</mj-txt>", "error mjml-tag"),
        ('<mj-image src="https://e.com/{{ x }}" alt="" width="{{ a.b.c }}" />', "warning mjml-lost"),
        ('<mj-image src="https://example.com/a.png" />', "warning image-alt"),
        ('<mj-button href="javascript:x">x</mj-button>', "error link-unsafe"),
        ("<mj-text>x</mj-text>", ""),
    ],
)
def test_the_check_tells(inside, code):
    footer = '<mj-text><a href="{{ unsubscribe_url }}">Leave</a></mj-text>'
    found = services.lint(content=column(inside + footer))
    assert " ".join(f"{finding.level} {finding.code}" for finding in found) == code
    assert all(finding.line == 2 for finding in found if finding.code != "mjml-lost")


def test_the_check_tells_of_mjml_in_an_html_template():
    found = services.lint(content=Content("Hi", MAIL))
    assert found[0].code == "mjml-as-html"
