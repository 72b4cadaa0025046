"""What a hostile author, or hostile data, may try. Each must end soon, small, and in an error or in harmless text."""

import time

import pytest

from queue_core.errors import TaskTimeout
from templates_app import services
from templates_app.environment import MailEnvironment
from templates_app.environment.meter import SECONDS
from templates_app.errors import InvalidTemplate, RenderError, TemplateError
from templates_app.rendering import Content, compile_content, html_to_text

CONTEXT = {"name": "Ada", "big": "b" * 900_000, "recipient": {"email": "a@example.com"}}


def attack(html: str):
    return compile_content(Content("", html, "-")).render(CONTEXT)


@pytest.mark.parametrize(
    "html",
    [
        "{{ ''.__class__ }}",
        "{{ ().__class__.__mro__[1].__subclasses__ }}",
        "{{ name['__class__'] }}",
        "{{ recipient.__init__.__globals__ }}",
        "{{ range.__globals__ }}",
        "{{ loop.__class__ }}",
        "{% for x in [1] %}{{ loop._iterable }}{{ loop.__call__ }}{% endfor %}",
        "{{ [name]|map(attribute='__class__')|first }}",
        "{{ name|first|map(attribute='upper')|list|join }}",
        "{{ self }}",
        "{{ self._TemplateReference__context }}",
        "{{ cycler }}{{ lipsum }}{{ namespace }}{{ joiner }}{{ dict }}",
        "{{ env }}{{ environ }}{{ settings }}{{ config }}",
        "{{ range }}",
    ],
)
def test_finds_nothing_behind_the_values(html):
    with pytest.raises(RenderError):
        attack(html)


@pytest.mark.parametrize(
    "html",
    [
        "{{ '{0.__class__}'.format(1) }}",
        "{{ name.upper() }}",
        "{{ recipient.clear() }}",
        "{{ (name|upper)() }}",
        "{{ name|attr('upper') }}",
        "{{ name|format(1) }}",
        "{{ name|center(5000000) }}",
        "{{ name|xmlattr }}",
        "{{ name|pprint }}",
        "{{ [1]|map('attr', '__class__') }}{{ x|attr('y') }}",
        "{{ 10 ** 10 ** 10 }}",
        "{% include 'x' %}",
        "{% import 'x' as x %}",
        "{% from 'x' import y %}",
        "{% extends 'x' %}",
        "{% block x %}{{ self.x() }}{% endblock %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% call x() %}{% endcall %}",
        "{% autoescape false %}{{ name }}{% endautoescape %}",
        "{% set recipient.email = 'x' %}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% do 1 %}",
        "x" * (512 * 1024 + 1),
        "{{ a }}" * 30_000,
        "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
        "{{ 1" + " + 1" * 10_000 + " }}",
        "{{ " + "[" * 900 + "]" * 900 + " }}",
        "{% for x in y %}" * 30 + "{% endfor %}" * 30,
        "{{ x" + "|upper" * 3_000 + " }}",
        "{{ " + "9" * 5_000 + " }}",
        "{{ 0x" + "f" * 5_000 + " }}",
        "{{ name[" + "9" * 100 + "] }}",
        "{{ 1e999 }}",
        "{% if 0 %}{{ -1e999 }}{% endif %}",
        "{{ {[1]: 1} }}",
        "{{ {name: 1}|length }}",
        '{{ name|weigh }}{{ ["name"]|show }}',
        '{{ ["ab"]|map("loop over", -1000000)|list }}',
        '{{ ["name"]|map("show")|list }}',
        '{{ [1]|map("nope")|list }}',
        '{{ [1]|select("nope")|list }}',
        '{{ [{"a": 1}]|selectattr("a", "nope")|list }}',
        "{{ [1]|map(1)|list }}",
    ],
)
def test_refuses_to_compile(html):
    with pytest.raises(InvalidTemplate):
        attack(html)


@pytest.mark.parametrize("name", ["loop over", "weigh", "cut out", "join up", "show"])
@pytest.mark.parametrize(
    "use",
    [
        '{{% set f = "{0}" %}}{{{{ ["ab"]|map(f, -1000000000000000)|list|length }}}}',
        '{{% for f in ["{0}"] %}}{{{{ ["ab"]|map("map", f)|list|length }}}}{{% endfor %}}',
        '{{{{ [["ab"]]|map("map", "{0}", -1000000000000000)|list|length }}}}',
        '{{{{ [["ab"]]|map(*["map", "{0}"])|list|length }}}}',
        '{{{{ "ab"|map(value="{0}") }}}}',
    ],
)
def test_calls_no_filter_that_is_inserted_by_its_name(use, name):
    with pytest.raises(TemplateError):
        attack(use.format(name))


