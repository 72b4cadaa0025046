"""Openings and clicks: off by default, looked up and never taken raw, machines left out as far as can be told."""

import html
import io
import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from django.core.management import call_command
from django.core.signing import Signer
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import example, given
from hypothesis import strategies as st
from rest_framework.test import APIClient

from campaigns import services
from campaigns.models import Campaign, CampaignEvent, LinkCount, Recipient, TrackedLink
from campaigns.services.letters import Letters
from campaigns.services.preview_message import leased
from campaigns.tracking import Tracker, links_in, read_click, read_open
from templates_app.rendering import Content
from templates_app.services import create_template
from tests.campaigns.smtp_server import SmtpServer
from tests.factories import CampaignFactory, TemplateFactory, UserFactory, add_recipients, completed

TEA = "https://shop.example/tea?a=1&b=2"
HTML = (
    f'<body><a class="x" href="{TEA.replace("&", "&amp;")}">Tea</a> <A HREF=\'https://shop.example/\'>Shop</A>'
    '<a href="https://shop.example/{{ recipient.name }}">Yours</a> <a href="mailto:a@example.com">Mail</a>'
    '<a href="#top">Top</a> <a href="{{ unsubscribe_url }}">Unsubscribe</a></body>'
)
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"


def made(**flags: bool) -> Campaign:
    campaign: Campaign = CampaignFactory.create(template=TemplateFactory.create(html=HTML), **flags)
    add_recipients(campaign, 2)
    return campaign


@pytest.fixture
def campaign(db: None) -> Campaign:
    """Over for a while."""
    over = completed(services.launch(made(track_opens=True, track_clicks=True)), "sent", 250)
    Recipient.objects.update(sent_at=timezone.now() - timezone.timedelta(hours=1))
    return over


def mail(campaign: Campaign) -> str:
    return Letters(campaign).make(leased(person())).data.decode().replace("=\r\n", "").replace("=3D", "=")


def person() -> Recipient:
    return Recipient.objects.order_by("pk")[0]


def urls(campaign: Campaign) -> tuple[str, str]:
    """(path of the link to the tea, path of the picture)."""
    body = mail(campaign)
    (click, *_), (opened,) = re.findall(r"/t/c/[^\"']+/", body), re.findall(r"/t/o/[^\"]+\.gif", body)
    return click, opened


def get(path: str, agent: str = BROWSER, **headers: str) -> Any:
    return Client().get(path, headers={"User-Agent": agent, **headers})


def kinds() -> list[str]:
    return list(CampaignEvent.objects.order_by("id").values_list("kind", flat=True))


def test_nothing_is_tracked_unless_it_was_asked_for(db: None) -> None:
    body = mail(services.launch(made()))
    assert "/t/" not in body
    assert not TrackedLink.objects.exists()


@pytest.mark.parametrize(
    ("flags", "links", "pictures"), [({"track_opens": True}, 0, 1), ({"track_clicks": True}, 2, 0)]
)
def test_each_is_tracked_by_itself(db: None, flags: dict[str, bool], links: int, pictures: int) -> None:
    body = mail(services.launch(made(**flags)))
    assert (body.count("/t/c/"), body.count("/t/o/")) == (links, pictures)


def test_only_links_that_stand_in_the_template_are_rewritten(campaign: Campaign) -> None:
    body = mail(campaign)
    part = body[body.index("text/html") :]
    assert set(TrackedLink.objects.values_list("url", flat=True)) == {TEA, "https://shop.example/"}
    assert "shop.example/tea" not in part
    for kept in ("https://shop.example/Reader 0", "mailto:a@example.com", "#top", "/unsubscribe/"):
        assert kept in part
    assert part.index("/t/o/") < part.index("</body>")
    assert person().email not in "".join(urls(campaign))


def test_the_buttons_of_mjml_are_links(db: None) -> None:
    source = (
        '<mjml><mj-body><mj-section><mj-column><mj-button href="https://shop.example/buy?a=1&amp;b=2">Buy</mj-button>'
        '<mj-image href="https://shop.example/pot" src="https://shop.example/p.png" alt="Pot" /><mj-text>'
        '<a href="https://shop.example/more">More</a></mj-text></mj-column></mj-section></mj-body></mjml>'
    )
    template = create_template(name="Buttons", content=Content("Hi", source, format="mjml"))
    campaign: Campaign = CampaignFactory.create(template=template, track_clicks=True)
    add_recipients(campaign, 1)
    body = mail(services.launch(campaign))
    part = body[body.index("text/html") :]
    assert part.count("/t/c/") == 3
    assert not re.search('href="https://shop.example', part)
    urls = {"https://shop.example/buy?a=1&b=2", "https://shop.example/pot", "https://shop.example/more"}
    assert set(TrackedLink.objects.values_list("url", flat=True)) == urls


