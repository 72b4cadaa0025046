"""Campaigns that launch themselves: once, at the right moment of any clock, and never too late."""

import datetime
import io
import json
import threading
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from campaigns import services
from campaigns.errors import NotReady, ScheduleRefused, WrongState
from campaigns.models import Campaign, CampaignTask
from campaigns.services.launch_task import LAUNCH_DUE
from campaigns.wall_clock import at_wall_clock, in_words
from queue_core import services as queue
from queue_core.models import Task
from queue_core.services import Actor
from tests.clocks import AUTUMN, AUTUMN_IN_WORDS, SPRING
from tests.factories import CampaignFactory, UserFactory, add_recipients

HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def draft(db: None) -> Campaign:
    campaign = CampaignFactory.create(name="Autumn")
    add_recipients(campaign, 3)
    return campaign


def soon() -> datetime.datetime:
    return timezone.now() + HOUR


def waiting() -> list[datetime.datetime]:
    return list(Task.objects.filter(name=LAUNCH_DUE, state="queued").values_list("run_at", flat=True))


def make_due(campaign: Campaign, *, late: float = 1.0) -> datetime.datetime:
    """As if `late` minutes had passed since the time it is scheduled for."""
    at = timezone.now() - datetime.timedelta(minutes=late)
    Campaign.objects.filter(pk=campaign.pk).update(scheduled_at=at)
    return at


def test_a_scheduled_campaign_launches_itself_when_its_task_is_run(draft: Campaign) -> None:
    person = UserFactory()
    at = soon()
    made = services.schedule(draft, at, by=Actor(person, "admin"))
    assert (made.state, made.scheduled_at, waiting()) == ("scheduled", at, [at])
    assert services.launch_due(draft.pk, make_due(draft)) == "Launched."
    draft.refresh_from_db()
    assert (draft.state, draft.total, draft.launched_by) == ("sending", 3, person)
    assert waiting() == []


def test_another_time_takes_the_place_of_the_first(draft: Campaign) -> None:
    first, second = soon(), soon() + HOUR
    services.schedule(draft, first)
    services.schedule(draft, second)
    assert waiting() == [second]
    assert services.launch_due(draft.pk, first) == "It is not scheduled for this time any more."
    assert Campaign.objects.get().state == "scheduled"


@pytest.mark.parametrize("verb", [services.unschedule, services.cancel, services.launch])
def test_what_ends_the_waiting_takes_its_task_out_of_line(draft: Campaign, verb: Any) -> None:
    at = services.schedule(draft, soon()).scheduled_at
    verb(Campaign.objects.get())
    assert waiting() == []
    state = Campaign.objects.get().state
    assert services.launch_due(draft.pk, at) == "It is not scheduled for this time any more."
    assert Campaign.objects.get().state == state != "scheduled"


@pytest.mark.parametrize(("late", "state"), [(29, "sending"), (31, "draft")])
def test_too_late_is_a_draft_again_and_says_so(draft: Campaign, late: int, state: str) -> None:
    services.schedule(draft, soon(), late_minutes=30)
    services.launch_due(draft.pk, make_due(draft, late=late))
    draft.refresh_from_db()
    assert draft.state == state
    assert ("31 minutes too late" in draft.trouble) is (state == "draft")


def test_what_blocks_the_launch_by_then_is_a_draft_again_and_says_so(draft: Campaign) -> None:
    services.schedule(draft, soon())
    Campaign.objects.update(context={}, from_email="nonsense")
    services.launch_due(draft.pk, make_due(draft))
    draft.refresh_from_db()
    assert draft.state == "draft"
    assert "The sender cannot be used" in draft.trouble


def test_what_is_not_ready_is_not_scheduled(db: None) -> None:
    campaign = CampaignFactory.create()
    with pytest.raises(NotReady, match="no recipient"):
        services.schedule(campaign, soon())
    assert waiting() == []


