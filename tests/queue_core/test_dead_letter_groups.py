"""Replay and discard of a whole group, while others do the same and workers go on failing."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, connection

from queue_core import lifecycle, services
from queue_core.models import DeadLetter, DeadLetterGroup, Task
from queue_core.services import open_letters
from tests.factories import make_dead_letters

pytestmark = pytest.mark.django_db(transaction=True)
VERBS = [services.replay_group, services.discard_group]


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_letters, "SLICE", 7)


def group() -> DeadLetterGroup:
    return DeadLetterGroup.objects.get()


@pytest.mark.parametrize("verb", VERBS)
def test_of_two_at_once_each_letter_is_closed_by_one(verb: Any, in_thread: Callable[..., Any]) -> None:
    make_dead_letters(200)
    changed: list[int] = []
    threads = [in_thread(lambda: changed.append(verb(group()).changed)) for _ in range(2)]
    for thread in threads:
        thread.join(30)
    assert sum(changed) == 200
    assert group().open == 0
    assert Task.objects.filter(replay_of__isnull=False).count() in (0, 200)
    assert not DeadLetter.objects.filter(resolution="").exists()


def test_what_fails_again_meanwhile_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    make_dead_letters(20)
    discard = lifecycle.discard

    def fail_again(ids: list[int], *, by: int | None) -> int:
        make_dead_letters(1)
        return discard(ids, by=by)

    monkeypatch.setattr(lifecycle, "discard", fail_again)
    outcome = services.discard_group(group())
    assert (outcome.changed, outcome.skipped) == (20, 0)
    assert (group().open, group().total) == (3, 23)


@pytest.mark.parametrize("verb", VERBS)
def test_one_that_is_stopped_has_done_whole_slices_and_goes_on_when_called_again(
    verb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_dead_letters(20)
    replay, discard, calls = lifecycle.replay, lifecycle.discard, []

    def second_fails(real: Any) -> Any:
        def run(*args: Any, **kwargs: Any) -> Any:
            calls.append(1)
            answer = real(*args, **kwargs)
            if len(calls) == 2:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT 1 / 0")
            return answer

        return run

    monkeypatch.setattr(lifecycle, "replay", second_fails(replay))
    monkeypatch.setattr(lifecycle, "discard", second_fails(discard))
    with pytest.raises(DatabaseError):
        verb(group())
    assert group().open == 13
    assert verb(group()).changed == 13
    assert Task.objects.filter(replay_of__isnull=False).count() in (0, 20)
