"""Who lacks a value that the template needs: counted before the launch, and named."""

import csv
import io
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from campaigns import services
from campaigns.errors import NoAttribute
from campaigns.models import Campaign, Recipient
from tests.factories import CampaignFactory, TemplateFactory, UserFactory

HTML = (
    '{{ recipient.city }} {{ recipient.address.street }} {{ recipient.nick|default("you") }} {{ season }}'
    '<a href="{{ unsubscribe_url }}">x</a>'
)
PEOPLE: list[dict[str, Any]] = [
    {"email": "whole@example.com", "attributes": {"city": "Bonn", "address": {"street": "Am Hof"}}},
    {"email": "cityless@example.com", "attributes": {"address": {"street": "Am Hof"}}},
    {"email": "null@example.com", "name": "=1+1", "attributes": {"city": None, "address": {"street": None}}},
    {"email": "flat@example.com", "attributes": {"city": "Bonn", "address": "Am Hof 1"}},
]


@pytest.fixture
def campaign(db: None) -> Campaign:
    made: Campaign = CampaignFactory.create(template=TemplateFactory.create(html=HTML), context={"season": "autumn"})
    services.add_recipients(made, PEOPLE)
    return made


def who(campaign: Campaign, variable: str, **options: int) -> list[str]:
    return [email.partition("@")[0] for _, email, _ in services.who_lacks(campaign, variable, **options)]


def test_the_checklist_counts_them_for_each_variable_in_one_pass(campaign: Campaign) -> None:
    items = [item for item in services.preflight(campaign) if item.code == "variables"]
    assert [item.detail for item in items] == ["recipient.address.street", "recipient.city"]
    assert "2 of 4 recipients lack “address.street”" in items[0].message
    assert "2 of 4 recipients lack “city”" in items[1].message
    with CaptureQueriesContext(connection) as queries:
        services.preflight(campaign)
    assert sum("FILTER (WHERE coalesce(attributes" in query["sql"] for query in queries) == 1


def test_what_only_a_branch_needs_is_told_and_keeps_nobody_from_launching(campaign: Campaign) -> None:
    html = '{% if recipient.email == "x" %}{{ recipient.city }}{{ colour }}{% endif %}<a href="{{ unsubscribe_url }}">'
    campaign.template = TemplateFactory.create(html=f"{html}x</a>")
    campaign.save()
    items = [item for item in services.preflight(campaign) if item.code == "variables"]
    assert [(item.level, item.detail) for item in items] == [("warn", "colour"), ("warn", "recipient.city")]
    assert (
        "2 of 4 recipients lack “city”, which the template needs in a part that not every mail has" in items[1].message
    )
    assert who(campaign, "recipient.city") == ["cityless", "null"]
    assert services.launch(campaign).state == "sending"


def test_it_names_them(campaign: Campaign) -> None:
    assert who(campaign, "recipient.city") == ["cityless", "null"]
    assert who(campaign, "recipient.address.street") == ["null", "flat"]
    assert who(campaign, "recipient.nick") == ["whole", "cityless", "null", "flat"]
    assert who(campaign, "recipient.nick", limit=1) == ["whole"]
    Recipient.objects.filter(key="null@example.com").update(state="suppressed")
    assert who(campaign, "recipient.city") == ["cityless"]


def test_a_template_that_cannot_be_read_any_more_asks_for_nothing(campaign: Campaign) -> None:
    broken = campaign.template.versions.create(number=2, subject="s", html="{{ recipient.city }}{{ 1e999 }}")
    campaign.template_version = broken
    with pytest.raises(NoAttribute):
        services.who_lacks(campaign, "recipient.city")


def test_nobody_lacks_what_all_have(campaign: Campaign) -> None:
    Recipient.objects.exclude(key="whole@example.com").delete()
    assert [item.level for item in services.preflight(campaign) if item.code == "variables"] == ["ok"]


