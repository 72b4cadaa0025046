"""The form of every request and answer."""

import base64
import json
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.http import QueryDict
from django.test import Client
from rest_framework import serializers
from rest_framework.test import APIClient

from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
TASKS = "/api/v1/tasks/"
DEEP = '{"name": "tests.noop", "payload": {"a": %s}}'


def problem(answer) -> dict:
    assert answer["Content-Type"] == "application/problem+json", answer.content
    body = answer.json()
    assert set(body) >= {"type", "title", "status", "detail"}
    assert body["status"] == answer.status_code
    return body


@pytest.mark.parametrize(
    "body",
    [
        "",
        " ",
        "{",
        "nonsense",
        "[]",
        "null",
        "3",
        '"text"',
        '{"name": NaN}',
        '{"name": "tests.noop", "payload": {"a": Infinity}}',
        '{"name": "tests.noop", "payload": {"a": 1e999}}',
        '{"name": "tests.noop", "payload": {"a": 9223372036854775808}}',
        '{"name": "tests.noop", "payload": {"a": -9223372036854775809}}',
        '{"name": "tests.noop", "priority": ' + "9" * 5000 + "}",
        '{"name": "tests.noop", "payload": {"a": "\\u0000"}}',
        '{"name": "tests.noop", "payload": {"\\u0000": 1}}',
        '{"name": "tests.noop", "payload": {"a": "\\ud800"}}',
        '{"name": "tests.noop", "payload": {"\\udfff": 1}}',
        '{"name": "\\u0000"}',
        DEEP % ("[" * 40 + "]" * 40),
        DEEP % ("[" * 100_000 + "]" * 100_000),
        DEEP % ('{"a":' * 40 + "1" + "}" * 40),
        b'{"name": "\xff"}',
        '{"name": "tests.noop"}'.encode("utf-16"),
    ],
)
def test_a_body_that_cannot_be_taken_is_a_400(api, body):
    answer = api.generic("POST", TASKS, body, content_type="application/json")
    assert answer.status_code == 400
    assert problem(answer)["detail"]


def test_what_postgresql_can_store_is_taken(api):
    payload = {"max": 2**63 - 1, "min": -(2**63), "float": 1.5e10, "text": "\u00e9\U0001f600\\u0000", "deep": [[[[1]]]]}
    answer = api.post(TASKS, {"name": "tests.noop", "payload": payload})
    assert answer.status_code == 201
    assert api.get(f"{TASKS}{answer.data['id']}/").json()["payload"] == payload


def test_a_body_over_the_limit_is_a_413(api, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    body = {"name": "tests.noop", "payload": {"a": "x" * 1000}}
    for form in ("json", "multipart"):
        answer = api.post(TASKS, body if form == "json" else {"name": "x" * 1000}, format=form)
        assert answer.status_code == 413
        assert "in parts" in problem(answer)["detail"]
    answer = api.generic("POST", TASKS, "a=" + "x" * 1000, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 413


def test_an_unknown_field_is_named_with_the_known_ones(api):
    answer = api.post(TASKS, {"name": "tests.noop", "priorty": 3, "id": 7})
    assert answer.status_code == 400
    errors = problem(answer)["errors"]
    assert set(errors) == {"priorty", "id"}
    assert "priority" in errors["id"][0]


def test_an_unknown_field_inside_a_list_is_named_by_its_place(api):
    answer = api.post(f"{TASKS}batch/", {"tasks": [{"name": "tests.noop"}, {"name": "tests.noop", "x": 1}]})
    assert list(problem(answer)["errors"]) == ["tasks.1.x"]


def test_another_media_type_is_a_415(api):
    answer = api.generic("POST", TASKS, "name: x", content_type="application/yaml")
    assert (answer.status_code, problem(answer)["title"]) == (415, "Unsupported Media Type")


def test_an_answer_that_cannot_be_made_is_a_406(api):
    assert problem(api.get(TASKS, headers={"Accept": "image/png"}))["status"] == 406


def test_an_address_there_is_not_is_a_404_under_the_api_and_a_page_elsewhere(client):
    assert problem(client.get("/api/v1/nothing/"))["status"] == 404
    assert problem(client.get("/api/nothing/"))["status"] == 404
    assert client.get("/nothing/")["Content-Type"].startswith("text/html")


def test_a_fault_of_ours_is_a_500_without_a_traceback(api, monkeypatch):
    def explode(self, request):
        raise RuntimeError("a secret")

    monkeypatch.setattr("queue_core.api.tasks.TaskViewSet.get_queryset", explode)
    api.raise_request_exception = False
    answer = api.get(TASKS)
    assert "X-Request-ID" in problem(answer)["detail"]
    assert answer.status_code == 500
    assert b"secret" not in answer.content


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/api/v1/tasks/"),
        ("put", "/api/v1/tasks/"),
        ("get", "/api/v1/nothing/"),
        ("get", "/admin/login/"),
        ("get", "/health/live/"),
        ("get", "/nothing/"),
        ("get", "/"),
    ],
)
def test_every_answer_has_a_request_id(method, path, client):
    assert len(getattr(client, method)(path)["X-Request-ID"]) == 32


