import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from queue_core import registry


def ids() -> set[str]:
    return {message.id for message in run_checks()}


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("QUEUE_LEASE_SECOND", 20, "queue_core.E001"),
        ("QUEUE_BATCH_MAX", 0, "queue_core.E002"),
        ("QUEUE_BATCH_MAX", "many", "queue_core.E002"),
        ("QUEUE_LEASE_SECONDS", 6, "queue_core.E003"),
        ("QUEUE_KEEP_DAYS", {"done": 7}, "queue_core.E005"),
        ("QUEUE_KEEP_DAYS", {"succeeded": -1}, "queue_core.E005"),
        ("QUEUE_KEEP_DAYS", {"mail": {"running": 1}}, "queue_core.E005"),
        ("QUEUE_KEEP_DAYS", 7, "queue_core.E005"),
        ("QUEUE_KEEP_DAYS", {"succeeded": float("inf")}, "queue_core.E005"),
        ("QUEUE_KEEP_DAYS", {"succeeded": 1e9}, "queue_core.E005"),
        ("QUEUE_KEEP_DAYS", {"succeeded": 7, "mial": {"succeeded": 90}}, "queue_core.E010"),
        ("QUEUE_BATCH_MAX", 1.5, "queue_core.E002"),
        ("QUEUE_LEASE_SECONDS", float("inf"), "queue_core.E002"),
        ("QUEUE_LEASE_SECONDS", float("nan"), "queue_core.E002"),
        ("QUEUES", "default", "queue_core.E004"),
        ("QUEUES", [7], "queue_core.E004"),
        ("QUEUES", None, "queue_core.E004"),
        ("TASKS", {}, "queue_core.E007"),
        ("TASKS", {"default": {"BACKEND": "django_tasks.backends.immediate.ImmediateBackend"}}, "queue_core.E007"),
        ("QUEUE_LOG_LEVEL", "LOUD", "queue_core.E008"),
        ("QUEUE_LOG_LEVEL", ["INFO"], "queue_core.E008"),
        ("QUEUE_LOG_MAX_BYTES", 0, "queue_core.E002"),
        ("QUEUES", [], "queue_core.E004"),
        ("QUEUES", ["a", "a"], "queue_core.E004"),
        ("QUEUES", ["a b"], "queue_core.E004"),
        ("CAMPAIGNS_CHUNKS", 5, "campaigns.E003"),
        ("PUBLIC_URL", "ftp://example.com", "campaigns.E002"),
        ("PUBLIC_URL", "https://tëam.example", "campaigns.E002"),
    ],
)
def test_a_wrong_setting_is_said_at_the_start(settings: Settings, name: str, value: object, found: str) -> None:
    setattr(settings, name, value)
    assert found in ids()


def test_a_wrong_smtp_url_is_said_at_the_start(settings: Settings) -> None:
    from campaigns import mailer

    settings.SMTP_URL = "http://example.com"
    mailer.transport.cache_clear()
    try:
        assert "campaigns.E001" in ids()
    finally:
        mailer.transport.cache_clear()


def test_a_task_for_a_queue_there_is_not_ends_the_start_with_its_name() -> None:
    told = r"The task tests.lost goes to the queue 'nowhere', which is not in the setting QUEUES \(high, default"
    with pytest.raises(ImproperlyConfigured, match=told):
        registry.task(name="tests.lost", queue="nowhere")(test_the_settings_as_shipped_are_right)
    assert registry.find("tests.lost") is None


def test_the_settings_as_shipped_are_right() -> None:
    assert not ids()
