"""DKIM: what is signed verifies, by another implementation, and mail that should be signed never leaves without."""

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import dkim as dkimpy
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from django.core import mail
from django.test import Client
from rest_framework.test import APIClient

from campaigns import dkim, mailer, services
from campaigns.errors import DkimKeyRefused
from campaigns.models import Campaign, DkimKey, Recipient
from campaigns.states import DkimAlgorithm
from tests.campaigns.smtp_server import SmtpServer
from tests.factories import CampaignFactory, UserFactory, add_recipients

pytestmark = pytest.mark.django_db(transaction=True)
Work = Callable[..., None]
PEM = dkim.generate(DkimAlgorithm.RSA)
MESSAGE = (
    b"From: Jo <jo@example.com>\r\nTo: a@example.org\r\nSubject:  two\r\n  lines \t here\r\nList-Unsubscribe: <https://x/>\r\n"
    b"X-Other: 1\r\n\r\nTabs\tand   blanks \r\n\r\n text \t\r\n\r\n\r\n"
)


def key(selector: str = "s1", domain: str = "example.com", **values: Any) -> DkimKey:
    return services.add_dkim_key(domain=domain, selector=selector, **({"private_key": PEM} | values))


def verifies(message: bytes, row: DkimKey) -> bool:
    record = {f"{row.record_name}.".encode(): row.record.encode()}
    return bool(dkimpy.verify(message, dnsfunc=lambda name, **_: record.get(name)))


def launched(**values: Any) -> Campaign:
    campaign = CampaignFactory.create(from_email="Jo <jo@example.com>", **values)
    add_recipients(campaign, 2)
    return services.launch(campaign)


def test_what_is_mailed_over_smtp_verifies_and_its_unsubscribe_headers_are_signed(smtp: SmtpServer, work: Work) -> None:
    row = key()
    launched()
    work()
    assert len(smtp.bodies) == 2
    for body in smtp.bodies:
        assert verifies(body, row)
        head = b" ".join(body.split(b"\r\n\r\n")[0].split()).lower()
        named = head.partition(b" h=")[2].partition(b";")[0].replace(b" ", b"").split(b":")
        assert named[:2] == [b"from", b"from"]
        assert {b"list-unsubscribe", b"list-unsubscribe-post", b"message-id", b"date", b"to", b"subject"} <= set(named)
        assert not verifies(b"From: boss@example.com\r\n" + body, row)
        assert not verifies(body.replace(b"One-Click", b"Two-Click"), row)