def test_a_sane_request_id_is_kept_and_any_other_replaced(client):
    assert client.get("/health/live/", headers={"X-Request-ID": "abc-123_x.y:z"})["X-Request-ID"] == "abc-123_x.y:z"
    for given in ("", "a b", "x" * 200, "<script>", "é"):
        assert len(client.get("/health/live/", headers={"X-Request-ID": given})["X-Request-ID"]) == 32


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture
def ada() -> User:
    user = UserFactory(username="ada", permissions=["view_task"])
    user.set_password("secret")
    user.save()
    return user


def test_a_token_is_given_for_a_password_refreshed_and_taken(ada):
    client = APIClient()
    answer = client.post("/api/v1/auth/token/", {"username": "ada", "password": "secret"})
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    refreshed = client.post("/api/v1/auth/token/refresh/", {"refresh": answer.data["refresh"]})
    for access in (answer.data["access"], refreshed.data["access"]):
        me = client.get("/api/v1/auth/me/", headers={"Authorization": f"Bearer {access}"})
        assert me.data == {
            "id": ada.pk,
            "username": "ada",
            "is_staff": True,
            "is_superuser": False,
            "permissions": ["queue_core.view_task"],
        }


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"username": "ada", "password": "wrong"}, 401),
        ({"username": "nobody", "password": "secret"}, 401),
        ({"username": "ada"}, 400),
        ({"username": "ada", "password": "secret", "otp": 1}, 400),
        ([], 400),
    ],
)
def test_no_token_is_given_for(ada, body, status):
    answer = APIClient().post("/api/v1/auth/token/", body)
    assert answer.status_code == status
    problem(answer)


def test_a_password_with_each_request_is_taken(ada):
    assert APIClient().get(TASKS, headers={"Authorization": basic("ada", "secret")}).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        basic("ada", "wrong"),
        basic("a\x00da", "secret"),
        basic("ada", "\x00"),
        "Basic",
        "Basic !!!",
        "Bearer x",
        "Bearer",
        "Bearer a.b.c",
        "Nonsense",
    ],
)
def test_wrong_credentials_are_a_401(ada, header):
    answer = APIClient().get(TASKS, headers={"Authorization": header})
    assert answer.status_code == 401
    problem(answer)


def test_a_session_is_taken_and_its_posts_need_the_csrf_token(ada):
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada)
    assert client.get(TASKS).status_code == 200
    answer = client.post(TASKS, {"name": "tests.noop"}, content_type="application/json")
    assert answer.status_code == 403
    assert "CSRF" in problem(answer)["detail"]


def test_the_description_is_openapi_31_and_names_the_problems(api):
    document = json.loads(api.get("/api/v1/schema/", headers={"Accept": "application/json"}).content)
    assert document["openapi"].startswith("3.1")
    operation = document["paths"]["/api/v1/tasks/"]["post"]
    assert set(operation["responses"]) == {"200", "201", "default"}
    parameters = {parameter["name"] for parameter in document["paths"]["/api/v1/tasks/"]["get"]["parameters"]}
    assert parameters >= {"cursor", "page_size", "count", "ordering", "state", "state__in", "search"}


def test_the_description_has_no_gaps(api, capsys):
    from drf_spectacular.drainage import GENERATOR_STATS

    GENERATOR_STATS.reset()
    api.get("/api/v1/schema/")
    assert not GENERATOR_STATS, capsys.readouterr().err


def test_the_page_of_the_api_asks_no_other_host(api):
    page = api.get("/api/v1/docs/").content.decode()
    assert "swagger-ui" in page
    assert "http://" not in page.replace("http://testserver", "")
    assert "https://" not in page


