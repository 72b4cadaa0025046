"""Templates from a folder of files."""

import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from templates_app import services
from templates_app.models import EmailTemplate, TemplateVersion
from templates_app.rendering import content_of

MJML = "<mjml><mj-body><mj-section><mj-column><mj-text>Hi</mj-text></mj-column></mj-section></mj-body></mjml>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "news").mkdir()
    for name, text in (
        ("welcome.html", "<p>Hi {{ recipient.name }}</p>\r\n"),
        ("welcome.subject.txt", "Welcome\n"),
        ("welcome.txt", "Hi"),
        ("news/autumn.mjml", MJML),
        ("news/autumn.subject.txt", "\ufeffAutumn é"),
        ("README.md", "not a template"),
    ):
        (tmp_path / name).write_bytes(text.encode())
    return tmp_path


def run(folder: Path, *options: str) -> str:
    out = io.StringIO()
    call_command("import_templates", str(folder), *options, stdout=out)
    return out.getvalue()


def test_each_file_is_a_template_and_a_changed_one_its_next_version(db: None, folder: Path) -> None:
    assert run(folder, "--dry-run").splitlines() == [
        "news/autumn: would be created, version 1",
        "welcome: would be created, version 1",
    ]
    assert not EmailTemplate.objects.exists()
    run(folder, "--note", "from the shop")
    version = EmailTemplate.objects.get(name="news/autumn").version
    assert (version.subject, version.format, version.note) == ("Autumn é", "mjml", "from the shop")
    version = EmailTemplate.objects.get(name="welcome").version
    assert (version.subject, version.html, version.text) == ("Welcome", "<p>Hi {{ recipient.name }}</p>\n", "Hi")
    (folder / "welcome.txt").unlink()
    outcome = json.loads(run(folder, "--json"))
    assert outcome == {
        "templates": [
            {"name": "news/autumn", "outcome": "unchanged", "version": 1},
            {"name": "welcome", "outcome": "changed", "version": 2},
        ],
        "dry_run": False,
    }
    assert TemplateVersion.objects.count() == 3


def test_whether_styles_are_moved_stays_as_it_was_chosen(db: None, folder: Path) -> None:
    run(folder)
    welcome = EmailTemplate.objects.get(name="welcome")
    services.edit_template(template=welcome, parts=content_of(welcome.version)._replace(inline_css=False)._asdict())
    assert "welcome: unchanged, version 2" in run(folder)


def test_with_one_bad_file_nothing_is_imported_and_each_fault_is_told(db: None, folder: Path) -> None:
    for name, data in (
        ("a.html", b"<p>{{ x</p>"),
        ("a.subject.txt", b"A"),
        ("b.html", b"no subject"),
        ("c.html", b"\xff\xfe"),
        ("c.subject.txt", b"C"),
        ("d.html", b"x\x00"),
        ("d.subject.txt", b"D"),
        ("e.html", b"x" * 1_048_577),
        ("e.subject.txt", b"E"),
        ("welcome.mjml", MJML.encode()),
    ):
        (folder / name).write_bytes(data)
    with pytest.raises(CommandError) as refused:
        run(folder)
    *faults, last = str(refused.value).splitlines()
    assert last == "Nothing was imported."
    told = zip(faults, ("line 1", "b.subject.txt", "UTF-8", "NUL", "1 MiB", "two files"), strict=True)
    assert all(words in fault for fault, words in told), faults
    assert not EmailTemplate.objects.exists()


def test_a_folder_without_templates_is_told(db: None, tmp_path: Path) -> None:
    for folder, words in ((tmp_path, "no .html"), (tmp_path / "none", "no folder"), (Path("a\x00b"), "no folder")):
        with pytest.raises(CommandError, match=words):
            run(folder)
    with pytest.raises(CommandError, match="200 characters"):
        run(tmp_path, "--note", "x" * 201)


def test_a_name_and_a_subject_stand_on_one_line(db: None, folder: Path) -> None:
    (folder / "welcome.subject.txt").write_text("Hi\nBcc: a@example.com\n")
    (folder / "a\nb.html").write_text("x")
    with pytest.raises(CommandError) as caught:
        run(folder)
    assert "welcome.subject.txt: A line break or another control character (U+000A)" in str(caught.value)
    assert "a�b.html: A line break" in str(caught.value)
