import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection

from campaigns import lifecycle, mailer, services
from campaigns.api.filters import SuppressionFilter
from campaigns.api.parsers import Xlsx
from campaigns.models import (
    Campaign,
    CampaignCount,
    CampaignTask,
    Recipient,
    RecipientImport,
    RejectedRow,
    Suppression,
)
from campaigns.smtp import Transport
from campaigns.states import RecipientState
from queue_core.models import Task
from templates_app.services import archive_template
from tests.campaigns.sheets import workbook
from tests.campaigns.smtp_server import SmtpServer
from tests.clocks import AUTUMN, SPRING
from tests.factories import CampaignFactory, TemplateFactory, UserFactory, add_recipients

pytestmark = pytest.mark.django_db
ROOT = "/api/v1/campaigns/"


@pytest.fixture
def ready(campaign: Campaign) -> Campaign:
    """A draft that may be launched."""
    add_recipients(campaign, 3)
    return campaign


def put_into(campaign: Campaign, state: str) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(state=state)


def test_create_answers_with_the_draft(api):
    template = TemplateFactory()
    body = {
        "name": "Autumn",
        "template": template.pk,
        "from_email": "Team é <team@example.com>",
        "reply_to": "a@example.com, B <b@example.com>",
        "context": {"season": {"name": "autumn"}},
    }
    answer = api.post(ROOT, body)
    assert answer.status_code == 201
    assert {key: answer.data[key] for key in body} == body
    assert (answer.data["state"], answer.data["launched_at"], answer.data["template_version"]) == ("draft", None, None)
    assert api.get(f"{ROOT}{answer.data['id']}/").data == answer.data


def test_create_needs_a_name_a_template_and_a_sender(api):
    assert set(api.post(ROOT, {}).json()["errors"]) == {"name", "template", "from_email"}
    body = {"name": "n", "template": TemplateFactory().pk, "from_email": "a@example.com"}
    answer = api.post(ROOT, body)
    assert (answer.status_code, answer.data["reply_to"], answer.data["context"]) == (201, "", {})


BAD = [
    ("name", ""),
    ("name", "x" * 201),
    ("name", "a\r\nb"),
    ("name", None),
    ("name", []),
    ("template", 0),
    ("template", 10**18),
    ("template", "x"),
    ("template", None),
    ("template", []),
    ("template", True),
    ("from_email", ""),
    ("from_email", "no address"),
    ("from_email", "a@example.com, b@example.com"),
    ("from_email", "A\nBcc: x@example.com <a@example.com>"),
    ("from_email", "x" * 320 + "@example.com"),
    ("from_email", {}),
    ("reply_to", "no address"),
    ("reply_to", "a@example.com\r\nBcc: x@example.com"),
    ("context", []),
    ("context", {"a": "x" * 65_536}),
    ("context", "x"),
    ("context", None),
    ("state", "completed"),
    ("total", 3),
]


@pytest.mark.parametrize(("field", "value"), BAD)
def test_create_and_edit_refuse(api, campaign, field, value):
    body = {"name": "n", "template": campaign.template_id, "from_email": "a@example.com", field: value}
    for answer in (api.post(ROOT, body), api.patch(f"{ROOT}{campaign.pk}/", {field: value})):
        assert answer.status_code == 400
        assert list(answer.json()["errors"]) == [field]
    assert Campaign.objects.count() == 1


def test_create_refuses_an_archived_template(api, campaign):
    archive_template(template=campaign.template)
    body = {"name": "n", "template": campaign.template_id, "from_email": "a@example.com"}
    assert "archived" in api.post(ROOT, body).json()["errors"]["template"][0]


def test_edit_changes_what_is_given_and_nothing_else(api, campaign):
    answer = api.patch(f"{ROOT}{campaign.pk}/", {"name": "New"})
    assert (answer.status_code, answer.data["name"]) == (200, "New")
    assert answer.data["from_email"] == campaign.from_email
    assert api.patch(f"{ROOT}{campaign.pk}/", {}).data == answer.data


@pytest.mark.parametrize("state", ["sending", "paused", "completed", "cancelled"])
def test_edit_is_for_drafts(api, campaign, state):
    put_into(campaign, state)
    answer = api.patch(f"{ROOT}{campaign.pk}/", {"name": "New"})
    assert (answer.status_code, answer.json()["state"]) == (409, state)
    assert Campaign.objects.get().name != "New"


