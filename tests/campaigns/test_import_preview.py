"""A file is put by, looked at, mapped and checked before anything of it is imported."""

import io
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from campaigns import services, tasks
from campaigns.errors import ImportOver, ImportRefused, WrongState
from campaigns.intake import read_options
from campaigns.models import Campaign, Recipient, RecipientImport
from queue_core.models import Task
from tests.campaigns.sheets import workbook
from tests.factories import CampaignFactory, UserFactory

CONTENT = b"Kunde,Ort,Ort,\nann@example.com,Bonn,1,x\nbea@example.com,Ulm,2,\nnobody,,,\n"


@pytest.fixture
def campaign(db: None) -> Campaign:
    return CampaignFactory.create()


@pytest.fixture
def owner(client: Any, db: None) -> Any:
    client.force_login(UserFactory(is_superuser=True, is_staff=True))
    return client


def upload(campaign: Campaign, content: bytes = CONTENT, **options: Any) -> RecipientImport:
    return services.upload_import(campaign, io.BytesIO(content), filename="p.csv", options=read_options(**options))


def page(job: RecipientImport) -> str:
    return reverse("admin:campaigns_recipientimport_change", args=[job.pk])


def submit(owner: Any, job: RecipientImport, **form: Any) -> str:
    answer = owner.post(reverse("admin:campaigns_recipientimport_preview", args=[job.pk]), form, follow=True)
    job.refresh_from_db()
    return str(answer.content.decode())


def test_a_file_whose_columns_cannot_be_told_is_kept_and_says_so(campaign: Campaign) -> None:
    job = upload(campaign)
    sample = services.import_sample(job)
    assert "Two columns are called “ort”" in sample.problem
    assert sample.top.titles == ("Kunde", "Ort", "Ort", "")
    assert next(cells for _, cells, _ in sample.rows()) == ["ann@example.com", "Bonn", "1", "x"]
    with pytest.raises(ImportRefused, match="Two columns"):
        services.begin_import(job)
    assert (job.state, Recipient.objects.count()) == ("uploaded", 0)


def test_the_columns_are_mapped_on_the_page_also_those_without_a_name_of_their_own(
    owner: Any, campaign: Campaign
) -> None:
    job = upload(campaign)
    assert "Two columns are called" in owner.get(page(job)).content.decode()
    columns = {"target_0": "email", "target_1": "attribute", "attribute_1": "Stadt", "target_2": "attribute"}
    shown = submit(owner, job, **columns, attribute_2="Zone", target_3="", do="check")
    assert "Import 2 recipients" in shown
    assert job.checked["created"] == 2
    assert not Recipient.objects.exists()
    submit(owner, job, **columns, attribute_2="Zone", target_3="", do="import")
    assert job.state == "done"
    assert list(Recipient.objects.order_by("id").values_list("attributes", flat=True)) == [
        {"stadt": "Bonn", "zone": "1"},
        {"stadt": "Ulm", "zone": "2"},
    ]


def test_another_way_to_read_it_is_looked_at_before_it_is_imported(owner: Any, campaign: Campaign) -> None:
    job = upload(campaign, b"mail;name\nann@example.com;Ann\n")
    shown = submit(owner, job, delimiter="comma", encoding="", header="", do="import")
    assert "look at them, then import" in shown
    assert (job.state, Recipient.objects.count()) == ("uploaded", 0)
    submit(owner, job, delimiter="", encoding="", header="no", do="check")
    assert services.import_sample(job).top.titles == ("1", "2")
    submit(owner, job, delimiter="", encoding="", header="", do="import")
    submit(owner, job, do="import")
    assert Recipient.objects.get().name == "Ann"


SPOILT = "mail,name\nb1@example.com,Jörg\n".encode() + "b2@example.com,Jörg\n".encode("cp1252")


def test_a_row_in_another_encoding_is_shown_with_its_reason_and_the_others_are_imported(
    owner: Any, api: Any, campaign: Campaign
) -> None:
    job = upload(campaign, SPOILT)
    shown = owner.get(page(job)).content.decode()
    assert "Jörg" in shown
    assert "bytes that are not in the file&#x27;s encoding" in shown
    sample = api.get(f"/api/v1/campaigns/{campaign.pk}/imports/{job.pk}/sample/").json()["rows"]
    assert sample[0] == {"line": 2, "cells": ["b1@example.com", "Jörg"], "reason": ""}
    assert (sample[1]["cells"], "encoding" in sample[1]["reason"]) == (["b2@example.com", "J\ufffdrg"], True)
    assert "Import 1 recipient" in submit(owner, job, do="check")
    submit(owner, job, do="import")
    assert (job.state, job.created, job.invalid) == ("done", 1, 1)


