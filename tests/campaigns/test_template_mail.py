"""A template seen as a recipient would get it, and sent to somebody who tries it."""

import email
import email.policy
from typing import Any

import pytest

from campaigns import services
from campaigns.models import Campaign
from templates_app.rendering import Content
from templates_app.services import edit_template
from tests.campaigns.smtp_server import SmtpServer
from tests.factories import CampaignFactory, TemplateFactory, UserFactory

HTML = '<p>{{ recipient.name }} from {{ recipient.city }}, {{ season }}</p><a href="{{ unsubscribe_url }}">x</a>'
PEOPLE = [
    {"email": "ann@example.com", "name": "Ann", "attributes": {"city": "Bonn"}},
    {"email": "bob@example.com", "name": "Bob"},
]


@pytest.fixture
def campaign(db: None) -> Campaign:
    template = TemplateFactory.create(subject="For {{ recipient.name }}", html=HTML)
    made: Campaign = CampaignFactory.create(template=template, context={"season": "autumn"}, from_email="t@example.com")
    services.add_recipients(made, PEOPLE)
    return made


@pytest.fixture
def url(campaign: Campaign) -> str:
    return f"/api/v1/templates/{campaign.template_id}/"


def person(campaign: Campaign, name: str) -> int:
    return campaign.recipients.get(name=name).pk


def test_a_preview_for_a_recipient_is_their_mail(api: Any, campaign: Campaign, url: str) -> None:
    answer = api.post(f"{url}preview/", {"recipient": person(campaign, "Ann")})
    assert (answer.status_code, answer.data["subject"]) == (200, "For Ann")
    assert "Ann from Bonn, autumn" in answer.data["html"]
    assert answer.data["headers"]["To"] == "Ann <ann@example.com>"
    token = answer.data["headers"]["List-Unsubscribe"].strip("<>").rstrip("/").rpartition("/")[2]
    assert services.recipient_of(token) is None


def test_it_shows_the_current_version_whatever_the_campaign_was_launched_with(
    api: Any, campaign: Campaign, url: str
) -> None:
    services.remove_recipient(campaign.recipients.get(name="Bob"))
    services.launch(campaign)
    edit_template(template=campaign.template, parts=Content("New for {{ recipient.name }}", HTML, "")._asdict())
    answer = api.post(f"{url}preview/", {"recipient": person(campaign, "Ann")})
    assert (answer.data["subject"], answer.data["headers"]["Subject"]) == ("New for Ann", "New for Ann")


def test_missing_values_are_named_or_shown(api: Any, campaign: Campaign, url: str) -> None:
    bob = person(campaign, "Bob")
    answer = api.post(f"{url}preview/", {"recipient": bob})
    assert answer.status_code == 400
    assert "recipient.city" in str(answer.data["errors"])
    answer = api.post(f"{url}preview/", {"recipient": bob, "lenient": True})
    assert answer.data["missing"] == ["recipient.city"]


def test_a_preview_takes_a_context_or_a_recipient(api: Any, campaign: Campaign, url: str) -> None:
    both = {"recipient": person(campaign, "Ann"), "context": {"season": "x"}}
    assert "recipient" in api.post(f"{url}preview/", both).data["errors"]
    assert api.post(f"{url}preview/", {"recipient": 2**62}).status_code == 404
    assert api.post(f"{url}preview/", {"recipient": "x"}).status_code == 400
    Campaign.objects.update(from_email="nonsense")
    answer = api.post(f"{url}preview/", {"recipient": person(campaign, "Ann")})
    assert "From" in str(answer.data["errors"])


def test_a_preview_of_a_context_has_what_every_mail_has(api: Any, campaign: Campaign, url: str) -> None:
    context = {"recipient": {"name": "Eve", "city": "Kiel", "email": "eve@example.org"}, "season": "winter"}
    answer = api.post(f"{url}preview/", {"context": context})
    assert answer.status_code == 200
    assert {finding["code"] for finding in answer.data["findings"]} == {"link-private"}
    assert "Eve from Kiel, winter" in answer.data["html"]
    assert answer.data["headers"]["To"] == "Eve <eve@example.org>"
    assert answer.data["headers"]["From"] == "t@example.com"
    assert answer.data["headers"]["Subject"] == "For Eve"
    token = answer.data["headers"]["List-Unsubscribe"].strip("<>").rstrip("/").rpartition("/")[2]
    assert services.recipient_of(token) is None
    own = {**context, "unsubscribe_url": "https://example.com/mine"}
    assert "https://example.com/mine" in api.post(f"{url}preview/", {"context": own}).data["html"]


