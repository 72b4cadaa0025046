import pytest
from django.contrib.admin.models import ADDITION, LogEntry

from queue_core.models import Task
from queue_core.services import Actor, cancel, submit
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
AUDIT = "/api/v1/audit/"


@pytest.fixture
def entries():
    """One of each door, and one the admin wrote of its own accord."""
    ada, bob = UserFactory(username="ada"), UserFactory(username="bob")
    made = submit("tests.noop", by=Actor(ada, "admin"))
    cancel([made.id], by=Actor(bob, "api"))
    LogEntry.objects.create(user=ada, object_repr="old", action_flag=ADDITION, change_message="[]")
    return dict(zip("abc", LogEntry.objects.order_by("pk").values_list("pk", flat=True), strict=True))


def test_an_entry_says_who_did_what_to_what_through_which_door(api, entries):
    task = Task.objects.get()
    last = api.get(AUDIT).json()["results"][1]
    assert {key: last[key] for key in ("user", "door", "model", "object_id", "what", "message")} == {
        "user": "bob",
        "door": "api",
        "model": "queue_core.task",
        "object_id": str(task.pk),
        "what": f"task {task.pk}",
        "message": "Cancelled 1 task. (api)",
    }
    assert api.get(f"{AUDIT}{last['id']}/").json() == last


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "cba"),
        ("user=ada", "ca"),
        ("user=eve", ""),
        ("door=admin", "a"),
        ("door=api", "b"),
        ("model=queue_core.task", "ba"),
        ("model=task", ""),
        ("action=1", "ca"),
        ("at__gte=2001-01-01", "cba"),
        ("at__lt=2001-01-01T00:00Z", ""),
        ("user=ada&door=admin", "a"),
    ],
)
def test_the_audit_is_filtered_newest_first(api, entries, query, found):
    rows = api.get(f"{AUDIT}?{query}").json()["results"]
    assert [row["id"] for row in rows] == [entries[letter] for letter in found]


@pytest.mark.parametrize("query", ["door=window", "action=9", "at__gte=then", "ordering=user"])
def test_a_filter_that_means_nothing_is_a_400(api, query):
    assert api.get(f"{AUDIT}?{query}").status_code == 400


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_nobody_changes_the_audit(api, entries, method):
    assert getattr(api, method)(f"{AUDIT}{entries['a']}/").status_code == 405
    assert LogEntry.objects.count() == 3
