from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from rest_framework.test import APIClient

from campaigns.models import Campaign
from queue_core import broker
from tests import tasks  # noqa: F401 - registers tests.*
from tests.factories import CampaignFactory, UserFactory


@pytest.fixture(autouse=True)
def silent_bell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "ring", lambda queue: None)


def client_of(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def api(db: None) -> APIClient:
    """May do everything."""
    return client_of(UserFactory(is_superuser=True))


@pytest.fixture
def api_with(db: None) -> Callable[..., APIClient]:
    """May do what the code names say, and nothing else."""
    return lambda *codenames: client_of(UserFactory(permissions=list(codenames)))


@pytest.fixture
def api_without(db: None) -> Callable[[str], APIClient]:
    """May do everything but that."""

    def made(codename: str) -> APIClient:
        others = Permission.objects.exclude(codename=codename).values_list("codename", flat=True)
        return client_of(UserFactory(permissions=list(others)))

    return made


@pytest.fixture
def campaign(db: None) -> Campaign:
    return CampaignFactory()


@pytest.fixture
def walk() -> Callable[..., list[Any]]:
    """The rows of all pages, from an address on, by the links."""

    def pages(client: APIClient, url: str, link: str = "next", between: Callable[[], Any] | None = None) -> list[Any]:
        rows: list[Any] = []
        while url:
            answer = client.get(url)
            assert answer.status_code == 200, answer.content
            rows += answer.data["results"]
            url = answer.data[link]
            if between:
                between()
        return rows

    return pages