@pytest.mark.parametrize(
    "variable",
    [
        *(
            "",
            "city",
            "recipient.",
            "recipient",
            "campaign.name",
            "recipient.\x00",
            "recipient.email",
            "recipient.email",
        ),
        *("recipient.{}", "recipient.a,b", "recipient.'; --", "recipient.é." * 50),
    ],
)
def test_what_the_template_does_not_ask_recipients_for_is_refused(campaign: Campaign, variable: str) -> None:
    with pytest.raises(NoAttribute):
        services.export_lacking(campaign, variable)


@pytest.mark.parametrize(
    ("context", "missing"),
    [
        ({"shop": {"address": {"city": "Bonn"}}}, []),
        ({"shop": {"address": {"city": ""}}}, []),
        ({"shop": {"address": {}}}, ["shop.address.city"]),
        ({"shop": {"address": None}}, ["shop.address.city"]),
        ({"shop": "Bonn"}, ["shop.address.city"]),
        ({}, ["shop.address.city"]),
    ],
)
@pytest.mark.django_db
def test_a_value_of_the_campaign_is_looked_for_to_the_end_of_its_path(context: Any, missing: list[str]) -> None:
    template = TemplateFactory.create(html='{{ shop.address.city }} <a href="{{ unsubscribe_url }}">x</a>')
    campaign = CampaignFactory.create(template=template, context=context)
    services.add_recipients(campaign, [{"email": "a@example.com"}])
    assert [item.detail for item in services.preflight(campaign) if item.level == "block"] == missing


def test_the_admin_and_the_api_tell_which(client: Any, campaign: Campaign) -> None:
    client.force_login(UserFactory(is_superuser=True))
    page = reverse("admin:campaigns_campaign_lacking", args=[campaign.pk])
    form = client.get(reverse("admin:campaigns_campaign_change", args=[campaign.pk])).content.decode()
    assert f"{page}?variable=recipient.city" in form
    shown = client.get(page, {"variable": "recipient.city"}).content.decode()
    assert "cityless@example.com" in shown
    assert "whole@example.com" not in shown
    for answer in (
        client.get(page, {"variable": "recipient.city", "csv": "1"}),
        client.get(f"/api/v1/campaigns/{campaign.pk}/lacking/?variable=recipient.city"),
    ):
        rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))
        assert [row[1:] for row in rows] == [
            ["email", "name"],
            ["cityless@example.com", ""],
            ["null@example.com", "'=1+1"],
        ]
    assert "does not ask recipients for" in client.get(page, {"variable": "x"}, follow=True).content.decode()
    assert client.get(f"/api/v1/campaigns/{campaign.pk}/lacking/?variable=x").status_code == 400
    assert client.get(f"/api/v1/campaigns/{campaign.pk}/lacking/").status_code == 400


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ("{% set r = recipient %}{{ r.email }}{% set c = campaign %}{{ c.name }}", []),
        ("{% for k, v in recipient|dictsort %}{{ k }}{% endfor %}{% if campaign %}{{ campaign.id }}{% endif %}", []),
        ('{{ "a" if recipient.city is string else "b" }}', []),
        ('{{ recipient["x.y"]|default("") }}', []),
        ("{{ campaign.colour }}", [("block", "campaign.colour")]),
        ("{% set r = recipient %}{{ r.city }}", [("block", "recipient.city")]),
        ("{% if recipient %}{{ recipient.city }}{% endif %}", [("warn", "recipient.city")]),
        ("{% if recipient.address %}{{ recipient.address.street }}{% endif %}", [("warn", "recipient.address.street")]),
        ('{% if recipient.city %}{% set g = "Dear" %}{% endif %}{{ g }}', [("warn", "g")]),
    ],
)
def test_the_checklist_says_what_a_mail_would_say(campaign: Campaign, html: str, found: list[tuple[str, str]]) -> None:
    campaign.template = TemplateFactory.create(html=f'{html}<a href="{{{{ unsubscribe_url }}}}">x</a>')
    campaign.context = {"campaign": {"colour": "red"}}
    campaign.save()
    items = [item for item in services.preflight(campaign) if item.code == "variables"]
    assert [(item.level, item.detail) for item in items if item.level != "ok"] == found


