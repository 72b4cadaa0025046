"""What holds for every route: credentials, permissions, ids that are not there, other methods, constant queries."""

import io
import re
import uuid

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from campaigns import services as campaigns
from campaigns.models import Recipient, Suppression
from queue_core.models import DeadLetter, DeadLetterGroup, Execution, Task, Workflow
from queue_core.services import Actor, discard, start_bulk, submit, submit_workflow
from queue_core.services.register_worker import register_worker
from queue_core.services.save_schedule import save_schedule
from queue_core.services.worker_pool import open_pool
from tests.factories import CampaignFactory, TemplateFactory, UserFactory, add_recipients, make_dead_letters

pytestmark = pytest.mark.django_db
ROOT = "/api/v1/"
# method, path, code name of the permission it needs ("" for being somebody)
CALLS = [
    ("get", "auth/me/", ""),
    ("get", "schema/", ""),
    ("get", "docs/", ""),
    ("get", "task-types/", "view_task"),
    ("get", "task-types/tests.noop/", "view_task"),
    ("patch", "task-types/tests.noop/", "change_typepolicy"),
    ("post", "task-types/tests.noop/pause/", "change_typepolicy"),
    ("post", "task-types/tests.noop/resume/", "change_typepolicy"),
    ("get", "tasks/", "view_task"),
    ("post", "tasks/bulk/", "change_task"),
    ("get", "bulk-operations/", ""),  # one's own without view_bulkoperation
    ("get", "bulk-operations/{bulk}/", "view_bulkoperation"),
    ("post", "bulk-operations/{bulk}/stop/", "change_bulkoperation"),
    ("get", "tasks/search/?q=state:queued", "view_task"),
    ("post", "tasks/", "add_task"),
    ("post", "tasks/batch/", "add_task"),
    ("get", "tasks/export/", "view_task"),
    ("get", "tasks/stats/", "view_task"),
    ("get", "tasks/{task}/", "view_task"),
    ("patch", "tasks/{task}/", "change_task"),
    ("delete", "tasks/{task}/", "delete_task"),
    ("post", "tasks/{task}/pin/", "change_task"),
    ("post", "tasks/{task}/unpin/", "change_task"),
    ("post", "tasks/{task}/retry/", "change_task"),
    ("post", "tasks/{task}/replay/", "change_task"),
    ("post", "tasks/{task}/cancel/", "change_task"),
    ("get", "tasks/{task}/result/", "view_task"),
    ("get", "tasks/{task}/executions/", "view_task"),
    ("get", "tasks/{task}/logs/", "view_task"),
    ("get", "tasks/{task}/dependencies/", "view_task"),
    ("get", "workflows/", "view_workflow"),
    ("post", "workflows/", "add_workflow add_task"),
    ("get", "workflows/{workflow}/", "view_workflow"),
    ("get", "workflows/{workflow}/graph/", "view_workflow"),
    ("post", "workflows/{workflow}/cancel/", "change_workflow"),
    ("post", "workflows/{workflow}/retry/", "change_workflow"),
    ("get", "queues/", "view_queue"),
    ("get", "queues/default/", "view_queue"),
    ("patch", "queues/default/", "change_queue"),
    ("post", "queues/default/pause/", "change_queue"),
    ("post", "queues/default/resume/", "change_queue"),
    ("post", "queues/default/purge/", "change_task"),
    ("get", "dead-letters/", "view_deadletter"),
    ("post", "dead-letters/bulk/", "change_deadletter"),
    ("get", "dead-letters/{letter}/", "view_deadletter"),
    ("post", "dead-letters/{letter}/replay/", "change_deadletter"),
    ("post", "dead-letters/{letter}/discard/", "change_deadletter"),
    ("get", "dead-letters/groups/", "view_deadlettergroup"),
    ("get", "dead-letters/groups/{group}/", "view_deadlettergroup"),
    ("post", "dead-letters/groups/{group}/replay/", "change_deadlettergroup"),
    ("post", "dead-letters/groups/{group}/discard/", "change_deadlettergroup"),
    ("get", "workers/", "view_worker"),
    ("get", "workers/{worker}/", "view_worker"),
    *(("post", f"workers/{{worker}}/{verb}/", "steer_worker") for verb in ("pause", "resume", "drain", "stop")),
    ("post", "workers/", "pull_tasks"),
    ("delete", "workers/{worker}/", "pull_tasks"),
    ("post", "workers/{worker}/heartbeat/", "pull_tasks"),
    ("post", "workers/{worker}/claim/", "pull_tasks"),
    ("post", "tasks/{task}/heartbeat/", "pull_tasks"),
    ("post", "tasks/{task}/progress/", "pull_tasks"),
    ("post", "tasks/{task}/complete/", "pull_tasks"),
    ("post", "tasks/{task}/fail/", "pull_tasks"),
    ("get", "worker-pools/", "view_workerpool"),
    ("get", "worker-pools/{pool}/", "view_workerpool"),
    ("post", "worker-pools/{pool}/scale/", "steer_worker"),
    ("get", "audit/", "view_logentry"),
    ("get", "audit/{entry}/", "view_logentry"),
    ("get", "schedules/", "view_schedule"),
    ("post", "schedules/", "add_schedule"),
    ("get", "schedules/{schedule}/", "view_schedule"),
    ("patch", "schedules/{schedule}/", "change_schedule"),
    ("delete", "schedules/{schedule}/", "delete_schedule"),
    ("get", "schedules/{schedule}/upcoming/", "view_schedule"),
    ("get", "schedules/{schedule}/fires/", "view_schedule"),
    *(("post", f"schedules/{{schedule}}/{verb}/", "change_schedule") for verb in ("pause", "resume", "run-now")),
    ("get", "templates/", "view_emailtemplate"),
    ("post", "templates/", "add_emailtemplate"),
    ("get", "templates/{template}/", "view_emailtemplate"),
    ("patch", "templates/{template}/", "change_emailtemplate"),
    ("delete", "templates/{template}/", "delete_emailtemplate"),
    ("get", "templates/{template}/versions/", "view_emailtemplate"),
    ("get", "templates/{template}/versions/1/", "view_emailtemplate"),
    ("post", "templates/{template}/versions/1/restore/", "change_emailtemplate"),
    ("get", "templates/{template}/diff/?from=1", "view_emailtemplate"),
    ("post", "templates/{template}/preview/", "view_emailtemplate"),
    ("post", "templates/{template}/validate/", "view_emailtemplate"),
    ("post", "templates/{template}/test-send/", "launch_campaign view_emailtemplate"),
    ("get", "campaigns/", "view_campaign"),
    ("post", "campaigns/", "add_campaign"),
    ("get", "campaigns/{campaign}/", "view_campaign"),
    ("patch", "campaigns/{campaign}/", "change_campaign"),
    ("delete", "campaigns/{campaign}/", "delete_campaign"),
    ("post", "campaigns/{campaign}/launch/", "launch_campaign"),
    ("post", "campaigns/{campaign}/start/", "launch_campaign"),
    ("post", "campaigns/{campaign}/schedule/", "launch_campaign"),
    ("post", "campaigns/{campaign}/unschedule/", "launch_campaign"),
    ("post", "campaigns/{campaign}/pause/", "launch_campaign"),
    ("post", "campaigns/{campaign}/cancel/", "launch_campaign"),
    ("get", "campaigns/{campaign}/stats/", "view_campaign"),
    ("get", "campaigns/{campaign}/export/", "view_recipient"),
    ("get", "campaigns/{campaign}/lacking/?variable=recipient.city", "view_recipient"),
    ("get", "campaigns/{campaign}/tasks/", "view_campaign"),
    ("post", "campaigns/{campaign}/duplicate/", "add_campaign"),
    ("get", "campaigns/{campaign}/preview/", "view_recipient"),
    ("post", "campaigns/{campaign}/test-send/", "launch_campaign"),
    ("get", "campaigns/{campaign}/preflight/", "view_campaign"),
    ("post", "campaigns/{campaign}/preflight/", "view_campaign"),
    ("get", "campaigns/{campaign}/status/", "view_campaign"),
    ("get", "campaigns/{campaign}/recipients/", "view_recipient"),
    ("post", "campaigns/{campaign}/recipients/", "add_recipient"),
    ("post", "campaigns/{campaign}/recipients/bulk/", "add_recipient"),
    ("get", "campaigns/{campaign}/imports/", "view_recipient"),
    ("post", "campaigns/{campaign}/imports/", "add_recipient"),
    ("get", "campaigns/{campaign}/imports/{import}/", "view_recipient"),
    ("patch", "campaigns/{campaign}/imports/{import}/", "add_recipient"),
    ("get", "campaigns/{campaign}/imports/{import}/sample/", "view_recipient"),
    ("post", "campaigns/{campaign}/imports/{import}/check/", "add_recipient"),
    ("post", "campaigns/{campaign}/imports/{import}/start/", "add_recipient"),
    ("post", "campaigns/{campaign}/imports/{import}/cancel/", "add_recipient"),
    ("get", "campaigns/{campaign}/imports/{import}/errors/", "view_recipient"),
    ("get", "imports/{import}/", "view_recipient"),
    ("patch", "imports/{import}/", "add_recipient"),
    ("get", "imports/{import}/sample/", "view_recipient"),
    *(("post", f"imports/{{import}}/{verb}/", "add_recipient") for verb in ("check", "start", "cancel")),
    ("get", "imports/{import}/errors/", "view_recipient"),
    ("get", "campaigns/{campaign}/events/", "view_recipient"),
    ("post", "campaigns/{campaign}/retry-failed/", "launch_campaign"),
    ("get", "recipients/{recipient}/", "view_recipient"),
    ("patch", "recipients/{recipient}/", "change_recipient"),
    ("delete", "recipients/{recipient}/", "delete_recipient"),
    ("post", "recipients/{recipient}/mark/", "launch_campaign"),
    ("post", "recipients/{recipient}/resend/", "launch_campaign"),
    ("get", "suppressions/", "view_suppression"),
    ("post", "suppressions/", "add_suppression"),
    ("post", "suppressions/import/", "add_suppression"),
    ("get", "suppressions/export/", "view_suppression"),
    ("get", "suppressions/{suppression}/", "view_suppression"),
    ("patch", "suppressions/{suppression}/", "change_suppression"),
    ("delete", "suppressions/{suppression}/", "delete_suppression"),
    ("get", "dkim-keys/", "view_dkimkey"),
    ("post", "dkim-keys/", "add_dkimkey"),
    ("get", "dkim-keys/{dkim_key}/", "view_dkimkey"),
    ("patch", "dkim-keys/{dkim_key}/", "change_dkimkey"),
    ("delete", "dkim-keys/{dkim_key}/", "delete_dkimkey"),
    ("get", "domain-limits/", "view_domainlimit"),
    ("post", "domain-limits/", "add_domainlimit"),
    ("get", "domain-limits/{domain_limit}/", "view_domainlimit"),
    ("patch", "domain-limits/{domain_limit}/", "change_domainlimit"),
    ("delete", "domain-limits/{domain_limit}/", "delete_domainlimit"),
    ("get", "transports/", "view_mailtransport"),
    ("post", "transports/", "add_mailtransport"),
    ("get", "transports/{transport}/", "view_mailtransport"),
    ("patch", "transports/{transport}/", "change_mailtransport"),
    ("delete", "transports/{transport}/", "delete_mailtransport"),
    ("post", "transports/{transport}/check/", "change_mailtransport"),
    ("post", "transports/{transport}/reset/", "change_mailtransport"),
]
NEEDING = [call for call in CALLS if call[2]]
ONE = [call for call in CALLS if "{" in call[1]]
NO_IDS = ["0", "999999999", "9223372036854775808", "9" * 40, "9" * 5000, "x", "-1", "1.5", "%00", "٣"]


