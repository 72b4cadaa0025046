import json
import re
from datetime import timedelta
from html import unescape

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from campaigns import lifecycle, services
from campaigns.admin.forms import CampaignForm
from campaigns.admin.progress import CAMPAIGN_LABELS, RECIPIENT_LABELS
from campaigns.admin.suppression import REASON_LABELS
from campaigns.models import Campaign, CampaignTask, CaughtMessage, Recipient, RecipientImport, RejectedRow, Suppression
from campaigns.states import CampaignState, RecipientState, SuppressionReason
from tests.factories import CampaignFactory, TemplateFactory, UserFactory, add_recipients, completed

pytestmark = pytest.mark.django_db
VIEW = [f"view_{name}" for name in ("campaign", "recipient", "suppression", "recipientimport", "caughtmessage")]
OWN = [
    *("add_campaign", "change_campaign", "delete_campaign", "launch_campaign"),
    *("add_recipient", "add_suppression", "delete_suppression"),
]
RAW = (
    b"From: a@example.com\r\nTo: b@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nX-Odd: =?nope?q?x?=\r\n"
    b"Content-Type: multipart/alternative; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nPlain <words>\r\n"
    b'--b\r\nContent-Type: text/html; charset=no-such\r\n\r\n"><script>alert(1)</script><p>Rich</p>\r\n--b--\r\n'
)


@pytest.fixture
def owner(client):
    client.force_login(UserFactory(username="owner", permissions=[*VIEW, *OWN]))
    return client


@pytest.fixture
def viewer(client):
    client.force_login(UserFactory(username="viewer", permissions=VIEW))
    return client


def url(name, *args):
    return reverse(f"admin:campaigns_{name}", args=args)


def text_of(answer):
    return unescape(answer.content.decode())


def found(answer):
    return list(answer.context["cl"].result_list)


def state_of(campaign):
    campaign.refresh_from_db()
    return campaign.state


def form(campaign=None, **changes):
    template = campaign.template if campaign else TemplateFactory()
    given = {"name": "Spring", "template": template.pk, "from_email": "Jo <jo@example.com>"}
    given |= {"reply_to": "", "unconfirmed": "ask"}
    return {**given, "context": '{"season": "spring"}', **changes}


def form_values(answer):
    """What a browser would send back of the form on a page."""
    shown = answer.context["adminform"].form
    assert all(f'name="{name}"' in text_of(answer) for name in shown.fields)
    return {name: shown[name].value() or "" for name in shown.fields}


def csv_file(text, name="people.csv"):
    return SimpleUploadedFile(name, text.encode(), content_type="text/csv")


@pytest.fixture
def draft():
    campaign = CampaignFactory(name="Autumn")
    add_recipients(campaign, 3)
    return campaign


@pytest.fixture
def sending(draft):
    return services.launch(draft)


@pytest.fixture
def caught():
    values = {"mail_from": "a@example.com", "rcpt_to": "b@example.com", "subject": "Grüße", "message_id": "<1@x>"}
    return CaughtMessage.objects.create(raw=RAW, size=len(RAW), **values)


def test_every_state_and_reason_has_a_colour():
    assert set(CAMPAIGN_LABELS) == set(CampaignState.values)
    assert set(RECIPIENT_LABELS) == set(RecipientState.values)
    assert set(REASON_LABELS) == set(SuppressionReason.values)


# --- campaigns


def test_the_list_shows_progress_in_as_many_queries_for_30_campaigns_as_for_3(owner, django_assert_num_queries):
    def fill(n):
        for campaign in CampaignFactory.create_batch(n):
            add_recipients(campaign, 2)

    fill(3)
    owner.get(url("campaign_changelist"))
    with CaptureQueriesContext(connection) as few:
        answer = owner.get(url("campaign_changelist"))
    assert (found(answer)[0].n_sent, found(answer)[0].n_all) == (0, 2)
    fill(27)
    with django_assert_num_queries(len(few)):
        owner.get(url("campaign_changelist"))


