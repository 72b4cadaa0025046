import json
from importlib import import_module
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.urls import reverse

from campaigns import breaker, mailer, services
from campaigns.models import Campaign, Recipient
from campaigns.services.preflight import CHECKS, CHECKS_OF_PEOPLE
from queue_core.services.outcome import plural
from templates_app.services import archive_template
from tests.factories import CampaignFactory, TemplateFactory, UserFactory, add_recipients

pytestmark = pytest.mark.django_db


@pytest.fixture
def campaign() -> Campaign:
    campaign = CampaignFactory.create(from_email="Team <team@posthaste.dev>")
    add_recipients(campaign, 2)
    return campaign


def levels(campaign: Campaign) -> dict[str, str]:
    """The worst level of each subject."""
    found: dict[str, str] = {}
    for item in services.preflight(campaign):
        found.setdefault(item.code, item.level)
    return found


def message(campaign: Campaign, code: str) -> str:
    return next(item.message for item in services.preflight(campaign) if item.code == code)


def test_a_campaign_in_order_has_only_good_items(campaign, settings) -> None:
    settings.PUBLIC_URL = "https://mail.posthaste.dev"
    settings.SMTP_IS_CATCHER = False
    assert levels(campaign).pop("signing") == "note"
    assert {level for code, level in levels(campaign).items() if code != "signing"} == {"ok"}
    assert services.problems(campaign) == []


def test_every_check_says_something(campaign) -> None:
    campaign.rate_per_minute = 100
    found = [check(campaign) for check in CHECKS] + [check(campaign, None) for check in CHECKS_OF_PEOPLE]
    for items in map(list, found):
        assert items
        assert all(item.code and item.message for item in items)


def test_of_many_people_some_are_looked_at_and_the_list_says_so() -> None:
    wanting = TemplateFactory.create(html='{{ recipient.city }}<a href="{{ unsubscribe_url }}">x</a>')
    campaign = CampaignFactory.create(template=wanting)
    add_recipients(campaign, 5, city="Ulm")

    def told(code: str, people: int | None) -> tuple[str, str, str]:
        items = services.preflight(campaign, people=people)
        return next((item.level, item.message, item.detail) for item in items if item.code == code)

    assert told("variables", 3)[1:] == (
        "Everything that the template needs is there for the first 3 recipients.",
        "The launch looks at all of them.",
    )
    assert told("variables", 6)[1] == told("variables", None)[1] == "Everything that the template needs is there."
    Recipient.objects.filter(key__in=["r1@example.com", "r4@example.com"]).update(attributes={})
    assert told("variables", 3)[1].startswith("1 of the first 3 recipients lack “city”")
    assert told("variables", None)[1].startswith("2 of 5 recipients lack “city”")
    for n in range(3):
        services.suppress(f"r{n}@example.com")
    assert told("audience", 3)[0] == "warn"
    assert told("audience", 4)[0] == told("audience", None)[0] == "ok"
    for n in range(3, 5):
        services.suppress(f"r{n}@example.com")
    assert told("audience", 3)[0] == "warn"
    assert told("audience", 5)[0] == told("audience", None)[0] == "block"


def test_numbers_are_grouped() -> None:
    assert (plural(1, "recipient"), plural(60_008, "recipient")) == ("1 recipient", "60\u00a0008 recipients")


def test_what_blocks_comes_first(campaign) -> None:
    campaign.from_email = "nobody"
    found = [item.level for item in services.preflight(campaign)]
    assert found[0] == "block"
    assert found == sorted(found, key=["block", "warn", "note", "ok"].index)


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_audience_that_is_suppressed_blocks(when: str) -> None:
    campaign = CampaignFactory.create()
    if when == "before":
        services.suppress("r0@example.com")
    add_recipients(campaign, 2)
    if when == "after":
        services.suppress("r0@example.com")
    assert levels(campaign)["audience"] == "ok"
    services.suppress("r1@example.com")
    assert levels(campaign)["audience"] == "block"
    assert "all are on the suppression list" in message(campaign, "audience")