@pytest.fixture
def ids() -> dict[str, int | str]:
    campaign = CampaignFactory(template=TemplateFactory(html='{{ recipient.city|default("") }}'))
    (letter,) = make_dead_letters(1)
    campaigns.add_recipients(campaign, [{"email": "a@example.com"}, {"email": "no"}], source="list")
    return {
        "task": submit("tests.noop", by=Actor(UserFactory(), "api")).id,
        "workflow": submit_workflow("w", [{"name": "tests.noop"}]).pk,
        "worker": register_worker(["default"]),
        "bulk": start_bulk("retry", query="state:failed").pk,
        "pool": open_pool(["default"], 2),
        "schedule": save_schedule(name="s", task="tests.noop", expression="0 9 * * *").pk,
        "template": campaign.template_id,
        "campaign": campaign.pk,
        "recipient": Recipient.objects.get().pk,
        "import": campaigns.upload_import(campaign, io.BytesIO(b"a@example.com"), filename="a.csv").pk,
        "suppression": campaigns.suppress("s@example.com")[0].pk,
        "domain_limit": campaigns.limit_domain(domain="example.com", rate_count=1).pk,
        "dkim_key": campaigns.add_dkim_key(domain="example.com", selector="s1", algorithm="ed25519").pk,
        "transport": campaigns.save_transport(name="Relay", host="127.0.0.1", port=1).pk,
        "letter": letter.pk,
        "group": letter.fingerprint,
        "entry": LogEntry.objects.get().pk,
    }