@pytest.mark.parametrize("state", ["draft", "completed", "cancelled"])
def test_delete_removes_everything_of_a_campaign_and_nothing_else(api, ready, state):
    other = CampaignFactory()
    add_recipients(other, 2)
    services.add_recipients(ready, [{"email": "no"}], source="list")
    if state != "draft":
        services.launch(ready)
    put_into(ready, state)
    assert api.delete(f"{ROOT}{ready.pk}/").status_code == 204
    for model in (Recipient, CampaignCount, CampaignTask, RecipientImport):
        assert set(model.objects.values_list("campaign_id", flat=True)) <= {other.pk}
    assert not RejectedRow.objects.exists()
    assert Recipient.objects.count() == 2
    assert not Task.objects.filter(name="campaigns.deliver_chunk").exclude(state="cancelled").exists()


@pytest.mark.parametrize("state", ["sending", "paused"])
def test_delete_is_refused_while_a_campaign_is_under_way(api, ready, state):
    services.launch(ready)
    put_into(ready, state)
    answer = api.delete(f"{ROOT}{ready.pk}/")
    assert (answer.status_code, answer.json()["state"]) == (409, state)
    assert Recipient.objects.count() == 3


def test_delete_waits_for_messages_in_flight(api, ready, monkeypatch):
    services.cancel(ready)
    in_flight = {**lifecycle.counts(ready.pk), "sending": 2}
    monkeypatch.setattr(lifecycle, "counts", lambda campaign_id: in_flight)
    answer = api.delete(f"{ROOT}{ready.pk}/")
    assert answer.status_code == 409
    assert "in flight" in answer.json()["problems"][0]


@pytest.mark.parametrize("verb", ["launch", "start"])
def test_launch_sends_a_draft_once(api, ready, verb):
    answer = api.post(f"{ROOT}{ready.pk}/{verb}/")
    assert (answer.status_code, answer.data["state"], answer.data["total"]) == (202, "sending", 3)
    assert answer.data["template_version"] == 1
    assert answer.data["launched_by"].startswith("user")
    again = api.post(f"{ROOT}{ready.pk}/{verb}/")
    assert (again.status_code, again.json()["state"]) == (409, "sending")
    assert CampaignTask.objects.count() == 1


@pytest.mark.parametrize("verb", ["launch", "start"])
def test_launch_of_what_is_not_ready_is_a_409_with_the_problems(api, campaign, verb):
    answer = api.post(f"{ROOT}{campaign.pk}/{verb}/")
    assert answer.status_code == 409
    assert "no recipient" in answer.json()["problems"][0]
    assert api.get(f"{ROOT}{campaign.pk}/").data["state"] == "draft"


def test_pause_start_and_cancel_move_a_campaign(api, ready):
    url = f"{ROOT}{ready.pk}/"
    for verb, status, state in [
        ("pause", 409, "draft"),
        ("launch", 202, "sending"),
        ("pause", 200, "paused"),
        ("pause", 409, "paused"),
        ("start", 202, "sending"),
        ("cancel", 200, "cancelled"),
        ("cancel", 409, "cancelled"),
        ("start", 409, "cancelled"),
    ]:
        answer = api.post(f"{url}{verb}/")
        assert (answer.status_code, answer.json()["state"]) == (status, state)


@pytest.mark.parametrize("verb", ["launch", "start", "pause", "cancel", "preflight"])
def test_verbs_refuse_fields(api, ready, verb):
    assert api.post(f"{ROOT}{ready.pk}/{verb}/", {"force": True}).status_code == 400
    assert api.get(f"{ROOT}{ready.pk}/").data["state"] == "draft"


def test_preflight_lists_the_problems_and_changes_nothing(api, campaign):
    for ask in (api.get, api.post):
        answer = ask(f"{ROOT}{campaign.pk}/preflight/")
        assert (answer.status_code, answer.data["ready"], len(answer.data["problems"])) == (200, False, 1)
        first, *others = answer.data["items"]
        assert (first["code"], first["level"], [first["message"]]) == ("audience", "block", answer.data["problems"])
        assert not any(item["level"] == "block" for item in others)
    add_recipients(campaign, 1)
    answer = api.get(f"{ROOT}{campaign.pk}/preflight/").data
    assert (answer["ready"], answer["problems"]) == (True, [])
    assert {item["code"] for item in answer["items"]} >= {"audience", "template", "sender", "transport", "public_url"}


