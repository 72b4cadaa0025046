import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from templates_app.errors import RenderError
from templates_app.rendering import Content, compile_content
from templates_app.variables import Variable, sample_context


def variables(html: str) -> dict[str, bool]:
    return {found.path: found.required for found in compile_content(Content("", html)).variables}


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("{{ recipient.address.city }}", {"recipient.address.city": True}),
        ("{{ recipient['first name'] }}", {"recipient.first name": True}),
        ("{{ a|default('x') }}", {"a": False}),
        ("{{ a|upper|default('x') }}", {"a": True}),
        ("{{ a|default(b) }}", {"a": False, "b": True}),
        ("{{ a or b }}", {"a": False, "b": True}),
        ("{{ a or b or 'x' }}", {"a": False, "b": False}),
        ("{{ a and b }}", {"a": True, "b": True}),
        ("{% if a %}{{ a.b }}{% endif %}", {"a": False, "a.b": True}),
        ("{% if a is defined %}{{ a }}{% else %}{{ b }}{% endif %}", {"a": False, "b": True}),
        ("{% if a is undefined %}x{% else %}{{ a }}{% endif %}", {"a": False}),
        ("{% if not a %}x{% else %}{{ a }}{% endif %}", {"a": False}),
        ("{% if a and a.b == 1 %}{{ a.c }}{% endif %}", {"a": False, "a.b": True, "a.c": True}),
        ("{% if a.b %}{{ a.b }}{{ a }}{% endif %}", {"a.b": False, "a": False}),
        ("{{ 'x' if a is string else b }}{% if c is number %}{{ c }}{% endif %}", {"a": False, "b": True, "c": False}),
        ("{{ a['b.c'] }}{{ d['e[]'].f }}", {"a": True, "d": True}),
        ("{% if a %}{{ a }}{% endif %}{{ a }}", {"a": True}),
        ("{% if a == 1 %}x{% elif b %}{{ b }}{% endif %}", {"a": True, "b": False}),
        ("{{ a if a else b }}", {"a": False, "b": True}),
        (
            "{% for p in shop.products %}{{ p.name }}{{ loop.index }}{% endfor %}",
            {"shop.products": True, "shop.products[].name": True},
        ),
        ("{% for p in ps|sort %}{{ p.name }}{% endfor %}", {"ps": True}),
        ("{% for k, v in a|items %}{{ k }}{{ v }}{% endfor %}", {"a": True}),
        ("{% set x = a %}{{ x.b }}{{ x }}", {"a": True, "a.b": True}),
        ("{{ x }}{% set x = 1 %}{{ x }}", {"x": True}),
        ("{% set x %}{{ y }}{% endset %}{{ x }}", {"y": True}),
        ("{% with x = a.b %}{{ x.c }}{% endwith %}", {"a.b.c": True}),
        (
            "{% set r = recipient %}{{ r.name }}{% set r = r.a %}{{ r.b }}",
            {"recipient.name": True, "recipient.a.b": True},
        ),
        ("{% set x, y = a %}{{ x }}", {"a": True}),
        ("{% if k == 1 %}{% set x = 1 %}{% endif %}{{ x }}", {"k": True, "x": True}),
        (
            "{% if k == 1 %}{% set x = 1 %}{% elif k == 2 %}{% set x = a %}{% else %}{% set x = b %}{% endif %}"
            "{{ x.y }}",
            {"k": True, "a.y": True, "b.y": True},
        ),
        ("{% if k == 1 %}{% set x = 1 %}{% else %}{% set x = 2 %}{% endif %}{{ x }}", {"k": True}),
        (
            "{% if k == 1 %}{% elif k == 2 %}{% set x = 1 %}{% else %}{% set x = 2 %}{% endif %}{{ x }}",
            {"k": True, "x": True},
        ),
        ("{% filter upper %}{% set x = 1 %}{{ x }}{% endfilter %}{{ x }}", {"x": True}),
        ("{% set y %}{% set x = 1 %}{{ x }}{% endset %}{{ x }}{{ y }}", {"x": True}),
        (
            "{% for i in [] %}{% set x = 1 %}{% else %}{% set z = 1 %}{{ z }}{% endfor %}{{ x }}{{ z }}",
            {"x": True, "z": True},
        ),
        ("{% filter replace(a, b) %}{{ c }}{% endfilter %}", {"a": True, "b": True, "c": True}),
        ("{% for i in range(n) %}{{ i }}{% endfor %}", {"n": True}),
        ("{{ a[0].name }}", {"a[].name": True}),
        ("{{ a[b] }}", {"a": True, "b": True}),
        ("{{ a|replace(b, c) }}", {"a": True, "b": True, "c": True}),
        ("{% raw %}{{ a }}{% endraw %}{# {{ b }} #}", {}),
    ],
)
def test_reads_the_variables_of(html, expected):
    assert variables(html) == expected


