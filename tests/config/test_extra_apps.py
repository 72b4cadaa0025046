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
