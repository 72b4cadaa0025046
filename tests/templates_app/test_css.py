"""Styles moved into the tags: what is moved, and that nothing else changes."""

import contextlib
import sys
import time

import pytest

from templates_app.errors import InvalidTemplate
from templates_app.rendering import Content, apart, compile_content, prepare

SHEET = "<style>p { color: red } .b { margin: 0 }</style>"


def inlined(html: str) -> str:
    return prepare(Content("", html))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<p>x</p>", '<p style="color: red;">x</p>'),
        ("<P ID=a>x</P>", '<P style="color: red;" ID=a>x</P>'),
        ("<p class='a b'>x", """<p style="color: red;margin: 0;" class='a b'>x"""),
        ("<i>x</i>", "<i>x</i>"),
        ("<p style='font: x'>x", '<p style="color: red;font: x">x'),
        ('<p style="color: {{ c }}">x', '<p style="color: red; color: {{ c }}">x'),
        ("<p style='font: \"A\"; x: {{ c }}'>x", '<p style="color: red; font: &quot;A&quot;; x: {{ c }}">x'),
        ("<p style={{ s }}>x", '<p style="color: red; {{ s }}">x'),
        ('<p style="{% if a %}x: y{% endif %}">x', '<p style="color: red; {% if a %}x: y{% endif %}">x'),
        ('<p {% if a %}class="b"{% endif %}>x', '<p {% if a %}class="b"{% endif %}>x'),
        ('<p class="{% if a %}b{% endif %}">x', '<p class="{% if a %}b{% endif %}">x'),
        ('<i class="{{ k }} b">x', '<i style="margin: 0;" class="{{ k }} b">x'),
        ('<i class="b" title=\'a "q" > b\'>x', '<i style="margin: 0;" class="b" title=\'a "q" > b\'>x'),
        ("<p title=\"{{ d|default('>') }}\">x", '<p style="color: red;" title="{{ d|default(\'>\') }}">x'),
        (
            "<table>{% for r in rows %}<tr class=b><td>{{ r }}{% endfor %}</table>",
            '<table>{% for r in rows %}<tr style="margin: 0;" class=b><td>{{ r }}{% endfor %}</table>',
        ),
        ("<!--[if mso]><p>x</p><![endif]-->", "<!--[if mso]><p>x</p><![endif]-->"),
        ("{{ '<p>' }}{# <p> #}{% raw %}<i>{% endraw %}", "{{ '<p>' }}{# <p> #}{% raw %}<i>{% endraw %}"),
        ('<p data-css-inline="ignore">x', '<p data-css-inline="ignore">x'),
        ("&nbsp;&copy; é <br/><hr>", "&nbsp;&copy; é <br/><hr>"),
    ],
)
def test_a_style_is_written_into_its_tag_and_nothing_else_changes(before, after):
    doctype = '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "x"><html><body>'
    assert inlined(doctype + SHEET + before) == doctype + SHEET + after


@pytest.mark.parametrize(
    "sheet",
    [
        "<style>{% if dark %}p { color: red }{% endif %}</style>",
        "{% if dark %}<style>p { color: red }</style>{% endif %}",
        "<style>p { {% if a %}color: red{% endif %} }</style>",
        "<style media=print>p { color: red }</style>",
        "<style>@media print { p { color: red } }</style>",
        "<style>p:hover { color: red }</style>",
        "{% for c in cs %}{% endfor %}<style>p { color: {{ c }} }</style>",
        "<style>{{ css|safe }} p { color: red }</style>",
        "<style></style>",
        "<style>}}} {{ ' {</style>",
        "<link rel=stylesheet href=/etc/passwd>",
        "<style>@import url(/etc/passwd);</style>",
        "<!-- <style>p { color: red }</style> -->",
    ],
)
def test_a_rule_that_does_not_hold_for_all_stays_where_it_is(sheet):
    assert inlined(f"{sheet}<p>x</p>") == f"{sheet}<p>x</p>"


def test_a_value_in_a_style_goes_along():
    html = "<style>p { color: {{ campaign.colour|default('red') }} }</style><p>x</p>"
    assert inlined(html).endswith("""<p style="color: {{ campaign.colour|default('red') }};">x</p>""")


def test_a_value_cannot_leave_the_style_it_is_in():
    mail = compile_content(Content("", "<style>p { color: {{ c }} }</style><p>x</p>"))
    assert '<p style="color: &#34;&gt;&lt;b&gt;;">' in mail.render({"c": '"><b>'}).html


def test_styles_stay_where_that_is_asked_for():
    assert prepare(Content("", f"{SHEET}<p>x", inline_css=False)) == f"{SHEET}<p>x"


def test_a_source_with_marks_of_its_own_is_left_alone():
    html = f"{SHEET}<p>\ue0000\ue001{{{{ x }}}}</p>"
    assert inlined(html) == html


@pytest.mark.parametrize(
    "html",
    [
        SHEET + "<div>" * 50_000,
        SHEET + "<div></b>" * 40_000,
        "<style>" + "* { a: b }" * 2_000 + "</style><p>",
        "<style>" + "* { a: b }" * 900 + "</style>" + "<p></p>" * 2_000,
    ],
)
def test_what_would_take_too_long_is_refused(html):
    with pytest.raises(InvalidTemplate, match=r"line 1: .*switch"):
        inlined(html)


@pytest.mark.parametrize(
    "html",
    [
        "<!-->" + "<div>" * 20_000 + "-->",
        '<p x=a">' + "<div>" * 20_000 + '<p x=a">',
        ("<div>" * 900 + "<marquee>" + "</div>" * 900) * 40,
        "<!-->" + "<p>" * 20_000 + "<table><td>" * 20_000 + "-->",
    ],
)
def test_what_is_nested_where_only_a_browser_sees_it_is_refused_and_ends_nothing_else(html):
    with pytest.raises(InvalidTemplate, match=r"line 1: .*switch"):
        inlined(SHEET + html)


def test_an_inliner_that_does_not_run_is_no_fault_of_the_author(monkeypatch):
    monkeypatch.setattr("sys.path", [path for path in sys.path if "site-packages" not in path])
    with pytest.raises(RuntimeError, match="css_inline"):
        apart.inlined(SHEET)


@pytest.mark.parametrize(
    "unit", ["<p>x</p>", "<b>", "</b>", "<p style='", "{{ x }}", "<!--", "<style>", "<table><p>", "<p {{ x }}>"]
)
def test_ends_soon_whatever_the_source(unit):
    started = time.thread_time()
    # Whatever is refused is refused in words: any other exception would fail here.
    with contextlib.suppress(InvalidTemplate):
        inlined(SHEET + unit * (100_000 // len(unit)))
    assert time.thread_time() - started < 4