def test_adding_makes_a_draft(owner):
    owner.post(url("campaign_add"), form())
    campaign = Campaign.objects.get()
    assert (campaign.name, campaign.state, campaign.context) == ("Spring", "draft", {"season": "spring"})
    assert LogEntry.objects.get().object_id == str(campaign.pk)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "a\x1bb"),
        ("from_email", "nobody"),
        ("from_email", "a@example.com, b@example.com"),
        ("from_email", "a@example.com\r\nBcc: c@example.com"),
        ("reply_to", "nobody"),
        ("context", "{"),
        ("context", json.dumps({"a": "x" * 65_536})),
        ("context", "[]"),
        ("context", "[" * 100_000),
        ("context", '{"a": "\\u0000"}'),
        ("context", '{"a": "\\ud800"}'),
        ("context", '{"a": NaN}'),
        ("template", "999999"),
    ],
)
def test_a_mistake_is_shown_at_its_field(owner, field, value):
    answer = owner.post(url("campaign_add"), form(**{field: value}))
    assert list(answer.context["adminform"].form.errors) == [field]
    assert not Campaign.objects.exists()


def test_an_archived_template_is_not_offered(owner):
    template = TemplateFactory(name="Old one")
    type(template).objects.update(archived_at="2026-01-01T00:00Z")
    assert "Old one" not in text_of(owner.get(url("campaign_add")))


def test_a_draft_can_be_edited(owner, draft):
    owner.post(url("campaign_change", draft.pk), form(draft, name="Winter"))
    draft.refresh_from_db()
    assert (draft.name, draft.context, draft.state) == ("Winter", {"season": "spring"}, "draft")


def test_the_form_of_a_draft_holds_its_context_as_json(owner, draft):
    Campaign.objects.update(context={"a": "ä"})
    assert '"a": "ä"' in text_of(owner.get(url("campaign_change", draft.pk)))


def test_an_edit_that_comes_after_the_launch_changes_nothing(owner, draft, monkeypatch):
    store = CampaignForm.store

    def launched_meanwhile(self):
        services.launch(Campaign.objects.get(pk=draft.pk))
        return store(self)

    monkeypatch.setattr(CampaignForm, "store", launched_meanwhile)
    answer = owner.post(url("campaign_change", draft.pk), form(draft, name="Late"), follow=True)
    draft.refresh_from_db()
    assert (draft.name, draft.state) == ("Autumn", "sending")
    assert "cannot be edited" in text_of(answer)


def test_of_two_edits_of_a_draft_the_later_one_does_not_undo_the_earlier(owner, draft):
    opened = [form_values(owner.get(url("campaign_change", draft.pk))) for _ in range(2)]
    owner.post(url("campaign_change", draft.pk), {**opened[0], "name": "Winter"})
    answer = owner.post(url("campaign_change", draft.pk), {**opened[1], "from_email": "late@example.com"})
    assert "was changed since this form was opened" in text_of(answer)
    assert 'value="late@example.com"' in text_of(answer)
    draft.refresh_from_db()
    assert (draft.name, draft.from_email) == ("Winter", "Team <team@example.com>")
    again = form_values(owner.get(url("campaign_change", draft.pk)))
    assert owner.post(url("campaign_change", draft.pk), {**again, "from_email": "late@example.com"}).status_code == 302
    draft.refresh_from_db()
    assert (draft.name, draft.from_email) == ("Winter", "late@example.com")


def test_a_launched_campaign_cannot_be_edited(owner, sending):
    answer = owner.post(url("campaign_change", sending.pk), form(sending, name="Late"), follow=True)
    assert "is sending meanwhile: your change was not saved" in text_of(answer)
    sending.refresh_from_db()
    assert sending.name == "Autumn"
    assert 'name="from_email"' not in text_of(owner.get(url("campaign_change", sending.pk)))


def test_the_page_of_a_draft_lists_what_blocks_the_launch(owner):
    campaign = CampaignFactory()
    assert "import some first" in text_of(owner.get(url("campaign_change", campaign.pk)))
    add_recipients(campaign, 1)
    assert "can be launched" in text_of(owner.get(url("campaign_change", campaign.pk)))


def test_launch_says_who_is_mailed_what_and_launches_on_post(owner, draft):
    content = text_of(owner.get(url("campaign_launch", draft.pk)))
    for part in ("Launch: mail 3 recipients", "version 1", draft.from_email):
        assert part in content
    assert state_of(draft) == "draft"
    assert not CampaignTask.objects.exists()
    owner.post(url("campaign_launch", draft.pk))
    assert state_of(draft) == "sending"
    assert draft.launched_by.username == "owner"
    assert LogEntry.objects.get().change_message == "Launched: 3 recipients to mail. (admin)"