def test_a_file_can_be_looked_at_in_an_encoding_it_is_not_in(owner: Any, campaign: Campaign) -> None:
    job = upload(campaign, "mail,name\na@example.com,Jörg\n".encode("cp1252"))
    shown = submit(owner, job, delimiter="", encoding="utf-8", header="", do="check")
    assert "not in the file&#x27;s encoding" in shown
    submit(owner, job, delimiter="", encoding="windows-1252", header="", do="check")
    submit(owner, job, do="import")
    assert Recipient.objects.get().name == "Jörg"


def test_titles_in_another_encoding_are_told_and_the_file_is_read_as_before(owner: Any, campaign: Campaign) -> None:
    job = upload(campaign, "mail,Größe\na@example.com,3\n".encode("cp1252"))
    shown = submit(owner, job, delimiter="", encoding="utf-8", header="", do="check")
    assert "The line with the titles has" in shown
    assert "Größe" in shown
    assert job.options["encoding"] == ""


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"target_1": "attribute", "attribute_1": " "}, "write its name"),
        ({"target_1": "attribute", "attribute_1": "!!!"}, "cannot be the name of an attribute"),
        ({"delimiter": "x"}, "x is not one of the available choices"),
        ({"encoding": "zip"}, "encoding is not known"),
        ({"target_0": "", "target_1": ""}, "No e-mail column"),
    ],
)
def test_nonsense_on_the_page_is_told_and_changes_nothing(
    owner: Any, campaign: Campaign, form: dict[str, str], said: str
) -> None:
    job = upload(campaign, b"mail,name\nann@example.com,Ann\n")
    assert said in submit(owner, job, **form, do="import")
    assert (job.state, Recipient.objects.count()) == ("uploaded", 0)


@pytest.mark.parametrize("do", ["check", "import"])
def test_what_was_entered_stays_on_the_page_when_one_option_is_refused(owner: Any, campaign: Campaign, do: str) -> None:
    job = upload(campaign, b"Mail,Ort\nann@example.com,Bonn\n")
    assert "Import 1 recipient" in submit(owner, job, do="check")
    entered = {"target_0": "email", "target_1": "attribute", "attribute_1": "my_town", "header": "yes"}
    shown = submit(owner, job, **entered, encoding="klingon", do=do)
    assert "This encoding is not known" in shown
    for kept in ('value="my_town"', 'value="klingon"', '<option value="yes" selected'):
        assert kept in shown
    assert "Import 1 recipient" not in shown
    assert "What would happen" not in shown
    assert (job.state, Recipient.objects.count()) == ("uploaded", 0)


def test_the_sheets_of_a_workbook_are_there_to_choose_from(owner: Any, campaign: Campaign) -> None:
    job = upload(campaign, workbook(Notes=[["Remark"], ["x"], ["y"]], Members=[["email"], ["a@example.com"]]))
    shown = owner.get(page(job)).content.decode()
    assert "Or read another sheet: “Members”" in shown
    assert '<option value="Members"' in shown
    assert "Import 1 recipient" in submit(owner, job, sheet="Members", do="check")


def test_a_large_file_is_checked_by_a_task(owner: Any, campaign: Campaign, settings: Any) -> None:
    settings.CAMPAIGNS_IMPORT_AT_ONCE_MIB = 0
    sent = SimpleUploadedFile("p.csv", b"mail\nann@example.com\n")
    owner.post(reverse("admin:campaigns_campaign_import", args=[campaign.pk]), {"file": sent})
    job = RecipientImport.objects.get()
    assert (job.state, owner.get(page(job)).headers["Refresh"]) == ("checking", "2")
    assert Task.objects.filter(name="campaigns.check_import_file").count() == 1
    services.run_check(job.pk)
    answer = owner.get(page(job))
    assert "Refresh" not in answer.headers
    assert "Import 1 recipient" in answer.content.decode()
    submit(owner, job, do="import")
    assert job.state == "waiting"
    services.run_import(job.pk)
    assert Recipient.objects.count() == 1


