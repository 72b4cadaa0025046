"""`Idempotency-Key` on a POST: its effect and its answer are one transaction, so a repetition finds both or neither.

A verb that takes long commits as it goes (a view names its own in `own_transactions`). Its key is committed before it
begins, and its answer after it; interrupted between the two, it may be called again after ten minutes and goes on.
"""

import datetime
import hashlib
import re
from collections.abc import Callable
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve
from rest_framework.exceptions import APIException
from rest_framework.views import APIView

from config.api.problems import Problem, answer
from config.models import IdempotencyKey

KEPT_FOR = datetime.timedelta(hours=24)
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_PATH_MAX = 200
# The status of a key whose verb is still at work, and when it is taken to have been interrupted.
_AT_WORK = 0
_AT_WORK_FOR = datetime.timedelta(minutes=10)
_BUSY = "A request with this Idempotency-Key is still at work; ask again in a moment."


class Idempotency:
    """Middleware, not a part of a view: it holds for the POSTs of every app.

    The same key with the same request is given the first answer; with another one 422; while the first is still at
    work 409. Only successes are kept, so a request that was refused may be corrected under its key, and none that
    say `no-store` (tokens).
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        key = request.headers.get("Idempotency-Key")
        if key is None or request.method != "POST" or not request.path.startswith("/api/"):
            return self.get_response(request)
        try:
            return self._once(request, key)
        except Problem as problem:
            return answer(problem)

    def _once(self, request: HttpRequest, key: str) -> HttpResponse:
        if not _KEY.fullmatch(key):
            raise Problem(400, "Idempotency-Key: send 1 to 255 printable ASCII characters without blanks.")
        digest = _digest(request)
        user = _user(request)
        if user is None or len(request.path) > _PATH_MAX:
            return self.get_response(request)
        place = {"user_id": user.pk, "path": request.path, "key": key}
        if _has_own_transactions(request):
            return self._in_steps(request, place, digest)
        with transaction.atomic():
            known = _known(place, digest)
            if known is not None:
                return _replayed(known)
            response = self.get_response(request)
            if not _is_kept(response):
                transaction.set_rollback(not 200 <= response.status_code < 300)
            else:
                _keep(place, digest, response)
        return response

    def _in_steps(self, request: HttpRequest, place: dict[str, Any], digest: str) -> HttpResponse:
        with transaction.atomic():
            known = _known(place, digest)
            if known is not None:
                return _replayed(known)
            _keep(place, digest, None)
        response = None
        try:
            response = self.get_response(request)
        finally:
            if response is not None and _is_kept(response):
                _keep(place, digest, response)
            else:
                IdempotencyKey.objects.filter(**place).delete()
        return response


def _digest(request: HttpRequest) -> str:
    try:
        body = request.body
    except RequestDataTooBig:
        raise Problem(413, "The body is too large for a request with an Idempotency-Key; send it in parts.") from None
    return hashlib.sha256(request.META.get("QUERY_STRING", "").encode() + b"\x00" + body).hexdigest()


def _user(request: HttpRequest) -> Any:
    """Who asks, by the API's own authentication; None for nobody, whom the view will answer."""
    try:
        user = APIView().initialize_request(request).user
    except APIException:
        return None
    return user if user.is_authenticated else None


def _has_own_transactions(request: HttpRequest) -> bool:
    try:
        view: Any = resolve(request.path_info).func
    except Resolver404:
        return False
    return getattr(view, "actions", {}).get("post") in getattr(getattr(view, "cls", None), "own_transactions", ())


def _known(place: dict[str, Any], digest: str) -> IdempotencyKey | None:
    """What this key was answered; locks it until the transaction ends. None: nothing yet."""
    with connection.cursor() as cursor:
        name = "{user_id} {path} {key}".format(**place)
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [name])
        (free,) = cursor.fetchone()
    if not free:
        raise Problem(409, _BUSY)
    interrupted = Q(status=_AT_WORK, created_at__lt=Now() - _AT_WORK_FOR)
    known = IdempotencyKey.objects.filter(**place, created_at__gt=Now() - KEPT_FOR).exclude(interrupted).first()
    if known is not None and known.request_sha256 != digest:
        raise Problem(422, "This Idempotency-Key was used for another request; send a new key.")
    if known is not None and known.status == _AT_WORK:
        raise Problem(409, _BUSY)
    return known


def _is_kept(response: HttpResponse) -> bool:
    return 200 <= response.status_code < 300 and "no-store" not in response.get("Cache-Control", "")


def _replayed(known: IdempotencyKey) -> HttpResponse:
    response = HttpResponse(bytes(known.body), status=known.status, content_type=known.content_type)
    response["Idempotency-Replayed"] = "true"
    return response


def _keep(place: dict[str, Any], digest: str, response: HttpResponse | None) -> None:
    """Write down the answer; None: that one is on its way."""
    values = {
        "request_sha256": digest,
        "status": response.status_code if response else _AT_WORK,
        "content_type": response["Content-Type"] if response else "",
        "body": response.content if response else b"",
        "created_at": Now(),
    }
    IdempotencyKey.objects.update_or_create(**place, defaults=values)
