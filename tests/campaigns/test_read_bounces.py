"""Reading the bounce mailbox, files and pipes."""

import io
import json
import mailbox
import socket
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from campaigns import services
from campaigns.bounces import MAX_BYTES
from campaigns.bounces.mailbox import MailboxError, parse_url
from campaigns.checks import check_bounces
from campaigns.message import message_id, return_path
from campaigns.models import CampaignEvent, Recipient, Suppression
from campaigns.tasks import read_bounces_task
from tests.campaigns import notices
from tests.campaigns.mailbox_servers import ImapServer, MailboxServer, Pop3Server
from tests.campaigns.test_take_notice import id_of, sent

pytestmark = pytest.mark.django_db
SERVERS = pytest.mark.parametrize("kind", [ImapServer, Pop3Server])
LETTER = b"From: ann@example.net\nSubject: Hello\n\nA person wrote this.\n"
Kind = type[MailboxServer]


@pytest.fixture
def ann() -> Recipient:
    return sent()[0]


def run(*words: str) -> str:
    out = io.StringIO()
    call_command("read_bounces", *words, stdout=out)
    return out.getvalue().strip()


@SERVERS
def test_what_was_understood_is_removed_and_the_rest_is_left_for_a_person(kind: Kind, ann: Recipient) -> None:
    own = id_of(ann)
    mails = [notices.report(own), LETTER, notices.holiday(own), notices.report("<not@ours>"), notices.report(own)]
    with kind(mails) as server:
        counts = services.read_bounces(server.url())
    assert counts == {"mails": 5, "hard": 3, "unknown": 1, "auto_reply": 1, "new": 1, "suppressed": 1, "set_aside": 2}
    assert [mail.content for mail in server.mails.values()] == [LETTER, notices.report("<not@ours>")]
    assert Suppression.objects.get().key == ann.key


@SERVERS
def test_a_mail_that_no_parser_likes_does_not_keep_others_from_being_read(kind: Kind, ann: Recipient) -> None:
    odd = b"From: a@b.c\r\nTo: bounces@x.example\r\nContent-Type: text/plain; charset*=x'y'z\r\n\r\n\xff hello\r\n"
    with kind([odd, notices.report(id_of(ann)), odd]) as server:
        assert services.read_bounces(server.url())["hard"] == 1
        assert [mail.content for mail in server.mails.values()] == [odd, odd]


def test_a_mail_set_aside_is_not_read_again_over_imap(ann: Recipient) -> None:
    with ImapServer([LETTER]) as server:
        assert services.read_bounces(server.url())["set_aside"] == 1
        assert services.read_bounces(server.url()) == {}
    assert server.mails[1].flags == {"\\Seen"}


def test_what_others_marked_as_deleted_stays_where_the_server_can_tell(ann: Recipient) -> None:
    with ImapServer([notices.report(id_of(ann)), LETTER]) as server:
        server.mails[2].flags.add("\\Deleted")
        services.read_bounces(server.url())
        assert list(server.mails) == [2]
    with ImapServer([notices.report(id_of(ann))], uidplus=False) as server:
        services.read_bounces(server.url())
        assert not server.mails


@SERVERS
def test_a_notice_that_overtakes_its_own_mail_is_read_again(kind: Kind, ann: Recipient) -> None:
    Recipient.objects.update(state="sending")
    with kind([notices.report(id_of(ann))]) as server:
        assert services.read_bounces(server.url()) == {"mails": 1, "hard": 1, "early": 1}
        Recipient.objects.update(state="sent")
        assert services.read_bounces(server.url())["new"] == 1
        assert not server.mails


@SERVERS
def test_one_run_reads_so_many_and_the_next_reads_on(kind: Kind, settings: Any, ann: Recipient) -> None:
    settings.CAMPAIGNS_BOUNCE_BATCH = 2
    with kind([notices.holiday("<a@b>")] * 5) as server:
        assert [services.read_bounces(server.url()).get("mails", 0) for _ in range(4)] == [2, 2, 1, 0]


@SERVERS
def test_huge_mails_and_endless_lines_are_read_as_far_as_is_needed(kind: Kind, ann: Recipient) -> None:
    report = notices.report(id_of(ann))
    long = [report.replace(b"Hello Ann", junk) for junk in (b"x" * 900_000, b".\n" * MAX_BYTES, b"y" * 5_000)]
    with kind([LETTER.replace(b"A person", b"z" * 400_000), *long]) as server:
        assert services.read_bounces(server.url())["hard"] == 3


@SERVERS
def test_a_wrong_password_is_said_and_never_shown(kind: Kind) -> None:
    with kind([]) as server, pytest.raises(MailboxError, match="wrong password") as caught:
        services.read_bounces(server.url(password="hunter2"))
    assert "hunter2" not in str(caught.value)


