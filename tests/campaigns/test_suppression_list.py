"""The list of addresses that are never mailed: put in from a file, taken out as one, by all three faces."""

import importlib
import io
import json
import threading
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse

from campaigns import services
from campaigns.errors import ImportRefused
from campaigns.models import Recipient, Suppression
from tests.factories import CampaignFactory, UserFactory

CONTENT = (
    "Mail;Reason;Source\n"
    "a@example.com;bounced;old tool\n"
    "A@EXAMPLE.com;complained;\n"
    "b@bücher.example;Manual;\n"
    "c@example.com;nonsense;\n"
    "=cmd@example.com;;\n"
    "nobody;;\n"
    "\n"
).encode()


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, stderr=out)
    return out.getvalue()


def entries() -> list[tuple[str, str, str]]:
    return list(Suppression.objects.order_by("id").values_list("key", "reason", "source"))


def test_a_file_is_put_on_the_list_and_the_first_row_of_an_address_wins(db: None) -> None:
    services.suppress("b@bücher.example", source="there")
    report = services.import_suppressions(io.BytesIO(CONTENT), reason="unsubscribed", source="file")
    assert report.numbers() == {
        **{"records": 6, "created": 3, "duplicates": 1, "existing": 1},
        **{"invalid": 1, "suppressed": 0, "blank": 1},
    }
    assert report.rejected[0].email == "nobody"
    assert entries() == [
        ("b@xn--bcher-kva.example", "manual", "there"),
        ("=cmd@example.com", "unsubscribed", "file"),
        ("a@example.com", "bounced", "old tool"),
        ("c@example.com", "unsubscribed", "file (nonsense)"),
    ]
    assert services.import_suppressions(io.BytesIO(CONTENT)).created == 0


def test_the_words_of_another_tool_keep_an_address_on_the_list(db: None) -> None:
    rows = b"mail,reason\na@example.com,hard_bounce\nb@example.com,spam\nc@example.com,spam\nd@example.com,Bounced\n"
    report = services.import_suppressions(io.BytesIO(rows), reason="complained")
    assert (report.created, report.invalid) == (4, 0)
    assert sorted(entries()) == [
        ("a@example.com", "complained", "hard_bounce"),
        ("b@example.com", "complained", "spam"),
        ("c@example.com", "complained", "spam"),
        ("d@example.com", "bounced", ""),
    ]
    assert [note.partition(" is none")[0] for note in report.found["notes"]] == [
        "The reason “spam” (2 rows)",
        "The reason “hard_bounce” (1 row)",
    ]


def test_a_dry_run_says_the_same_and_writes_nothing(db: None) -> None:
    dry = services.import_suppressions(io.BytesIO(CONTENT), dry_run=True)
    assert not Suppression.objects.exists()
    assert dry.numbers() == services.import_suppressions(io.BytesIO(CONTENT)).numbers()


@pytest.mark.parametrize("content", [b"", b"name\nAnn\n", b"\x00\x01", b"mail,mail\n"])
def test_what_is_no_list_is_refused_whole(db: None, content: bytes) -> None:
    with pytest.raises(ImportRefused):
        services.import_suppressions(io.BytesIO(content))
    assert not Suppression.objects.exists()


def test_what_was_exported_can_be_imported_and_runs_no_formula(db: None) -> None:
    odd = [f"{sign}x@example.com" for sign in ("=", "+", "-", "'+", "''-", "'", "'a")]
    for email in odd:
        services.suppress(email, source=email)
    before = entries()
    assert len(before) == len(odd)
    exported = b"".join(services.export_suppressions(Suppression.objects.all()))
    assert b"\r\n'=x@example.com,manual,'=x@example.com," in exported
    Suppression.objects.all().delete()
    assert services.import_suppressions(io.BytesIO(exported)).numbers()["created"] == len(odd)
    assert sorted(entries()) == sorted(before)


@pytest.mark.django_db(transaction=True)
def test_imports_of_the_same_addresses_at_once_never_deadlock() -> None:
    names = [f"p{n}@example.com" for n in range(400)]
    reports: list[Any] = []

    def work(order: list[str]) -> None:
        try:
            reports.append(services.import_suppressions(io.BytesIO("\n".join(order).encode())))
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[order]) for order in (names, names[::-1], names[::2] + names[1::2])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reports) == 3
    assert Suppression.objects.count() == 400