def test_two_presses_launch_once(owner, draft):
    owner.post(url("campaign_launch", draft.pk))
    answer = owner.post(url("campaign_launch", draft.pk), follow=True)
    assert "it cannot be launched" in text_of(answer)
    assert CampaignTask.objects.count() == 1


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_launch_that_is_not_ready_says_why(owner, method):
    campaign = CampaignFactory()
    answer = getattr(owner, method)(url("campaign_launch", campaign.pk), follow=True)
    assert "There is no recipient to mail" in text_of(answer)
    assert state_of(campaign) == "draft"


def test_pause_resume_and_cancel_move_the_campaign(owner, sending):
    for verb, state in [("pause", "paused"), ("resume", "sending"), ("cancel", "cancelled")]:
        owner.post(url(f"campaign_{verb}", sending.pk))
        assert state_of(sending) == state
    assert LogEntry.objects.count() == 3


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_verb_in_the_wrong_state_says_so(owner, draft, verb):
    answer = owner.post(url(f"campaign_{verb}", draft.pk), follow=True)
    assert f"is draft; it cannot be {verb}d" in text_of(answer)
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(("verb", "status"), [("pause", 405), ("resume", 405), ("cancel", 200), ("delete", 302)])
def test_no_verb_acts_on_get(owner, sending, verb, status):
    assert owner.get(url(f"campaign_{verb}", sending.pk)).status_code == status
    assert state_of(sending) == "sending"


def test_delete_removes_a_campaign_and_refuses_one_that_sends(owner, draft):
    owner.post(url("campaign_delete", draft.pk))
    assert not Campaign.objects.exists()
    assert not Recipient.objects.exists()
    assert LogEntry.objects.get().object_repr == "Autumn"


def test_delete_is_not_offered_for_what_cannot_be_deleted(owner, draft):
    deletion, page = url("campaign_delete", draft.pk), url("campaign_change", draft.pk)
    assert deletion in text_of(owner.get(page))
    assert "Delete “Autumn”" in text_of(owner.get(deletion))
    completed(services.launch(draft), "sent")
    assert deletion not in text_of(owner.get(page))
    answer = owner.get(deletion, follow=True)
    assert answer.redirect_chain[0][0] == page
    assert "has mailed 3 recipients" in text_of(answer)


def test_delete_refuses_a_campaign_that_sends(owner, sending):
    answer = owner.post(url("campaign_delete", sending.pk), follow=True)
    assert "it cannot be deleted" in text_of(answer)
    assert state_of(sending) == "sending"
    assert not LogEntry.objects.exists()


def test_the_status_tells_what_the_page_shows(owner, sending):
    status = owner.get(url("campaign_status", sending.pk)).json()
    assert (status["state"], status["is_live"], status["counts"]["pending"]) == ("sending", True, "3")
    content = text_of(owner.get(url("campaign_change", sending.pk)))
    for name in status["texts"]:
        assert f'data-text="{name}"' in content
    for part in status["percents"]:
        assert f'data-part="{part}"' in content
    for state in status["counts"]:
        assert f'data-count="{state}"' in content
        assert f"{url('recipient_changelist')}?campaign={sending.pk}&state={state}" in content


def test_the_page_is_live_only_while_the_campaign_sends(owner, sending):
    assert "data-live" in text_of(owner.get(url("campaign_change", sending.pk)))
    services.pause(sending)
    assert "data-live" not in text_of(owner.get(url("campaign_change", sending.pk)))
    assert owner.get(url("campaign_status", sending.pk)).json()["is_live"] is False


@pytest.mark.parametrize("pk", ["999999", "99999999999999999999"])
@pytest.mark.parametrize("page", ["change", "status", "launch", "pause", "resume", "cancel", "import", "delete"])
def test_a_campaign_there_is_not_is_not_found(owner, page, pk):
    assert owner.post(url(f"campaign_{page}", pk)).status_code == 404


# --- imports


FILE = "email,name\nann@example.com,Ann\nANN@example.com,Ann\nnobody,No\n=1+1,Formula\n"


def test_an_uploaded_file_is_looked_at_and_counted_and_nothing_imported(owner):
    campaign = CampaignFactory()
    answer = owner.post(url("campaign_import", campaign.pk), {"file": csv_file(FILE)}, follow=True)
    assert ("Would be added", "1") in answer.context["facts"]
    content = text_of(answer)
    assert content.count("nobody") == 2
    assert "ANN@example.com" in content
    assert "Import 1 recipient" in content
    assert not Recipient.objects.exists()


