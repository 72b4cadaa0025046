"""What the check of a template finds; each rule with what it must tell and what it must let pass."""

import time

import pytest

from templates_app import services
from templates_app.rendering import Content
from tests.templates_app.factories import CONTEXT, HTML

GOOD = HTML + "<p>Words</p>"


def found(html="", subject="Hi", text="", **more):
    return services.lint(content=Content(subject, GOOD + html, text), **more)


def codes(html="", **more):
    return [(finding.level, finding.code) for finding in found(html, **more)]


def test_finds_nothing_in_a_good_template():
    assert found() == found(context=CONTEXT) == []


@pytest.mark.parametrize(
    ("html", "code"),
    [
        ('<a href="javascript:x()">x</a>', "error link-unsafe"),
        ('<a href=" java\tscript:x()">x</a>', "error link-unsafe"),
        ('<a href="&#106;avascript:x()">x</a>', "error link-unsafe"),
        ("<a href='DATA:text/html,x'>x</a>", "error link-unsafe"),
        ("<a href=vbscript:x>x</a>", "error link-unsafe"),
        ('<area href="file:///etc/passwd">', "error link-unsafe"),
        ('<a href="http://example.com">x</a>', "warning link-insecure"),
        ('<a href="/shop">x</a>', "error link-relative"),
        ('<a href="shop.html">x</a>', "error link-relative"),
        ('<a href="www.example.com">x</a>', "error link-relative"),
        ('<a href="//example.com/x">x</a>', "error link-relative"),
        ('<a href="https:///x">x</a>', "error link-broken"),
        ('<a href="https://exa mple.com">x</a>', "error link-broken"),
        ('<a href="https://[::1">x</a>', "error link-broken"),
        ('<a href="https://example.com:99999/">x</a>', "error link-broken"),
        ('<a href="mailto:nobody">x</a>', "error link-broken"),
        ('<a href="gopher://example.com">x</a>', "warning link-unusual"),
        ('<a href="">x</a>', "warning link-empty"),
        ('<a href="#">x</a>', "warning link-empty"),
        ("<a>x</a>", "warning link-empty"),
        ('<a name="top">x</a><a {{ attributes }}>x</a>', ""),
        ('<a href="https://localhost/x">x</a>', "warning link-private"),
        ('<a href="https://192.168.0.1/x">x</a>', "warning link-private"),
        ('<a href="https://intranet/x">x</a>', "warning link-private"),
        ('<a href="https://bank.example.net/">www.bank.com</a>', "warning link-disguised"),
        ('<a href="https://evil.example/"><b>https://bank.com/login</b></a>', "warning link-disguised"),
        ('<img src="https://example.com/a.png">', "warning image-alt"),
        ('<img alt="">', "error image-missing"),
        ('<img alt="" src="/a.png">', "error link-relative"),
        ('<img alt="" src="data:image/png;base64,xx">', "warning image-embedded"),
        ("<script>x()</script>", "warning tag-removed"),
        ('<iframe src="https://example.com"></iframe>', "warning tag-removed"),
        ('<link rel="stylesheet" href="https://example.com/a.css">', "warning tag-removed"),
        ("<b onclick='x()'>x</b>", "error script"),
        ("<a href={{ recipient.name }}>x</a>", "warning attribute-unquoted warning link-variable"),
        ('<a href="{{ recipient.name }}">x</a>', "warning link-variable"),
        ("{{ recipient.name|safe }}", "warning value-unescaped"),
        ('<b title="{{ recipient.name|safe }}">x</b>', "warning value-unescaped"),
        ("<div>x", "warning tag-unclosed"),
        ("<b><i>x</b>", "warning tag-unclosed"),
        ("x</div>", "warning tag-stray"),
        ("x" * 110_000, "warning too-large"),
        ("{{ '{{ name }}' }}", "warning tag-left-over"),
        ("Dear *|FNAME|*", "warning tag-left-over"),
        ("{{ unsubscribe_ur }}", "warning variable-misspelt"),
        ("{{ campaign.nam }}", "warning variable-misspelt"),
        ("{{ reciepient.email }}", "warning variable-misspelt"),
        ("{{ campagin.shop.url }}", "warning variable-misspelt"),
        ("{{ 1 / 0 }}", "warning sample"),
        ("<b>" * 201 + "</b>" * 201, "error too-deep"),
        ("{% if %}", "error syntax"),
    ],
)
def test_tells(html, code):
    assert " ".join(" ".join(pair) for pair in codes(html)) == code