def test_status_has_every_number(api, ready):
    status = api.get(f"{ROOT}{ready.pk}/status/").data
    numbers = {"total", "pending", "sending", "sent", "deferred", "rejected", "bounced", "suppressed", "unconfirmed"}
    assert set(status) >= numbers | {"state", "rate_per_minute", "eta", "started_at", "finished_at"}
    assert (status["state"], status["total"], status["pending"], status["started_at"]) == ("draft", 3, 3, None)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=draft", "ab"),
        ("state__in=paused,draft", "abc"),
        ("name=a", "a"),
        ("search=A", "a"),
        ("template=0", ""),
        ("created_at__lt=2001-01-01", ""),
        ("scheduled_at__gte=9999-01-01", ""),
        ("launched_at__lt=9999-01-01", ""),
        ("finished_at__gte=2001-01-01", ""),
    ],
)
def test_a_list_is_filtered(api, query, expected):
    template = TemplateFactory()
    for name in "abc":
        CampaignFactory(name=name, template=template)
    put_into(Campaign.objects.get(name="c"), "paused")
    rows = api.get(f"{ROOT}?{query}").data["results"]
    assert sorted(row["name"] for row in rows) == list(expected)


def test_one_recipient_is_added_once(api, campaign):
    url = f"{ROOT}{campaign.pk}/recipients/"
    body = {"email": " Ada@Example.com", "name": "Ada  L", "attributes": {"city": "Ulm", "n": [1]}}
    answer = api.post(url, body)
    assert answer.status_code == 201
    assert answer.data["email"] == "Ada@example.com"
    assert (answer.data["name"], answer.data["attributes"]) == ("Ada L", {"city": "Ulm", "n": [1]})
    assert answer.data["state"] == "pending"
    again = api.post(url, {"email": "ada@example.com"})
    assert (again.status_code, again.data) == (200, answer.data)
    assert api.get(f"/api/v1/recipients/{answer.data['id']}/").data == answer.data
    assert lifecycle.counts(campaign.pk)["pending"] == 1
    assert not RecipientImport.objects.exists()


def test_a_suppressed_recipient_is_added_as_such(api, campaign):
    services.suppress("a@example.com")
    answer = api.post(f"{ROOT}{campaign.pk}/recipients/", {"email": "A@example.com"})
    assert (answer.status_code, answer.data["state"], answer.data["detail"]) == (201, "suppressed", "manual")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", ""),
        ("email", "nobody"),
        ("email", "a@b"),
        ("email", "x" * 400),
        ("email", None),
        ("email", {}),
        ("name", "x" * 321),
        ("name", []),
        ("attributes", []),
        ("attributes", "x"),
        ("attributes", {"a": "x" * 100_001}),
        ("state", "sent"),
    ],
)
def test_a_recipient_is_refused(api, campaign, field, value):
    answer = api.post(f"{ROOT}{campaign.pk}/recipients/", {"email": "a@example.com", field: value})
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]
    assert not Recipient.objects.exists()


CSV = "email,name\na@example.com,A\nA@example.com,B\nb@example.com,C\nnobody,D\n\ns@example.com,E\n"
LIST = [
    {"email": "a@example.com", "name": "A"},
    {"email": "A@example.com"},
    {"email": "b@example.com", "attributes": {"x": {"y": None}}},
    {"email": "nobody"},
    {"email": "s@example.com"},
]
NUMBERS = {"records": 5, "created": 2, "duplicates": 1, "existing": 1, "invalid": 1, "suppressed": 1}


@pytest.fixture
def half_there(campaign: Campaign) -> Campaign:
    services.add_recipients(campaign, [{"email": "b@example.com"}])
    services.suppress("s@example.com")
    return campaign


def send(api, url, form):
    if form == "list":
        return api.post(url, LIST)
    if form == "csv":
        return api.generic("POST", url, CSV, content_type="text/csv; charset=utf-8")
    return api.post(url, {"file": SimpleUploadedFile("people.csv", CSV.encode())}, format="multipart")


@pytest.mark.parametrize(("form", "filename"), [("list", "JSON list"), ("csv", "upload.csv"), ("file", "people.csv")])
def test_bulk_answers_the_same_for_a_list_a_body_and_a_file(api, half_there, form, filename):
    url = f"{ROOT}{half_there.pk}/recipients/bulk/"
    dry = send(api, f"{url}?dry_run=true", form)
    assert dry.status_code == 200
    assert Recipient.objects.count() == 1
    answer = send(api, url, form)
    assert answer.status_code == 201
    assert {key: answer.data[key] for key in NUMBERS} == NUMBERS
    assert dry.data == answer.data
    (error,) = answer.data["errors"]
    assert (error["email"], error["line"]) == ("nobody", 4 if form == "list" else 5)
    assert Recipient.objects.filter(campaign=half_there).count() == 3
    assert RecipientImport.objects.get().filename == filename


def test_bulk_shows_a_hundred_errors(api, campaign):
    answer = api.post(f"{ROOT}{campaign.pk}/recipients/bulk/", [{"email": "no"}] * 150)
    assert (answer.data["invalid"], len(answer.data["errors"])) == (150, 100)