def test_who_was_suppressed_after_the_import_is_not_counted_as_to_mail(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.suppress("r4@example.com")
    campaign = CampaignFactory.create()
    add_recipients(campaign, 5)
    services.suppress("r0@example.com")
    item = next(item for item in services.preflight(campaign) if item.code == "audience")
    assert (item.message, item.detail) == (
        "3 recipients to mail.",
        "Not mailed, for being on the suppression list: 2.",
    )
    client.force_login(UserFactory(is_superuser=True))
    page = client.get(reverse("admin:campaigns_campaign_launch", args=[campaign.pk])).context
    assert page["question"] == f"Mail “{campaign.name}” to 3 recipients now?"
    assert page["facts"][:2] == [("Recipients", "3"), ("Suppressed, not mailed", "2")]
    monkeypatch.setattr(import_module("campaigns.services.mailable"), "LOOKED_AT_MAX", 3)
    item = next(item for item in services.preflight(campaign) if item.code == "audience")
    assert item.message == "At most 3 recipients to mail."
    assert item.detail.endswith("Only the first 3 were looked up there.")
    out = StringIO()
    call_command("launch_campaign", str(campaign.pk), stdout=out)
    assert "to at most 3 recipients." in out.getvalue()


def test_an_archived_template_blocks(campaign) -> None:
    archive_template(template=campaign.template)
    campaign.template.refresh_from_db()
    assert levels(campaign)["template"] == "block"
    assert "archived" in services.problems(campaign)[0]


@pytest.mark.parametrize(
    ("field", "value", "code", "level"),
    [
        ("from_email", "", "sender", "block"),
        ("from_email", "a@x.dev\nBcc: b@x.dev", "sender", "block"),
        ("from_email", "a@posthaste.dev, b@posthaste.dev", "sender", "block"),
        ("from_email", "a@example.com", "sender", "warn"),
        ("from_email", "a@mail.test", "sender", "warn"),
        ("from_email", "a@notexample.com", "sender", "ok"),
        ("reply_to", "nobody", "reply_to", "block"),
        ("reply_to", "a@x.dev, b@x.dev", "reply_to", "ok"),
        ("reply_to", "x" * 320, "reply_to", "block"),
    ],
)
def test_the_addresses_are_looked_at(campaign, field: str, value: str, code: str, level: str) -> None:
    setattr(campaign, field, value)
    assert levels(campaign)[code] == level


@pytest.mark.parametrize(
    ("address", "level"),
    [
        ("http://localhost:8000", "warn"),
        ("https://127.0.0.1", "warn"),
        ("https://[::1]:8000", "warn"),
        ("https://10.1.2.3", "warn"),
        ("https://web", "warn"),
        ("https://mail.local", "warn"),
        ("http://mail.posthaste.dev", "warn"),
        ("https://mail.posthaste.dev", "ok"),
        ("https://8.8.8.8", "ok"),
    ],
)
def test_links_nobody_can_follow_are_a_warning(campaign, settings, address: str, level: str) -> None:
    settings.PUBLIC_URL = address
    assert levels(campaign)["public_url"] == level


def test_a_transport_that_is_switched_off_blocks(campaign) -> None:
    chosen = services.save_transport(name="Relay", host="mail.posthaste.dev", enabled=False)
    assert "No transport is enabled" in message(campaign, "transport")
    campaign.transport = chosen
    assert "“Relay” is switched off" in message(campaign, "transport")
    services.save_transport(row=chosen, enabled=True)
    assert levels(campaign)["transport"] == "ok"


def test_a_transport_without_its_secret_blocks(campaign) -> None:
    services.save_transport(name="Relay", host="mail.posthaste.dev", username="me", secret_env="MAIL_NO_SUCH_VARIABLE")
    assert levels(campaign)["transport"] == "block"
    assert "MAIL_NO_SUCH_VARIABLE" in message(campaign, "transport")


def test_a_breaker_that_is_open_is_a_warning(campaign) -> None:
    made = services.save_transport(name="Relay", host="mail.posthaste.dev")
    breaker.trip(made.breaker_key, "connection refused")
    assert levels(campaign)["breaker"] == "warn"
    assert "connection refused" in message(campaign, "breaker")
    services.save_transport(name="Other", host="other.posthaste.dev")
    assert "breaker" not in levels(campaign)


def test_a_setting_that_cannot_be_used_blocks(campaign, monkeypatch) -> None:
    def refuse() -> None:
        raise ValueError("no host")

    monkeypatch.setattr(mailer, "transport", refuse)
    assert message(campaign, "transport") == "SMTP_URL cannot be used: no host"


def test_a_rate_that_takes_for_ever_is_a_warning(campaign, settings) -> None:
    assert "duration" not in levels(campaign)
    campaign.rate_per_minute = 2
    assert levels(campaign)["duration"] == "ok"
    settings.CAMPAIGNS_SLOW_DAYS = 0.0001
    assert levels(campaign)["duration"] == "warn"
    services.save_transport(name="Relay", host="mail.posthaste.dev", rate_count=1, rate_seconds=3600)
    settings.CAMPAIGNS_SLOW_DAYS = 3
    assert "about 2 hours" in message(campaign, "duration")


def check(campaign: Campaign, *options: str) -> str:
    out = StringIO()
    call_command("launch_campaign", str(campaign.pk), "--check", *options, stdout=out)
    return out.getvalue()


def test_the_command_checks_and_launches_nothing(campaign) -> None:
    assert "✓ 2 recipients to mail." in check(campaign)
    assert json.loads(check(campaign, "--json"))["ready"] is True
    campaign.refresh_from_db()
    assert campaign.state == "draft"
    empty = CampaignFactory.create(from_email="nobody")
    with pytest.raises(CommandError, match=f"2 things block the launch of campaign {empty.pk}"):
        check(empty)


def test_the_command_launches_for_scripts(campaign) -> None:
    out = StringIO()
    call_command("launch_campaign", str(campaign.pk), "--json", stdout=out)
    assert json.loads(out.getvalue()) == {"id": campaign.pk, "state": "sending", "total": 2}