@pytest.mark.parametrize("state", ["sending", "paused", "completed", "cancelled"])
def test_only_a_draft_is_scheduled_and_only_a_scheduled_one_unscheduled(draft: Campaign, state: str) -> None:
    Campaign.objects.update(state=state)
    with pytest.raises(WrongState, match=f"is {state}"):
        services.schedule(draft, soon())
    with pytest.raises(WrongState, match=f"is {state}"):
        services.unschedule(draft)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"at": timezone.now() - HOUR}, "at"),
        ({"at": timezone.now() + 1_000 * 24 * HOUR}, "at"),
        ({"at": datetime.datetime(2030, 1, 1)}, "at"),  # noqa: DTZ001 - that is the mistake
        ({"late_minutes": 0}, "late_minutes"),
        ({"late_minutes": 10_081}, "late_minutes"),
    ],
)
def test_a_time_that_makes_no_sense_is_refused_and_changes_nothing(
    draft: Campaign, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(ScheduleRefused) as refused:
        services.schedule(draft, **{"at": soon(), **change})
    assert refused.value.field == field
    assert (Campaign.objects.get().state, waiting()) == ("draft", [])


def test_a_scheduled_campaign_takes_another_rate_and_nothing_else(draft: Campaign) -> None:
    services.schedule(draft, soon())
    with pytest.raises(WrongState):
        services.edit_campaign(draft, name="Other")
    with pytest.raises(WrongState):
        services.add_recipients(draft, [{"email": "late@example.com"}])
    with pytest.raises(WrongState):
        services.delete_campaign(draft)
    assert services.edit_campaign(draft, rate_per_minute=5).rate_per_minute == 5


def test_a_task_that_somebody_took_out_of_the_queue_is_told(draft: Campaign) -> None:
    services.schedule(draft, soon())
    assert services.status(Campaign.objects.get())["trouble"] == ""
    queue.cancel(list(Task.objects.filter(name=LAUNCH_DUE).values_list("pk", flat=True)))
    assert "gets another one within five minutes" in services.status(Campaign.objects.get())["trouble"]


@pytest.mark.django_db(transaction=True)
def test_of_many_that_launch_it_at_the_same_moment_one_does() -> None:
    campaign = CampaignFactory.create()
    add_recipients(campaign, 3)
    services.schedule(campaign, soon())
    at, told, start = make_due(campaign), [], threading.Barrier(4)

    def work(person: bool) -> None:
        try:
            start.wait(10)
            if person:
                services.launch(campaign)
                told.append("Launched.")
            else:
                told.append(services.launch_due(campaign.pk, at))
        except WrongState:
            told.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[n == 0]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told.count("Launched.") == 1
    assert CampaignTask.objects.count() == 1


# --- the clocks of the world; Berlin: +1, in summer +2; forward on 2027-03-28 at 2, back on 2027-10-31 at 3.


@pytest.mark.parametrize(
    ("shown", "zone", "moment"),
    [
        ("2027-03-28T01:59", "Europe/Berlin", "2027-03-28T00:59+00:00"),
        ("2027-03-28T03:00", "Europe/Berlin", "2027-03-28T01:00+00:00"),
        ("2027-10-31T02:30", "Europe/Berlin", "2027-10-31T00:30+00:00"),
        ("2027-10-31T03:00", "Europe/Berlin", "2027-10-31T02:00+00:00"),
        ("2027-10-31T02:30+01:00", "Asia/Tokyo", "2027-10-31T01:30+00:00"),
        ("2027-04-04T01:45", "Australia/Lord_Howe", "2027-04-03T14:45+00:00"),
    ],
)
def test_the_moment_is_the_one_the_clocks_there_show(shown: str, zone: str, moment: str) -> None:
    assert at_wall_clock(datetime.datetime.fromisoformat(shown), zone) == datetime.datetime.fromisoformat(moment)


@pytest.mark.parametrize(
    ("shown", "zone", "field"),
    [
        ("2027-03-28T02:00", "Europe/Berlin", "at"),
        ("2027-03-28T02:59:59", "Europe/Berlin", "at"),
        ("2027-10-03T02:15", "Australia/Lord_Howe", "at"),
        ("2027-10-03T02:15", "Europe/Atlantis", "timezone"),
        ("2027-10-03T02:15", "../../etc/passwd", "timezone"),
        ("2027-10-03T02:15", "localtime", "timezone"),
        ("2027-10-03T02:15", "Factory", "timezone"),
        ("0001-01-01T00:00", "Asia/Tokyo", "at"),
        ("9999-12-31T23:59", "America/New_York", "at"),
    ],
)
def test_a_time_the_clocks_leave_out_is_refused(shown: str, zone: str, field: str) -> None:
    with pytest.raises(ScheduleRefused) as refused:
        at_wall_clock(datetime.datetime.fromisoformat(shown), zone)
    assert refused.value.field == field


# --- planned with the draft


def test_a_draft_with_a_planned_time_is_scheduled_by_its_launch(api: Any, draft: Campaign) -> None:
    url, at = f"/api/v1/campaigns/{draft.pk}/", (timezone.now() + HOUR).isoformat()
    assert api.patch(url, {"scheduled_at": at}).data["state"] == "draft"
    answer = api.post(f"{url}launch/")
    assert (answer.status_code, answer.data["state"]) == (202, "scheduled")
    for verb in ("launch", "start"):
        answer = api.post(f"{url}{verb}/")
        assert (answer.status_code, "unschedule it first" in answer.data["detail"]) == (409, True)
    assert len(waiting()) == 1
    later = (timezone.now() + 2 * HOUR).isoformat()
    assert api.patch(url, {"scheduled_at": later}).data["state"] == "scheduled"
    assert [run_at.isoformat() for run_at in waiting()] == [later]
    assert api.patch(url, {"name": "x"}).status_code == 409
    answer = api.patch(url, {"scheduled_at": None})
    assert (answer.data["state"], answer.data["scheduled_at"], waiting()) == ("draft", None, [])
    assert api.post(f"{url}start/").data["state"] == "sending"
    assert api.patch(url, {"scheduled_at": later}).status_code == 409


def test_a_campaign_may_be_made_with_its_time(api: Any, draft: Campaign) -> None:
    body = {"name": "n", "template": draft.template_id, "from_email": "a@example.com"}
    at = (timezone.now() + HOUR).isoformat()
    answer = api.post("/api/v1/campaigns/", {**body, "scheduled_at": at})
    assert (answer.status_code, answer.data["state"]) == (201, "draft")
    made = Campaign.objects.get(pk=answer.data["id"])
    assert made.scheduled_at is not None
    assert made.scheduled_at.isoformat() == at
    for wrong in ("2020-01-01T00:00Z", "9000-01-01T00:00Z", "soon", 5):
        answer = api.post("/api/v1/campaigns/", {**body, "scheduled_at": wrong})
        assert (answer.status_code, list(answer.data["errors"])) == (400, ["scheduled_at"])
    assert Campaign.objects.count() == 2


def test_the_checklist_tells_of_a_planned_time(draft: Campaign) -> None:
    def told() -> list[tuple[str, str]]:
        items = services.preflight(Campaign.objects.get())
        return [(item.level, item.message[:17]) for item in items if item.code == "schedule"]

    assert told() == [("ok", "Sending begins wi")]
    services.edit_campaign(draft, scheduled_at=soon())
    assert told() == [("ok", "It is planned for")]
    Campaign.objects.update(scheduled_at=timezone.now() - HOUR)
    assert told() == [("warn", "It was planned fo")]


def test_a_planned_time_that_has_passed_is_now(draft: Campaign) -> None:
    Campaign.objects.update(scheduled_at=timezone.now() - HOUR)
    assert services.launch_as_planned(Campaign.objects.get()).state == "sending"


def test_the_zone_is_kept_and_told_with_the_time(draft: Campaign) -> None:
    made = services.schedule(draft, soon(), timezone="Asia/Kolkata", late_minutes=7)
    services.unschedule(made)
    services.schedule(draft, soon())
    made.refresh_from_db()
    assert (made.timezone, made.late_minutes) == ("Asia/Kolkata", 7)
    with pytest.raises(ScheduleRefused, match=r"now it is .*, [0-9:]+ Asia/Kolkata"):
        services.schedule(draft, timezone.now() - HOUR)
    with pytest.raises(ScheduleRefused, match="no time zone"):
        services.schedule(draft, soon(), timezone="Mars")
    assert "Asia/Kolkata" in services.launch_due(draft.pk, make_due(draft, late=60))


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        ("UTC", "30 Oct 2027, 23:30 UTC"),
        ("Europe/London", "31 Oct 2027, 00:30 Europe/London (30 Oct 2027, 23:30 UTC)"),
        ("America/Lima", "30 Oct 2027, 18:30 America/Lima (23:30 UTC)"),
    ],
)
def test_a_moment_in_words_is_by_the_clocks_of_its_zone_and_in_utc(zone: str, words: str) -> None:
    assert in_words(datetime.datetime.fromisoformat("2027-10-30T23:30Z"), zone) == words