@pytest.mark.parametrize(
    "person",
    [
        None,
        3,
        "a@example.com",
        [],
        {},
        {"email": None},
        {"email": 3},
        {"email": "no"},
        {"email": "a@example.com", "x": 1},
        {"email": "a@example.com", "name": 3},
        {"email": "a@example.com", "name": None},
        {"email": "a@example.com", "attributes": []},
        {"email": "a@example.com", "attributes": {"a": "x" * 100_001}},
    ],
)
def test_bulk_rejects_a_row_and_takes_the_others(api, campaign, person):
    answer = api.post(f"{ROOT}{campaign.pk}/recipients/bulk/", [person, {"email": "good@example.com"}])
    assert (answer.status_code, answer.data["created"], answer.data["invalid"]) == (201, 1, 1)
    assert answer.data["errors"][0]["line"] == 1


def test_the_service_rejects_what_no_json_body_could_bring(campaign):
    people = [
        {"email": "a@example.com", "name": "\x00"},
        {"email": "a@example.com", "attributes": {"a": "\x00"}},
        {"email": "a@example.com", "attributes": {"a": "\ud800"}},
        {"email": "a@example.com", "attributes": {"a": float("nan")}},
        {"email": "a@example.com", "attributes": {"a": object()}},
        {"email": "\x00\ud800@example.com"},
    ]
    report = services.add_recipients(campaign, people, source="list")
    assert (report.invalid, report.created, RejectedRow.objects.count()) == (6, 0, 6)


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        ("{}", "application/json", 400),
        ('{"email": "a@example.com"}', "application/json", 400),
        ("", "text/csv", 400),
        ("name\nA\n", "text/csv", 400),
        (b"PK\x03\x04\x00\x00", "text/csv", 400),
        ("a=1", "application/x-www-form-urlencoded", 400),
        ("x", "text/plain", 415),
    ],
)
def test_bulk_refuses_what_is_no_list_of_people(api, campaign, body, content_type, status):
    answer = api.generic("POST", f"{ROOT}{campaign.pk}/recipients/bulk/", body, content_type=content_type)
    assert answer.status_code == status
    assert answer.json()["detail"]


def test_bulk_refuses_a_body_over_the_limit(api, campaign, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 20
    for form in ("list", "csv", "file"):
        assert send(api, f"{ROOT}{campaign.pk}/recipients/bulk/", form).status_code == 413


def test_bulk_refuses_an_unclear_dry_run(api, campaign):
    answer = api.post(f"{ROOT}{campaign.pk}/recipients/bulk/?dry_run=perhaps", LIST)
    assert list(answer.json()["errors"]) == ["dry_run"]


IMPORTING = ["campaigns/{id}/recipients/bulk/", "campaigns/{id}/imports/", "suppressions/import/"]


def post_file(api, url, **fields):
    return api.post(url, {"file": SimpleUploadedFile("p.csv", b"Who\na@example.com\n"), **fields}, format="multipart")


@pytest.mark.parametrize("path", IMPORTING)
@pytest.mark.parametrize(
    ("query", "fields", "named"),
    [
        ("?dryrun=true", {}, "dryrun"),
        ("?bogus=1", {}, "bogus"),
        ("", {"dry-run": "true"}, "dry-run"),
        ("", {"other": SimpleUploadedFile("o.csv", b"x")}, "other"),
        ("?file=p.csv", {}, "file"),
        ("?header=true&header=true", {}, "header"),
        ("?header=true", {"header": "true"}, "header"),
        ("", {"file": [SimpleUploadedFile("o.csv", b"x"), SimpleUploadedFile("p.csv", b"x")]}, "file"),
    ],
)
def test_no_option_beside_a_file_is_ignored(api, campaign, path, query, fields, named):
    answer = post_file(api, f"/api/v1/{path.format(id=campaign.pk)}{query}", **fields)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [named])
    assert "once" in answer.json()["errors"][named][0] or "delimiter, encoding" in answer.json()["errors"][named][0]
    assert not any(model.objects.exists() for model in (Recipient, RecipientImport, Suppression))


def test_options_are_taken_from_the_form_too(api, campaign):
    url, mapping = f"{ROOT}{campaign.pk}/recipients/bulk/", '{"Who": "email"}'
    dry = post_file(api, url, dry_run="true", mapping=mapping, header="true")
    assert (dry.status_code, dry.data["created"], Recipient.objects.exists()) == (200, 1, False)
    assert dry.data["found"]["columns"] == [["Who", "email"]]
    dry = post_file(api, "/api/v1/suppressions/import/?reason=bounced", dry_run="true", source="tool")
    assert (dry.status_code, dry.data["created"], Suppression.objects.exists()) == (200, 1, False)
    assert post_file(api, "/api/v1/suppressions/import/?reason=bounced", source="tool").status_code == 201
    assert Suppression.objects.get().source == "tool"


