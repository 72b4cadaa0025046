"""The addresses that mail services tell things at: those of django-anymail, with answers to what cannot be read.

A service posts again for days what is answered by a 5xx, so that is kept for what can be mended here.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from anymail import urls
from anymail.exceptions import AnymailConfigurationError
from anymail.webhooks.base import AnymailCoreWebhookView
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern

logger = logging.getLogger(__name__)

# What its readers raise for a payload of another shape than they know.
_PUZZLED = (
    *(ValueError, TypeError, LookupError, AttributeError),
    *(ArithmeticError, AssertionError, RecursionError),
)
_PLAIN = "text/plain; charset=utf-8"


class Unreadable(Exception):
    """A payload that is no report in the format of the service."""


def patterns() -> list[URLPattern]:
    """A URL for each service, under the names of django-anymail."""
    return [
        URLPattern(one.pattern, _door(one.callback.view_class), one.default_args, one.name) for one in urls.urlpatterns
    ]


def _door(reader: type[AnymailCoreWebhookView]) -> Callable[..., HttpResponse]:
    class Reader(reader):  # type: ignore[misc]  # one of many, known when it runs
        def run_validators(self, request: HttpRequest) -> None:
            with _reading():
                super().run_validators(request)

        def parse_events(self, request: HttpRequest) -> list[Any]:
            with _reading():
                return list(super().parse_events(request))

    view = Reader.as_view()

    @wraps(view)
    def door(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            answer: HttpResponse = view(request, *args, **kwargs)
        except Unreadable as error:
            # Not what it says: that is about people.
            logger.warning("A report of %s cannot be read (%s, %d bytes)", reader.esp_name, error, len(request.body))
            return HttpResponse("This is no report that can be read; do not send it again.\n", _PLAIN, 400)
        except AnymailConfigurationError as error:
            logger.error("The reports of %s are not taken: %s", reader.esp_name, error)
            return HttpResponse("Reports of this service are not set up here; see the log.\n", _PLAIN, 503)
        return answer

    return door


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except _PUZZLED as error:
        raise Unreadable(type(error).__name__) from error
