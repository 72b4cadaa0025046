import json
import re
from html import unescape

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from templates_app.admin.forms import TemplateForm
from templates_app.models import EmailTemplate
from tests.templates_app.factories import CONTEXT, HTML, make_template, make_used_template, make_user

pytestmark = pytest.mark.django_db


def page(name, *args):
    return reverse(f"admin:templates_app_emailtemplate_{name}", args=args)


def form(**changes):
    management = {"versions-TOTAL_FORMS": 0, "versions-INITIAL_FORMS": 0}
    return {
        "name": "Welcome",
        "description": "",
        "subject": "S",
        "html": HTML,
        "text": "",
        "note": "",
        "format": "html",
        "inline_css": "on",
        **management,
        **changes,
    }


@pytest.fixture
def editor(client):
    user = make_user("editor", "view", "add", "change", "delete")
    client.force_login(user)
    return client


@pytest.fixture
def viewer(client):
    client.force_login(make_user("viewer", "view"))
    return client


def test_adding_makes_version_1(editor):
    answer = editor.post(page("add"), form(note="first"))
    assert answer.status_code == 302
    template = EmailTemplate.objects.get()
    assert (template.version.number, template.version.note, template.version.author.username) == (1, "first", "editor")
    assert LogEntry.objects.get().change_message == "Created. (admin)"


def test_saving_makes_the_next_version(editor):
    template = make_template()
    editor.post(page("change", template.pk), form(subject="New"))
    template.refresh_from_db()
    assert (template.version.number, template.version.subject) == (2, "New")


def test_of_two_edits_the_later_one_does_not_undo_the_earlier(editor):
    template = make_template()
    opened = editor.get(page("change", template.pk))
    stamp = opened.context["adminform"].form["stamp"].value()
    assert f'value="{stamp}"' in opened.content.decode()
    assert editor.post(page("change", template.pk), form(subject="First", stamp=stamp)).status_code == 302
    answer = editor.post(page("change", template.pk), form(subject="Second", stamp=stamp))
    assert "was changed since this form was opened" in answer.content.decode()
    assert 'value="Second"' in answer.content.decode()
    template.refresh_from_db()
    assert (template.version.number, template.version.subject) == (2, "First")
    stamp = editor.get(page("change", template.pk)).context["adminform"].form["stamp"].value()
    editor.post(page("change", template.pk), form(subject="Second", stamp=stamp))
    template.refresh_from_db()
    assert (template.version.number, template.version.subject) == (3, "Second")


def test_saving_tells_what_the_check_found(editor):
    answer = editor.post(page("add"), form(html=f'{HTML}\n<a href="/x">x</a>'), follow=True)
    assert "html, line 2: The link “/x” is relative" in answer.content.decode()


def test_saving_what_a_browser_sends_back_unchanged_makes_no_version(editor):
    template = make_template(html="a\nb", subject="S")
    editor.post(page("change", template.pk), form(html="a\r\nb"))
    template.refresh_from_db()
    assert template.version.number == 1


def test_a_syntax_error_is_shown_at_its_field_with_the_line(editor):
    template = make_template()
    answer = editor.post(page("change", template.pk), form(html="\n{% if %}"))
    assert answer.context["adminform"].form.errors["html"][0].startswith("line 2: ")
    assert template.versions.count() == 1


@pytest.mark.parametrize("field", ["name", "subject"])
def test_a_control_character_is_refused_at_its_field(editor, field):
    answer = editor.post(page("add"), form(**{field: "a\r\nb"}))
    assert "control character (U+000D)" in answer.context["adminform"].form.errors[field][0]
    assert not EmailTemplate.objects.exists()


def test_no_explanation_of_a_field_is_taken_for_markup():
    """Help texts are not escaped: one with a tag would swallow the rest of the page."""
    assert not [name for name, field in TemplateForm.base_fields.items() if "<" in field.help_text]


def test_saving_mjml_as_html_is_told_and_as_mjml_is_compiled(editor):
    mjml = "<mjml><mj-body><mj-section><mj-column><mj-text>x</mj-text></mj-column></mj-section></mj-body></mjml>"
    assert "but the format is HTML" in editor.post(page("add"), form(html=mjml), follow=True).content.decode()
    template = EmailTemplate.objects.get()
    editor.post(page("change", template.pk), form(html=mjml, format="mjml"))
    template.refresh_from_db()
    assert (template.version.number, template.version.html, template.version.format) == (2, mjml, "mjml")
    assert template.version.compiled_html.startswith("<!doctype html>")


def test_the_list_runs_as_many_queries_for_many_templates_as_for_one(editor, django_assert_num_queries):
    make_template("A")
    editor.get(page("changelist"))
    with CaptureQueriesContext(connection) as alone:
        editor.get(page("changelist"))
    for name in "BCDEFG":
        make_template(name)
    with django_assert_num_queries(len(alone)):
        editor.get(page("changelist"))


def test_the_form_shows_the_current_version_and_its_history(editor):
    template = make_template()
    content = editor.get(page("change", template.pk)).content.decode()
    assert "Hi {{ recipient.name }}" in content
    assert page("restore", template.pk, 1) in content
    assert page("preview", template.pk) in content


def test_who_may_only_look_is_led_to_no_restoring(client):
    template = make_template()
    client.force_login(make_user("reader", "view"))
    content = client.get(page("change", template.pk)).content.decode()
    assert page("diff", template.pk) in content
    assert page("restore", template.pk, 1) not in content


def test_the_preview_starts_with_sample_values(editor):
    content = unescape(editor.get(page("preview", make_template().pk)).content.decode())
    assert "Hi Ada Lovelace" in content
    assert '"unsubscribe_url"' in content


