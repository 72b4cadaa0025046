"""Any JSON to any POST: an answer below 500, and what was accepted can be read back."""

import json
import string
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from rest_framework.test import APIClient

from queue_core.models import Worker
from queue_core.services import submit
from queue_core.services.worker_pool import open_pool
from tests.clocks import AUTUMN
from tests.factories import CampaignFactory, UserFactory

LEASE = "5e0b4f67-9a3c-4f3e-9d1c-0a7b1f2c3d4e"
# Bodies that are taken, with optional fields among them.
BODIES: dict[str, dict[str, Any]] = {
    "tasks/": {
        **{"name": "tests.noop", "payload": {}, "queue": "low", "priority": 1, "run_at": None},
        **{"max_attempts": 1, "unique_key": None, "expires_at": None, "tags": [], "key": "k"},
        **{"depends_on": [], "on_parent_failure": "cancel"},
    },
    "tasks/{task}/replay/": {"payload": {}},
    "queues/low/purge/": {},
    "workflows/": {"name": "n", "steps": [{"key": "a", "name": "tests.noop"}], "callbacks": {}},
    "task-types/tests.noop/pause/": {},
    "tasks/batch/": {"tasks": [{"name": "tests.noop"}]},
    "tasks/bulk/": {"verb": "retry", "filter": {"q": "state:failed"}, "params": {}, "dry_run": True},
    "dead-letters/bulk/": {"verb": "discard", "filter": {"reason": "timeout"}, "params": {}, "dry_run": True},
    "campaigns/": {"name": "n", "template": 1, "from_email": "a@example.com", "reply_to": "", "context": {}},
    "campaigns/{id}/recipients/": {"email": "a@example.com", "name": "n", "attributes": {}},
    "campaigns/{id}/recipients/bulk/": {},
    "campaigns/{id}/imports/": {"delimiter": "", "encoding": "", "header": None, "sheet": "", "mapping": ""},
    "campaigns/{id}/preflight/": {},
    "campaigns/{id}/test-send/": {"to": ["a@example.com"], "recipient": 1},
    "campaigns/{id}/duplicate/": {"name": "n", "recipients": True},
    "campaigns/{id}/schedule/": {"at": f"{AUTUMN}T02:30", "timezone": "Europe/Berlin", "late_minutes": 60},
    "campaigns/{id}/retry-failed/": {"hard": False},
    "suppressions/": {"email": "a@example.com", "reason": "manual", "source": ""},
    "suppressions/import/": {},
    "domain-limits/": {"domain": "example.com", "rate_count": 1, "rate_seconds": 60},
    "dkim-keys/": {
        **{"domain": "example.com", "selector": "s", "algorithm": "ed25519", "private_key": "", "secret_env": ""},
    },
    "transports/": {
        **{"name": "n", "kind": "smtp", "priority": 1, "host": "h", "port": 25, "security": "none", "username": ""},
        **{"secret": "", "secret_env": "", "backend": "", "options": {}, "connections": 1, "timeout": 1.0},
    },
    "templates/": {"name": "n", "subject": "s", "html": "h", "text": "t", "description": "", "format": "mjml"},
    "workers/": {"name": "n", "hostname": "h", "queues": ["default"], "capacity": 1},
    "workers/{puller}/heartbeat/": {"holds": [1]},
    "workers/{puller}/claim/": {"limit": 1},
    "tasks/{task}/heartbeat/": {"lease": LEASE},
    "tasks/{task}/progress/": {"lease": LEASE, "done": 1, "total": 2, "note": "n"},
    "tasks/{task}/complete/": {"lease": LEASE, "result": 1},
    "tasks/{task}/fail/": {
        **{"lease": LEASE, "error": "e", "error_class": "c", "traceback": "t", "retry": True, "delay": 1},
    },
    "worker-pools/{pool}/scale/": {"wanted": 1},
    "auth/token/": {"username": "a", "password": "b"},
}
LIKELY = ["tests.noop", "default", "a@example.com", "2026-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "manual", "1"]
TEXT = st.text(st.characters(codec=None, exclude_categories=[]), max_size=20) | st.sampled_from(LIKELY)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)

QUERY = [
    *("cursor", "page_size", "count", "ordering", "search", "state", "state__in", "name", "priority", "run_at__gte"),
    *("replay_of", "tags", "priority__gte", "pinned", "name__startswith", "window"),
    *("created_at__lt", "template", "email", "queue__in", "unique_key", "archived", "format", "q"),
]

LISTS = ["tasks/", "tasks/search/", "tasks/stats/", "tasks/export/", "campaigns/", "suppressions/", "templates/"]


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, bytes]:
    path = draw(st.sampled_from(sorted(BODIES)))
    fields = BODIES[path]
    wrong = draw(st.dictionaries(st.sampled_from([*fields, "other", "ids"]), VALUES, max_size=2))
    person = st.fixed_dictionaries({"email": VALUES}, optional={"name": VALUES, "attributes": VALUES})
    body = json.dumps(draw(st.just({**fields, **wrong}) | st.lists(person, max_size=3) | VALUES))
    return path, draw(st.just(body.encode()) | st.binary(max_size=30))


class Fuzz(TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        cls.user = UserFactory(is_superuser=True)
        cls.campaign = CampaignFactory()
        cls.ids = {
            "id": cls.campaign.pk,
            "pool": open_pool(["default"], 1),
            "task": submit("tests.noop").id,
            "puller": Worker.objects.create(
                name="w", hostname="h", pid=0, queues=["low"], kind="pull", lease_until="2100-01-01T00:00Z"
            ).pk,
        }

    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
    @given(requests())
    def test_no_body_is_a_fault_of_ours(self, request: tuple[str, bytes]) -> None:
        path, body = request
        client = APIClient()
        client.force_authenticate(self.user)
        url = "/api/v1/" + path.format(**self.ids)
        answer = client.generic("POST", url, body, content_type="application/json")
        assert answer.status_code < 500, answer.content

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(LISTS), st.data())
    def test_no_query_is_a_fault_of_ours(self, path: str, data: st.DataObject) -> None:
        names = st.sampled_from(QUERY)
        printable = st.text(string.printable + "é\x00٣", max_size=12) | st.sampled_from(
            [*LIKELY, "1e999", "NaN", "-state:failed", "age:>1h"]
        )
        query = data.draw(st.dictionaries(names, printable, max_size=3))
        client = APIClient()
        client.force_authenticate(self.user)
        assert client.get(f"/api/v1/{path}", query).status_code < 500


@pytest.fixture(autouse=True)
def no_noise(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", logger="django.request")
