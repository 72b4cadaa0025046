"""Settings from the environment: a wrong one is named, in one line."""

import os

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from config import env
from queue_core import registry

NEEDED = ["default", "mail", "low"]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The name of the variable that has the value of the test."""
    monkeypatch.setenv("GIVEN", request.param)
    return "GIVEN"


@pytest.mark.parametrize("given", ["zz", "10", "INFO,DEBUG"], indirect=True)
def test_a_level_of_logging_there_is_not(given: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"GIVEN must be one of CRITICAL, .*, not '"):
        env.log_level(given, "INFO")


@pytest.mark.parametrize("given", ["debug", " Debug "], indirect=True)
def test_a_level_of_logging_however_it_is_spelt(given: str) -> None:
    assert env.log_level(given, "INFO") == "DEBUG"


@pytest.mark.parametrize("given", ["Mars/X", "Europe", "/etc/passwd", "../x", "\x01"], indirect=True)
def test_a_time_zone_there_is_not(given: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="GIVEN must be a time zone such as Europe/Berlin"):
        env.time_zone(given, "UTC")


@pytest.mark.parametrize("given", ["Europe/Berlin"], indirect=True)
def test_a_time_zone(given: str) -> None:
    assert env.time_zone(given, "UTC") == "Europe/Berlin"


@pytest.mark.parametrize("given", ["0", "-1", "11", "9" * 30, "1.5", "many"], indirect=True)
def test_a_number_out_of_its_range(given: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="GIVEN must be a whole number from 1 to 10, not"):
        env.integer(given, 5, least=1, most=10)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("low", "must also name default, mail: .* GIVEN=low,default,mail"),
        (",", "must also name default, mail, low"),
        ("default,mail,low,mail", "names 'mail' more than once"),
        ("default,mail,low,a b", "'a b' is no name of a queue"),
        ("default,mail,low," + "x" * 65, "'x+' is no name of a queue"),
    ],
    indirect=["given"],
)
def test_queues_that_cannot_be(given: str, told: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"GIVEN:? {told}"):
        env.queues(given, [], needed=NEEDED)


@pytest.mark.parametrize("given", ["images, low,mail ,default"], indirect=True)
def test_queues_keep_their_order(given: str) -> None:
    assert env.queues(given, [], needed=NEEDED) == ["images", "low", "mail", "default"]


def test_the_queues_that_are_asked_for_are_those_that_tasks_of_ours_go_to() -> None:
    ours = [name for name in registry.registered() if not name.startswith("tests.")]
    assert {registry.get(name).queue_name for name in ours} == set(NEEDED)
    assert set(NEEDED) <= set(settings.QUEUES)


@pytest.mark.parametrize(
    "given",
    ["zz", "http://x", "redis://:secret@x:99999", "redis://:secret@x:port", "redis://[x", "unix://"],
    indirect=True,
)
def test_an_address_of_redis_that_cannot_be_is_not_shown(given: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="GIVEN cannot be read: write redis://") as caught:
        env.redis_url(given)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "given", ["redis://u:p@h:1/0", "rediss://h", "unix:///run/valkey.sock?db=1", "redis:///2"], indirect=True
)
def test_an_address_of_redis(given: str) -> None:
    assert env.redis_url(given) == os.environ[given]


@pytest.mark.parametrize("url", ["postgres://", "postgres://u:secret@h:99999/x", "postgres://u:secret@h/"])
def test_an_address_of_postgresql_that_cannot_be(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL cannot be read") as caught:
        env.database(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["zz", "mysql://x/y", ""])
def test_a_database_that_is_not_postgresql(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL must start with postgres://"):
        env.database(url)