def test_lists_each_variable_of_all_parts_once():
    compiled = compile_content(Content("{{ b }}", "{{ a }}{{ b|default('') }}", "{{ c }}"))
    assert compiled.variables == [Variable("a", True), Variable("b", True, ""), Variable("c", True)]


def test_tells_what_is_shown_in_the_absence_of_a_value():
    html = "{{ a|default('x') }}{{ a|d('y') }}{{ b|default(3) }}{{ c|default(a) }}{{ d|default }}"
    compiled = compile_content(Content("{{ e|d('from the subject') }}", html + "{{ e }}"))
    assert {found.path: found.default for found in compiled.variables} == {
        "a": "x",
        "b": 3,
        "c": None,
        "d": None,
        "e": "from the subject",
    }


def test_requires_of_every_context_only_what_is_not_an_item_of_a_list():
    compiled = compile_content(Content("", "{{ a }}{{ b|d('') }}{% for p in ps %}{{ p.x }}{% endfor %}"))
    assert (compiled.required, compiled.conditional) == ({"a", "ps"}, set())


@pytest.mark.parametrize(
    ("html", "required", "conditional"),
    [
        ("{% if k == 'x' %}{{ a }}{% endif %}", {"k"}, {"a"}),
        ("{% if k %}{{ a }}{% else %}{{ b }}{% endif %}", set(), {"a", "b"}),
        ("{% if k %}{% elif m == 1 %}{{ a }}{% endif %}", set(), {"m", "a"}),
        ("{% if a %}{{ a }}{% endif %}", set(), set()),
        ("{% if k %}{{ a }}{% endif %}{{ a }}", {"a"}, set()),
        ("{{ a }}{% if k %}{{ a }}{% endif %}", {"a"}, set()),
        ("{{ a if k else b }}", set(), {"a", "b"}),
        ("{{ a or b }}{{ c and d }}", {"c"}, {"b", "d"}),
        ("{{ a|default(b) }}{{ a|default(c|upper) }}", {"c"}, {"b"}),
        ("{{ a|default(b and 's') }}{{ a|default(c or d|upper) }}", set(), {"b", "d"}),
        ("{% for p in ps %}{{ p.x }}{{ a }}{% else %}{{ b }}{% endfor %}", {"ps"}, {"a", "b"}),
        ("{% set x = a|upper %}{% if k %}{% set y = b|upper %}{% endif %}", {"a"}, {"b"}),
        ("{% if k %}{% set x = 1 %}{% endif %}{{ x }}", set(), {"x"}),
        ("{% if k %}{{ k.a }}{% endif %}{% if k.b %}{{ k.b }}{% endif %}", set(), {"k.a"}),
    ],
)
def test_tells_what_every_mail_needs_from_what_only_some_need(html, required, conditional):
    compiled = compile_content(Content("", html))
    assert (compiled.required, compiled.conditional) == (required, conditional)


def test_what_one_part_needs_in_every_mail_is_no_condition_of_another():
    compiled = compile_content(Content("{{ a }}", "{% if k %}{{ a }}{{ b }}{% endif %}", "{{ b|default('') }}"))
    assert (compiled.required, compiled.conditional) == ({"a"}, {"b"})


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("{% for i in recipient.items %}{{ i }}, {% endfor %}", "items, "),
        ("{% for i in recipient.items %}{{ i.total }}, {% endfor %}", "42, "),
        ("{% for row in rows %}{% for cell in row %}{{ cell }};{% endfor %}{% endfor %}", "rows;"),
        ("{{ recipient.first_name[0] }}. of {{ recipient.first_name }}", "A. of Ada"),
        ("{{ tags[0] }}", "tags"),
        ("{% for tag in tags %}{{ tags[0] }}{% endfor %}", "tags"),
    ],
)
def test_samples_lists_where_lists_are_looped_over(html, expected):
    compiled = compile_content(Content("", html))
    assert compiled.render(sample_context(compiled.variables)).html == expected