def test_an_import_of_recipients_never_revives_who_is_on_the_list(db: None) -> None:
    services.import_suppressions(io.BytesIO(b"a@example.com"))
    campaign = CampaignFactory.create()
    services.add_recipients(campaign, [{"email": "A@example.com"}])
    assert Recipient.objects.get().state == "suppressed"
    assert Suppression.objects.count() == 1


def test_the_commands_put_on_take_off_import_and_export(db: None, tmp_path: Any) -> None:
    assert run("suppress", "a@example.com", "b@example.com", "--source", "letter") == "Suppressed 2 addresses.\n"
    with pytest.raises(CommandError, match="On the list before: 1"):
        run("suppress", "A@example.com")
    with pytest.raises(CommandError, match="Nothing changed"):
        run("suppress", "c@example.com", "nobody")
    assert Suppression.objects.count() == 2
    path = tmp_path / "list.csv"
    assert "Written to" in run("export_suppressions", str(path))
    assert run("export_suppressions", "--reason", "bounced") == "email,reason,source,campaign,created_at\r\n"
    assert run("unsuppress", "B@example.com") == "Took 1 address off the list.\n"
    with pytest.raises(CommandError, match="Not on it: 1"):
        run("unsuppress", "b@example.com")
    with pytest.raises(CommandError, match="no address"):
        run("unsuppress", "\x00")
    told = json.loads(run("import_suppressions", str(path), "--json"))
    assert (told["created"], told["existing"]) == (1, 1)
    assert "0 would be suppressed" in run("import_suppressions", str(path), "--dry-run")


@pytest.mark.parametrize(
    "arguments",
    [["/nowhere"], ["/dev/zero"], ["/"], ["{file}", "--source", "x" * 201], ["{file}", "--encoding", "zip"]],
)
def test_the_command_tells_what_is_wrong_in_one_line(db: None, tmp_path: Any, arguments: list[str]) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(CONTENT)
    with pytest.raises(CommandError) as refused:
        run("import_suppressions", *[argument.replace("{file}", str(path)) for argument in arguments])
    assert "\n" not in str(refused.value)
    assert not Suppression.objects.exists()


def test_the_admin_checks_imports_and_exports_a_list(db: None, client: Any) -> None:
    client.force_login(UserFactory(is_superuser=True))
    page = reverse("admin:campaigns_suppression_changelist")
    assert reverse("admin:campaigns_suppression_import") in client.get(page).content.decode()
    target = reverse("admin:campaigns_suppression_import")
    form = {"reason": "manual", "source": "file"}
    answer = client.post(target, {**form, "file": SimpleUploadedFile("l.csv", CONTENT), "dry_run": "on"})
    assert "4 addresses would be put on the list" in answer.content.decode()
    assert not Suppression.objects.exists()
    answer = client.post(target, {**form, "file": SimpleUploadedFile("l.csv", CONTENT)})
    assert "Put 4 addresses on the list" in answer.content.decode()
    assert "nobody" in answer.content.decode()
    answer = client.post(target, {**form, "file": SimpleUploadedFile("l.csv", b"x")})
    assert "Nothing was imported" in answer.content.decode()
    exported = client.get(reverse("admin:campaigns_suppression_export") + "?reason=bounced")
    assert b"".join(exported.streaming_content).count(b"\r\n") == 2
    client.force_login(UserFactory(permissions=["view_suppression"]))
    assert client.get(target).status_code == 403
    assert target not in client.get(page).content.decode()


@pytest.mark.django_db
def test_what_another_import_has_added_since_the_count_is_not_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    services.suppress("a@example.com")
    module = importlib.import_module("campaigns.services.import_suppressions")
    monkeypatch.setattr(module, "_TELL_APART", "SELECT 0, 2")
    report = services.import_suppressions(io.BytesIO(b"email\na@example.com\nb@example.com\n"))
    assert (report.created, report.existing, report.duplicates) == (1, 1, 0)
