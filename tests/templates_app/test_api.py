import pytest
from django.contrib.admin.models import LogEntry
from rest_framework.test import APIClient

from templates_app.models import EmailTemplate
from tests.templates_app.factories import CONTEXT, HTML, make_template, make_used_template, make_user

pytestmark = pytest.mark.django_db
ROOT = "/api/v1/templates/"
EVERYTHING = ("view", "add", "change", "delete")


def client_for(*actions):
    client = APIClient()
    client.force_authenticate(make_user("-".join(actions) or "nobody", *actions))
    return client


@pytest.fixture
def api():
    return client_for(*EVERYTHING)


def rows(response):
    return response.data["results"] if isinstance(response.data, dict) else response.data


def texts(response) -> str:
    return response.content.decode()


def test_create_answers_with_the_template(api):
    answer = api.post(ROOT, {"name": "N", "subject": "Hi {{ a }}", "html": "<p>{{ b|default('') }}</p>"})
    assert answer.status_code == 201
    assert {key: answer.data[key] for key in ("name", "subject", "html", "text", "version", "archived_at")} == {
        "name": "N",
        "subject": "Hi {{ a }}",
        "html": "<p>{{ b|default('') }}</p>",
        "text": "",
        "version": 1,
        "archived_at": None,
    }
    assert answer.data["variables"] == [
        {"name": "a", "required": True, "conditional": False, "default": None, "sample": "a"},
        {"name": "b", "required": False, "conditional": False, "default": "", "sample": "b"},
    ]
    assert LogEntry.objects.get().change_message == "Created. (api)"


def test_create_names_the_line_of_a_syntax_error(api):
    answer = api.post(ROOT, {"name": "N", "subject": "{{", "html": "a\n\n{% if %}"})
    assert answer.status_code == 400
    assert "line 3: " in texts(answer)
    assert "line 1: " in texts(answer)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "N"},
        {"name": "", "subject": "s", "html": "h"},
        {"name": "x" * 201, "subject": "s", "html": "h"},
        [],
    ],
)
def test_create_refuses(api, body):
    assert api.post(ROOT, body).status_code == 400


@pytest.mark.parametrize("text", ["inj\r\nX", "a\nb", "x\r\nBcc: a@b.c", "a\tb", "a\x1fb", "a\x85b", "a\u2028b"])
@pytest.mark.parametrize("field", ["name", "subject"])
def test_create_and_patch_refuse_control_characters(api, field, text):
    template = make_template()
    body = {"name": "N", "subject": "s", "html": "h", field: text}
    for answer in (api.post(ROOT, body), api.patch(f"{ROOT}{template.pk}/", {field: text})):
        assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])
        assert "control character (U+00" in texts(answer) or "U+2028" in texts(answer)
    assert EmailTemplate.objects.count() == template.versions.count() == 1


def test_create_takes_mjml_and_says_whether_styles_are_moved(api):
    mjml = "<mjml><mj-body><mj-section><mj-column><mj-text>{{ a }}</mj-text></mj-column></mj-section></mj-body></mjml>"
    answer = api.post(ROOT, {"name": "N", "subject": "s", "html": mjml, "format": "mjml"})
    assert (answer.status_code, answer.data["html"], answer.data["format"]) == (201, mjml, "mjml")
    assert answer.data["inline_css"] is True
    url = f"{ROOT}{answer.data['id']}/"
    assert api.post(f"{url}preview/", {"context": {"a": "x"}}).data["html"].startswith("<!doctype html>")
    assert api.patch(url, {"inline_css": False}).data["version"] == 2
    assert api.patch(url, {"inline_css": False}).data["version"] == 2
    assert "-inline_css: true" in api.get(f"{url}diff/", {"from": 1, "to": 2}).data["options"]
    assert api.patch(url, {"html": "<mjml>"}).status_code == 400
    assert api.patch(url, {"format": "docx"}).status_code == 400


def test_create_refuses_a_name_in_use(api):
    make_template("N")
    answer = api.post(ROOT, {"name": "N", "subject": "s", "html": "h"})
    assert answer.status_code == 400
    assert "choose another" in texts(answer)


def test_list_shows_the_newest_first_without_bodies(api):
    first, second = make_template("A"), make_template("B")
    listed = rows(api.get(ROOT))
    assert [row["id"] for row in listed] == [second.pk, first.pk]
    assert "html" not in listed[0]