@pytest.mark.parametrize(
    "html",
    [
        "{{ recipient.name }}{{ recipient.a.b }}{{ x }}{% if y %}{{ y.z }}{% endif %}",
        "{% for p in ps %}{{ p.name }}{% for q in p.qs %}{{ q.z }}{{ q.a.b }}{% endfor %}{% endfor %}",
        "{% for p in ps %}{{ p }}{% endfor %}",
        "{{ rows[0].x }}{{ rows[0].y }}",
        "{% if a.n < 3 and b == 'gold' %}x{% endif %}{% for p in ps %}{% if p.stars >= 4.5 %}x{% endif %}{% endfor %}",
    ],
)
def test_samples_a_context_the_template_renders_with(html):
    compiled = compile_content(Content("", html))
    assert compiled.render(sample_context(compiled.variables))


_NAMES = st.sampled_from(["a", "b", "c"])
_EXPRESSIONS = st.recursive(
    _NAMES | st.just("'text'"),
    lambda inner: (
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]} or {pair[1]})")
        | st.tuples(inner, inner).map(lambda pair: f"({pair[0]} and {pair[1]})")
        | st.tuples(inner, inner, _NAMES).map(lambda three: f"({three[0]} if {three[2]} else {three[1]})")
        | inner.map(lambda value: f"({value}|default('x'))")
        | st.tuples(inner, inner).map(lambda pair: f"({pair[0]} ~ {pair[1]})")
    ),
    max_leaves=8,
)


@given(_EXPRESSIONS, st.sets(_NAMES))
@example("((a|default('x')) and a)", set())
def test_never_calls_a_variable_optional_whose_absence_fails_a_mail(expression, given_names):
    compiled = compile_content(Content("", f"{{{{ {expression} }}}}"))
    required = {found.path for found in compiled.variables if found.required}
    try:
        compiled.render(dict.fromkeys(required | given_names, "value"))
    except RenderError as error:
        pytest.fail(f"{expression}: {error}")


_PRINTED = _EXPRESSIONS.map(lambda value: f"{{{{ {value} }}}}")
_SET = st.tuples(_NAMES, _EXPRESSIONS).map(lambda pair: f"{{% set {pair[0]} = {pair[1]} %}}")


def _branched(inner):
    return st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(_EXPRESSIONS, inner, inner).map(
            lambda three: f"{{% if {three[0]} %}}{three[1]}{{% else %}}{three[2]}{{% endif %}}"
        ),
        st.tuples(_EXPRESSIONS, inner, _NAMES, inner).map(
            lambda four: f"{{% if {four[0]} %}}{four[1]}{{% elif {four[2]} is string %}}{four[3]}{{% endif %}}"
        ),
    )


# Without `set`: Jinja itself takes a name that is set further on, in the block around, for one that is not there.
_SCOPES = st.recursive(
    _PRINTED,
    lambda inner: st.one_of(
        _branched(inner),
        st.tuples(_NAMES, _EXPRESSIONS, inner).map(
            lambda three: f"{{% with {three[0]} = {three[1]} %}}{three[2]}{{% endwith %}}"
        ),
        st.tuples(_NAMES, _NAMES, inner, inner).map(
            lambda four: f"{{% for {four[0]} in {four[1]} %}}{four[2]}{{% else %}}{four[3]}{{% endfor %}}"
        ),
        inner.map(lambda block: f"{{% filter upper %}}{block}{{% endfilter %}}"),
    ),
    max_leaves=5,
)


@given(_SCOPES | st.recursive(_PRINTED | _SET, _branched, max_leaves=8), st.sets(_NAMES))
def test_knows_what_a_name_stands_for_where_it_is_used(source, given_names):
    compiled = compile_content(Content("", source, "-"))
    required = {found.path for found in compiled.variables if found.required and "[]" not in found.path}
    try:
        compiled.render(dict.fromkeys(required | given_names, "v"))
    except RenderError as error:
        pytest.fail(f"{source}: {error}")