def test_options_for_a_file_are_refused_beside_a_list(api, campaign):
    answer = api.post(f"{ROOT}{campaign.pk}/recipients/bulk/?mapping=%7B%7D", LIST)
    assert list(answer.json()["errors"]) == ["mapping"]


@pytest.mark.parametrize("path", ["recipients/", "recipients/bulk/"])
def test_recipients_are_added_to_drafts_only(api, ready, path):
    services.launch(ready)
    body = {"email": "a@example.com"}
    answer = api.post(f"{ROOT}{ready.pk}/{path}", [body] if "bulk" in path else body)
    assert (answer.status_code, answer.json()["state"]) == (409, "sending")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"r0", "r1", "r2"}),
        ("state=sent", {"r1"}),
        ("state__in=sent,pending", {"r0", "r1", "r2"}),
        ("email=R2@Example.com", {"r2"}),
        ("email=r2", set()),
        ("email__in=R2@example.com, r0@example.com", {"r0", "r2"}),
        ("search=R1", {"r1"}),
        ("search=r&page_size=1000", {"r0", "r1", "r2"}),
        ("search=example", set()),
    ],
)
def test_recipients_are_those_of_the_campaign_and_filtered(api, ready, query, expected):
    add_recipients(CampaignFactory(), 5)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE email_recipients SET state = 'sent' WHERE email = 'r1@example.com'")
    rows = api.get(f"{ROOT}{ready.pk}/recipients/?{query}").data["results"]
    assert {row["email"].split("@")[0] for row in rows} == expected


def test_recipients_are_walked_once(api, campaign, walk):
    add_recipients(campaign, 25)
    assert len({row["id"] for row in walk(api, f"{ROOT}{campaign.pk}/recipients/?page_size=4")}) == 25


def test_people_who_are_searched_for_are_walked_by_their_address(api, campaign, walk):
    add_recipients(campaign, 25)
    rows = walk(api, f"{ROOT}{campaign.pk}/recipients/?search=R1&page_size=4")
    assert [row["email"] for row in rows] == sorted(f"r{n}@example.com" for n in (1, *range(10, 20)))


@pytest.mark.parametrize("query", ["state=sent", "search=zzz", "name=zzz", "created_at__lt=2001-01-01", "ordering=x"])
@pytest.mark.parametrize("end", ["", "status/", "stats/", "preflight/"])
def test_a_filter_of_the_list_hides_no_campaign(api, ready, end, query):
    """One campaign is found by its id, whatever stands in the query of one of its routes."""
    assert api.get(f"{ROOT}{ready.pk}/{end}?{query}").status_code == 200


@pytest.mark.parametrize("state", RecipientState.values)
def test_a_campaign_is_exported_by_the_state_of_its_people(api, ready, state):
    answer = api.get(f"{ROOT}{ready.pk}/export/?state={state}")
    assert answer.status_code == 200
    rows = b"".join(answer.streaming_content).decode().splitlines()[1:]
    assert len(rows) == Recipient.objects.filter(campaign=ready, state=state).count()


def test_a_draft_says_how_many_recipients_it_has(api, ready):
    empty = CampaignFactory(template=ready.template)
    assert api.get(f"{ROOT}{ready.pk}/").data["total"] == 3
    assert {row["id"]: row["total"] for row in api.get(ROOT).data["results"]} == {ready.pk: 3, empty.pk: 0}


def test_a_misspelt_option_in_the_query_does_nothing(api, ready):
    people = Recipient.objects.count()
    url = f"{ROOT}{ready.pk}/"
    answer = api.post(f"{url}recipients/bulk/?dryrun=true", [{"email": "new@example.com"}])
    assert "dry_run" in answer.json()["errors"]["dryrun"][0]
    assert Recipient.objects.count() == people
    for path in ("export/?stat=sent", "preview/?recipients=1", "lacking/?variable=recipient.city&csv=1"):
        assert api.get(f"{url}{path}").status_code == 400