@pytest.mark.parametrize(
    "html",
    [
        '{{ [" a"]|map("upper")|map("trim")|join }}',
        '{{ [{"a": 1}]|map(attribute="a")|join }}',
        '{{ [0, 1]|select|join }}{{ [0, 1]|select("odd")|join }}',
        '{{ [{"a": 1}]|selectattr("a")|list|length }}{{ [{"a": 1}]|selectattr("a", "gt", 0)|list|length }}',
    ],
)
def test_filters_named_by_a_text_are_called(html):
    assert attack(html).html in ("A", "1", "11")


DOUBLE_LIST = "{% set a = [1] %}{% set b = [1] %}" + "{% set a = [a, a] %}{% set b = [b, b] %}" * 60


@pytest.mark.parametrize(
    "html",
    [
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% for a in range(1000) %}" * 3 + "{{ a }}" + "{% endfor %}" * 3,
        "{% for a in range(100000) %}" + "x" * 10_000 + "{% endfor %}",
        "{% for a in range(100000) %}{{ big }}{% endfor %}",
        "{% for a in range(100000) %}{% if 'a' in big %}{% endif %}{% endfor %}",
        "{% for a in range(100000) %}{% set x = big|upper %}{% endfor %}",
        "{% for a in range(100000) if a > 100000 %}{% for b in range(100000) %}{% endfor %}{% endfor %}{{ 1 / 0 }}",
        "{% set a = big[:99999] %}" + "{% set a = a ~ a %}" * 60,
        "{% set a = name %}" + "{% set a = a + a %}" * 60,
        "{% set a = name %}" + "{% set a %}{{ a }}{{ a }}{% endset %}" * 60,
        "{% set a = name|replace('', name) %}" + "{% set a = a|replace('A', a) %}" * 30,
        "{% set a = name %}" + "{% set a = [a, a]|join(a) %}" * 30,
        "{{ range(100000)|join(big) }}",
        "{{ big|replace('b', big) }}",
        DOUBLE_LIST + "{{ a == b }}",
        DOUBLE_LIST + "{{ a in [b] }}",
        DOUBLE_LIST + "{{ a|string }}",
        DOUBLE_LIST + "{{ a|join }}",
        DOUBLE_LIST + "{{ a ~ '' }}",
        DOUBLE_LIST + "{{ [a, b]|sort|length }}",
        DOUBLE_LIST + "{{ a is eq(b) }}",
        DOUBLE_LIST + "{% for x in a %}{{ x }}{% endfor %}",
        "{% set a = 9 %}" + "{% set a = a * a %}" * 60,
        "{{ ('f' * 100000) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ 5|round(-1000000000) }}",
        "{{ 1|number(1000000000) }}",
        "{{ ('9' ~ big)|int }}{{ [1] }}",
        "{{ range(1000000000) }}",
        "{{ range(100000)" + "|map('string')" * 80 + "|list|length }}",
        "{{ big }}{{ big }}",
    ],
)
def test_stops(html):
    started = time.thread_time()
    with pytest.raises(TemplateError):
        attack(html)
    # The allowance of one part, and as much again for compiling the longest of these.
    assert time.thread_time() - started < 2 * SECONDS


@pytest.mark.parametrize(
    "use",
    [
        "recipient[t]",
        "recipient.email[t]",
        "nobody[t]",
        "[1][t]",
        "{'a': 1}[t]",
        "recipient[t:]",
        "name[:t]",
        "recipient[[t]]",
        "recipient[{'a': t}]",
        "[recipient]|map(attribute=t)",
        "[recipient]|sum(t)",
    ],
)
def test_walks_through_no_value_where_the_meter_does_not_see_it(use):
    """`t` is a pair of pairs of pairs: to hash it, or to print it, would take 2 to the power of 200 steps."""
    pairs = "{% set t = (1, 1) %}" + "{% set t = (t, t) %}" * 200
    with pytest.raises(RenderError):
        attack(f"{pairs}{{{{ {use} }}}}")


def test_names_what_is_missing_without_copying_a_long_name_again_and_again():
    with pytest.raises(RenderError) as caught:
        attack("{{ nobody" + "[big]" * 60 + " }}")
    assert sum(map(len, caught.value.missing)) + len(str(caught.value)) < 2_000