def test_an_import_adds_recipients_and_shows_its_report(owner):
    campaign = CampaignFactory()
    owner.post(url("campaign_import", campaign.pk), {"file": csv_file(FILE)})
    made = RecipientImport.objects.get()
    answer = owner.post(url("recipientimport_preview", made.pk), {"do": "import"}, follow=True)
    assert Recipient.objects.get().email == "ann@example.com"
    content = text_of(answer)
    assert ("Added", "1") in answer.context["facts"]
    assert "people.csv" in content
    assert "nobody" in content
    assert RecipientImport.objects.get().created_by.username == "owner"


def test_a_large_file_is_read_from_disk(owner, settings):
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 10
    campaign = CampaignFactory()
    owner.post(url("campaign_import", campaign.pk), {"file": csv_file(FILE)})
    assert RecipientImport.objects.get().checked["created"] == 1


@pytest.mark.parametrize("content", ["", "\n\n", "\x00\x01", '"' + "x" * 3_000_000])
def test_a_file_that_cannot_be_imported_is_refused_at_its_field(owner, content):
    campaign = CampaignFactory()
    answer = owner.post(url("campaign_import", campaign.pk), {"file": csv_file(content)})
    assert list(answer.context["form"].errors) == ["file"]
    assert not RecipientImport.objects.exists()


@pytest.mark.parametrize("method", ["get", "post"])
def test_an_import_into_a_launched_campaign_is_refused_before_a_file_is_chosen(owner, sending, method):
    answer = getattr(owner, method)(url("campaign_import", sending.pk), {"file": csv_file(FILE)}, follow=True)
    assert answer.redirect_chain[0][0] == url("campaign_change", sending.pk)
    assert "cannot be given other recipients" in text_of(answer)
    assert Recipient.objects.count() == 3


def test_rejected_rows_are_downloaded_as_a_csv_that_runs_no_formula(owner):
    made = RecipientImport.objects.create(campaign=CampaignFactory(), filename="f.csv")
    RejectedRow.objects.create(recipient_import=made, line=7, email="=HYPERLINK(1)", reason="no @")
    answer = owner.get(url("recipientimport_rejected", made.pk))
    lines = b"".join(answer.streaming_content).decode().splitlines()
    assert lines == ["email,rejected: line,rejected: reason", "'=HYPERLINK(1),7,no @"]
    assert answer["Content-Type"].startswith("text/csv")
    assert "attachment" in answer["Content-Disposition"]


def test_the_list_of_imports_shows_what_became_of_each_file(owner):
    RecipientImport.objects.create(campaign=CampaignFactory(name="C"), filename="f.csv", invalid=77)
    assert "77" in text_of(owner.get(url("recipientimport_changelist")))


def test_the_imports_of_a_campaign_are_found_from_its_page_and_have_no_outcome_before_they_begin(owner):
    campaign = CampaignFactory(name="C")
    RecipientImport.objects.create(campaign=campaign, filename="kept.csv", state="uploaded")
    RecipientImport.objects.create(campaign=campaign, filename="empty.csv", state="done")
    RecipientImport.objects.create(campaign=CampaignFactory(), filename="other.csv")
    listed = f"{url('recipientimport_changelist')}?campaign={campaign.pk}"
    assert listed in text_of(owner.get(url("campaign_change", campaign.pk)))
    answer = owner.get(listed)
    assert [row.filename for row in found(answer)] == ["empty.csv", "kept.csv"]
    numbers = re.findall(r"field-(?:rows|added|twice|there_before|rejected)\b[^>]*>\s*([^<\s]+)", text_of(answer))
    assert numbers == ["0"] * 5 + ["–"] * 5
    assert [row.filename for row in found(owner.get(f"{listed}&state=uploaded"))] == ["kept.csv"]


def test_a_scheduled_campaign_has_its_rate_changed_on_its_page(owner, draft):
    services.schedule(draft, timezone.now() + timedelta(hours=1))
    assert url("campaign_rate", draft.pk) in text_of(owner.get(url("campaign_change", draft.pk)))
    owner.post(url("campaign_rate", draft.pk), {"rate_per_minute": "7"})
    draft.refresh_from_db()
    assert (draft.state, draft.rate_per_minute) == ("scheduled", 7)


