"""Habits that no linter checks."""

import ast
import re
from pathlib import Path

import pytest
from django.conf import settings

from queue_core import conf as queue_conf
from queue_core.states import TRANSITIONS

ROOT = settings.BASE_DIR
APPS = ("queue_core", "campaigns", "templates_app", "monitoring", "config")
MODULES = [path for app in APPS for path in sorted((ROOT / app).rglob("*.py")) if "migrations" not in path.parts]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_small_and_has_a_job(path: Path) -> None:
    assert path.stem not in {"utils", "helpers", "common", "misc"}
    assert len(path.read_text().splitlines()) <= 350


def _is_state_of_another(target: ast.expr) -> bool:
    own = isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self"
    return isinstance(target, ast.Attribute) and target.attr == "state" and not own


def writes_of_state(path: Path) -> list[int]:
    """Lines that assign `.state`, or update(state=…)."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Assign):
            found += [node.lineno for target in node.targets if _is_state_of_another(target)]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "update":
            found += [node.lineno for keyword in node.keywords if keyword.arg == "state"]
    return found


def test_only_lifecycle_writes_a_state() -> None:
    found = {
        str(path.relative_to(ROOT)): lines
        for path in MODULES
        # outcomes.py says how an attempt ended; lifecycle.finish writes it.
        if path.name != "outcomes.py" and "lifecycle" not in path.as_posix() and (lines := writes_of_state(path))
    }
    assert found == {}


def test_only_lifecycle_and_the_worker_verbs_write_states_in_sql() -> None:
    pattern = re.compile(r"(?:UPDATE (?:tasks|campaigns|email_recipients)\b|INSERT INTO (?:tasks|email_recipients)\b)")
    found = {path.relative_to(ROOT).as_posix() for path in MODULES if pattern.search(path.read_text())}
    assert found == {
        "campaigns/lifecycle/audience.py",
        "campaigns/lifecycle/campaign.py",
        "campaigns/lifecycle/delivery.py",
        "campaigns/lifecycle/events.py",
        "campaigns/lifecycle/reopen.py",
        "queue_core/lifecycle/attempts.py",
        "queue_core/lifecycle/claim.py",
        "queue_core/lifecycle/insert.py",
        "queue_core/lifecycle/moves.py",
        "queue_core/lifecycle/settle.py",
        "queue_core/lifecycle/workflows.py",
        "queue_core/testing.py",  # lets time pass; writes no state
    }


def test_the_readme_shows_the_states_as_they_are() -> None:
    """The chart's arrows are exactly those of the map."""
    chart = (ROOT / "README.md").read_text()
    arrows = set(re.findall(r"^\s+(\w+) --> (\w+): (.+)$", chart, re.MULTILINE))
    drawn = {(source, target, verb) for source, target, verbs in arrows for verb in re.split(r", | / ", verbs)}
    meant = {
        (str(source), str(target), verb)
        for verb, moves in TRANSITIONS.items()
        for source, targets in moves.items()
        for target in targets
    }
    assert drawn == meant


def test_every_knob_of_the_queue_is_explained() -> None:
    guide = (ROOT / "docs" / "settings.md").read_text()
    missing = [name for name in queue_conf.DEFAULTS if f"`QUEUE_{name}`" not in guide]
    assert missing == []
