"""Passwords cannot be guessed by trying: the account waits at that address, in the admin and the API alike."""

import base64
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.test import Client

from tests.factories import UserFactory

LOGIN, TOKEN, ME = "/admin/login/", "/api/v1/auth/token/", "/api/v1/auth/me/"


@pytest.fixture
def ada(db: None, settings: Any) -> User:
    settings.AXES_FAILURE_LIMIT = 3
    user: User = UserFactory(username="ada")
    user.set_password("secret")
    user.save()
    return user


def sign_in(password: str, *, name: str = "ada", address: str = "192.0.2.1") -> Any:
    return Client(REMOTE_ADDR=address).post(LOGIN, {"username": name, "password": password})


def token(password: str, *, address: str = "192.0.2.1") -> Any:
    body = {"username": "ada", "password": password}
    return Client(REMOTE_ADDR=address).post(TOKEN, body, content_type="application/json")


def basic(password: str, *, address: str = "192.0.2.1") -> Any:
    header = "Basic " + base64.b64encode(f"ada:{password}".encode()).decode()
    return Client(REMOTE_ADDR=address).get(ME, headers={"Authorization": header})


@pytest.mark.parametrize("wrong", [sign_in, token, basic])
def test_after_so_many_wrong_passwords_also_the_right_one_waits(ada: User, wrong: Any) -> None:
    statuses = [wrong(f"guess{n}").status_code for n in range(4)]
    assert statuses[:2] == ([200] * 2 if wrong is sign_in else [401] * 2)
    assert statuses[2:] == [429] * 2
    for right in (sign_in, token, basic):
        answer = right("secret")
        assert (answer.status_code, answer["Retry-After"]) == (429, "900")
        assert "Wait 15 minutes" in answer.content.decode()
    assert token("secret")["Content-Type"] == "application/problem+json"
    assert token("secret").json()["status"] == 429


def test_nobody_locks_out_somebody_else(ada: User) -> None:
    for n in range(4):
        sign_in(f"guess{n}")
    assert token("secret", address="192.0.2.2").status_code == 200
    assert sign_in("x", name="bea").status_code == 200


def test_a_lock_is_opened_in_the_admin_and_by_time(ada: User, client: Any) -> None:
    for n in range(4):
        token(f"guess{n}")
    attempt = AccessAttempt.objects.get()
    client.force_login(UserFactory(is_superuser=True))
    page = client.get("/admin/axes/accessattempt/").content.decode()
    assert "192.0.2.1" in page
    assert client.get(f"/admin/axes/accessattempt/{attempt.pk}/change/").status_code == 200
    client.post(f"/admin/axes/accessattempt/{attempt.pk}/delete/", {"post": "yes"})
    assert token("secret").status_code == 200
    for n in range(4):
        token(f"guess{n}")
    AccessAttempt.objects.update(attempt_time="2026-01-01T00:00:00Z")
    assert token("secret").status_code == 200


def test_a_sign_in_that_succeeds_forgets_the_failures_before(ada: User) -> None:
    for _ in range(2):
        assert [sign_in("guess").status_code for _ in range(2)] == [200, 200]
        assert sign_in("secret").status_code == 302


@pytest.mark.parametrize("name", ["", "x" * 5_000, "\x00", "ada\n", "' OR 1=1 --"])
def test_odd_names_are_told_no_and_break_nothing(ada: User, name: str) -> None:
    assert sign_in("x", name=name).status_code == 200
    header = "Basic " + base64.b64encode(f"{name}:x".encode()).decode()
    assert Client().get(ME, headers={"Authorization": header}).status_code == 401
    answer = Client().post(TOKEN, {"username": name, "password": "x"}, content_type="application/json")
    assert answer.status_code in (400, 401)
