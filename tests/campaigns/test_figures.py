"""A campaign as a whole: numbers, the ledger as a file, a copy."""

import csv
import io
from importlib import import_module
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from campaigns import lifecycle, services
from campaigns.errors import ImportRefused
from campaigns.intake import error_rows
from campaigns.lifecycle import Happened
from campaigns.models import Campaign, Recipient
from campaigns.states import EventKind
from tests.factories import CampaignFactory, UserFactory, add_recipients, completed, counts_by_scan


@pytest.fixture
def over(db: None) -> Campaign:
    campaign = CampaignFactory.create(name="Autumn", context={"season": "autumn"}, rate_per_minute=7)
    add_recipients(campaign, 4)
    add_recipients(campaign, 2, domain="mail.example")
    return completed(services.launch(campaign), "sent", 250)


def rows(chunks: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(b"".join(chunks).decode())))


def test_numbers_by_state_event_hour_and_domain(over: Campaign) -> None:
    person = Recipient.objects.first()
    lifecycle.record_events([Happened(person.pk, EventKind.OPENED), Happened(person.pk, EventKind.BOUNCED, 550)])
    stats = services.campaign_stats(over)
    assert (stats["total"], stats["states"]["sent"], stats["states"]["bounced"]) == (6, 5, 1)
    assert (stats["events"]["opened"], stats["events"]["clicked"]) == (1, 0)
    assert sum(hour.get("opened", 0) for hour in stats["hours"]) == 1
    assert [tuple(row.values()) for row in stats["domains"]] == [
        ("example.com", 4, 3, 0, 1),
        ("mail.example", 2, 2, 0, 0),
    ]
    assert stats["domains_of"] == 6


def test_a_campaign_without_anybody_has_numbers_too(db: None) -> None:
    stats = services.campaign_stats(CampaignFactory.create())
    assert (stats["total"], stats["hours"], stats["domains"]) == (0, [], [])


def test_the_numbers_take_as_many_queries_for_many_as_for_few(over: Campaign) -> None:
    with CaptureQueriesContext(connection) as few:
        services.campaign_stats(over)
    assert len(few) <= 6


def test_the_ledger_is_a_file_that_runs_no_formula(over: Campaign) -> None:
    Recipient.objects.filter(key="r0@example.com").update(name="=1+1", attributes={"city": "Köln"})
    found = rows(services.export_campaign(over))
    assert [row["email"] for row in found] == [row.email for row in Recipient.objects.order_by("pk")]
    assert (found[0]["name"], found[0]["attributes"], found[0]["state"]) == ("'=1+1", '{"city": "Köln"}', "sent")
    assert rows(services.export_campaign(over, state="pending")) == []


def test_what_was_exported_can_be_imported_into_another_draft_as_the_same_people(over: Campaign) -> None:
    odd = [
        {"email": "+jo@example.com", "name": "=Jo", "attributes": {"n": 1.5, "deep": {"a": [None, True]}, "s": "'=x"}},
        {"email": "al@example.com", "attributes": {"name": "Other", "state": "Utah", "text": "x" * 20_000}},
        {"email": "bo@example.com", "name": "Bo"},
    ]
    source = CampaignFactory.create()
    services.add_recipients(source, odd)
    for campaign in (source, over):
        made, exported = CampaignFactory.create(), b"".join(services.export_campaign(campaign))
        report = services.import_recipients(made, io.BytesIO(exported), filename="export.csv")
        assert report.found["columns"][-1] == ["attributes", "attributes"]
        who = "email", "key", "name", "attributes"
        before, after = (Recipient.objects.filter(campaign=one).order_by("pk").values(*who) for one in (campaign, made))
        assert list(after) == list(before)
        assert set(Recipient.objects.filter(campaign=made).values_list("state", "attempts", "code")) == {
            ("pending", 0, None)
        }
    assert services.import_suppressions(io.BytesIO(exported)).created == 6


def test_a_row_of_an_export_is_refused_for_attributes_that_are_none_and_mended(over: Campaign) -> None:
    header, first, second, *_ = b"".join(services.export_campaign(over)).split(b"\r\n")
    broken = b"\r\n".join([header, first.replace(b"{", b"["), second])
    made = CampaignFactory.create()
    report = services.import_recipients(made, io.BytesIO(broken), filename="export.csv")
    assert (report.created, report.rejected[0].reason) == (1, "the attributes are not JSON")
    errors = io.StringIO()
    csv.writer(errors).writerows(error_rows(report.found["columns"], report.rejected))
    mended = errors.getvalue().replace("[", "{").encode()
    assert services.import_recipients(made, io.BytesIO(mended), filename="mended.csv").created == 1
    assert Recipient.objects.filter(campaign=made).latest("pk").attributes == {"name": "Reader 0"}


def test_the_export_goes_on_behind_each_slice(over: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("campaigns.services.export_campaign"), "_SLICE", 2)
    assert len({row["id"] for row in rows(services.export_campaign(over))}) == 6