def test_the_preview_shows_the_mail_in_a_closed_frame(editor):
    template = make_template(html='"><script>alert(1)</script>' + HTML)
    answer = editor.post(page("preview", template.pk), {"context": json.dumps(CONTEXT)})
    (frame,) = re.findall(r"<iframe[^>]*>", answer.content.decode())
    assert 'sandbox=""' in frame
    assert "default-src &#x27;none&#x27;" in frame
    assert "&lt;script&gt;" in frame
    assert "<script>alert" not in answer.content.decode()


@pytest.mark.parametrize("sample", ["", "{", "[]", "[" * 100_000, "null", '{"recipient": 3}', '{"a": 1e999}'])
def test_the_preview_survives_any_sample(editor, sample):
    assert editor.post(page("preview", make_template().pk), {"context": sample}).status_code == 200


def test_the_preview_says_what_fails(editor):
    content = editor.get(page("preview", make_template(html="\n{{ 1 / 0 }}").pk)).content.decode()
    assert "line 2: division by zero" in content


def test_restore_asks_first_and_then_makes_a_version(editor):
    template = make_template()
    editor.post(page("change", template.pk), form(subject="New"))
    assert "Make what version 1 says current again?" in editor.get(page("restore", template.pk, 1)).content.decode()
    assert template.versions.count() == 2
    assert editor.post(page("restore", template.pk, 1)).status_code == 302
    template.refresh_from_db()
    assert (template.version.number, template.version.subject) == (3, "Hi {{ recipient.name }}")


def test_restore_tells_what_the_check_found(editor):
    template = make_template(html=f'{HTML}\n<a href="/x">x</a>')
    editor.post(page("change", template.pk), form(subject="New"))
    answer = editor.post(page("restore", template.pk, 1), follow=True)
    assert "html, line 2: The link “/x” is relative" in answer.content.decode()


def test_the_diff_shows_added_and_removed_lines(editor):
    template = make_template()
    editor.post(page("change", template.pk), form(subject="New"))
    content = editor.get(page("diff", template.pk), {"from": 1, "to": 2}).content.decode()
    assert '<span class="added">+New</span>' in content
    assert '<span class="removed">-Hi {{ recipient.name }}</span>' in content


def test_delete_asks_first_and_then_deletes(editor):
    template = make_template()
    assert editor.get(page("delete", template.pk)).status_code == 200
    assert EmailTemplate.objects.exists()
    editor.post(page("delete", template.pk))
    assert not EmailTemplate.objects.exists()


def test_delete_archives_what_is_in_use_and_it_can_be_taken_out_again(editor):
    template = make_used_template()
    answer = editor.post(page("delete", template.pk), follow=True)
    assert "was archived. It is in use" in answer.content.decode()
    assert "Take out of the archive" in editor.get(page("change", template.pk)).content.decode()
    editor.post(page("unarchive", template.pk))
    template.refresh_from_db()
    assert template.archived_at is None


@pytest.mark.parametrize("pk", ["999", "abc", "²", "9" * 30, "-1", "1_0", "%00"])
@pytest.mark.parametrize(
    "name", ["change", "preview", "diff", "delete", "unarchive", "versions/1/restore", "versions/9/restore"]
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_pages_of_a_template_there_is_not_are_not_found(editor, method, name, pk):
    make_template()
    # What Django does not know for a page it takes for the id of another one, and leads there.
    answer = getattr(editor, method)(f"{page('changelist')}{pk}/{name}/", follow=True)
    # Unfold refuses an action on what it cannot be done to.
    assert answer.status_code == (403 if name == "unarchive" else 404)


def test_times_read_like_those_of_the_other_pages(editor):
    template = make_template()
    EmailTemplate.objects.update(updated_at="2026-11-30T20:30:05Z")
    assert "30 Nov 2026, 20:30:05" in editor.get(page("changelist")).content.decode()
    content = editor.get(page("change", template.pk)).content.decode()
    assert re.search(r"\d \w{3} \d{4}, \d\d:\d\d:\d\d", content)
    assert "a.m." not in content
    assert "p.m." not in content


@pytest.mark.parametrize("query", ["from=9", "from=x", "from=1&to=99999999999999999999"])
def test_the_diff_of_a_version_there_is_not_is_not_found(editor, query):
    assert editor.get(f"{page('diff', make_template().pk)}?{query}").status_code == 404


def test_a_viewer_sees_everything(viewer):
    template = make_template(text="own text")
    content = viewer.get(page("change", template.pk)).content.decode()
    assert "own text" in content
    assert "&lt;p&gt;Hello" in content
    for name in ("changelist", "preview", "diff"):
        assert viewer.get(page(name, *([] if name == "changelist" else [template.pk]))).status_code == 200


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("name", ["restore", "delete", "unarchive", "add"])
def test_a_viewer_is_refused(viewer, name, method):
    template = make_template()
    EmailTemplate.objects.update(archived_at="2026-01-01T00:00Z")
    args = {"add": [], "restore": [template.pk, 1]}.get(name, [template.pk])
    assert getattr(viewer, method)(page(name, *args)).status_code == 403


def test_a_viewer_cannot_save(viewer):
    template = make_template()
    assert viewer.post(page("change", template.pk), form(subject="New")).status_code == 403
    assert template.versions.count() == 1


@pytest.mark.parametrize("name", ["changelist", "change", "preview", "diff", "restore", "delete"])
def test_staff_without_permission_see_nothing(client, name):
    client.force_login(make_user("stranger"))
    template = make_template()
    args = {"changelist": [], "restore": [template.pk, 1]}.get(name, [template.pk])
    assert client.get(page(name, *args)).status_code == 403
