"""Imports by a worker: slices, crashes, several at once, cancelling."""

import io
import threading
from importlib import import_module
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import connection, transaction
from django.urls import reverse

from campaigns import lifecycle, services
from campaigns.errors import ImportOver, ImportRefused, NotReady, WrongState
from campaigns.intake import read_options
from campaigns.models import Campaign, Recipient, RecipientImport, RejectedRow, Suppression
from queue_core.models import Task
from tests.factories import CampaignFactory, UserFactory, add_recipients, counts_by_scan

PEOPLE = [f"p{n:03}@example.com" for n in range(60)]
CONTENT = "\n".join(
    ["Mail", *PEOPLE[:30], *(email.upper() for email in PEOPLE[:20]), "", "nobody", *PEOPLE[30:]]
).encode()
NUMBERS = {"records": 81, "created": 58, "duplicates": 20, "existing": 2, "invalid": 1, "suppressed": 1, "blank": 1}


# Not `services.run_import`, which is the verb of that name.
running = import_module("campaigns.services.run_import")


class Killed(BaseException):
    """Stands for kill -9: nothing after it runs."""


@pytest.fixture(autouse=True)
def small_slices(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    settings.CAMPAIGNS_IMPORT_SLICE = 7


@pytest.fixture
def campaign(db: None) -> Campaign:
    made = CampaignFactory.create()
    services.add_recipients(made, [{"email": "p040@example.com"}, {"email": "p041@example.com"}])
    Suppression.objects.create(key="p050@example.com", email="p050@example.com")
    return made


def start(campaign: Campaign, content: bytes = CONTENT, **options: Any) -> RecipientImport:
    return services.start_import(campaign, io.BytesIO(content), filename="p.csv", options=read_options(**options))


def numbers(job: RecipientImport) -> dict[str, int]:
    job.refresh_from_db()
    return {name: getattr(job, name) for name in NUMBERS}


def test_an_import_waits_for_a_worker_and_then_says_what_a_dry_run_said(campaign: Campaign) -> None:
    dry = services.import_recipients(campaign, io.BytesIO(CONTENT), filename="p.csv", dry_run=True)
    job = start(campaign)
    assert (job.state, Recipient.objects.count()) == ("waiting", 2)
    assert Task.objects.get().payload == {"recipient_import": job.pk}
    services.run_import(job.pk)
    assert numbers(job) == NUMBERS == dry.numbers()
    assert (job.state, job.position) == ("done", 82)
    assert job.finished_at is not None
    assert lifecycle.counts(campaign.pk) == counts_by_scan(campaign)
    assert RejectedRow.objects.get().line == 53


@pytest.mark.parametrize("at", range(1, 13, 3))
@pytest.mark.parametrize("where", ["before the commit", "after it"])
def test_a_killed_import_goes_on_and_counts_every_row_once(
    campaign: Campaign, at: int, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, slices = start(campaign), []
    genuine = running.merge

    def killed(*args: Any, **options: Any) -> Any:
        slices.append(1)
        report = genuine(*args, **options)
        if where == "before the commit" and len(slices) == at:
            raise Killed
        return report

    def heard(done: int, size: int) -> None:
        if where == "after it" and len(slices) == at:
            raise Killed

    monkeypatch.setattr(running, "merge", killed)
    with pytest.raises(Killed):
        services.run_import(job.pk, progress=heard)
    job.refresh_from_db()
    assert job.state == "running"
    services.run_import(job.pk)
    assert numbers(job) == NUMBERS
    assert RejectedRow.objects.count() == 1
    assert lifecycle.counts(campaign.pk) == counts_by_scan(campaign)


def test_two_that_run_the_same_import_do_each_slice_once(campaign: Campaign) -> None:
    job = start(campaign)
    nested: list[int] = []

    def meanwhile(done: int, size: int) -> None:
        if not nested:
            nested.append(1)
            services.run_import(job.pk)

    services.run_import(job.pk, progress=meanwhile)
    assert numbers(job) == NUMBERS


@pytest.mark.django_db(transaction=True)
def test_several_imports_into_one_campaign_at_once_never_deadlock() -> None:
    campaign = CampaignFactory.create()
    orders = [PEOPLE, PEOPLE[::-1], PEOPLE[::2] + PEOPLE[1::2]]
    jobs = [start(campaign, "\n".join(["email", *order]).encode()) for order in orders]

    def work(pk: int) -> None:
        try:
            services.run_import(pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[job.pk]) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [numbers(job) for job in jobs]
    assert [job.state for job in jobs] == ["done"] * 3
    assert sum(each["created"] for each in found) == 60
    assert all(each["created"] + each["existing"] == 60 for each in found)
    assert lifecycle.counts(campaign.pk) == counts_by_scan(campaign)


def test_a_cancelled_import_stops_at_the_next_slice_and_keeps_what_it_added(campaign: Campaign) -> None:
    job = start(campaign)
    services.run_import(job.pk, progress=lambda done, size: _cancel_once(job))
    assert numbers(job)["records"] == 7
    assert job.state == "cancelled"
    services.run_import(job.pk)
    assert numbers(job)["records"] == 7
    with pytest.raises(ImportOver, match="is cancelled"):
        services.cancel_import(job)


def _cancel_once(job: RecipientImport) -> None:
    job.refresh_from_db()
    if job.state == "running":
        services.cancel_import(job)


def test_a_campaign_is_not_launched_while_an_import_is_under_way(campaign: Campaign) -> None:
    job = start(campaign)
    with pytest.raises(NotReady, match="is not over"):
        services.launch(campaign)
    services.cancel_import(job)
    assert not any("import" in problem for problem in services.problems(campaign))


def test_an_import_whose_campaign_is_no_draft_any_more_fails_with_the_reason(campaign: Campaign) -> None:
    job = start(campaign)
    Campaign.objects.filter(pk=campaign.pk).update(state="cancelled")
    services.run_import(job.pk)
    job.refresh_from_db()
    assert (job.state, "is cancelled" in job.error) == ("failed", True)
    with pytest.raises(WrongState):
        start(campaign)


def test_a_file_that_is_gone_fails_with_what_to_do(campaign: Campaign) -> None:
    job = start(campaign)
    default_storage.delete(job.file)
    services.run_import(job.pk)
    job.refresh_from_db()
    assert (job.state, "gone" in job.error) == ("failed", True)


def test_a_file_is_kept_for_some_days_and_then_removed(campaign: Campaign) -> None:
    job = start(campaign)
    services.forget_file(job.pk)
    assert default_storage.exists(job.file)
    services.run_import(job.pk)
    assert Task.objects.filter(name="campaigns.forget_import_file").count() == 1
    stored = job.file
    services.forget_file(job.pk)
    job.refresh_from_db()
    assert (job.file, default_storage.exists(stored)) == ("", False)
    services.forget_file(job.pk)


@pytest.mark.parametrize("content", [b"", b"name\nAnn\n", b"\x00\x01\x02"])
def test_what_is_no_list_is_refused_at_once_and_not_kept(campaign: Campaign, content: bytes, tmp_path: Any) -> None:
    with pytest.raises(ImportRefused):
        start(campaign, content)
    assert not RecipientImport.objects.exists()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_page_of_an_import_shows_how_far_it_is_and_cancels_it(
    client: Any, campaign: Campaign, settings: Any
) -> None:
    client.force_login(UserFactory(is_superuser=True))
    settings.CAMPAIGNS_IMPORT_AT_ONCE_MIB = 0
    job = start(campaign)
    page = reverse("admin:campaigns_recipientimport_change", args=[job.pk])
    assert client.get(page).headers["Refresh"] == "2"
    stop = reverse("admin:campaigns_recipientimport_cancel", args=[job.pk])
    assert client.get(stop).status_code == 405
    assert b"rows imported so far stay" in client.post(stop, follow=True).content
    assert b"nothing left to cancel" in client.post(stop, follow=True).content
    assert "Refresh" not in client.get(page).headers
    client.force_login(UserFactory(is_staff=True))
    assert client.post(stop).status_code in (403, 404)


def test_the_command_leaves_a_file_to_the_workers(campaign: Campaign, tmp_path: Any) -> None:
    path, out = tmp_path / "p.csv", io.StringIO()
    path.write_bytes(CONTENT)
    call_command("import_recipients", str(path), "--campaign", str(campaign.pk), "--background", stdout=out)
    assert out.getvalue() == f"Import {RecipientImport.objects.get().pk} is in line for the workers.\n"


def test_a_campaign_with_many_imports_is_deleted_with_them(campaign: Campaign) -> None:
    job = start(campaign)
    add_recipients(campaign, 1)
    services.delete_campaign(campaign)
    services.run_import(job.pk)
    assert not RecipientImport.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_files_of_a_deleted_campaign_are_deleted_with_it() -> None:
    campaign, other = CampaignFactory.create_batch(2)
    jobs = [services.upload_import(one, io.BytesIO(CONTENT), filename="p.csv") for one in (campaign, campaign, other)]
    with transaction.atomic():
        services.delete_campaign(campaign)
        transaction.set_rollback(True)
    assert all(default_storage.exists(job.file) for job in jobs)
    services.delete_campaign(campaign)
    assert [default_storage.exists(job.file) for job in jobs] == [False, False, True]