def test_the_api_takes_and_tells_the_whole_plan(draft: Campaign, api: Any) -> None:
    url = f"/api/v1/campaigns/{draft.pk}/"
    plan = {"scheduled_at": f"{AUTUMN}T00:30:00Z", "timezone": "Europe/Berlin", "late_minutes": 9}
    body = {"name": "n", "template": draft.template_id, "from_email": "a@example.com"}
    made = api.post("/api/v1/campaigns/", {**body, **plan})
    assert (made.status_code, {name: made.data[name] for name in plan}) == (201, plan)
    assert {name: api.patch(url, plan).data[name] for name in plan} == plan
    assert api.post(f"{url}launch/").data["state"] == "scheduled"
    moved = api.patch(url, {"late_minutes": 30, "timezone": "UTC"}).data
    assert (moved["state"], moved["late_minutes"], moved["timezone"]) == ("scheduled", 30, "UTC")
    assert moved["scheduled_at"] == plan["scheduled_at"]
    for wrong, field in (({"late_minutes": 0}, "late_minutes"), ({"timezone": "Mars"}, "timezone")):
        for answer in (api.patch(url, wrong), api.post("/api/v1/campaigns/", {**body, **wrong})):
            assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])
    for verb in ("launch", "start"):
        refused = api.post(f"{url}{verb}/")
        assert (refused.status_code, "unschedule it first" in refused.json()["detail"]) == (409, True)