def test_list_runs_as_many_queries_for_many_as_for_one(api, django_assert_max_num_queries):
    for name in "ABCDEF":
        make_template(name)
    api.get(ROOT)
    with django_assert_max_num_queries(6):
        api.get(ROOT)


def test_list_filters_archived_ones(api):
    make_template("A")
    archived = make_template("B")
    EmailTemplate.objects.filter(pk=archived.pk).update(archived_at="2026-01-01T00:00Z")
    assert [row["name"] for row in rows(api.get(ROOT, {"archived": "false"}))] == ["A"]
    assert [row["name"] for row in rows(api.get(ROOT, {"archived": "true"}))] == ["B"]


def test_patch_makes_the_next_version_from_the_parts_given(api):
    template = make_template()
    answer = api.patch(f"{ROOT}{template.pk}/", {"subject": "New", "note": "why"})
    assert (answer.status_code, answer.data["version"], answer.data["subject"]) == (200, 2, "New")
    assert answer.data["html"] == HTML


def test_patch_refuses_a_syntax_error(api):
    answer = api.patch(f"{ROOT}{make_template().pk}/", {"html": "{{"})
    assert answer.status_code == 400
    assert "line 1" in texts(answer)


def test_patch_keeps_its_own_name(api):
    template = make_template("N")
    assert api.patch(f"{ROOT}{template.pk}/", {"name": "N", "description": "d"}).data["description"] == "d"


def test_delete_removes_an_unused_template(api):
    template = make_template()
    assert api.delete(f"{ROOT}{template.pk}/").status_code == 204
    assert api.get(f"{ROOT}{template.pk}/").status_code == 404


def test_delete_archives_a_used_template_and_patch_takes_it_back(api):
    template = make_used_template()
    answer = api.delete(f"{ROOT}{template.pk}/")
    assert answer.status_code == 200
    assert answer.data["archived_at"] is not None
    assert api.patch(f"{ROOT}{template.pk}/", {"archived": False}).data["archived_at"] is None


def test_preview_renders(api):
    answer = api.post(f"{ROOT}{make_template().pk}/preview/", {"context": CONTEXT})
    assert answer.status_code == 200
    assert answer.data["subject"] == "Hi Ada"
    assert set(answer.data) >= {"subject", "html", "text", "headers", "warnings"}


def test_preview_names_what_is_missing_unless_lenient(api):
    url = f"{ROOT}{make_template().pk}/preview/"
    answer = api.post(url, {})
    assert answer.status_code == 400
    assert "recipient.name;" in texts(answer)
    assert api.post(url, {"lenient": True}).data["subject"] == "Hi ⟦recipient.name⟧"


@pytest.mark.parametrize("sample", [[], "x", 3, None])
def test_preview_refuses_a_context_that_is_no_object(api, sample):
    assert api.post(f"{ROOT}{make_template().pk}/preview/", {"context": sample}).status_code == 400


def test_validate_checks_a_draft_and_changes_nothing(api):
    template = make_template()
    url = f"{ROOT}{template.pk}/validate/"
    assert api.post(url, {}).data["valid"] is True
    answer = api.post(url, {"html": "\n{{"})
    assert (answer.data["valid"], list(answer.data["errors"])) == (False, ["html"])
    assert template.versions.count() == 1


def test_validate_lists_what_it_found(api):
    template = make_template()
    answer = api.post(
        f"{ROOT}{template.pk}/validate/", {"html": f'{HTML}\n<a href="/x">x</a><img src="https://e.com/x">'}
    )
    assert (answer.data["valid"], len(answer.data["errors"]["html"])) == (False, 1)
    assert answer.data["errors"]["html"][0].startswith("line 2: The link “/x” is relative")
    assert [(found["level"], found["code"], found["part"], found["line"]) for found in answer.data["findings"]] == [
        ("error", "link-relative", "html", 2),
        ("warning", "image-alt", "html", 2),
    ]