@pytest.mark.parametrize("fault", [NameError("x"), AssertionError(), NotImplementedError("\x00\ud800\n")])
def test_whatever_a_template_raises_is_about_that_mail(monkeypatch, fault):
    def fails(*_args):
        raise fault

    monkeypatch.setattr(MailEnvironment, "getitem", fails)
    with pytest.raises(RenderError) as caught:
        compile_content(Content("", "{{ recipient.first }}", "-")).render(CONTEXT)
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("fault", [KeyboardInterrupt, TaskTimeout, MemoryError])
def test_what_is_about_the_process_goes_through(monkeypatch, fault):
    def fails(*_args):
        raise fault

    monkeypatch.setattr(MailEnvironment, "getitem", fails)
    with pytest.raises(fault):
        compile_content(Content("", "{{ recipient.second }}", "-")).render(CONTEXT)


@pytest.mark.parametrize("key", ["a\\x00b", "\\ud800", "a\\nb", "\\u2028"])
def test_tells_of_a_value_whose_name_cannot_be_stored(key):
    compiled = compile_content(Content("", f'{{{{ i["{key}"] }}}}', "-"))
    with pytest.raises(RenderError) as caught:
        compiled.render(CONTEXT)
    _, missing = compiled.render_leniently(CONTEXT)
    for text in (str(caught.value), caught.value.message, *caught.value.missing, *missing):
        assert text.isprintable()
        assert "�" in text


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        " javascript:alert(1)",
        "java\tscript:alert(1)",
        "JAVASCRIPT:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "//example.com",
        'https://example.com/" onclick="x',
        "https://example.com/\nBcc: x",
        "",
    ],
)
def test_lets_no_other_address_through_safe_url(address):
    with pytest.raises(RenderError, match="not a http, https or mailto address"):
        compile_content(Content("", '<a href="{{ u|safe_url }}">x</a>')).render({"u": address})


@pytest.mark.parametrize(
    "address", ["https://example.com/?a=1&b=2", "HTTP://example.com", "mailto:a@example.com?subject=x"]
)
def test_lets_web_and_mail_addresses_through_safe_url(address):
    assert compile_content(Content("{{ u|safe_url }}", "")).render({"u": address}).subject == address


def test_does_not_run_tags_inside_values():
    assert attack("{{ x }}".replace("x", "'{{ 7 * 7 }}'")).html == "{{ 7 * 7 }}"
    mail = compile_content(Content("{{ n }}", "{{ n }}")).render({"n": "{{ 7 * 7 }}{% if %}"})
    assert {mail.subject, mail.html, mail.text} == {"{{ 7 * 7 }}{% if %}"}


@pytest.mark.parametrize(
    ("start", "unit"),
    [
        *(("", unit) for unit in ("<!--", '<a href="', "<a ", "<style>", "<", "&", "<div display:", "<!", "<a href='")),
        *(("<", "a"), ("<div ", "display:none "), ("<div ", "display: "), ("<style ", "a "), ("<!", "a"), ("</", "a1")),
        *(
            ("<a href=", " "),
            ("<a ", "href"),
            ("<img ", "alt='"),
            ("&#", "9"),
            ("", "</div  "),
            ("<p display:none>", "</p "),
        ),
        *(("", unit) for unit in ("<a '<a \"", "<a x'<b \"y", "\"<a '", '<a b="c" ', "<div style=display:none>", "<!")),
        *(("<a href='", 'a"'), ("<a ", "'a'"), ("<div style=display:none>", "<div>"), ("<p display:none>", "<p")),
        *(("", " "), ("", "\n \n"), ("<a href=x>", "y</a>"), ("", "<a href=x>y"), ("", "<li>")),
    ],
)
def test_turns_broken_markup_into_text_in_linear_time(start, unit):
    started = time.thread_time()
    html_to_text(start + unit * (500_000 // len(unit)))
    assert time.thread_time() - started < 2


@pytest.mark.parametrize("number", ["9" * 5_000, "0" * 5_000 + "65", "x" + "f" * 5_000])
def test_a_character_of_a_number_that_no_character_has_is_none(number):
    mail = attack(f'<a title="&#{number};" href="https://example.com/&#{number};">&#{number};</a>')
    assert mail.html.startswith("<a ")
    assert html_to_text(f"&#{number};&amp;").endswith(("\ufffd&", "A&", "\ufffd&"))
    services.lint(content=Content("", f'<a href="&#{number};">x</a>'))
