import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import embedded
from config.embedded import places


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike tmp_path."""
    folder = Path(tempfile.mkdtemp(prefix="posthaste-test-")).resolve()
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def var(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A VAR_DIR of its own; whatever was started there is stopped and removed."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)
    yield folder / "var"
    for place in (folder / "var", folder / "closed" / "var"):
        if place.exists():
            embedded.stop(place)
            shutil.rmtree(places.home(place), ignore_errors=True)
