import pytest
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.db import DatabaseError, transaction

from templates_app import services
from templates_app.errors import InvalidTemplate, NameTaken, RenderError, VersionNotFound
from templates_app.models import EmailTemplate, TemplateVersion
from templates_app.rendering import Content, content_of
from tests.templates_app.factories import CONTEXT, HTML, make_template, make_used_template, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def editor():
    return services.Actor(make_user("editor"), "api")


def test_create_makes_version_1(editor):
    template = make_template(note="first", by=editor)
    assert (template.version.number, template.version.note, template.version.author) == (1, "first", editor.user)
    entry = LogEntry.objects.get()
    assert (entry.action_flag, entry.user, entry.change_message) == (ADDITION, editor.user, "Created. (api)")


def test_create_refuses_a_name_in_use():
    make_template()
    with pytest.raises(NameTaken, match="choose another name"):
        make_template()


def test_create_leaves_nothing_of_a_template_that_does_not_compile():
    with pytest.raises(InvalidTemplate):
        make_template(html="{% if %}")
    assert not EmailTemplate.objects.exists()


def test_edit_makes_the_next_version_and_keeps_the_old(editor):
    template = make_template()
    version = services.edit_template(template=template, parts=Content("New", "<p>x</p>")._asdict(), note="n", by=editor)
    assert (version.number, template.current_version, version.author) == (2, version, editor.user)
    assert [content_of(v).subject for v in template.versions.order_by("number")] == ["Hi {{ recipient.name }}", "New"]
    assert LogEntry.objects.get().change_message == "Changed: made version 2. (api)"


def test_edit_makes_no_version_of_the_same_content(editor):
    template = make_template()
    version = services.edit_template(template=template, parts=content_of(template.version)._asdict(), by=editor)
    assert version.number == 1
    assert not LogEntry.objects.exists()


def test_edit_renames_without_a_version():
    template = make_template()
    services.edit_template(template=template, name="Other", description="d")
    template.refresh_from_db()
    assert (template.name, template.description, template.version.number) == ("Other", "d", 1)


def test_edit_changes_nothing_when_the_name_is_taken():
    make_template("A")
    template = make_template("B")
    with pytest.raises(NameTaken):
        services.edit_template(template=template, name="A", parts=Content("s", "h")._asdict())
    template.refresh_from_db()
    assert (template.name, template.version.number) == ("B", 1)


def test_restore_adds_a_version_that_says_what_the_old_one_said(editor):
    template = make_template()
    services.edit_template(template=template, parts=Content("New", "<p>x</p>")._asdict())
    version = services.restore_version(template=template, number=1, by=editor)
    assert (version.number, version.html, version.note) == (3, HTML, "Restored from version 1")
    assert LogEntry.objects.get().action_flag == CHANGE


def test_restore_of_what_is_current_makes_no_version():
    template = make_template()
    assert services.restore_version(template=template, number=1).number == 1


def test_restore_refuses_a_version_there_is_not():
    with pytest.raises(VersionNotFound, match="no version 7"):
        services.restore_version(template=make_template(), number=7)


def test_archive_deletes_a_template_nothing_uses(editor):
    template = make_template()
    services.edit_template(template=template, parts=Content("New", "x")._asdict())
    assert services.archive_template(template=template, by=editor) == "deleted"
    assert not EmailTemplate.objects.exists()
    assert not TemplateVersion.objects.exists()
    assert LogEntry.objects.get().action_flag == DELETION


def test_archive_keeps_a_template_in_use_and_unarchive_offers_it_again(editor):
    template = make_used_template()
    assert services.archive_template(template=template, by=editor) == "archived"
    assert template.archived_at is not None
    assert services.unarchive_template(template=template, by=editor)
    assert template.archived_at is None
    assert not services.unarchive_template(template=template, by=editor)
    assert LogEntry.objects.count() == 2


@pytest.mark.parametrize(
    "change",
    [
        {"html": "x"},
        {"subject": "x"},
        {"text": "x"},
        {"number": 5},
        {"note": "x"},
        {"format": "mjml"},
        {"inline_css": False},
        {"compiled_html": "x"},
    ],
)
def test_no_version_can_be_changed_in_the_database(change):
    template = make_template()
    with pytest.raises(DatabaseError, match="never changes"), transaction.atomic():
        TemplateVersion.objects.update(**change)
    assert content_of(TemplateVersion.objects.get(template=template)).html == HTML


def test_a_version_outlives_its_author(editor):
    template = make_template(by=editor)
    editor.user.delete()
    template.refresh_from_db()
    assert template.version.author is None


def test_preview_renders_and_warns():
    mail = services.preview(content=Content("", "<p>x</p>"), context={})
    assert (mail.html, mail.text, mail.headers, mail.missing) == ("<p>x</p>", "x", {}, [])
    assert any("unsubscribe link" in warning for warning in mail.warnings)
    assert any("subject is empty" in warning for warning in mail.warnings)


def test_preview_has_nothing_to_warn_of_in_a_good_mail():
    assert services.preview(content=Content("Hi", HTML), context=CONTEXT).warnings == []


@pytest.mark.parametrize(
    ("html", "warning"),
    [
        ("x" * 110_000, "Gmail cuts"),
        ('<a href="javascript:x()">x</a>', "javascript:"),
        ("<a href={{ recipient.name }}>x</a>", "has no quotes"),
        ('<a href="{{ recipient.name }}">x</a>', "safe_url"),
        ("{{ recipient.name|safe }}", "unescaped"),
    ],
)
def test_preview_warns_of(html, warning):
    warnings = services.preview(content=Content("Hi", HTML + html), context=CONTEXT).warnings
    assert any(warning in text for text in warnings)


def test_preview_refuses_missing_values_unless_lenient():
    with pytest.raises(RenderError):
        services.preview(content=Content("Hi", HTML), context={})
    mail = services.preview(content=Content("Hi", HTML), context={}, lenient=True)
    assert "⟦recipient.name⟧" in mail.html
    assert mail.missing == ["recipient.name", "unsubscribe_url"]


def test_diff_shows_what_changed_in_each_part():
    template = make_template(html="<p>a</p>\n<p>b</p>")
    new = services.edit_template(
        template=template, parts=Content(template.version.subject, "<p>a</p>\n<p>c</p>")._asdict()
    )
    parts = services.diff(old=template.versions.get(number=1), new=new)
    assert parts["subject"] == parts["text"] == ""
    assert parts["html"].splitlines()[:2] == ["--- version 1", "+++ version 2"]
    assert {"-<p>b</p>", "+<p>c</p>"} <= set(parts["html"].splitlines())
