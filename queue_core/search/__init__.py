"""The language in which people say which tasks they mean: text -> Query -> conditions -> rows."""

from queue_core.search.conditions import Condition, condition, groups, letters
from queue_core.search.language import MAX_CHARS, Query, SearchError, Term, Value, parse
from queue_core.search.rows import NEWEST, Found, Narrowed, find, narrowed

__all__ = [
    "MAX_CHARS",
    "NEWEST",
    "Condition",
    "Found",
    "Narrowed",
    "Query",
    "SearchError",
    "Term",
    "Value",
    "condition",
    "find",
    "groups",
    "letters",
    "narrowed",
    "parse",
]
