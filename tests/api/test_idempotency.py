import hashlib
import threading
from typing import Any

import pytest
from django.db import connection, connections

from config.models import IdempotencyKey
from queue_core import lifecycle, services
from queue_core.lifecycle import Ended, Failure
from queue_core.models import DeadLetter, Task
from queue_core.services import open_letters
from queue_core.services.register_worker import register_worker
from tests.api.conftest import client_of
from tests.factories import UserFactory

TASKS = "/api/v1/tasks/"
BODY = {"name": "tests.noop", "payload": {"a": 1}}


def post(client: Any, key: str, body: Any = None, path: str = TASKS) -> Any:
    return client.post(path, BODY if body is None else body, headers={"Idempotency-Key": key})


def test_the_same_key_and_body_is_given_the_first_answer(api):
    first, second = post(api, "k"), post(api, "k")
    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    assert first["Content-Type"] == second["Content-Type"]
    assert (first.has_header("Idempotency-Replayed"), second["Idempotency-Replayed"]) == (False, "true")
    assert Task.objects.count() == 1


def test_another_body_under_the_same_key_is_a_422(api):
    post(api, "k")
    answer = post(api, "k", {"name": "tests.noop"})
    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"
    assert post(api, "k", path=f"{TASKS}?x=1").status_code == 422
    assert Task.objects.count() == 1


def test_keys_of_other_users_and_other_paths_are_other_keys(api):
    post(api, "k")
    assert post(client_of(UserFactory(is_superuser=True)), "k").status_code == 201
    assert post(api, "k", {"tasks": [BODY]}, f"{TASKS}batch/").status_code == 201
    assert Task.objects.count() == 3


def test_a_refused_request_may_be_corrected_under_its_key(api):
    assert post(api, "k", {"name": "nothing"}).status_code == 400
    assert post(api, "k").status_code == 201
    assert IdempotencyKey.objects.count() == 1


def test_a_key_is_free_again_after_a_day(api):
    first = post(api, "k")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE idempotency_keys SET created_at = now() - interval '24 hours 1 second'")
    second = post(api, "k", {"name": "tests.add"})
    assert second.status_code == 201
    assert first.data["id"] != second.data["id"]
    assert post(api, "k", {"name": "tests.add"}).content == second.content
    assert IdempotencyKey.objects.count() == 1


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "é"])
def test_a_key_that_is_none_is_a_400(api, key):
    assert post(api, key).status_code == 400
    assert not Task.objects.exists()


def test_a_stranger_is_challenged_and_nothing_is_kept(api):
    api.force_authenticate(None)
    assert post(api, "k").status_code == 401
    assert not IdempotencyKey.objects.exists()


def test_tokens_are_not_kept(db):
    user = UserFactory(username="ada")
    user.set_password("secret")
    user.save()
    client = client_of(user)
    for _ in range(2):
        answer = post(client, "k", {"username": "ada", "password": "secret"}, "/api/v1/auth/token/")
        assert answer.status_code == 200
    assert not IdempotencyKey.objects.exists()


def test_a_body_over_the_limit_is_a_413(api, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    assert post(api, "k").status_code == 413


@pytest.mark.django_db(transaction=True)
def test_what_a_failed_request_did_is_undone_with_it(api, monkeypatch):
    def fail_after(**options: Any) -> Any:
        services.submit_many([services.build("tests.noop", {})])
        raise RuntimeError("the power went")

    monkeypatch.setattr(services, "submit", fail_after)
    api.raise_request_exception = False
    assert post(api, "k").status_code == 500
    assert not Task.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_twin_at_the_same_time_is_a_409(api, monkeypatch):
    entered, go_on = threading.Event(), threading.Event()
    submit = services.submit

    def slowly(*args: Any, **options: Any) -> Any:
        entered.set()
        assert go_on.wait(10)
        return submit(*args, **options)

    monkeypatch.setattr(services, "submit", slowly)
    answers = []

    def first() -> None:
        answers.append(post(api, "k"))
        connections.close_all()

    thread = threading.Thread(target=first)
    thread.start()
    assert entered.wait(10)
    twin = post(client_of(api.handler._force_user), "k")
    go_on.set()
    thread.join()
    assert (answers[0].status_code, twin.status_code) == (201, 409)
    assert post(api, "k").content == answers[0].content
    assert Task.objects.count() == 1


GROUP = "/api/v1/dead-letters/groups/{}/discard/"


def dead(count: int) -> str:
    """The address of the verb over a group of so many dead letters."""
    ids = services.submit_many([services.build("tests.noop", {}) for _ in range(count)])
    worker_id = register_worker(["default"])
    failure = Failure("no", fingerprint="f" * 32, reason="discarded")
    claimed = lifecycle.claim(["default"], worker_id, count)
    lifecycle.finish([Ended(task, "failed", "failed", 0.0, 0.001, failure=failure) for task in claimed])
    assert len(ids) == count
    return GROUP.format("f" * 32)


def test_a_verb_that_works_in_slices_is_given_its_first_answer(api):
    path = dead(3)
    first, second = post(api, "k", {}, path), post(api, "k", {}, path)
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.content == second.content
    assert second["Idempotency-Replayed"] == "true"
    assert post(api, "other", {}, path).status_code == 409
    assert IdempotencyKey.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_verb_that_works_in_slices_commits_them_and_keeps_twins_out(api, monkeypatch):
    path, entered, go_on, answers = dead(3), threading.Event(), threading.Event(), []
    monkeypatch.setattr(open_letters, "SLICE", 1)
    discard = lifecycle.discard

    def stop_at_the_last(letters: Any, **options: Any) -> int:
        if DeadLetter.objects.filter(resolution="").count() == 1:
            entered.set()
            assert go_on.wait(10)
        return discard(letters, **options)

    monkeypatch.setattr(lifecycle, "discard", stop_at_the_last)

    def first() -> None:
        answers.append(post(api, "k", {}, path))
        connections.close_all()

    thread = threading.Thread(target=first)
    thread.start()
    assert entered.wait(10)
    assert DeadLetter.objects.filter(resolution="discarded").count() == 2
    twin = client_of(api.handler._force_user)
    assert post(twin, "k", {}, path).status_code == 409
    assert post(twin, "k", {"x": 1}, path).status_code == 422
    go_on.set()
    thread.join()
    assert answers[0].status_code == 200
    assert post(api, "k", {}, path).content == answers[0].content


def test_a_verb_in_slices_that_was_interrupted_goes_on_after_ten_minutes(api):
    path = dead(1)
    user = api.handler._force_user
    digest = hashlib.sha256(b"\x00{}").hexdigest()
    kept = IdempotencyKey.objects.create(
        user=user, path=path, key="k", request_sha256=digest, status=0, content_type="", body=b""
    )
    assert post(api, "k", {}, path).status_code == 409
    with connection.cursor() as cursor:
        cursor.execute("UPDATE idempotency_keys SET created_at = now() - interval '11 minutes'")
    assert post(api, "k", {}, path).status_code == 200
    kept.refresh_from_db()
    assert kept.status == 200


def test_a_refused_verb_in_slices_may_be_repeated_under_its_key(api):
    path = dead(1)
    assert post(api, "k", {"x": 1}, path).status_code == 400
    assert not IdempotencyKey.objects.exists()
    assert post(api, "k", {}, path).status_code == 200
