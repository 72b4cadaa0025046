"""Django backends as transports: whose fault a refusal is, and that nothing which never left counts as sent."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from campaigns import services
from campaigns.models import Campaign, MailBreaker, Recipient
from tests.campaigns.smtp_server import CERTIFICATE
from tests.factories import CampaignFactory, add_recipients, counts_by_scan

pytestmark = pytest.mark.django_db(transaction=True)
Work = Callable[..., None]
POSTMARK = "anymail.backends.postmark.EmailBackend"


class Service:
    """The API of a mail service. `refusals`: answers for so many posts, then all are taken."""

    def __init__(self) -> None:
        self.posts: list[dict[str, Any]] = []
        self.refusals: list[tuple[int, dict[str, Any]]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                service.posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                taken = {"ErrorCode": 0, "Message": "OK", "MessageID": "1", "To": service.posts[-1]["To"]}
                status, told = service.refusals.pop(0) if service.refusals else (200, taken)
                body = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def postmark(url: str, token: str = "x", **values: Any) -> None:
    options = {"server_token": "$secret", "api_url": url}
    given = {"secret": token, "connections": 1, **values}
    services.save_transport(name="m", kind="django", backend=POSTMARK, options=options, **given)


def launched(count: int) -> Campaign:
    campaign = CampaignFactory.create()
    add_recipients(campaign, count)
    return services.launch(campaign)


def states(campaign: Campaign) -> dict[str, int]:
    return {state: n for state, n in counts_by_scan(campaign).items() if n}


def reason() -> str:
    return MailBreaker.objects.get().reason


SENDER = "The 'From' address you supplied (x@example.com) is not a Sender Signature on your account."


def test_a_sender_that_the_service_does_not_take_rejects_nobody(service: Service, work: Work) -> None:
    postmark(service.url)
    service.refusals = [(422, {"ErrorCode": 400, "Message": SENDER})] * 1000
    campaign = launched(30)
    work()
    assert set(states(campaign)) == {"deferred", "pending"}
    assert "Sender Signature" in reason()
    service.refusals = []
    for _ in range(3):
        work(wait=False)
    assert states(campaign) == {"sent": 30}


def test_a_refusal_among_others_that_are_taken_is_about_the_recipient(service: Service, work: Work) -> None:
    postmark(service.url)
    service.refusals = [(422, {"ErrorCode": 7, "Message": "Not this one."})]
    campaign = launched(10)
    work()
    assert states(campaign) == {"sent": 9, "rejected": 1}
    assert not MailBreaker.objects.filter(failures__gt=0).exists()


def test_recipients_whom_the_service_knows_as_dead_are_rejected_however_many_there_are(
    service: Service, work: Work
) -> None:
    postmark(service.url)
    told = "Found inactive addresses: {}.\nInactive recipients are ones that have generated a hard bounce."
    dead = [f"r{n}@example.com" for n in range(5)]
    service.refusals = [(422, {"ErrorCode": 406, "Message": told.format(one)}) for one in dead]
    campaign = launched(10)
    work()
    assert states(campaign) == {"sent": 5, "rejected": 5}


@pytest.mark.parametrize(
    "token",
    ["abc\ndef", "abc\u20ac"],
)
def test_a_key_that_no_request_can_carry_is_ours_and_told_without_it(service: Service, work: Work, token: str) -> None:
    postmark(service.url, token)
    campaign = launched(10)
    work()
    assert set(states(campaign)) <= {"deferred", "pending"}
    assert service.posts == []
    assert "abc" not in reason() + "".join(Recipient.objects.values_list("detail", flat=True))


def test_a_key_that_was_read_with_its_line_end_is_used_without_it(
    service: Service, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_KEY", "abc\n")
    postmark(service.url, None, secret_env="MAIL_KEY")  # type: ignore[arg-type]
    campaign = launched(2)
    work()
    assert states(campaign) == {"sent": 2}


@pytest.mark.parametrize("url", ["localhost:1/", "ftp://127.0.0.1/", "http://", "http://127.0.0.1:1/"])
def test_an_address_at_which_there_is_no_service_rejects_nobody(work: Work, url: str) -> None:
    postmark(url)
    campaign = launched(10)
    work()
    assert set(states(campaign)) == {"pending"}


@pytest.fixture
def untrusted(service: Service, tmp_path: Path) -> str:
    path = tmp_path / "server.pem"
    path.write_text(CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    service.server.socket = context.wrap_socket(service.server.socket, server_side=True)
    return service.url.replace("http:", "https:")


def test_a_service_whose_certificate_is_not_trusted_got_nothing(untrusted: str, work: Work) -> None:
    postmark(untrusted, connections=4)
    campaign = launched(20)
    work()
    assert states(campaign) == {"pending": 20}
    assert "certificate" in reason()


def test_a_service_behind_a_proxy_that_is_not_there_got_nothing(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    postmark("https://api.example.com/")
    campaign = launched(5)
    work()
    assert states(campaign) == {"pending": 5}


def test_an_answer_that_got_lost_leaves_its_recipient_unconfirmed(
    service: Service, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.server.RequestHandlerClass, "send_response", lambda self, status: self.rfile.close())
    postmark(service.url)
    campaign = launched(1)
    work()
    assert states(campaign) == {"unconfirmed": 1}