def with_html(campaign: Campaign, html: str) -> Campaign:
    campaign.template = TemplateFactory.create(html=f'{html}<a href="{{{{ unsubscribe_url }}}}">x</a>')
    campaign.save()
    return campaign


def test_a_blank_name_is_as_good_as_none(db: None) -> None:
    campaign = with_html(CampaignFactory.create(), "Hi {{ recipient.name }},")
    services.add_recipients(campaign, [{"email": "a@example.com", "name": "Ada"}, {"email": "nameless@example.com"}])
    (item,) = (item for item in services.preflight(campaign) if item.code == "variables")
    assert (item.level, item.detail) == ("block", "recipient.name")
    assert "1 of 2 recipients lack “name”" in item.message
    assert who(campaign, "recipient.name") == ["nameless"]
    with_html(campaign, 'Hi {{ recipient.name|default("friend") }},')
    assert [item.level for item in services.preflight(campaign) if item.code == "variables"] == ["ok"]
    shown = [services.preview_message(campaign, row).text for row in campaign.recipients.order_by("pk")]
    assert [text.partition(",")[0] for text in shown] == ["Hi Ada", "Hi friend"]


@pytest.mark.parametrize(
    ("html", "told"),
    [
        ("{% if recipient.vip %}x{% endif %}", True),
        ("{{ 'x' if not recipient.vip and recipient.city }}", True),
        ("{% if recipient.a %}{% elif recipient.vip %}{% endif %}", True),
        ("{% if recipient.vip == 'yes' %}x{% endif %}", False),
        ("{% if recipient.vip and recipient.vip != 'no' %}x{% endif %}", False),
        ("{{ recipient.vip|default('no') }}{% if recipient.vip is defined %}x{% endif %}", False),
        ("{% if recipient.flag %}x{% endif %}", False),
    ],
)
def test_a_text_that_says_no_is_told_where_a_template_takes_it_for_yes(db: None, html: str, told: bool) -> None:
    campaign = with_html(CampaignFactory.create(), html)
    values = ["FALSE", "no", "0", "yes", "", False]
    people = [{"email": f"r{n}@example.com", "attributes": {"vip": vip, "flag": False}} for n, vip in enumerate(values)]
    services.add_recipients(campaign, people)
    items = [(item.level, item.detail) for item in services.preflight(campaign) if item.code == "values"]
    assert items == ([("warn", "recipient.vip")] if told else [])
    if told:
        assert "3 of 6 recipients say no with “vip”" in next(
            item.message for item in services.preflight(campaign) if item.code == "values"
        )


@pytest.mark.parametrize(
    ("html", "blocks"),
    [
        ("{{ recipient.qty * 2 }}", True),
        ("{{ recipient.qty|int * 2 }}", False),
        ("{{ recipient.day|date }}", True),
        ("{% if recipient.email == 'r0@example.com' %}{{ recipient.qty + 1 }}{% endif %}", False),
        ("{% if recipient.qty %}{{ recipient.nobodys }}{% endif %}", False),
    ],
)
def test_a_template_of_which_no_mail_can_be_made_keeps_from_launching(db: None, html: str, blocks: bool) -> None:
    campaign = with_html(CampaignFactory.create(), html)
    services.add_recipients(
        campaign, [{"email": f"r{n}@example.com", "attributes": {"qty": "7", "day": "soon"}} for n in range(7)]
    )
    items = [item.message for item in services.preflight(campaign) if item.level == "block"]
    assert [message[:52] for message in items] == (
        ["No mail can be made for the first 5 recipients: html"] if blocks else []
    )