def test_a_folder_that_is_not_there_is_said() -> None:
    with ImapServer([]) as server, pytest.raises(MailboxError, match="no such folder"):
        services.read_bounces(server.url(folder="/Bounces"))


@SERVERS
def test_a_server_that_is_not_there_or_says_nothing_is_said_soon(kind: Kind, settings: Any) -> None:
    settings.CAMPAIGNS_BOUNCE_MAILBOX_TIMEOUT = 0.3
    with kind([], mute=True) as server, pytest.raises(MailboxError, match="did not answer within"):
        services.read_bounces(server.url())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"{kind.scheme}://u:p@127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(MailboxError, match="cannot be reached"):
            services.read_bounces(url)


@SERVERS
def test_a_server_without_the_encryption_that_was_asked_for_gets_no_password(kind: Kind) -> None:
    with kind([]) as server, pytest.raises(MailboxError):
        services.read_bounces(server.url(secure=True))
    assert not any("secret" in command for command in server.commands)


@pytest.mark.parametrize(
    "url",
    [
        *("", "http://u:p@host", "imaps://host", "imaps://u@host", "imap://u:p@host:x", "imap://u:p@["),
        *("imap://u:p@h?tls=1", "pop3://u%0aQUIT:p@host"),
    ],
)
def test_a_url_that_cannot_work_is_refused_at_the_start(url: str, settings: Any) -> None:
    with pytest.raises(MailboxError):
        parse_url(url)
    settings.BOUNCE_MAILBOX_URL = url
    assert [error.id for error in check_bounces(None)] == (["campaigns.E006"] if url else [])


@pytest.mark.parametrize("address", ["bounces", "newsletter-bounces-of-emea-12@example.com"])
def test_a_bounce_address_that_cannot_work_is_refused_at_the_start(address: str, settings: Any) -> None:
    settings.BOUNCE_ADDRESS = address
    assert [error.id for error in check_bounces(None)] == ["campaigns.E005"]


def test_a_bounce_address_of_27_characters_leaves_room_for_the_largest_numbers(settings: Any) -> None:
    settings.BOUNCE_ADDRESS = f"{'b' * 27}@example.com"
    assert check_bounces(None) == []
    sender = return_path(settings.BOUNCE_ADDRESS, message_id(10**7 - 1, 10**11 - 1, "example.com", b"key"))
    assert len(sender.partition("@")[0]) == 64


def test_the_command_and_the_task_read_the_mailbox_of_the_settings(settings: Any, ann: Recipient) -> None:
    assert read_bounces_task.func() == {}
    with pytest.raises(CommandError, match="Set BOUNCE_MAILBOX_URL"):
        run()
    with ImapServer([notices.report(id_of(ann)), LETTER]) as server:
        settings.BOUNCE_MAILBOX_URL = server.url()
        assert run() == ("Read 2 mails: 1 hard, 1 unknown. 1 news; 1 suppressed; 1 for a person to look at.")
        assert run("--json") == "{}"
        assert read_bounces_task.func() == {}
    with pytest.raises(CommandError, match="cannot be reached"):
        run()


def test_the_command_reads_files_mboxes_maildirs_and_a_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ann: Recipient
) -> None:
    own = id_of(ann)
    (tmp_path / "one.eml").write_bytes(notices.report(own))
    box = mailbox.mbox(tmp_path / "box")
    box.add(notices.complaint(own))
    box.add(LETTER)
    box.close()
    maildir = mailbox.Maildir(tmp_path / "dir")
    maildir.add(notices.qmail(own))
    maildir.close()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(notices.holiday(own))))
    found = json.loads(run(*[str(tmp_path / name) for name in ("one.eml", "box", "dir")], "-", "--json"))
    assert found == {
        **{"mails": 5, "hard": 2, "complained": 1, "unknown": 1, "auto_reply": 1},
        **{"new": 2, "suppressed": 1, "set_aside": 1},
    }
    assert CampaignEvent.objects.count() == 2
    with pytest.raises(CommandError, match="No such file"):
        run(str(tmp_path / "nothing"))


def test_a_folder_of_mails_is_read_like_its_files(tmp_path: Path, ann: Recipient) -> None:
    (tmp_path / "one.eml").write_bytes(notices.report(id_of(ann)))
    box = mailbox.mbox(tmp_path / "two")
    box.add(LETTER)
    box.close()
    (tmp_path / "below").mkdir()
    assert run(str(tmp_path)).startswith("Read 2 mails: 1 hard, 1 unknown.")
    assert run(str(tmp_path / "below")) == "There was no mail to read."