def test_a_copy_says_the_same_to_the_same_people_and_knows_nothing_of_what_became_of_them(over: Campaign) -> None:
    services.suppress("r1@example.com")
    made = services.duplicate_campaign(over, recipients=True)
    assert (made.state, made.name, made.context, made.rate_per_minute) == ("draft", "Copy of Autumn", over.context, 7)
    assert (made.template_version, made.launched_at, made.total) == (None, None, 0)
    states = dict(Recipient.objects.filter(campaign=made).values_list("key", "state"))
    assert states.pop("r1@example.com") == "suppressed"
    assert (len(states), set(states.values())) == (5, {"pending"})
    assert lifecycle.counts(made.pk) == counts_by_scan(made)
    assert sum(lifecycle.counts(over.pk).values()) == 6
    services.launch(made)


def test_a_copy_without_people_or_with_too_many(over: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not Recipient.objects.filter(campaign=services.duplicate_campaign(over, name="Other")).exists()
    monkeypatch.setattr(import_module("campaigns.services.duplicate_campaign"), "COPIED_MAX", 5)
    with pytest.raises(ImportRefused, match="import its export"):
        services.duplicate_campaign(over, recipients=True)
    assert Campaign.objects.count() == 2


def test_the_admin_shows_exports_and_duplicates(client: Any, over: Campaign) -> None:
    client.force_login(UserFactory(is_superuser=True))
    page = client.get(reverse("admin:campaigns_campaign_change", args=[over.pk])).content.decode()
    urls = {
        name: reverse(f"admin:campaigns_campaign_{name}", args=[over.pk]) for name in ("figures", "export", "duplicate")
    }
    assert all(url in page for url in urls.values())
    assert "mail.example" in client.get(urls["figures"]).content.decode()
    assert len(rows(client.get(urls["export"]).streaming_content)) == 6
    assert len(rows(client.get(urls["export"] + "?state=rejected").streaming_content)) == 0
    assert "Copy of Autumn" in client.get(urls["duplicate"]).content.decode()
    assert client.post(urls["duplicate"], {"name": ""}).context["form"].errors
    answer = client.post(urls["duplicate"], {"name": "Again", "recipients": "on"}, follow=True)
    assert "says the same" in answer.content.decode()
    assert Recipient.objects.filter(campaign__name="Again").count() == 6
    client.force_login(UserFactory(permissions=["view_campaign", "add_campaign"]))
    assert 'name="recipients"' not in client.get(urls["duplicate"]).content.decode()
    assert client.post(urls["duplicate"], {"name": "Without", "recipients": "on"}).status_code == 403
    assert not Campaign.objects.filter(name="Without").exists()
    client.post(urls["duplicate"], {"name": "Without"})
    assert Campaign.objects.filter(name="Without").exists()
    client.force_login(UserFactory(permissions=["view_campaign"]))
    assert client.get(urls["figures"]).status_code == 200
    assert [client.get(urls[name]).status_code for name in ("export", "duplicate")] == [403, 403]


def test_who_is_deferred_now_and_how_often_somebody_was_are_two_numbers(client: Any, over: Campaign) -> None:
    person = Recipient.objects.first()
    lifecycle.record_events([Happened(person.pk, EventKind.DEFERRED, 451)] * 4)
    client.force_login(UserFactory(is_superuser=True))
    shown = client.get(reverse("admin:campaigns_campaign_figures", args=[over.pk])).context
    assert dict(shown["now"])["Deferred"] == "0"
    assert ">4</a>" in dict(shown["happened"])["Deferred"]


def test_the_figures_say_where_there_are_more_domains_than_they_show(
    client: Any, over: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.force_login(UserFactory(is_superuser=True))
    url = reverse("admin:campaigns_campaign_figures", args=[over.pk])
    assert "largest" not in client.get(url).content.decode()
    stats = import_module("campaigns.services.campaign_stats")
    monkeypatch.setattr(stats, "DOMAINS_MAX", 1)
    page = client.get(url).content.decode()
    assert "The 1 largest." in page
    assert "mail.example" not in page
    monkeypatch.setattr(stats, "DOMAIN_SAMPLE", 5)
    assert "The 1 largest of the first 5 recipients." in client.get(url).content.decode()


def test_an_empty_campaign_has_figures_too(client: Any, db: None) -> None:
    client.force_login(UserFactory(is_superuser=True))
    url = reverse("admin:campaigns_campaign_figures", args=[CampaignFactory.create().pk])
    assert "Nothing has happened yet" in client.get(url).content.decode()


def test_the_list_of_an_old_campaign_is_found_by_an_index(over: Campaign) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT * FROM email_recipients WHERE campaign_id = %s ORDER BY id DESC LIMIT 50", [over.pk]
        )
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "email_recipients_list" in plan
    assert "Sort" not in plan