def test_versions_can_be_listed_read_restored_and_compared(api):
    url = f"{ROOT}{make_template().pk}/"
    api.patch(url, {"html": "<p>new</p>"})
    assert [row["number"] for row in rows(api.get(f"{url}versions/"))] == [2, 1]
    assert api.get(f"{url}versions/1/").data["html"] == HTML
    compared = api.get(f"{url}diff/", {"from": 1, "to": 2}).data
    assert "+<p>new</p>" in compared["html"]
    restored = api.post(f"{url}versions/1/restore/")
    assert (restored.status_code, restored.data["version"], restored.data["html"]) == (200, 3, HTML)


def test_restore_takes_a_note_and_nothing_else(api):
    url = f"{ROOT}{make_template().pk}/"
    api.patch(url, {"html": "<p>new</p>"})
    restore = f"{url}versions/1/restore/"
    for body in ({"why": "x"}, {"note": "x" * 201}, {"note": 3, "html": "x"}, []):
        assert api.post(restore, body).status_code == 400, body
    for raw in (b'{"note": "\\u0000"}', b"\xff", b"{"):
        assert api.post(restore, raw, content_type="application/json").status_code == 400, raw
    assert api.get(url).data["version"] == 2
    assert api.post(restore, {"note": "the old one sold more"}).data["version"] == 3
    assert api.post(f"{url}versions/2/restore/").data["version"] == 4
    notes = [row["note"] for row in rows(api.get(f"{url}versions/"))]
    assert notes == ["Restored from version 2", "the old one sold more", "", ""]


@pytest.mark.parametrize("path", ["", "versions/1/", "diff/?from=1"])
def test_what_narrows_the_list_says_nothing_about_one_template(api, path):
    url = f"{ROOT}{make_template().pk}/{path}"
    more = {"search": "nowhere", "name": "other", "archived": "true", "updated_at__gte": "never"}
    assert api.get(url, {"from": 1, **more}).status_code == 200


def test_a_version_written_before_a_rule_it_breaks_is_shown_all_the_same(api):
    template = make_template()
    old = template.versions.create(number=2, subject="s", html="{{ 1e999 }}")
    EmailTemplate.objects.update(current_version=old)
    url = f"{ROOT}{template.pk}/"
    for shown in (api.get(url), api.get(f"{url}versions/2/"), api.patch(url, {"description": "d"})):
        assert (shown.status_code, shown.data["html"], shown.data["variables"]) == (200, "{{ 1e999 }}", [])
    for verb, body in (("preview", {}), ("test-send", {"to": ["a@example.com"]})):
        assert api.post(f"{url}{verb}/", body).status_code in (400, 403)
    assert api.post(f"{url}validate/", {}).data["valid"] is False


def test_the_list_of_versions_knows_no_filter(api):
    url = f"{ROOT}{make_template().pk}/versions/"
    assert api.get(url, {"page_size": 1}).status_code == 200
    assert set(api.get(url, {"archived": "true", "search": "x"}).json()["errors"]) == {"archived", "search"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("versions/9/", 404),
        ("diff/?from=1&to=9", 404),
        ("diff/?from=x", 400),
        ("diff/", 400),
        ("diff/?from=99999999999999999999", 400),
        ("versions/9999999999/", 404),
    ],
)
def test_asking_for_a_version_there_is_not_is_refused(api, path, status):
    assert api.get(f"{ROOT}{make_template().pk}/{path}").status_code == status


def test_restoring_a_version_there_is_not_is_refused(api):
    assert api.post(f"{ROOT}{make_template().pk}/versions/9/restore/").status_code == 404


CALLS = [
    ("get", "", "view"),
    ("get", "{}/", "view"),
    ("get", "{}/versions/", "view"),
    ("get", "{}/versions/1/", "view"),
    ("get", "{}/diff/?from=1", "view"),
    ("post", "{}/preview/", "view"),
    ("post", "{}/validate/", "view"),
    ("post", "", "add"),
    ("patch", "{}/", "change"),
    ("post", "{}/versions/1/restore/", "change"),
    ("delete", "{}/", "delete"),
]


@pytest.mark.parametrize(("method", "path", "needed"), CALLS)
def test_every_call_needs_its_permission(method, path, needed):
    template = make_template()
    url = ROOT + path.format(template.pk)
    others = [action for action in EVERYTHING if action != needed]
    assert getattr(client_for(*others), method)(url, {}).status_code == 403
    assert getattr(client_for("view", needed), method)(url, {}).status_code != 403
    assert getattr(APIClient(), method)(url, {}).status_code in (401, 403)