def test_every_route_is_in_the_list():
    described = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    routes = {(method, shape(path.removeprefix(ROOT))) for path, found in described.items() for method in found}
    asking = {("post", "auth/token/"), ("post", "auth/token/refresh/")}
    undescribed = {("get", "schema/"), ("get", "docs/")}
    assert routes - asking == {(method, shape(path)) for method, path, _ in CALLS} - undescribed


def shape(path: str) -> str:
    """A path with {} in the place of what it names."""
    return re.sub(r"\{\w+\}|tests\.noop|(?<=queues/)default|(?<=versions/)\d", "{}", path.partition("?")[0])


@pytest.mark.parametrize(("method", "path", "needed"), CALLS)
def test_a_stranger_is_challenged(method, path, needed, ids):
    answer = getattr(APIClient(), method)(ROOT + path.format(**ids))
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(("method", "path", "needed"), NEEDING)
def test_a_user_without_the_permission_is_refused(method, path, needed, ids, api_without):
    for each in needed.split():
        answer = getattr(api_without(each), method)(ROOT + path.format(**ids))
        assert answer.status_code == 403
        assert answer.json()["status"] == 403


@pytest.mark.parametrize(("method", "path", "needed"), CALLS)
def test_the_permission_is_enough(method, path, needed, ids, api_with):
    answer = getattr(api_with(*needed.split()), method)(ROOT + path.format(**ids))
    assert answer.status_code in (200, 201, 202, 204, 400, 409)