def test_the_way_above_a_page_calls_a_row_by_its_own_name(owner, draft):
    recipient = Recipient.objects.first()
    shown = text_of(owner.get(url("recipient_change", recipient.pk)))
    assert "Recipients" in shown
    assert recipient.email.capitalize() not in shown


def test_a_wrong_address_for_answers_is_called_that(owner):
    answer = owner.post(url("campaign_add"), form(reply_to="nobody"))
    assert "no valid address for answers" in text_of(answer)


# --- recipients


def test_recipients_are_filtered_by_campaign_and_state(owner, draft):
    other = CampaignFactory()
    add_recipients(other, 2)
    Recipient.objects.filter(key="r1@example.com").update(state="rejected")
    assert len(found(owner.get(url("recipient_changelist")))) == 5
    assert len(found(owner.get(url("recipient_changelist"), {"campaign": draft.pk}))) == 3
    for state, number in {"pending": 2, "rejected": 1, "sent": 0}.items():
        answer = owner.get(url("recipient_changelist"), {"campaign": draft.pk, "state": state})
        assert len(found(answer)) == number


@pytest.mark.parametrize(
    ("query", "emails"),
    [
        ({"q": "R1@Example.com"}, ["r1@example.com"]),
        ({"q": "r"}, ["r0@example.com", "r1@example.com", "r2@example.com"]),
        ({"q": "example"}, []),
        ({"q": "r1_example"}, []),
        ({"q": "r%"}, []),
        ({"campaign": "x"}, ["r2@example.com", "r1@example.com", "r0@example.com"]),
        ({"campaign": "9" * 30}, ["r2@example.com", "r1@example.com", "r0@example.com"]),
        ({"state": "x", "p": "0"}, None),
    ],
)
def test_recipients_are_searched_by_the_beginning_of_the_address(owner, draft, query, emails):
    answer = owner.get(url("recipient_changelist"), query, follow=True)
    shown = [recipient.email for recipient in found(answer)]
    assert emails is None or (sorted(shown) == emails if "q" in query else shown == emails)


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ({"state": "pending"}, "email_recipients_open"),
        ({"state": "rejected"}, "email_recipients_notable"),
        ({"state": "sent"}, "email_recipients_address"),
        ({}, "email_recipients_address"),
        ({"q": "r77"}, "email_recipients_address"),
    ],
)
def test_the_lists_of_one_campaign_are_served_by_an_index(owner, query, index):
    campaign, other = CampaignFactory.create_batch(2)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO email_recipients (campaign_id, key, email, state) "
            "SELECT c, 'r' || n, 'r' || n, CASE WHEN n %% 500 = 0 THEN 'pending' WHEN n %% 500 = 1 THEN 'rejected' "
            "ELSE 'sent' END FROM generate_series(1, 20000) n, unnest(%s::bigint[]) c",
            [[campaign.pk, other.pk]],
        )
        cursor.execute("ANALYZE email_recipients")
    answer = owner.get(url("recipient_changelist"), {"campaign": campaign.pk, **query})
    plan = answer.context["cl"].queryset[:50].explain()
    assert index in plan, plan
    assert "Seq Scan on email_recipients" not in plan


def test_the_list_of_recipients_runs_as_many_queries_for_300_as_for_3(owner, draft, django_assert_num_queries):
    owner.get(url("recipient_changelist"))
    with CaptureQueriesContext(connection) as few:
        owner.get(url("recipient_changelist"))
    add_recipients(draft, 300, domain="example.org")
    with django_assert_num_queries(len(few)):
        owner.get(url("recipient_changelist"))


def test_the_page_of_a_recipient_shows_the_outcome_and_leads_to_the_caught_mail(owner, caught):
    campaign = CampaignFactory()
    (recipient,) = add_recipients(campaign, 1, city="Ålesund")
    Recipient.objects.update(state="rejected", code=550, detail="5.1.1 no such user")
    answer = owner.get(url("recipient_change", recipient.pk))
    content = text_of(answer)
    for part in ("550", "5.1.1 no such user", "Ålesund"):
        assert part in content
    (identity,) = re.findall(r"<\d+\.\d+\.[0-9a-f]{16}@example\.com>", content)
    assert url("caughtmessage_change", caught.pk) not in content
    CaughtMessage.objects.update(message_id=identity)
    assert url("caughtmessage_change", caught.pk) in text_of(owner.get(url("recipient_change", recipient.pk)))