def test_a_click_is_one_event_and_leads_where_the_template_says(campaign: Campaign) -> None:
    click, _ = urls(campaign)
    for _ in range(2):
        answer = get(click)
        assert (answer.status_code, answer["Location"]) == (302, TEA)
        assert "no-store" in answer["Cache-Control"]
        assert not answer.cookies
    event = CampaignEvent.objects.get()
    assert (event.kind, event.detail, event.recipient_id) == ("clicked", TEA, person().pk)
    assert services.campaign_stats(campaign)["events"]["clicked"] == 1


def test_clicks_are_counted_by_link_and_lead_to_who_did_it(campaign: Campaign, api: APIClient) -> None:
    mail(campaign)
    one, other = Recipient.objects.order_by("pk")
    tea, shop = TrackedLink.objects.order_by("pk")
    for who, link in [(one, tea), (one, tea), (other, tea), (one, shop)]:
        token = Signer(salt="campaigns.click").sign(f"{who.pk}.{link.pk}")
        assert get(f"/t/c/{token}/").status_code == 302
    expected = [
        {"id": tea.pk, "url": TEA, "clicks": 3, "people": 2},
        {"id": shop.pk, "url": "https://shop.example/", "clicks": 1, "people": 1},
    ]
    assert services.campaign_stats(campaign)["links"] == expected
    assert api.get(f"/api/v1/campaigns/{campaign.pk}/stats/").json()["links"] == expected
    found = api.get(f"/api/v1/campaigns/{campaign.pk}/events/?link={tea.pk}").json()["results"]
    assert [(event["recipient"], event["link"]) for event in found] == [(other.pk, tea.pk), (one.pk, tea.pk)]
    out = io.StringIO()
    call_command("campaign_status", "--campaign", str(campaign.pk), "--links", stdout=out)
    assert f"  {TEA}: 3 clicks by 2\n" in out.getvalue()


def test_clicks_from_before_links_were_counted_are_found(campaign: Campaign) -> None:
    get(urls(campaign)[0])
    expected = services.campaign_stats(campaign)["links"]
    assert expected[0]["people"] == 1
    CampaignEvent.objects.update(link=None)
    LinkCount.objects.all().delete()
    migration = import_module("campaigns.migrations.0019_link_clicks")
    with connection.cursor() as cursor:
        cursor.execute(migration._KNOWN)
        cursor.execute(migration._COUNTED)
    assert services.campaign_stats(campaign)["links"] == expected


def test_the_figures_lead_to_who_clicked_for_those_who_may_see_them(campaign: Campaign, client: Client) -> None:
    get(urls(campaign)[0])
    tea = TrackedLink.objects.get(url=TEA)
    page = reverse("admin:campaigns_campaign_figures", args=[campaign.pk])
    leads = f"{reverse('admin:campaigns_campaign_events', args=[campaign.pk])}?kind=clicked"
    client.force_login(UserFactory(permissions=["view_campaign"]))
    shown = client.get(page).content.decode()
    assert html.escape(TEA) in shown
    assert leads not in shown
    client.force_login(UserFactory(permissions=["view_campaign", "view_recipient"]))
    shown = client.get(page).content.decode()
    assert f'href="{leads}"' in shown
    assert f'href="{leads}&amp;link={tea.pk}"' in shown
    assert "50.0 %" in shown
    answer = client.get(f"{leads}&link={tea.pk}")
    assert [event["email"] for event in answer.context["events"]] == [person().email]
    assert f"On {html.escape(TEA)}" in answer.content.decode()
    assert not client.get(f"{leads}&link={tea.pk + 1}").context["events"]


def test_who_clicked_a_link_is_found_by_an_index(campaign: Campaign) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        cursor.execute(
            "EXPLAIN SELECT * FROM campaign_events WHERE campaign_id = 1 AND link_id = 1 ORDER BY id DESC LIMIT 50"
        )
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "campaign_events_link" in plan
    assert "Sort" not in plan


def test_an_opening_is_one_event_and_a_picture(campaign: Campaign) -> None:
    _, opened = urls(campaign)
    for _ in range(2):
        answer = get(opened)
        assert (answer.status_code, answer["Content-Type"]) == (200, "image/gif")
        assert "no-store" in answer["Cache-Control"]
    assert kinds() == ["opened"]


@pytest.mark.parametrize(
    "agent",
    [
        "",
        "Mozilla/5.0",
        "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
        "Slackbot-LinkExpanding 1.0",
        "WhatsApp/2.2",
        "python-requests/2.32",
        "curl/8.0",
        "Mimecast",
        "x" * 100_000 + "bot",
    ],
)
def test_programs_that_say_who_they_are_are_not_counted(campaign: Campaign, agent: str) -> None:
    click, opened = urls(campaign)
    if not agent.startswith("xxx"):
        assert get(click, agent)["Location"] == TEA
        assert get(opened, agent).status_code == 200
        assert kinds() == []
    else:
        assert get(click, agent).status_code == 302


