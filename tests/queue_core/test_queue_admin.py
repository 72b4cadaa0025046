import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from queue_core import services
from queue_core.models import Queue
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
HOME = "/admin/queue_core/queue/"


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(UserFactory(permissions=["view_queue", "change_queue"]))
    return client


def test_the_page_shows_each_queue_and_what_waits(operator: Client) -> None:
    services.submit("tests.noop", queue="low")
    services.limit_queue("low", rate="5/m")
    page = operator.get(HOME).content.decode()
    assert all(f">{name}</a>" in page for name in ("high", "default", "mail", "low"))
    assert "5/m" in page


def test_a_queue_is_paused_and_resumed_and_that_is_written_down(operator: Client) -> None:
    assert operator.get(HOME + "low/pause/").status_code == 405
    operator.post(HOME + "low/pause/")
    assert Queue.objects.get(name="low").paused_at is not None
    operator.post(HOME + "low/resume/")
    assert Queue.objects.get(name="low").paused_at is None
    assert list(LogEntry.objects.order_by("pk").values_list("change_message", flat=True)) == [
        "Paused. (admin)",
        "Resumed. (admin)",
    ]


def test_limits_are_set_lifted_and_refused_at_their_field(operator: Client) -> None:
    operator.post(HOME + "low/limits/", {"max_running": "3", "rate": "100/m"})
    queue = Queue.objects.get(name="low")
    assert (queue.max_running, queue.rate) == (3, "100/m")
    assert 'value="100/m"' in operator.get(HOME + "low/limits/").content.decode()
    answer = operator.post(HOME + "low/limits/", {"max_running": "0", "rate": "fast"}).content.decode()
    assert "greater than or equal to 1" in answer
    answer = operator.post(HOME + "low/limits/", {"max_running": "", "rate": "fast"}).content.decode()
    assert "must look like 100/m" in answer
    operator.post(HOME + "low/limits/", {"max_running": "", "rate": ""})
    queue.refresh_from_db()
    assert (queue.max_running, queue.rate) == (None, "")


def test_a_queue_that_is_not_there_is_a_404(operator: Client) -> None:
    for answer in (operator.post(HOME + "no/pause/"), operator.get(HOME + "no/limits/")):
        assert answer.status_code == 404
    assert not Queue.objects.exists()


def test_who_may_only_look_sees_no_buttons_and_moves_nothing(client: Client) -> None:
    client.force_login(UserFactory(permissions=["view_queue"]))
    assert "Pause" not in client.get(HOME).content.decode()
    for path in ("low/pause/", "low/resume/", "low/limits/"):
        assert client.post(HOME + path).status_code == 403
    client.force_login(UserFactory(permissions=["view_task"]))
    assert client.get(HOME).status_code == 403
    assert not Queue.objects.exists()