def test_the_errors_of_an_import_are_a_file_no_spreadsheet_runs(api, campaign):
    bad = ["=HYPERLINK(1)", "+1", "-1", "@x", "\tx", "plain, no"]
    services.add_recipients(campaign, [{"email": email} for email in bad], source="list")
    (row,) = api.get(f"{ROOT}{campaign.pk}/imports/").data["results"]
    url = f"{ROOT}{campaign.pk}/imports/{row['id']}/"
    assert api.get(url).data == row
    assert row["invalid"] == 6
    answer = api.get(f"{url}errors/", headers={"Accept": "text/csv"})
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    lines = b"".join(answer.streaming_content).decode().splitlines()
    assert lines[0] == "email,rejected: line,rejected: reason"
    assert [line[:2] for line in lines[1:6]] == ["'=", "'+", "'-", "'@", "'\t"]
    assert lines[6].startswith('"plain, no",6,')


def test_an_import_of_another_campaign_is_not_there(api, campaign):
    services.add_recipients(campaign, [{"email": "a@example.com"}], source="list")
    other = CampaignFactory()
    assert api.get(f"{ROOT}{other.pk}/imports/{RecipientImport.objects.get().pk}/").status_code == 404


def test_a_suppression_is_made_once_and_taken_back(api):
    body = {"email": "Ada@Example.com", "reason": "complained", "source": "letter"}
    answer = api.post("/api/v1/suppressions/", body)
    assert (answer.status_code, answer.data["email"], answer.data["reason"]) == (201, "Ada@example.com", "complained")
    again = api.post("/api/v1/suppressions/", {"email": "ada@example.com"})
    assert (again.status_code, again.data) == (200, answer.data)
    url = f"/api/v1/suppressions/{answer.data['id']}/"
    assert api.get(url).data == answer.data
    assert api.get("/api/v1/suppressions/?email=ADA@example.com&reason=complained").data["count"] == 1
    assert api.delete(url).status_code == 204
    assert not Suppression.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "email"),
        ({"email": "no"}, "email"),
        ({"email": "a@example.com", "reason": "because"}, "reason"),
        ({"email": "a@example.com", "source": "x" * 201}, "source"),
        ({"email": "a@example.com", "campaign": 1}, "campaign"),
    ],
)
def test_a_suppression_is_refused(api, body, field):
    answer = api.post("/api/v1/suppressions/", body)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])


def test_why_an_address_is_suppressed_can_be_changed_and_nothing_else(api):
    entry, _ = services.suppress("a@example.com", source="letter")
    url = f"/api/v1/suppressions/{entry.pk}/"
    answer = api.patch(url, {"reason": "complained"})
    assert (answer.status_code, answer.data["reason"], answer.data["source"]) == (200, "complained", "letter")
    assert api.patch(url, {"source": ""}).data["source"] == ""
    for body in ({"reason": "because"}, {"source": "x" * 201}, {"email": "b@example.com"}):
        assert list(api.patch(url, body).json()["errors"]) == list(body)
    assert api.patch(url, {}).data == api.get(url).data


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("search=an", ["an_y@example.com", "anna@xn--mller-kva.example"]),
        ("search=Anna@Müll", ["anna@xn--mller-kva.example"]),
        ("search=an_", ["an_y@example.com"]),
        ("search=example.com", []),
        ("email=Anna@MÜLLER.example", ["anna@xn--mller-kva.example"]),
        ("reason__in=bounced,complained", ["bo@example.com"]),
        ("created_at__lt=2020-01-01T00:00Z", []),
        ("created_at__gte=2020-01-01T00:00Z&reason=bounced", ["bo@example.com"]),
    ],
)
def test_suppressions_are_filtered(api, query, expected):
    services.suppress("an_y@example.com")
    services.suppress("bo@example.com", reason="bounced")
    services.suppress("anna@müller.example")
    found = api.get(f"/api/v1/suppressions/?{query}").data["results"]
    assert [entry["email"] for entry in found] == expected


@pytest.mark.parametrize("query", ["reason__in=because", "search=%00", "created_at__lt=soon"])
def test_a_filter_of_suppressions_that_cannot_be_is_a_400(api, query):
    assert api.get(f"/api/v1/suppressions/?{query}").status_code == 400


def test_a_search_of_suppressions_uses_the_index(api):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = SuppressionFilter({"search": "an_"}, Suppression.objects.all()).qs.explain()
    assert re.search(r"Index Cond: \(\(\(key\)::text ~?>=~? 'an_'", plan)


def test_bulk_takes_a_workbook_and_is_told_how_to_read_it(api, campaign):
    content = workbook(Old=[["email"], ["o@example.com"]], New=[["Who", "Mail"], ["Ann", "ann@example.com"]])
    url = f"{ROOT}{campaign.pk}/recipients/bulk/?sheet=New&mapping=%7B%22Who%22%3A%22name%22%7D"
    answer = api.generic("POST", url, content, content_type=Xlsx.media_type)
    assert (answer.status_code, answer.data["created"]) == (201, 1)
    assert answer.data["found"]["columns"] == [["Who", "name"], ["Mail", "email"]]
    assert Recipient.objects.get().name == "Ann"