def test_looks_prefetches_and_what_comes_at_once_are_not_counted(campaign: Campaign) -> None:
    click, opened = urls(campaign)
    assert Client().head(click, headers={"User-Agent": BROWSER}).status_code == 302
    assert get(click, **{"Sec-Purpose": "prefetch;prerender"}).status_code == 302
    Recipient.objects.update(sent_at=timezone.now())
    assert get(click).status_code == 302
    assert get(opened).status_code == 200
    assert kinds() == []
    assert Client().post(click).status_code == 405


def test_a_token_leads_nowhere_else(campaign: Campaign) -> None:
    other = services.launch(made(track_clicks=True))
    Letters(other)
    link = TrackedLink.objects.filter(campaign=other)[0]
    forged = [
        "x",
        "https://evil.example",
        Signer(salt="campaigns.opened").sign(f"{person().pk}.{link.pk}"),
        Signer(salt="campaigns.unsubscribe").sign(f"{person().pk}.{link.pk}"),
        Signer(salt="campaigns.click", key="another").sign(f"{person().pk}.{link.pk}"),
        Signer(salt="campaigns.click").sign(f"{person().pk}.{link.pk}"),  # a link of another campaign
        Signer(salt="campaigns.click").sign(f"{person().pk}.{'9' * 18}"),
        "%00",
        "a" * 3_000,
    ]
    for token in forged:
        answer = get(f"/t/c/{token}/")
        assert answer.status_code == 404
        assert get(f"/t/o/{token}.gif")["Content-Type"] in ("image/gif", "text/html; charset=utf-8")
    assert "This link is not known" in get("/t/c/x/").content.decode()
    assert kinds() == []


def test_previews_and_tests_are_not_tracked(smtp: SmtpServer, campaign: Campaign) -> None:
    assert "/t/" not in services.preview_message(campaign, person()).source
    services.send_test(campaign, ["me@example.com"])
    assert b"/t/" not in smtp.bodies[0]


def test_a_whole_campaign_is_sent_tracked(smtp: SmtpServer, work: Callable[..., None]) -> None:
    services.launch(made(track_opens=True, track_clicks=True))
    work()
    assert len(smtp.bodies) == 2
    assert all(body.count(b"/t/c/") >= 1 for body in smtp.bodies)
    assert TrackedLink.objects.count() == 2


@pytest.mark.parametrize(
    "url", ["javascript:x", "data:text/html,x", "//x.example", "/x", "http://[", "ftp://x", "tel:1"]
)
def test_what_is_no_web_address_is_no_link_to_track(url: str) -> None:
    assert links_in(f'<a href="{url}">x</a>') == []


@pytest.mark.parametrize(
    ("tag", "url"),
    [
        ("""<a data-href="https://x.example/no" href="https://x.example/yes">""", "https://x.example/yes"),
        ("""<a href="https://x.example/?q=it's">""", "https://x.example/?q=it's"),
        ("""<a title="a > b" href='https://x.example/"q"'>""", 'https://x.example/"q"'),
        ("""<a title="{{ "}" if 2 > 1 else '"' }}" href="https://x.example/a">""", "https://x.example/a"),
        ("""<a {% if x > 1 %}class="b"{% endif %} href="https://x.example/b">""", "https://x.example/b"),
        ("<a href=https://x.example/bare target=_blank>", "https://x.example/bare"),
        ("<A\nHREF = 'https://x.example/case&amp;x' >", "https://x.example/case&x"),
    ],
)
def test_the_address_of_a_link_is_found_however_its_tag_is_written(tag: str, url: str) -> None:
    assert links_in(f"<p title='x'>{tag}x</a>") == [url]
    if "{" not in tag:
        tracked = Tracker({url: 7}, opens=False).applied(tag, 1)
        assert tracked.count("/t/c/") == 1
        assert html.escape(url, quote=False) not in tracked
        assert ("data-href" in tag) == ('data-href="https://x.example/no"' in tracked)


@given(st.text(max_size=300))
@example(f'<a href="https://shop.example/&#{"9" * 5_000};">x</a>')
def test_any_html_is_rewritten_without_harm(text: str) -> None:
    tracker = Tracker(dict.fromkeys(links_in(text), 1), opens=False)
    assert tracker.applied(text, 1).count("<a") == text.count("<a")


@given(st.text(max_size=80))
def test_any_token_is_read_without_harm(token: str) -> None:
    assert read_click(token) is None
    assert read_open(token) is None