# --- faces


def test_the_admin_schedules_and_unschedules(client: Any, draft: Campaign) -> None:
    client.force_login(UserFactory(is_superuser=True))
    page = reverse("admin:campaigns_campaign_change", args=[draft.pk])
    target = reverse("admin:campaigns_campaign_schedule", args=[draft.pk])
    assert target in client.get(page).content.decode()
    assert "campaigns/zone.js" in client.get(target).content.decode()
    assert "Europe/Berlin" in client.get(target).content.decode()
    form = {"at": f"{AUTUMN}T02:30", "timezone": "Europe/Berlin", "late_minutes": "15"}
    for change, said in (
        ({"at": f"{SPRING}T02:30"}, "put forward"),
        ({"at": "nonsense"}, "valid date"),
        ({"at": "2020-01-01T10:00"}, "in the past"),
        ({"late_minutes": "0"}, "greater than or equal to 1"),
        ({"timezone": "Mars"}, "not one of the available choices"),
    ):
        assert said in client.post(target, {**form, **change}).content.decode()
    shown = client.post(target, form, follow=True).content.decode()
    draft.refresh_from_db()
    assert (draft.state, draft.late_minutes, draft.timezone) == ("scheduled", 15, "Europe/Berlin")
    assert f"{AUTUMN_IN_WORDS}, 02:30 Europe/Berlin (00:30 UTC)" in shown
    again = client.get(target).content.decode()
    assert f'value="{AUTUMN}T02:30"' in again
    assert '<option value="Europe/Berlin" selected>' in again
    assert "campaigns/zone.js" not in again
    assert draft.scheduled_at.isoformat() == f"{AUTUMN}T00:30:00+00:00"
    back = reverse("admin:campaigns_campaign_unschedule", args=[draft.pk])
    assert back in shown
    assert client.get(back).status_code == 405
    assert "is a draft again" in client.post(back, follow=True).content.decode()
    assert "cannot be unscheduled" in client.post(back, follow=True).content.decode()
    client.force_login(UserFactory(permissions=["view_campaign"]))
    assert client.post(target, form).status_code == 403


def test_the_command_schedules(draft: Campaign) -> None:
    out = io.StringIO()
    arguments = [str(draft.pk), "--at", f"{AUTUMN}T02:30", "--timezone", "Europe/Berlin", "--json"]
    call_command("launch_campaign", *arguments, stdout=out)
    assert json.loads(out.getvalue())["scheduled_at"] == f"{AUTUMN}T00:30:00+00:00"
    for wrong in (
        ["--at", "tomorrow"],
        ["--at", "2020-01-01"],
        ["--at", f"{SPRING}T02:30", "--timezone", "Europe/Berlin"],
    ):
        with pytest.raises(CommandError) as refused:
            call_command("launch_campaign", str(draft.pk), *wrong)
        assert "\n" not in str(refused.value)


def test_the_command_leaves_alone_what_it_was_not_told(draft: Campaign) -> None:
    Campaign.objects.filter(pk=draft.pk).update(timezone="Europe/Berlin", late_minutes=10)
    call_command("launch_campaign", str(draft.pk), "--at", f"{AUTUMN}T02:30", stdout=io.StringIO())
    draft.refresh_from_db()
    assert (draft.timezone, draft.late_minutes) == ("Europe/Berlin", 10)
    assert draft.scheduled_at is not None
    assert draft.scheduled_at.isoformat() == f"{AUTUMN}T00:30:00+00:00"


def test_the_command_launches_as_planned_unless_it_is_told_now(draft: Campaign) -> None:
    planned = datetime.datetime.fromisoformat(f"{AUTUMN}T02:30+00:00")
    Campaign.objects.filter(pk=draft.pk).update(scheduled_at=planned)
    for half in (["--late-minutes", "5"], ["--timezone", "UTC"]):
        with pytest.raises(CommandError, match="say more about --at"):
            call_command("launch_campaign", str(draft.pk), *half)
    out = io.StringIO()
    call_command("launch_campaign", str(draft.pk), stdout=out)
    draft.refresh_from_db()
    assert (draft.state, draft.scheduled_at) == ("scheduled", planned)
    assert "will be launched at" in out.getvalue()
    with pytest.raises(CommandError, match="before its time"):
        call_command("launch_campaign", str(draft.pk))
    call_command("launch_campaign", str(draft.pk), "--now", stdout=out)
    draft.refresh_from_db()
    assert draft.state == "sending"