@pytest.mark.parametrize(
    "html",
    [
        '<a href="https://example.com/?a=1&amp;b=2#c">x</a>',
        '<a href="https://{{ recipient.name }}/x">x</a>',
        '<a href="https://example.com/{{ recipient.name }}/a b"|x>'.replace(' b"|x', '">x</a><i title="'),
        '<a href="{{ shop.url|safe_url }}">x</a>{{ joined|date }}{{ unit_price|number }}{{ stars|round }}',
        '<a href="#top">x</a><a name="top"></a>',
        '<a href="mailto:{{ recipient.email }}">x</a><a href="tel:+44">x</a>',
        '<a href="https://www.example.com/x">example.com</a>',
        '<a href="https://track.example.com/x">www.example.com</a>',
        '<a href="https://example.com/">Read more at our shop.</a>',
        '<img src="https://example.com/a.png" alt="">',
        "<ul><li>a<li>b</ul><p>x<p>y<br><hr/><table><tr><td>x<td>y</table>",
        "{% if recipient.name %}<div class=a>{% elif 1 %}<div class=b>{% else %}<div>{% endif %}x</div>",
        "{% for x in [1] %}<b>x</b>{% else %}<i>y</i>{% endfor %}",
        "<!-- <a href='javascript:x'> <div> --><style>a > b { color: red }</style>",
        "<p title='a > b'>{{ '<div>' if 1 < 2 }}</p>",
        "<!--[if mso]><table><tr><td><![endif]-->x<!--[if mso]></td></tr></table><![endif]-->",
        "{{ recipient.first_nam }}",
    ],
)
def test_lets_pass(html):
    assert codes(html) == []


@pytest.mark.parametrize(
    ("subject", "code"),
    [
        ("", "error subject-empty"),
        (" {{ recipient.name if 0 }} ", "error subject-empty"),
        ("x" * 79, "warning subject-long"),
        ("{{ '*|FNAME|*' }}", "warning tag-left-over"),
    ],
)
def test_tells_of_a_subject(subject, code):
    (finding,) = found(subject=subject)
    assert f"{finding.level} {finding.code}" == code
    assert finding.part == "subject"


def test_tells_that_nobody_can_unsubscribe():
    (finding,) = services.lint(content=Content("Hi", "<p>x</p>", "{{ unsubscribe_url }}"))
    assert finding.code == "unsubscribe-missing"


def test_tells_of_a_mail_of_images_only():
    html = '<a href="{{ unsubscribe_url }}"><img src="https://example.com/a.png" alt=""></a>'
    (finding,) = services.lint(
        content=Content(
            "Hi",
            f"<style>{{}}</style>{html.replace('{{ unsubscribe_url }}', '#x')}"
            "{% if not unsubscribe_url %}{% endif %}",
        )
    )
    assert finding.code == "text-missing"


@pytest.mark.parametrize(
    ("html", "line"),
    [
        ("\n\n<a href='/x'>x</a>", 3),
        ("{# a\nb\n#}\n<a\nhref='/x'>x</a>", 4),
        ("<a\ntitle='{{ a|default(\n1) }}'>{% if 1\n%}x{% endif %}\n</a><a href='/x'>x</a>", 5),
        ("<style>\n\n</style><a href='/x'>x</a>", 3),
        ("<!--\n--><a href='/x'>x</a>", 2),
    ],
)
def test_tells_the_line(html, line):
    (finding,) = services.lint(content=Content("Hi", html + HTML))
    assert (finding.code, finding.part, finding.line) == ("link-relative", "html", line)
    assert str(finding).startswith(f"html, line {line}: The link “/x” is relative")


def test_tells_where_a_variable_leads_when_it_is_given_values():
    html = '<a href="{{ url|default("") }}">x</a>'
    assert ("error", "link-unsafe") not in codes(html)
    assert ("error", "link-unsafe") in codes(html, context={**CONTEXT, "url": "javascript:x"})
    assert ("error", "link-relative") in codes(html, context={**CONTEXT, "url": "shop"})


def test_tells_that_no_mail_can_be_made_of_given_values():
    assert codes("{{ 1 / n }}", context={**CONTEXT, "n": 0}) == [("error", "mail")]


def test_tells_what_the_source_shows_only_once():
    assert codes('<a href="/x">x</a>', context=CONTEXT) == [("error", "link-relative")]


def test_tells_of_a_slip_in_the_name_of_a_value_the_audience_has():
    (finding,) = found("{{ recipient.frist_name }}", known={"recipient.first_name", "recipient.city"})
    assert finding.message == "“recipient.frist_name” is nobody's value. Is “recipient.first_name” meant?"
    assert found("{{ recipient.colour }}{{ recipient.first_name }}", known={"recipient.first_name"}) == []
    assert found("{{ recipient.names }}", known={"recipient.names"}) == []


def test_tells_of_a_slip_in_the_first_word_with_all_that_follows():
    (finding,) = found("{{ recipent.address.city }}")
    assert finding.message == "“recipent.address.city” is nobody's value. Is “recipient.address.city” meant?"
    assert found("{{ shop.url }}") == []


def test_tells_errors_first_and_ten_of_a_kind():
    levels = [finding.level for finding in found('<img src="https://example.com/x">' * 30 + '<a href="/x">x</a>')]
    assert levels == ["error", "warning"]
    lines = found('<img src="https://example.com/x">\n' * 30)
    assert len(lines) == 10


@pytest.mark.parametrize(
    "unit",
    [
        *("<!--", '<a href="', "<a ", "<style>", "<", "&", "<!", "<a href='", "<b>", "</b>", "{% if 1 %}<b>", "<a ="),
        *('<a "" ', "<a href=/x>", "<img>", "\ue000", "\ue0009\ue001", "{{", "<a\n", "{%if 1%}<p>{%endif%}", "<li>"),
    ],
)
def test_ends_soon_whatever_the_source(unit):
    started = time.thread_time()
    services.lint(content=Content("Hi", unit * (200_000 // len(unit))), context=CONTEXT)
    assert time.thread_time() - started < 4
