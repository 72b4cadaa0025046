"""`Idempotency-Key` on a POST: its effect and its answer are one transaction, so a repetition finds both or neither."""

import datetime
import hashlib
import re
from collections.abc import Callable
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import connection, transaction
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import APIException
from rest_framework.views import APIView

from config.api.problems import Problem, answer
from config.models import IdempotencyKey

KEPT_FOR = datetime.timedelta(hours=24)
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_PATH_MAX = 200


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
        with transaction.atomic():
            _lock(f"{user.pk} {request.path} {key}")
            place = {"user_id": user.pk, "path": request.path, "key": key}
            known = IdempotencyKey.objects.filter(**place, created_at__gt=Now() - KEPT_FOR).first()
            if known is not None:
                return _replayed(known, digest)
            response = self.get_response(request)
            if not 200 <= response.status_code < 300:
                transaction.set_rollback(True)
            elif "no-store" not in response.get("Cache-Control", ""):
                _keep(place, digest, response)
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


def _lock(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [name])
        (free,) = cursor.fetchone()
    if not free:
        raise Problem(409, "A request with this Idempotency-Key is still at work; ask again in a moment.")


def _replayed(known: IdempotencyKey, digest: str) -> HttpResponse:
    if known.request_sha256 != digest:
        raise Problem(422, "This Idempotency-Key was used for another request; send a new key.")
    response = HttpResponse(bytes(known.body), status=known.status, content_type=known.content_type)
    response["Idempotency-Replayed"] = "true"
    return response


def _keep(place: dict[str, Any], digest: str, response: HttpResponse) -> None:
    values = {
        "request_sha256": digest,
        "status": response.status_code,
        "content_type": response["Content-Type"],
        "body": response.content,
        "created_at": Now(),
    }
    IdempotencyKey.objects.update_or_create(**place, defaults=values)