# --- suppressions


def test_an_address_is_suppressed_under_its_key(owner):
    owner.post(url("suppression_add"), {"email": " Jo.Doe@FAß.example ", "reason": "manual", "source": "phone"})
    entry = Suppression.objects.get()
    assert (entry.key, entry.email) == ("jo.doe@xn--fa-hia.example", "Jo.Doe@xn--fa-hia.example")


@pytest.mark.parametrize("address", ["", "nobody", "a@b", "a@example.com, b@example.com", "JO@example.com"])
def test_an_address_that_cannot_be_suppressed_is_refused_at_its_field(owner, address):
    services.suppress("jo@example.com")
    answer = owner.post(url("suppression_add"), {"email": address, "reason": "manual", "source": ""})
    assert list(answer.context["adminform"].form.errors) == ["email"]
    assert Suppression.objects.count() == 1


def test_an_address_is_taken_off_the_list_after_a_question(owner):
    entry, _ = services.suppress("jo@example.com")
    assert url("suppression_delete", entry.pk) in text_of(owner.get(url("suppression_change", entry.pk)))
    owner.get(url("suppression_delete", entry.pk))
    assert Suppression.objects.exists()
    owner.post(url("suppression_delete", entry.pk), {"post": "yes"})
    assert not Suppression.objects.exists()


def test_suppressions_are_found_by_address_and_reason(owner):
    services.suppress("jo@example.com")
    services.suppress("al@example.com", reason="bounced")
    for query, number in [({"q": "JO@"}, 1), ({"reason": "bounced"}, 1), ({"reason": "x"}, 2), ({"q": "x"}, 0)]:
        assert len(found(owner.get(url("suppression_changelist"), query))) == number


# --- caught mail


def test_a_caught_mail_is_shown_in_a_closed_frame(owner, caught):
    answer = owner.get(url("caughtmessage_change", caught.pk))
    (frame,) = re.findall(r"<iframe[^>]*>", answer.content.decode())
    assert 'sandbox=""' in frame
    assert "default-src &#x27;none&#x27;" in frame
    assert "<script>alert" not in answer.content.decode()
    content = text_of(answer)
    for part in ("Grüße", "Plain <words>", "boundary=b"):
        assert part in content


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00\xff",
        b"Subject: \xff\r\n\r\n\xff",
        b"Content-Type: text/html; charset=\xff\r\n\r\nx",
        b"From: <\r\nTo: @@\r\nDate: never\r\nMessage-ID: <\r\nContent-Type: ;;\r\n\r\nx",
        b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n***",
        b"Content-Type: multipart/mixed\r\n\r\nno boundary",
        b"Content-Type: text/html; charset=rot13\r\n\r\nx",
    ],
)
def test_a_malformed_mail_can_be_looked_at(owner, caught, raw):
    CaughtMessage.objects.update(raw=raw)
    assert owner.get(url("caughtmessage_change", caught.pk)).status_code == 200


def test_a_caught_mail_is_downloaded_as_it_came(owner, caught):
    answer = owner.get(url("caughtmessage_download", caught.pk))
    assert answer.content == RAW
    assert (answer["Content-Type"], "attachment" in answer["Content-Disposition"]) == ("message/rfc822", True)


@pytest.mark.parametrize(("term", "number"), [("b@", 1), ("<1@x>", 1), ("<2@x>", 0), ("example", 0)])
def test_caught_mail_is_found_by_address_and_message_id(owner, caught, term, number):
    assert len(found(owner.get(url("caughtmessage_changelist"), {"q": term}))) == number


# --- who may do what

CAMPAIGN_VERBS = ["launch", "pause", "resume", "cancel", "import", "delete"]


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("verb", CAMPAIGN_VERBS)
def test_a_viewer_moves_no_campaign(viewer, sending, verb, method):
    assert getattr(viewer, method)(url(f"campaign_{verb}", sending.pk)).status_code == 403
    assert state_of(sending) == "sending"