@pytest.mark.parametrize("query", ["delimiter=x", "encoding=zip", "mapping=[]x", "header=perhaps", "sheet=Nine"])
def test_bulk_refuses_an_option_that_does_not_fit(api, campaign, query):
    body = workbook(S=[["email"], ["a@example.com"]])
    answer = api.generic("POST", f"{ROOT}{campaign.pk}/recipients/bulk/?{query}", body, content_type=Xlsx.media_type)
    assert answer.status_code == 400
    assert not Recipient.objects.exists()


def test_an_import_in_the_background_is_started_watched_and_cancelled(api, campaign, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    url = f"{ROOT}{campaign.pk}/imports/"
    body = {
        "file": SimpleUploadedFile("p.csv", b"Ann|ann@example.com\n"),
        "mapping": '{"1": "name"}',
        "header": "false",
    }
    answer = api.post(url, body, format="multipart")
    assert (answer.status_code, answer.data["state"]) == (202, "waiting")
    one = f"{url}{answer.data['id']}/"
    services.run_import(answer.data["id"])
    assert (api.get(one).data["state"], api.get(one).data["created"]) == ("done", 1)
    assert Recipient.objects.get().name == "Ann"
    assert api.post(f"{one}cancel/").status_code == 409
    assert api.post(url, {"file": SimpleUploadedFile("p.csv", b"x")}, format="multipart").status_code == 400
    assert api.post(url, {}, format="multipart").data["errors"]


def test_the_api_keeps_maps_checks_and_starts_a_file(api, campaign):
    root = f"{ROOT}{campaign.pk}/imports/"
    body = {
        "file": SimpleUploadedFile(
            "p.csv", b"Kunde,Ort,Ort,\nann@example.com,Bonn,1,x\nbea@example.com,Ulm,2,\nnobody,,,\n"
        ),
        "start": "false",
    }
    answer = api.post(root, body, format="multipart")
    assert (answer.status_code, answer.data["state"]) == (202, "uploaded")
    one = f"{root}{answer.data['id']}/"
    assert api.get(f"/api/v1/imports/{answer.data['id']}/").data == api.get(one).data
    one = f"/api/v1/imports/{answer.data['id']}/"
    sample = api.get(f"{one}sample/").data
    assert "Two columns" in sample["problem"]
    assert sample["rows"][2] == {"line": 4, "cells": ["nobody", "", "", ""], "reason": ""}
    assert api.post(f"{one}start/").status_code == 400
    assert api.patch(one, {"mapping": '{"#9": "x"}'}).status_code == 400
    assert api.patch(one, {"mapping": [1]}).status_code == 400
    for mapping in ('{"#3": "zone", "#4": null}', {"#3": "zone", "#4": None}):
        answer = api.patch(one, {"mapping": mapping})
        assert answer.data["found"]["columns"] == [["Kunde", "email"], ["Ort", "ort"], ["Ort", "zone"], ["", ""]]
    assert api.post(f"{one}check/").data["state"] == "checking"
    services.run_check(answer.data["id"])
    checked = api.get(one).data["checked"]
    assert (checked["created"], checked["rejected"]) == (2, [{"line": 4, "email": "nobody", "reason": "no @"}])
    assert api.post(f"{one}start/").data["state"] == "waiting"
    assert api.post(f"{one}start/").status_code == 409
    assert api.patch(one, {}).status_code == 409


def test_a_list_of_suppressions_is_imported_and_exported(api):
    url = "/api/v1/suppressions/"
    body = b"mail,reason\na@example.com,bounced\nnobody,\n"
    answer = api.generic("POST", f"{url}import/?dry_run=true", body, content_type="text/csv")
    assert (answer.status_code, answer.data["created"], answer.data["invalid"]) == (200, 1, 1)
    assert "suppressed" not in answer.data
    assert not Suppression.objects.exists()
    answer = api.generic("POST", f"{url}import/?source=tool", body, content_type="text/csv")
    assert (answer.status_code, answer.data["created"]) == (201, 1)
    assert api.generic("POST", f"{url}import/?reason=x", body, content_type="text/csv").status_code == 400
    assert api.generic("POST", f"{url}import/", b"x", content_type="text/csv").status_code == 400
    exported = api.get(f"{url}export/?reason=bounced")
    lines = b"".join(exported.streaming_content).decode().splitlines()
    assert lines[0] == "email,reason,source,campaign,created_at"
    assert lines[1].startswith("a@example.com,bounced,tool,,")


def test_a_campaign_is_scheduled_and_unscheduled(api, ready):
    url = f"{ROOT}{ready.pk}/"
    answer = api.post(f"{url}schedule/", {"at": f"{AUTUMN}T02:30", "timezone": "Europe/Berlin", "late_minutes": 5})
    assert (answer.status_code, answer.data["state"]) == (200, "scheduled")
    assert (answer.data["scheduled_at"], answer.data["late_minutes"]) == (f"{AUTUMN}T00:30:00Z", 5)
    assert api.get(url).data["scheduled_at"] == f"{AUTUMN}T00:30:00Z"
    for body, field in (
        ({"at": f"{SPRING}T02:30", "timezone": "Europe/Berlin"}, "at"),
        ({"at": "2020-01-01T00:00:00Z"}, "at"),
        ({"at": "x"}, "at"),
        ({}, "at"),
        ({"at": f"{AUTUMN}T02:30", "timezone": "Mars"}, "timezone"),
        ({"at": f"{AUTUMN}T02:30", "late_minutes": 0}, "late_minutes"),
    ):
        answer = api.post(f"{url}schedule/", body)
        assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])
    assert api.patch(url, {"name": "other"}).status_code == 409
    assert api.post(f"{url}unschedule/").data["state"] == "draft"
    assert api.post(f"{url}unschedule/").status_code == 409