def test_what_is_missing_in_a_preview_is_not_taken_for_an_address(api: Any, campaign: Campaign, url: str) -> None:
    html = '<a href="{{ recipient.shop }}">Shop</a><a href="{{ unsubscribe_url }}">x</a>'
    edit_template(template=campaign.template, parts=Content("Hi", html)._asdict())
    answer = api.post(f"{url}preview/", {"lenient": True})
    assert (answer.data["missing"], answer.data["headers"]) == (["recipient.shop"], {})
    assert "link-relative" not in {finding["code"] for finding in answer.data["findings"]}


@pytest.mark.django_db
def test_a_test_without_a_sender_says_where_to_name_one(api: Any, smtp: SmtpServer, settings: Any) -> None:
    path = f"/api/v1/templates/{TemplateFactory.create().pk}/test-send/"
    settings.DEFAULT_FROM_EMAIL = "webmaster@localhost"
    errors = api.post(path, {"to": ["me@example.com"]}).data["errors"]
    assert list(errors) == ["from_email"]
    assert "DEFAULT_FROM_EMAIL" in errors["from_email"][0]
    settings.DEFAULT_FROM_EMAIL = "Shop <shop@example.com>"
    assert api.post(path, {"to": ["me@example.com"]}).data[0]["accepted"]


def test_who_may_not_see_recipients_sees_no_mail_of_theirs(api: Any, campaign: Campaign, url: str) -> None:
    api.force_authenticate(UserFactory(permissions=["view_emailtemplate"]))
    assert api.post(f"{url}preview/", {"recipient": person(campaign, "Ann")}).status_code == 403
    assert api.post(f"{url}preview/", {"context": {}, "lenient": True}).status_code == 200
    assert api.post(f"{url}test-send/", {"to": ["me@example.com"]}).status_code == 403


def test_a_test_is_filled_with_samples_a_context_or_somebodys_values(
    api: Any, smtp: SmtpServer, campaign: Campaign, url: str
) -> None:
    for body, expected in (
        ({}, "Ada Example from city, season"),
        ({"context": {"season": "winter"}}, "from city, winter"),
        ({"context": {"recipient": {"name": "Eve", "city": "Kiel"}}}, "Eve from Kiel, season"),
        ({"context": {"recipient": {"city": "Kiel"}}}, "Ada Example from Kiel"),
        ({"recipient": person(campaign, "Ann")}, "Ann from Bonn, autumn"),
    ):
        smtp.bodies.clear()
        answer = api.post(f"{url}test-send/", {"to": ["me@example.com"], "from_email": "Me <me@example.com>", **body})
        assert (answer.status_code, answer.data[0]["accepted"]) == (200, True), answer.data
        mail = email.message_from_bytes(smtp.bodies[0], policy=email.policy.default)
        assert mail["From"] == "Me <me@example.com>"
        assert mail["Subject"].startswith("[Test] For ")
        body_part = mail.get_body(("html",))
        assert body_part is not None
        assert expected in body_part.get_content()
    assert {found.state for found in campaign.recipients.all()} == {"pending"}


def test_a_test_that_cannot_be_made_is_refused(api: Any, smtp: SmtpServer, campaign: Campaign, url: str) -> None:
    for body in (
        {"to": []},
        {"to": ["nobody"]},
        {"to": ["me@example.com"], "from_email": "nonsense"},
        {"to": ["me@example.com"], "recipient": person(campaign, "Bob")},
        {"to": ["me@example.com"], "recipient": person(campaign, "Ann"), "context": {"season": "x"}},
        {"to": ["me@example.com"], "context": []},
    ):
        assert api.post(f"{url}test-send/", body).status_code == 400, body
    assert smtp.bodies == []
