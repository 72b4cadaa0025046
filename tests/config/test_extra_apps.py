"""Apps of one's own, named in the environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from config import env

_NAMES = "import django; django.setup(); from queue_core import registry; print(registry.names())"


@pytest.mark.parametrize("name", ["gone_app", "../x", "photos;rm", ".", "a b"])
def test_an_app_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("EXTRA_APPS", f"json,{name}")
    with pytest.raises(ImproperlyConfigured, match="EXTRA_APPS names"):
        env.apps("EXTRA_APPS")


def test_its_tasks_are_found(tmp_path: Path) -> None:
    (tmp_path / "photos_app").mkdir()
    (tmp_path / "photos_app" / "__init__.py").touch()
    (tmp_path / "photos_app" / "tasks.py").write_text(
        "from queue_core.registry import task\n\n\n@task()\ndef resize(*, photo: int) -> None: ...\n"
    )
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import django; django.setup(); from queue_core import registry; print(registry.names())",
        ],
        cwd=settings.BASE_DIR,
        env={**os.environ, "EXTRA_APPS": "photos_app", "PYTHONPATH": f"{tmp_path}{os.pathsep}{settings.BASE_DIR}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "photos_app.resize" in told.stdout


def test_its_own_tests_run(tmp_path: Path) -> None:
    """As docs/tasks.md says; on the servers of this run, in a database of their own."""
    database = settings.DATABASES["default"]
    account = ":".join(filter(None, (database["USER"], database["PASSWORD"])))
    app = tmp_path / "photos_app"
    app.mkdir()
    (app / "__init__.py").touch()
    (app / "tasks.py").write_text(
        "from queue_core.registry import task\n\n\n@task()\ndef resize(*, photo: int) -> int:\n    return photo // 2\n"
    )
    (app / "test_tasks.py").write_text(_TEST)
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", "pyproject.toml", str(app)],
        cwd=settings.BASE_DIR,
        env={
            **os.environ,
            "EXTRA_APPS": "photos_app",
            "PYTHONPATH": str(tmp_path),
            "VAR_DIR": str(tmp_path / "var"),
            "DATABASE_URL": f"postgres://{account}@{database['HOST']}:{database['PORT']}/photos",
            "REDIS_URL": settings.REDIS_URL,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert "1 passed" in told.stdout, told.stdout + told.stderr


_TEST = """
from queue_core.models import Schedule
from queue_core.services import submit
from queue_core.testing import assert_submitted, drain


def test_resize(db):
    submit("photos_app.resize", {"photo": 7})
    assert_submitted("photos_app.resize")
    assert [task.state for task in drain()] == ["succeeded"]
    assert not Schedule.objects.exists()
"""