def test_a_check_whose_file_is_meanwhile_read_in_another_way_counts_that(campaign: Campaign) -> None:
    job = upload(campaign, b"a@example.com\nb@example.com\n")
    services.check_import(job)
    changed: list[int] = []

    def meanwhile(records: int) -> None:
        if not changed:
            changed.append(1)
            services.edit_import(job, read_options(header=True))
            services.check_import(job)

    services.run_check(job.pk, progress=meanwhile)
    job.refresh_from_db()
    assert job.state == "uploaded"
    assert "No e-mail column" in job.error or job.checked["created"] == 1


def test_a_check_of_what_was_cancelled_or_begun_changes_nothing(campaign: Campaign) -> None:
    job = upload(campaign, b"a@example.com\n")
    services.check_import(job)
    services.begin_import(job)
    services.run_check(job.pk)
    job.refresh_from_db()
    assert (job.state, job.checked) == ("waiting", None)
    services.run_import(job.pk)
    for verb in (services.check_import, services.begin_import, services.cancel_import):
        with pytest.raises(ImportOver):
            verb(job)
    with pytest.raises(ImportOver):
        services.edit_import(job, read_options())


def test_the_file_of_one_that_is_being_checked_goes_too(campaign: Campaign) -> None:
    job = services.check_import(upload(campaign))
    services.forget_file(job.pk)
    services.run_check(job.pk)
    job.refresh_from_db()
    assert (job.state, job.file) == ("cancelled", "")


def test_the_error_file_of_one_whose_columns_cannot_be_told_has_its_titles(owner: Any, campaign: Campaign) -> None:
    job = upload(campaign, b"a,b\nx,y\n")
    answer = owner.get(reverse("admin:campaigns_recipientimport_rejected", args=[job.pk]))
    assert b"".join(answer.streaming_content) == b"a,b,rejected: line,rejected: reason\r\n"


def test_what_was_only_uploaded_hinders_no_launch_and_goes_after_some_days(campaign: Campaign) -> None:
    job = upload(campaign, b"a@example.com\n")
    assert not any("import" in problem and "not over" in problem for problem in services.problems(campaign))
    stored = job.file
    services.forget_file(job.pk)
    job.refresh_from_db()
    assert (job.state, job.file, default_storage.exists(stored)) == ("cancelled", "", False)


def test_an_upload_into_a_launched_campaign_is_refused_and_not_kept(campaign: Campaign) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(state="sending")
    with pytest.raises(WrongState):
        upload(campaign)
    assert not RecipientImport.objects.exists()


def test_an_import_whose_task_fails_for_good_can_go_on_where_it_stopped(
    owner: Any, campaign: Campaign, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CAMPAIGNS_IMPORT_SLICE = 1
    job = upload(campaign, b"a@example.com\nb@example.com\n")
    services.begin_import(job)

    def broken(*args: Any, **options: Any) -> None:
        raise RuntimeError("the disk is full")

    def import_file(attempt: int) -> None:
        context = type("Context", (), {"attempt": attempt, "progress": broken if attempt < 99 else print})()
        tasks.import_file_task.func(context, recipient_import=job.pk)

    with pytest.raises(RuntimeError):
        import_file(attempt=9)
    job.refresh_from_db()
    assert (job.state, job.position) == ("running", 1)
    with pytest.raises(RuntimeError):
        import_file(attempt=10)
    job.refresh_from_db()
    assert (job.state, "the disk is full" in job.error) == ("failed", True)
    assert "Go on" in owner.get(page(job)).content.decode()
    submit(owner, job)
    assert job.state == "waiting"
    services.run_import(job.pk)
    job.refresh_from_db()
    assert (job.state, job.created, Recipient.objects.count()) == ("done", 2, 2)


def test_a_workbook_says_how_far_it_is(campaign: Campaign, settings: Any) -> None:
    settings.CAMPAIGNS_IMPORT_SLICE = 5
    job = upload(campaign, workbook(S=[["email"], *[[f"p{n}@example.com"] for n in range(19)]]))
    services.begin_import(job)
    heard: list[int] = []
    services.run_import(job.pk, progress=lambda read, size: heard.append(100 * read // size))
    assert heard == [29, 54, 79, 100]
