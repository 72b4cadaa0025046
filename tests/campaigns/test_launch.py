import threading
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections

from campaigns import lifecycle, services
from campaigns.errors import NotReady, WrongState
from campaigns.models import Campaign, CampaignTask
from campaigns.states import CAMPAIGN_TRANSITIONS, CampaignState
from queue_core.models import Task
from templates_app.rendering import Content
from templates_app.services import edit_template
from tests.factories import CampaignFactory, TemplateFactory, add_recipients

pytestmark = pytest.mark.django_db


def test_launch_pins_version_and_audience_and_submits_chunks(settings: object) -> None:
    settings.CAMPAIGNS_CHUNK_SIZE = 4  # type: ignore[attr-defined]
    campaign = CampaignFactory.create()
    rows = add_recipients(campaign, 10)
    launched = services.launch(campaign)
    assert (launched.state, launched.total, launched.template_version.number) == ("sending", 10, 1)
    ranges = list(CampaignTask.objects.order_by("pk").values_list("first_id", "last_id", "size"))
    assert ranges == [
        (rows[0].pk, rows[3].pk, 4),
        (rows[4].pk, rows[7].pk, 4),
        (rows[8].pk, rows[9].pk, 2),
    ]
    tasks = Task.objects.filter(name="campaigns.deliver_chunk").order_by("pk")
    chunks = CampaignTask.objects.order_by("pk")
    assert [task.payload for task in tasks] == [{"chunk": chunk.pk} for chunk in chunks]
    assert [task.pk for task in tasks] == [chunk.task_id for chunk in chunks]
    edit_template(template=campaign.template, parts=Content("New", "<p>new</p>", "")._asdict())
    launched.refresh_from_db()
    assert launched.template_version.number == 1


@pytest.mark.django_db(transaction=True)
def test_two_launches_at_once_launch_once() -> None:
    campaign = CampaignFactory.create()
    add_recipients(campaign, 3)
    answers: list[str] = []
    barrier = threading.Barrier(4)

    def race() -> None:
        barrier.wait(10)
        try:
            services.launch(Campaign.objects.get(pk=campaign.pk))
            answers.append("launched")
        except WrongState as exc:
            answers.append(exc.state)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(answers) == ["launched", "sending", "sending", "sending"]
    assert CampaignTask.objects.count() == 1
    assert Task.objects.filter(name="campaigns.conduct").count() == 1


def test_launch_names_every_problem_and_changes_nothing() -> None:
    template = TemplateFactory.create(subject="{{ coupon }}", html="<p>{{ recipient.first_name }}</p>")
    campaign = CampaignFactory.create(template=template, from_email="not an address")
    with pytest.raises(NotReady) as refused:
        services.launch(campaign)
    text = str(refused.value)
    assert "sender cannot be used" in text
    assert "no recipient" in text
    assert "“coupon”" in text
    campaign.refresh_from_db()
    assert (campaign.state, campaign.template_version) == ("draft", None)
    assert not Task.objects.exists()


def test_launch_counts_the_recipients_that_lack_a_variable() -> None:
    template = TemplateFactory.create(html="<p>{{ recipient.city }} {{ recipient.email }} {{ campaign.name }}</p>")
    campaign = CampaignFactory.create(template=template)
    add_recipients(campaign, 3)
    with pytest.raises(NotReady, match="3 of 3 recipients lack “city”"):
        services.launch(campaign)
    other = CampaignFactory.create(template=template)
    add_recipients(other, 3, city="Riga")
    assert services.launch(other).state == "sending"


VERBS = {"launch": services.launch, "pause": services.pause, "resume": services.resume, "cancel": services.cancel}


@pytest.mark.parametrize("state", list(CampaignState))
@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_moves_exactly_the_states_of_the_map(verb: str, state: CampaignState) -> None:
    campaign = CampaignFactory.create()
    add_recipients(campaign, 1)
    Campaign.objects.filter(pk=campaign.pk).update(state=state)
    campaign.refresh_from_db()
    allowed = CAMPAIGN_TRANSITIONS[verb].get(state)
    if allowed is None:
        with pytest.raises(WrongState, match=f"is {state}"):
            VERBS[verb](campaign)
        assert Campaign.objects.get(pk=campaign.pk).state == state
        assert not Task.objects.exists()
    else:
        assert VERBS[verb](campaign).state in allowed


def command(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_the_commands_launch_once_and_show_the_latest() -> None:
    campaign = CampaignFactory.create(name="Spring")
    add_recipients(campaign, 2)
    assert f"Launched campaign {campaign.pk} “Spring” to 2 recipients" in command("launch_campaign", str(campaign.pk))
    with pytest.raises(CommandError, match="is sending; it cannot be launched"):
        command("launch_campaign", str(campaign.pk))
    assert f"Campaign {campaign.pk} “Spring”: sending" in command("campaign_status")
    shown = command("campaign_status", "--campaign", str(campaign.pk), "--json")
    assert command("campaign_status", str(campaign.pk), "--json") == shown
    assert '"state": "sending"' in shown
    assert '"pending": 2' in shown


def test_the_commands_say_what_is_missing() -> None:
    with pytest.raises(CommandError, match="no campaign yet"):
        command("campaign_status")
    campaign = CampaignFactory.create()
    with pytest.raises(CommandError, match="no recipient to mail"):
        command("launch_campaign", str(campaign.pk))
    with pytest.raises(CommandError, match=f"There is no campaign 77777. The latest: {campaign.pk}"):
        command("launch_campaign", "77777")


def test_a_draft_counts_nothing_twice() -> None:
    campaign = CampaignFactory.create()
    add_recipients(campaign, 5)
    assert services.status(campaign)["total"] == 5
    assert lifecycle.counts(campaign.pk)["pending"] == 5