def of_ours(kind):
    """All serializers of the project."""
    for found in kind.__subclasses__():
        if found.__module__.partition(".")[0] in ("config", "monitoring", "campaigns", "queue_core", "templates_app"):
            yield found
        yield from of_ours(found)


def test_a_form_without_a_field_does_not_say_no():
    assert Client().get("/api/v1/schema/").status_code  # all of the API is loaded
    seen = 0
    for form in set(of_ours(serializers.Serializer)):
        for field in form().fields.values():
            if isinstance(field, serializers.BooleanField) and not field.read_only:
                seen += 1
                absent = field.get_value(QueryDict("other=1"))
                assert absent is serializers.empty or absent is field.default is None, (form, field.field_name)
                assert field.get_value(QueryDict(f"{field.field_name}=false")) == "false"
    assert seen > 20


def test_a_transport_made_by_a_form_checks_certificates(api):
    body = "name=x&host=smtp.example.com&security=starttls"
    made = api.generic("POST", "/api/v1/transports/", body, content_type="application/x-www-form-urlencoded")
    assert made.status_code == 201
    assert (made.data["verify"], made.data["enabled"], made.data["pipelining"]) == (True, True, True)
    off = api.generic(
        "PATCH",
        f"/api/v1/transports/{made.data['id']}/",
        "verify=false",
        content_type="application/x-www-form-urlencoded",
    )
    assert (off.data["verify"], off.data["enabled"]) == (False, True)


CAMPAIGNS = "/api/v1/campaigns/"


@pytest.mark.parametrize("form", ["urlencoded", "multipart"])
def test_a_form_holds_an_object_as_json_text(api, campaign, form):
    body = {"name": "n", "template": campaign.template_id, "from_email": "a@example.com", "context": '{"a": [1]}'}
    if form == "urlencoded":
        answer = api.generic("POST", CAMPAIGNS, urlencode(body), content_type="application/x-www-form-urlencoded")
    else:
        answer = api.post(CAMPAIGNS, body, format="multipart")
    assert answer.status_code == 201, answer.content
    assert answer.json()["context"] == {"a": [1]}


@pytest.mark.parametrize(
    "text",
    ["{", "nonsense", "[]", '{"a": NaN}', '{"a": "\\u0000"}', DEEP.replace("tests.noop", "n") % ("[" * 40 + "]" * 40)],
)
def test_an_object_in_a_form_is_checked_as_in_json(api, campaign, text):
    body = {"name": "n", "template": campaign.template_id, "from_email": "a@example.com", "context": text}
    answer = api.post(CAMPAIGNS, body, format="multipart")
    assert answer.status_code == 400
    assert set(problem(answer)["errors"]) == {"context"}


def test_a_form_names_what_nobody_knows(api, campaign):
    body = {"name": "n", "template": campaign.template_id, "from_email": "a@example.com", "schedule_at": "2030-01-01"}
    answer = api.post(CAMPAIGNS, body, format="multipart")
    assert answer.status_code == 400
    assert "Known: name, template" in problem(answer)["errors"]["schedule_at"][0]
    answer = api.patch(f"{CAMPAIGNS}{campaign.pk}/", {"naem": "x"}, format="multipart")
    assert set(problem(answer)["errors"]) == {"naem"}
    answer = api.post(f"{CAMPAIGNS}{campaign.pk}/pause/", {"force": "1"}, format="multipart")
    assert set(problem(answer)["errors"]) == {"force"}


def test_a_form_may_write_an_object_value_by_value(api, campaign):
    path = f"{CAMPAIGNS}{campaign.pk}/recipients/"
    answer = api.post(path, {"email": "a@example.com", "attributes.city": "Bonn"}, format="multipart")
    assert answer.json()["attributes"] == {"city": "Bonn"}
    answer = api.post(path, {"email": "b@example.com", "attributes[city]": "Bonn"}, format="multipart")
    assert set(problem(answer)["errors"]) == {"attributes[city]"}
    answer = api.post(path, {"email": "b@example.com", "attributes": '{"n": 1}', "name": ""}, format="multipart")
    assert (answer.json()["attributes"], answer.json()["name"]) == ({"n": 1}, "")


def test_a_form_of_the_browsable_pages_is_taken(api, campaign):
    body = {"csrfmiddlewaretoken": "x", "rate_per_minute": "", "name": "n"}
    answer = api.patch(f"{CAMPAIGNS}{campaign.pk}/", body, format="multipart")
    assert answer.status_code == 200, answer.content
    assert answer.json()["rate_per_minute"] is None