@pytest.fixture
def mail_server(monkeypatch):
    with SmtpServer() as server:
        monkeypatch.setattr(mailer, "transport", lambda: Transport("127.0.0.1", server.port, timeout=3, connections=1))
        mailer.close()
        yield server
        mailer.close()


def test_the_mail_of_a_recipient_is_shown_and_tried(api, ready, mail_server):
    url, recipient = f"{ROOT}{ready.pk}/", Recipient.objects.first()
    shown = api.get(f"{url}preview/?recipient={recipient.pk}").data
    assert (shown["to"], shown["problem"]) == (recipient.email, "")
    assert {"name": "To", "value": f"{recipient.name} <{recipient.email}>"} in shown["headers"]
    assert api.get(f"{url}preview/").status_code == 200
    assert api.get(f"{url}preview/?recipient=999999").status_code == 404
    assert api.get(f"{url}preview/?recipient=x").status_code == 400
    answer = api.post(f"{url}test-send/", {"to": ["me@example.com"], "recipient": recipient.pk})
    assert (answer.status_code, answer.data[0]["accepted"], len(mail_server.bodies)) == (200, True, 1)
    for body in ({}, {"to": []}, {"to": ["nobody"]}, {"to": ["a@example.com"] * 11}, {"to": "a@example.com"}):
        answer = api.post(f"{url}test-send/", body)
        assert (answer.status_code, next(iter(answer.json()["errors"])).partition(".")[0]) == (400, "to")


def test_a_campaign_is_counted_exported_and_duplicated(api, ready):
    url = f"{ROOT}{ready.pk}/"
    stats = api.get(f"{url}stats/").data
    people = Recipient.objects.filter(campaign=ready).count()
    assert (stats["total"], stats["domains"][0]["recipients"]) == (people, people)
    exported = b"".join(api.get(f"{url}export/").streaming_content).decode().splitlines()
    assert len(exported) == people + 1
    assert api.get(f"{url}export/?state=nonsense").status_code == 400
    answer = api.post(f"{url}duplicate/", {"name": "Again", "recipients": True})
    assert (answer.status_code, answer.data["name"], answer.data["state"]) == (201, "Again", "draft")
    assert Recipient.objects.filter(campaign=answer.data["id"]).count() == people
    assert api.post(f"{url}duplicate/", {"name": "x" * 201}).status_code == 400
    api.force_authenticate(UserFactory(permissions=["view_campaign", "add_campaign"]))
    assert api.post(f"{url}duplicate/", {"name": "Mine", "recipients": True}).status_code == 403
    assert not Campaign.objects.filter(name="Mine").exists()
    assert api.post(f"{url}duplicate/", {"name": "Mine"}).status_code == 201


def test_the_chunks_of_a_campaign_are_listed_with_the_state_of_their_tasks(api, ready):
    url = f"{ROOT}{ready.pk}/tasks/"
    assert api.get(url).data["results"] == []
    services.launch(ready)
    (row,) = api.get(url).data["results"]
    assert (row["state"], row["size"]) == ("queued", Recipient.objects.filter(campaign=ready, state="pending").count())
    Task.objects.all().delete()
    assert api.get(url).data["results"][0]["state"] is None