@pytest.mark.parametrize("page", ["campaign_add", "recipient_add", "suppression_add", "recipientimport_add"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_viewer_adds_nothing(viewer, page, method):
    assert getattr(viewer, method)(url(page)).status_code == 403


def test_a_viewer_deletes_nothing(viewer, draft, caught):
    entry, _ = services.suppress("jo@example.com")
    made = RecipientImport.objects.first()
    rows = {"recipient": Recipient.objects.first(), "suppression": entry, "recipientimport": made}
    for name, row in {**rows, "caughtmessage": caught}.items():
        assert viewer.post(url(f"{name}_delete", row.pk), {"post": "yes"}).status_code == 403
    viewer.post(url("suppression_changelist"), {"action": "delete_selected", "_selected_action": [entry.pk]})
    assert Suppression.objects.exists()


def test_a_viewer_edits_no_draft(viewer, draft):
    viewer.post(url("campaign_change", draft.pk), form(draft, name="Mine"))
    draft.refresh_from_db()
    assert draft.name == "Autumn"


def test_a_viewer_sees_everything_and_no_button(viewer, draft, caught):
    entry, _ = services.suppress("jo@example.com")
    rows = {"campaign": draft, "recipient": Recipient.objects.first(), "suppression": entry}
    for name, row in {**rows, "recipientimport": RecipientImport.objects.first(), "caughtmessage": caught}.items():
        assert viewer.get(url(f"{name}_changelist")).status_code == 200
        content = text_of(viewer.get(url(f"{name}_change", row.pk)))
        for verb in CAMPAIGN_VERBS:
            assert url(f"campaign_{verb}", draft.pk) not in content
        assert url("suppression_delete", entry.pk) not in content


def test_an_editor_without_the_launch_permission_launches_nothing(client, draft):
    client.force_login(UserFactory(permissions=["view_campaign", "change_campaign", "add_recipient"]))
    for verb in ("launch", "pause", "resume", "cancel"):
        assert client.post(url(f"campaign_{verb}", draft.pk)).status_code == 403
        assert url(f"campaign_{verb}", draft.pk) not in text_of(client.get(url("campaign_change", draft.pk)))
    assert state_of(draft) == "draft"


PAGES = ["change", "status", *CAMPAIGN_VERBS]


@pytest.mark.parametrize("page", PAGES)
def test_staff_without_permission_see_no_campaign(client, draft, page):
    client.force_login(UserFactory())
    assert client.post(url(f"campaign_{page}", draft.pk)).status_code == 403


@pytest.mark.parametrize("page", PAGES)
def test_the_anonymous_are_sent_to_the_login(client, draft, page):
    assert client.post(url(f"campaign_{page}", draft.pk))["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("page", ["caughtmessage_change", "caughtmessage_download"])
def test_staff_without_permission_read_no_mail(client, caught, page):
    client.force_login(UserFactory())
    assert client.get(url(page, caught.pk)).status_code == 403


def test_staff_without_permission_download_no_rejected_rows(client, draft):
    client.force_login(UserFactory())
    assert client.get(url("recipientimport_rejected", RecipientImport.objects.get().pk)).status_code == 403


@pytest.mark.parametrize("permission", ["view_recipientimport", "view_recipient"])
def test_an_import_is_shown_to_who_may_see_imports_and_their_people(client, permission):
    made = RecipientImport.objects.create(campaign=CampaignFactory(), filename="f.csv")
    client.force_login(UserFactory(permissions=["view_campaign", permission]))
    for page in ("change", "rejected"):
        assert client.get(url(f"recipientimport_{page}", made.pk)).status_code == 403
    listed = url("recipientimport_changelist")
    assert client.get(listed).status_code == 403
    assert listed not in text_of(client.get(url("campaign_change", made.campaign_id)))


def test_the_sidebar_offers_what_a_person_may_view(client):
    client.force_login(UserFactory(permissions=["view_recipient"]))
    content = text_of(client.get("/admin/"))
    assert url("recipient_changelist") in content
    assert url("suppression_changelist") not in content
    client.force_login(User.objects.create_superuser("root"))
    assert reverse("admin:auth_user_changelist") in text_of(client.get("/admin/"))


def test_the_index_shows_campaigns_under_way_first(owner, sending):
    CampaignFactory.create_batch(3)
    answer = owner.get("/admin/")
    assert answer.context["campaigns"][0]["name"] == "Autumn"
    lifecycle.note_trouble(sending.pk, "The mail server refuses us")
    assert "The mail server refuses us" in text_of(owner.get("/admin/"))
