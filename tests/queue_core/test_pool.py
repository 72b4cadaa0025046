"""When the parent of a pool starts the next worker process."""

import os
import signal
import time

import pytest

from queue_core.pool import Pool


def pause_after(pool: Pool, code: int, lasted: float = 0.1) -> float:
    """Seconds until the next start, after a real child that ended like that (a negative code: by that signal)."""
    pid = os.fork()
    if not pid:
        if code < 0:
            os.kill(os.getpid(), -code)
            time.sleep(60)
        os._exit(code)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    pool.children[pid] = time.monotonic() - lasted
    pool._not_before = 0.0
    pool._reap()
    assert pool.children == {}
    return max(0.0, round(pool._not_before - time.monotonic(), 1))


@pytest.fixture
def pool() -> Pool:
    return Pool(lambda pool: False, ["default"], 2, 1.0)


def test_workers_that_are_killed_are_replaced_within_a_second_however_many_there_were(pool: Pool) -> None:
    assert [pause_after(pool, -signal.SIGKILL) for _ in range(8)] == [1.0] * 8
    assert pause_after(pool, -signal.SIGKILL, lasted=60) == 0.0


def test_workers_that_cannot_start_are_tried_again_at_a_slower_pace_but_within_seconds(pool: Pool) -> None:
    assert [pause_after(pool, 1) for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert pause_after(pool, -signal.SIGKILL) == 1.0
    assert pause_after(pool, 1) == 1.0


def test_a_worker_that_ended_as_it_was_told_is_replaced_at_once(pool: Pool) -> None:
    pause_after(pool, 1)
    assert pause_after(pool, 0) == 0.0
    assert pause_after(pool, 1, lasted=60) == 0.0