@pytest.mark.parametrize("bad", NO_IDS)
@pytest.mark.parametrize(("method", "path", "needed"), ONE)
def test_an_id_that_is_not_there_is_a_404(method, path, needed, bad, api):
    names = (
        "task",
        "workflow",
        "worker",
        "pool",
        "campaign",
        "recipient",
        "import",
        "suppression",
        "dkim_key",
        "domain_limit",
        "transport",
        "letter",
        "group",
        "entry",
        "bulk",
        "schedule",
        "template",
    )
    answer = getattr(api, method)(ROOT + path.format(**dict.fromkeys(names, bad)))
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("path", sorted({call[1] for call in CALLS}))
def test_another_method_is_a_405(path, ids, api):
    answer = api.put(ROOT + path.format(**ids), {})
    assert (answer.status_code, answer.json()["title"]) == (405, "Method Not Allowed")
    assert "GET" in answer["Allow"] or "POST" in answer["Allow"]


@pytest.mark.parametrize("path", [call[1] for call in CALLS if call[0] == "get"])
def test_a_browser_is_shown_a_page(path, ids, api):
    answer = api.get(ROOT + path.format(**ids), headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.status_code == 200
    csv_or_schema = path.partition("?")[0].endswith(("errors/", "export/", "lacking/")) or path.startswith("schema")
    assert csv_or_schema or answer["Content-Type"].startswith("text/html")


def fill(number: int) -> None:
    campaign = CampaignFactory()
    add_recipients(campaign, number)
    # Before the operations, whose tasks are taken before any other.
    for n in range(number):
        (letter,) = make_dead_letters(1, fingerprint=f"{n:032x}")
        discard([letter.pk], by=Actor(UserFactory(), "api"))
    for n in range(number):
        submit_workflow("w", [{"name": "tests.noop"}])
        start_bulk("retry", query="state:failed")
        register_worker(["default"])
        open_pool(["default"], 1)
        campaigns.suppress(f"s{n}@example.com")
        campaigns.limit_domain(domain=f"d{uuid.uuid4().hex}.example", rate_count=1)
        campaigns.add_dkim_key(domain="example.com", selector=f"s{uuid.uuid4().hex}", algorithm="ed25519")
        campaigns.save_transport(name=f"Relay {uuid.uuid4()}", host="mail.example.com")
        campaigns.add_recipients(campaign, [{"email": "no"}], source="list")
        CampaignFactory(template=campaign.template)
        TemplateFactory()


@pytest.mark.parametrize(
    "path",
    [
        *("tasks/", "task-types/", "queues/", "workers/", "worker-pools/", "campaigns/", "templates/"),
        *("suppressions/", "transports/", "dkim-keys/", "domain-limits/"),
        *("tasks/search/?q=state:queued", "bulk-operations/", "workflows/"),
        *("dead-letters/", "dead-letters/groups/", "audit/"),
        *("campaigns/{id}/recipients/", "campaigns/{id}/imports/"),
    ],
)
def test_a_list_of_thirty_runs_as_many_queries_as_one_of_three(path, api):
    seen = []
    for number in (3, 30):
        for model in (Suppression, DeadLetterGroup, DeadLetter, Workflow, Task, Execution):
            model.objects.all().delete()
        fill(number)
        url = ROOT + path.format(id=Recipient.objects.latest("id").campaign_id)
        api.get(url)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            answer = api.get(url)
        assert answer.status_code == 200
        seen.append(len(queries))
    assert seen[0] == seen[1]
    assert seen[0] < 10  # with the four that keep a time limit


@pytest.mark.parametrize(
    "path",
    [
        *("tasks/", "tasks/export/", "tasks/{task}/executions/", "workers/", "worker-pools/", "workflows/"),
        *("bulk-operations/", "dead-letters/", "dead-letters/groups/", "schedules/", "audit/"),
        *("campaigns/", "campaigns/{campaign}/recipients/", "campaigns/{campaign}/imports/"),
        *("campaigns/{campaign}/tasks/", "campaigns/{campaign}/events/", "templates/"),
        *("suppressions/", "suppressions/export/", "transports/", "dkim-keys/", "domain-limits/"),
    ],
)
def test_a_parameter_that_a_list_does_not_know_is_named_with_the_known_ones(path, ids, api):
    url = ROOT + path.format(**ids)
    answer = api.get(f"{url}?colour=red&page_size=1")
    assert answer.status_code == 400
    assert "Known: " in answer.json()["errors"]["colour"][0]
    # What the page itself asks with.
    assert api.get(f"{url}?format=json").status_code == 200


def test_what_a_list_is_said_to_know_it_knows(ids, api):
    paths = api.get(f"{ROOT}schema/?format=json").json()["paths"]
    described = {
        path: [each["name"] for each in methods["get"].get("parameters", []) if each["in"] == "query"]
        for path, methods in paths.items()
        if "get" in methods
    }
    assert "search" in described["/api/v1/campaigns/{campaign}/recipients/"]
    assert "search" not in described["/api/v1/campaigns/{campaign}/events/"]
    for path, names in described.items():
        if "{" in path.replace("{campaign}", "") or "cursor" not in names:
            continue
        for name in names:
            answer = api.get(path.format(**ids), {name: ""})
            assert "Unknown parameter" not in answer.content.decode(), (path, name)
