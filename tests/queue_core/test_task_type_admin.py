import re
from pathlib import Path

import pytest
from django.contrib.admin.models import LogEntry
from django.template.loader import get_template
from django.test import Client

from queue_core import services
from queue_core.models import TypePolicy
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
HOME = "/admin/queue_core/typepolicy/"


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(UserFactory(permissions=["view_typepolicy", "change_typepolicy"]))
    return client


def test_the_page_shows_each_type_its_limits_and_what_waits(operator: Client) -> None:
    services.submit_many([services.build("tests.limited", {}) for _ in range(41)])
    page = operator.get(HOME).content.decode()
    assert ">tests.limited</a>" in page
    assert '<td data-label="Waiting">41</td>' in page
    assert "1 at once" in page  # tests.per_key
    assert "Task types" in page


@pytest.mark.parametrize("name", ["queues", "task_types", "workers"])
def test_a_table_with_buttons_names_its_cells_for_narrow_screens(name: str) -> None:
    """Each cell that has a heading when wide has the same one beside it when the row is a list of its cells."""
    source = Path(get_template(f"queue_core/admin/{name}.html").origin.name).read_text()
    table = source[source.index("ph-stack") :].partition("</table>")[0]
    headings = [text for text in re.findall(r"<th>(.*?)</th>", table) if text]
    assert headings == re.findall(r'data-label="(.*?)"', table)


def test_a_type_is_paused_and_resumed_and_that_is_written_down(operator: Client) -> None:
    assert operator.get(HOME + "tests.noop/pause/").status_code == 405
    operator.post(HOME + "tests.noop/pause/")
    assert TypePolicy.objects.get(pk="tests.noop").paused_at is not None
    assert "paused" in operator.get(HOME).content.decode()
    operator.post(HOME + "tests.noop/resume/")
    assert TypePolicy.objects.get(pk="tests.noop").paused_at is None
    assert list(LogEntry.objects.order_by("pk").values_list("change_message", flat=True)) == [
        "Paused. (admin)",
        "Resumed. (admin)",
    ]


def test_limits_are_set_lifted_and_refused_at_their_field(operator: Client) -> None:
    operator.post(HOME + "tests.limited/limits/", {"max_running": "7", "rate": "100/m"})
    shown = services.task_type("tests.limited")
    assert (shown.limit.max_running, str(shown.limit.rate)) == (7, "100/m")
    page = operator.get(HOME + "tests.limited/limits/").content.decode()
    assert 'value="100/m"' in page
    assert "Blank: as the code says." in page
    assert "must look like 100/m" in operator.post(HOME + "tests.limited/limits/", {"rate": "fast"}).content.decode()
    operator.post(HOME + "tests.limited/limits/", {"max_running": "", "rate": ""})
    assert services.task_type("tests.limited").limit.max_running == 3


def test_a_type_that_is_not_there_is_a_404(operator: Client) -> None:
    for answer in (operator.post(HOME + "no.such/pause/"), operator.get(HOME + "no.such/limits/")):
        assert answer.status_code == 404
    assert not TypePolicy.objects.exists()


def test_who_may_only_look_sees_no_buttons_and_moves_nothing(client: Client) -> None:
    client.force_login(UserFactory(permissions=["view_typepolicy"]))
    assert "/pause/" not in client.get(HOME).content.decode()
    for path in ("pause/", "resume/", "limits/"):
        assert client.post(f"{HOME}tests.noop/{path}").status_code == 403
    client.force_login(UserFactory(permissions=["view_task"]))
    assert client.get(HOME).status_code == 403
    assert not TypePolicy.objects.exists()
