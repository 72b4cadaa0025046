"""The filters and tests a template may use. Each pays for what it reads and for what it makes."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from functools import wraps
from typing import Any

from django.utils import dateformat
from django.utils.dateparse import parse_date, parse_datetime
from jinja2 import pass_eval_context
from jinja2.exceptions import TemplateRuntimeError
from jinja2.filters import FILTERS, do_default, do_int, do_join
from jinja2.nodes import EvalContext
from jinja2.runtime import markup_join, str_join
from jinja2.tests import TESTS

from templates_app.environment import grammar
from templates_app.environment.meter import meter
from templates_app.environment.missing import Missing

_SAFE_URL = re.compile(r"(?:https?://|mailto:)[^\s<>\"'\x00-\x20\x7f-\x9f]+", re.IGNORECASE)

# Of a date: what is written for each of its letters no meter sees.
_LONGEST_PATTERN = 200

Function = Callable[..., Any]
_JINJA_FILTERS: Mapping[str, Any] = FILTERS
_JINJA_TESTS: Mapping[str, Any] = TESTS


def bounded(number: int | float) -> int | float:
    """`number` itself; raises TemplateRuntimeError when it is a whole number too large to be meant."""
    if isinstance(number, int) and abs(number) > grammar.LARGEST_NUMBER:
        raise TemplateRuntimeError("a number became too large; check the arithmetic")
    return number


def loop_over(value: Iterable[Any], cost: int) -> Iterator[Any]:
    """Walk through `value`, paying `cost` for each turn."""
    spend = meter().spend
    for item in value:
        spend(cost)
        yield item


def weigh(value: Any) -> Any:
    meter().weigh(value)
    return value


def cut_out(value: Any, *bounds: Any) -> Any:
    """`value[start:stop:step]`, each of the bounds a whole number or None."""
    if isinstance(value, Missing):
        value.note()
        return value
    if not isinstance(value, str | list | tuple | range):
        raise TemplateRuntimeError("[:] takes a part of a text or a list only")
    if not all(bound is None or isinstance(bound, int) for bound in bounds):
        raise TemplateRuntimeError("[:] takes whole numbers only")
    return weigh(value[slice(*bounds)])


@pass_eval_context
def join_up(eval_ctx: EvalContext, *values: Any) -> str:
    """The `~` operator."""
    meter().weigh(values)
    joined = markup_join(values) if eval_ctx.autoescape else str_join(values)
    return joined


@pass_eval_context
def join(eval_ctx: EvalContext, value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    items = list(value)
    meter().spend(len(items) * len(d))
    joined: str = do_join(eval_ctx, items, d, attribute)
    return joined


@pass_eval_context
def replace(eval_ctx: EvalContext, value: Any, old: str, new: str, count: int | None = None) -> str:
    meter().spend(str(value).count(str(old)) * len(str(new)))
    replaced: str = _JINJA_FILTERS["replace"](eval_ctx, value, old, new, count)
    return replaced


def whole(value: Any, default: int = 0) -> int | float:
    return bounded(do_int(value, default))


def round_to(value: float, precision: int = 0) -> float:
    if not -15 <= precision <= 15:
        raise TemplateRuntimeError("round takes a precision between -15 and 15")
    return round(value, precision)


def total(value: Iterable[Any], attribute: str | None = None) -> float:
    numbers = [item[attribute] for item in value] if attribute else list(value)
    if not all(isinstance(number, int | float) for number in numbers):
        raise TemplateRuntimeError("sum adds numbers only")
    return bounded(sum(numbers))


def number(value: float, decimals: int = 2) -> str:
    """1234.5 as “1,234.50”."""
    if not 0 <= decimals <= 10:
        raise TemplateRuntimeError("number takes 0 to 10 decimals")
    return f"{value:,.{decimals}f}"


def formatted_date(value: str, pattern: str = "j F Y") -> str:
    """ISO text in Django's date format."""
    if "%" in pattern or len(pattern) > _LONGEST_PATTERN:
        raise TemplateRuntimeError("date takes letters such as “j F Y” or “d.m.Y”, without %")
    parsed: date | None = parse_datetime(value) or parse_date(value)
    if parsed is None:
        raise TemplateRuntimeError("date takes an ISO date such as 2026-03-31")
    return dateformat.format(parsed, pattern)


def safe_url(value: str) -> str:
    """A web or mail address as it is; anything a click could run, or that would end the attribute, is refused."""
    if not _SAFE_URL.fullmatch(str(value)):
        raise TemplateRuntimeError("a link is not a http, https or mailto address; correct the value")
    return value


def _metered(function: Function) -> Function:
    first = int(hasattr(function, "jinja_pass_arg"))

    @wraps(function)
    def filter_(*args: Any, **kwargs: Any) -> Any:
        spent = meter()
        if isinstance(args[first], Missing):
            args[first].note()
            return args[first]
        spent.weigh(args[first:])
        spent.weigh(kwargs)
        result = function(*args, **kwargs)
        if isinstance(result, Iterator):
            result = list(result)
        spent.weigh(result)
        return result

    return filter_


def _metered_test(function: Function) -> Function:
    metered = _metered(function)

    @wraps(metered)
    def test(*args: Any, **kwargs: Any) -> bool:
        answer = metered(*args, **kwargs)
        return answer is True

    return test


_BORROWED = (
    "abs capitalize dictsort e escape first float items last length list lower map max min reject rejectattr reverse "
    "safe select selectattr sort string title trim truncate unique upper urlencode wordcount"
)
_OWN: dict[str, Function] = {
    "count": _JINJA_FILTERS["length"],
    "date": formatted_date,
    "int": whole,
    "join": join,
    "number": number,
    "replace": replace,
    "round": round_to,
    "safe_url": safe_url,
    "sum": total,
}
# By the rewritten tree only: no template may name them.
FILTERS_INSERTED: dict[str, Function] = {
    grammar.CONCAT: join_up,
    grammar.LOOP: loop_over,
    grammar.SLICE: cut_out,
    grammar.WEIGH: weigh,
}

FILTERS_ALLOWED: dict[str, Function] = {
    **{
        name: _metered(function)
        for name, function in {**{n: _JINJA_FILTERS[n] for n in _BORROWED.split()}, **_OWN}.items()
    },
    "d": do_default,
    "default": do_default,
}

# Those that only look at what a value is, and must see a missing one.
_KIND_TESTS = "boolean defined false float integer iterable mapping none number sequence string true undefined"
_VALUE_TESTS = "!= < <= == > >= divisibleby eq equalto even ge gt in le lower lt ne odd upper"

TESTS_ALLOWED: dict[str, Function] = {
    **{name: _JINJA_TESTS[name] for name in _KIND_TESTS.split()},
    **{name: _metered_test(_JINJA_TESTS[name]) for name in _VALUE_TESTS.split()},
}
