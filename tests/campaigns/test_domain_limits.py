"""How fast mail goes to the addresses of a domain."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from campaigns import buckets, services
from campaigns.errors import DomainLimitRefused
from campaigns.models import Campaign, DomainLimit, MailBucket, Recipient
from tests.campaigns.smtp_server import SmtpServer
from tests.factories import CampaignFactory, UserFactory, counts_by_scan


def campaign_to(*domains: str, each: int) -> Campaign:
    made: Campaign = CampaignFactory.create()
    services.add_recipients(made, [{"email": f"p{n}@{domain}"} for n in range(each) for domain in domains])
    return services.launch(made)


def sent() -> Counter[str]:
    keys = Recipient.objects.filter(state="sent").values_list("key", flat=True)
    return Counter(key.partition("@")[2] for key in keys)


@pytest.mark.django_db(transaction=True)
def test_who_has_to_wait_lets_the_others_pass(smtp: SmtpServer, work: Callable[..., None]) -> None:
    services.limit_domain(domain="slow.example", rate_count=2, rate_seconds=3600)
    campaign = campaign_to("slow.example", "fast.example", each=30)
    work()
    # A new bucket holds one; nothing is lost, nobody is failed, and no worker is held.
    assert sent() == {"fast.example": 30, "slow.example": 1}
    assert counts_by_scan(campaign)["pending"] == 29
    campaign.refresh_from_db()
    assert campaign.state == "sending"


@pytest.mark.django_db(transaction=True)
def test_a_limit_that_is_lifted_lets_the_rest_through(smtp: SmtpServer, work: Callable[..., None]) -> None:
    limit = services.limit_domain(domain="slow.example", rate_count=1, rate_seconds=3600)
    campaign = campaign_to("slow.example", each=12)
    work()
    assert sent() == {"slow.example": 1}
    services.delete_domain_limit(limit)
    assert not MailBucket.objects.exists()
    for _ in range(3):
        work(wait=False)
    campaign.refresh_from_db()
    assert (campaign.state, sent()) == ("completed", {"slow.example": 12})


@pytest.mark.django_db(transaction=True)
def test_the_rate_holds_over_the_whole_campaign(smtp: SmtpServer, work: Callable[..., None]) -> None:
    services.limit_domain(domain="slow.example", rate_count=10, rate_seconds=1)
    campaign = campaign_to("slow.example", each=25)
    started = time.monotonic()
    while sent().total() < 25:
        work(wait=False)
        assert time.monotonic() - started < 30
    assert time.monotonic() - started >= 24 / 10 - 0.3
    assert len(smtp.bodies) == 25
    work(wait=False)
    campaign.refresh_from_db()
    assert campaign.state == "completed"


@pytest.mark.django_db(transaction=True)
def test_many_takers_get_no_more_than_there_is() -> None:
    services.limit_domain(domain="slow.example", rate_count=100, rate_seconds=3600)
    rates, taken = buckets.domain_rates(), []
    buckets.take_for_domains(rates, {"slow.example": 1})
    # A long rest; the bucket holds one all the same.
    MailBucket.objects.update(refilled_at=timezone.now() - timedelta(minutes=10))

    def taker() -> None:
        try:
            for _ in range(5):
                granted, _ = buckets.take_for_domains(rates, {"slow.example": 2})
                taken.append(granted["slow.example"])
        finally:
            connection.close()

    threads = [threading.Thread(target=taker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 1


@pytest.mark.django_db(transaction=True)
def test_what_the_suppressed_did_not_use_goes_back(smtp: SmtpServer, work: Callable[..., None]) -> None:
    services.limit_domain(domain="slow.example", rate_count=1, rate_seconds=3600)
    campaign_to("slow.example", each=2)
    services.suppress("p0@slow.example")
    work()
    assert MailBucket.objects.get(key__startswith="domain-").tokens < 0.01
    assert sent() == {"slow.example": 1}


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"domain": "", "rate_count": 1}, "domain"),
        ({"domain": "no domain", "rate_count": 1}, "domain"),
        ({"domain": "TAKEN.example", "rate_count": 1}, "domain"),
        ({"domain": "a.example", "rate_count": 0}, "rate_count"),
        ({"domain": "a.example", "rate_count": 10**9 + 1}, "rate_count"),
        ({"domain": "a.example", "rate_count": 1, "rate_seconds": 0}, "rate_seconds"),
        ({"domain": "a.example", "rate_count": 1, "rate_seconds": 86_401}, "rate_seconds"),
    ],
)
@pytest.mark.django_db
def test_what_cannot_be_is_refused(api: Any, values: dict[str, Any], field: str) -> None:
    services.limit_domain(domain="taken.example", rate_count=1)
    with pytest.raises(DomainLimitRefused) as refused:
        services.limit_domain(**values)
    assert list(refused.value.errors) == [field]
    answer = api.post("/api/v1/domain-limits/", values)
    assert (answer.status_code, list(answer.data["errors"])) == (400, [field])
    assert DomainLimit.objects.count() == 1


def test_the_api_limits_changes_and_lifts(api: Any) -> None:
    answer = api.post("/api/v1/domain-limits/", {"domain": "Bücher.example", "rate_count": 10})
    assert (answer.status_code, answer.data["domain"], answer.data["rate_seconds"]) == (
        201,
        "xn--bcher-kva.example",
        60,
    )
    url = f"/api/v1/domain-limits/{answer.data['id']}/"
    assert api.patch(url, {"rate_count": 20}).data["rate_count"] == 20
    assert api.patch(url, {"rate_count": 0}).status_code == 400
    assert api.patch(url, {"domain": "x.example"}).status_code == 400
    assert api.get(url).data["rate_count"] == 20
    assert api.delete(url).status_code == 204
    assert api.get(url).status_code == 404


def test_the_admin_limits_changes_and_lifts(client: Any, db: None) -> None:
    client.force_login(UserFactory(is_superuser=True))
    add = reverse("admin:campaigns_domainlimit_add")
    form = {"domain": "example.com", "rate_count": "10", "rate_seconds": "60"}
    assert "such as example.com" in client.post(add, {**form, "domain": "x"}).content.decode()
    assert "from 1 to" in client.post(add, {**form, "rate_count": "0"}).content.decode()
    assert client.post(add, form).status_code == 302
    row = DomainLimit.objects.get()
    page = reverse("admin:campaigns_domainlimit_change", args=[row.pk])
    assert "from 1 to" in client.post(page, {"rate_count": "0", "rate_seconds": "60"}).content.decode()
    assert client.post(page, {"rate_count": "30", "rate_seconds": "60"}).status_code == 302
    row.refresh_from_db()
    assert (row.domain, row.rate_count) == ("example.com", 30)
    assert "30 mails in 60 s" in client.get(reverse("admin:campaigns_domainlimit_changelist")).content.decode()
    client.post(reverse("admin:campaigns_domainlimit_delete", args=[row.pk]), {"post": "yes"})
    assert not DomainLimit.objects.exists()
