import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.benchmarks import marks, report
from tests.benchmarks.report import Row, Target

DRAIN = Row("drain", 900.0, "tasks/s", "a peer", 300.0, Target(2.5))
SLOW = Row("latency", 9.87654, "ms", "", None, Target(8, is_ratio=False, at_most=True))
PLAIN = Row("submit", 1500.0, "tasks/s", "another peer", 1000.0)


def test_a_ratio_target_is_judged_by_ours_over_theirs() -> None:
    assert DRAIN.ratio == 3
    assert DRAIN.ok is True
    assert Row("drain", 600.0, "tasks/s", "a peer", 300.0, Target(2.5)).ok is False


def test_a_ratio_target_without_a_peer_is_missed_rather_than_met() -> None:
    assert Row("drain", 900.0, "tasks/s", "a peer", None, Target(2.5)).ok is False


def test_an_upper_bound_is_judged_by_the_value() -> None:
    assert SLOW.ok is False
    assert Row("latency", 8.0, "ms", target=Target(8, is_ratio=False, at_most=True)).ok is True


def test_a_row_without_target_has_no_verdict() -> None:
    assert PLAIN.ok is None


def test_json_holds_every_row_with_four_digits(tmp_path: Path) -> None:
    path = tmp_path / "bench" / "queue.json"
    report.write(path, {"name": "queue", "machine": report.machine(), "versions": {}}, [DRAIN, SLOW, PLAIN])
    found = json.loads(path.read_text())
    assert found["name"] == "queue"
    assert found["machine"]["cores"] >= 1
    assert found["rows"][0] == {
        "metric": "drain", "ours": 900.0, "unit": "tasks/s", "peer": "a peer", "peer_value": 300.0, "ratio": 3.0,
        "target": "≥ 2.5 ×", "ok": True,
    }  # fmt: skip
    assert (found["rows"][1]["ours"], found["rows"][1]["target"]) == (9.877, "≤ 8")
    assert found["rows"][2]["ok"] is None


def test_the_table_marks_a_missed_target() -> None:
    out = io.StringIO()
    report.show(Console(file=out, width=140), "Queue", [DRAIN, SLOW, PLAIN])
    lines = out.getvalue().splitlines()
    assert "met" in next(line for line in lines if "drain" in line)
    assert "missed" in next(line for line in lines if "latency" in line)


def test_versions_come_from_the_environment_that_has_the_package() -> None:
    assert report.versions(["django", "no-such-package"], [None])["django"].startswith("5.")


def test_marks_are_read_as_they_were_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "marks"
    monkeypatch.setenv("BENCH_MARKS", str(path))
    marks._file.cache_clear()
    assert marks.count(path) == 0
    marks.mark(7, 1.5)
    marks.mark(8, 2.5, 0.01)
    marks._file.cache_clear()
    assert marks.count(path) == 2
    first, second = marks.read(path)
    assert (first.number, first.sent, second.number) == (7, 1.5, 8)
    assert second.finished - second.started >= 0.01