def test_what_a_django_backend_sends_verifies(work: Work, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    services.save_transport(name="m", kind="django", backend=settings.EMAIL_BACKEND)
    row = key()
    launched()
    work()
    assert len(mail.outbox) == 2
    for message in mail.outbox:
        sent = message.message().as_bytes(linesep="\r\n")
        assert sent.count(b"DKIM-Signature:") == 1
        assert verifies(sent, row)


@pytest.mark.parametrize(
    "body", [b"", b"\r\n", b"\r\n\r\n", b"a", b"a \t b  \r\n\r\n", b" \r\n\t\r\n", b"a\r\n \r\nb\r\n"]
)
def test_any_body_verifies(body: bytes) -> None:
    row = key()
    message = MESSAGE.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + body
    assert verifies(dkim.signatures(message, mailer.signers_of("example.com")) + message, row)


def test_an_ed25519_key_signs_the_hash_of_what_rsa_signs() -> None:
    row = key(private_key="", algorithm="ed25519")
    header = dkim.signatures(MESSAGE, mailer.signers_of("example.com"))
    assert b"a=ed25519-sha256" in header
    value = b" ".join(header.split())
    unsealed, _, sealed = value.rpartition(b"b=")
    names = value.partition(b" h=")[2].partition(b";")[0].split(b":")
    fields = [(n, v + b"\r\n") for n, _, v in (x.partition(b":") for x in MESSAGE.split(b"\r\n\r\n")[0].split(b"\r\n"))]
    fields[2] = (fields[2][0], b"  two\r\n  lines \t here\r\n")
    headers = dict(
        dkimpy.CanonicalizationPolicy.from_c_value(b"relaxed/relaxed").canonicalize_headers(fields[:3] + fields[4:])
    )
    text = b"".join(n + b":" + headers[n] for n in names[1:])
    own = b"dkim-signature:" + unsealed.partition(b": ")[2] + b"b="
    public = ed25519.Ed25519PublicKey.from_public_bytes(base64.b64decode(row.public))
    public.verify(base64.b64decode(sealed.replace(b" ", b"")), hashlib.sha256(text + own).digest())
    with pytest.raises(InvalidSignature):
        public.verify(base64.b64decode(sealed.replace(b" ", b"")), hashlib.sha256(text).digest())


def test_the_nearest_domain_signs_with_all_its_keys_that_are_on() -> None:
    above, first = key("a"), key("b", "news.example.com")
    second = key("c", "News.Example.com", private_key="", algorithm="ed25519")
    off = key("d", "news.example.com")
    services.switch_dkim_key(off, enabled=False)
    key("e", "com.example")

    def selectors(domain: str) -> list[str]:
        return [signer.selector for signer in mailer.signers_of(domain)]

    assert selectors("news.example.com") == selectors("x.news.example.com") == [first.selector, second.selector]
    assert selectors("example.com") == selectors("other.example.com") == [above.selector]
    assert selectors("notexample.com") == selectors("com") == []


@pytest.mark.parametrize(
    ("values", "field", "text"),
    [
        ({"domain": "no domain"}, "domain", "Write the domain"),
        ({"selector": "a.b"}, "selector", "Write one word"),
        ({"private_key": "-----BEGIN"}, "private_key", "no private key in PEM"),
        ({"private_key": PEM, "secret_env": "MAIL_KEY"}, "secret_env", "not both"),
        ({"private_key": "", "secret_env": "SECRET_KEY"}, "secret_env", "begins with MAIL_DKIM"),
        ({"private_key": "", "secret_env": "MAIL_DKIM_NOT_THERE"}, "secret_env", "is not set here"),
    ],
)
def test_a_wrong_key_is_a_clear_error(values: dict[str, str], field: str, text: str) -> None:
    with pytest.raises(DkimKeyRefused) as refused:
        services.add_dkim_key(**({"domain": "example.com", "selector": "s", "private_key": PEM} | values))
    assert text in refused.value.errors[field][0]
    assert not DkimKey.objects.exists()


def test_a_key_of_another_kind_or_behind_a_passphrase_is_refused() -> None:
    made = ec.generate_private_key(ec.SECP256R1())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    for encryption, text in (
        (serialization.NoEncryption(), "RSA and Ed25519 keys only"),
        (serialization.BestAvailableEncryption(b"x"), "has a passphrase"),
    ):
        with pytest.raises(dkim.KeyProblem, match=text):
            dkim.load(made.private_bytes(*form, encryption).decode())


def test_a_selector_is_used_once_per_domain() -> None:
    key()
    with pytest.raises(DkimKeyRefused, match="choose another selector"):
        key()


def test_mail_that_should_be_signed_never_leaves_without(
    smtp: SmtpServer, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_DKIM", PEM)
    key(private_key="", secret_env="MAIL_DKIM")
    campaign = launched()
    monkeypatch.setenv("MAIL_DKIM", dkim.generate(DkimAlgorithm.ED25519))
    work()
    assert not smtp.bodies
    assert set(Recipient.objects.values_list("state", flat=True)) == {"pending"}
    monkeypatch.delenv("MAIL_DKIM")
    assert any("cannot be signed" in text and "MAIL_DKIM" in text for text in services.problems(campaign))
    monkeypatch.setenv("MAIL_DKIM", PEM)
    work(wait=False)
    assert len(smtp.bodies) == 2


def test_the_private_key_is_shown_nowhere(client: Client) -> None:
    row = key()
    assert "PRIVATE" not in row.secret
    user = UserFactory(is_superuser=True)
    client.force_login(user)
    api = APIClient()
    api.force_authenticate(user)
    pages = [client.get(f"/admin/campaigns/dkimkey/{page}") for page in ("", f"{row.pk}/change/", "add/")]
    for answer in (*pages, api.get("/api/v1/dkim-keys/"), api.get(f"/api/v1/dkim-keys/{row.pk}/")):
        assert answer.status_code == 200
        assert "MII" + PEM.split("MII", 1)[1][:20] not in answer.content.decode()
        assert row.secret not in answer.content.decode()
    assert "p=MII" in pages[1].content.decode()


def test_the_admin_adds_switches_and_deletes_a_key(client: Client) -> None:
    client.force_login(UserFactory(is_superuser=True))
    given = {"domain": "example.com", "selector": "s1", "algorithm": "ed25519", "private_key": "", "secret_env": ""}
    page = client.post("/admin/campaigns/dkimkey/add/", given | {"private_key": "x"}).content.decode()
    assert "This is no private key in PEM" in page
    assert "Publish its record" in client.post("/admin/campaigns/dkimkey/add/", given, follow=True).content.decode()
    row = DkimKey.objects.get()
    client.post(f"/admin/campaigns/dkimkey/{row.pk}/disable/")
    assert not DkimKey.objects.get().enabled
    client.post(f"/admin/campaigns/dkimkey/{row.pk}/delete/", {"post": "yes"})
    assert not DkimKey.objects.exists()
