"""save_transport, delete_transport, reset_transport, check_transport: the ways out for mail."""

import re
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from campaigns import breaker, mailer, vault
from campaigns.errors import TransportRefused
from campaigns.models import Campaign, MailTransport
from campaigns.services.chunk import wake_chunks
from campaigns.states import CampaignState, TransportKind
from queue_core.services import Actor, audit

# Whoever may edit a transport must not be able to send it other secrets of the process.
_ENV = re.compile(r"MAIL_(?!DKIM)[A-Z0-9_]+")
# A host is all that may stand there: what else could would only be understood by a resolver.
_HOST = re.compile(r"[A-Za-z0-9.:_-]+")
# A stored secret is shown to nobody, so it must not be sent where somebody else reads it either.
_ELSEWHERE = {"kind", "host", "port", "security", "verify", "backend", "options"}
_SECRETS = re.compile(r"(?:pass(?:word|wd|phrase)?|secret|token|key)(?:_|$)", re.IGNORECASE)
_RANGES = {
    "port": (1, 65535),
    "connections": (1, 50),
    "max_messages": (0, 1_000_000),
    "timeout": (1, 3600),
    "priority": (-32_000, 32_000),
    "rate_count": (1, 1_000_000_000),
    "rate_seconds": (1, 86_400),
}
_UNDER_WAY = [CampaignState.SCHEDULED, CampaignState.SENDING, CampaignState.PAUSED]
_OPTIONAL = {"rate_count", "rate_seconds"}


def save_transport(
    row: MailTransport | None = None, *, secret: str | None = None, by: Actor | None = None, **values: Any
) -> MailTransport:
    """Add a transport, or change fields of one. `secret` None keeps the one there, "" removes it.

    Heard by chunks that begin from now on. Raises TransportRefused with what is wrong by field; it tries nothing.
    """
    with transaction.atomic():
        made = MailTransport.objects.select_for_update().get(pk=row.pk) if row else MailTransport()
        changed, errors = _fill(made, secret, values)
        if errors:
            raise TransportRefused(errors)
        if changed:
            _store(made)
            if _OPTIONAL & set(changed):
                wake_chunks()
            message = f"Changed {', '.join(changed)}." if row else "Created."
            flag = audit.CHANGE if row else audit.ADDITION
            audit.record(MailTransport, [made.pk], message, by=by, flag=flag, name=made.name)
    made.refresh_from_db()
    return made


def transport_refusals(
    row: MailTransport | None = None, *, secret: str | None = None, **values: Any
) -> dict[str, list[str]]:
    """What `save_transport` would refuse of these values, by field; what is not given stays as it is."""
    made = MailTransport.objects.get(pk=row.pk) if row else MailTransport()
    return _fill(made, secret, values)[1]


def delete_transport(row: MailTransport, *, by: Actor | None = None) -> None:
    """For good, with its secret. Raises TransportRefused while a campaign names it, or has no other to go on by."""
    with transaction.atomic():
        list(MailTransport.objects.select_for_update().order_by("pk"))
        demand_transport_deletable(row)
        try:
            with transaction.atomic():
                MailTransport.objects.get(pk=row.pk).delete()
        except ProtectedError:  # named in the meantime
            raise _named(row) from None
        audit.record(MailTransport, [row.pk], "Deleted.", by=by, flag=audit.DELETION, name=row.name)


def demand_transport_deletable(row: MailTransport) -> None:
    """Raises what `delete_transport` would."""
    if Campaign.objects.filter(transport=row.pk).exists():
        raise _named(row)
    # Without any row mail goes to SMTP_URL, which at home is a mail catcher: nobody means that for half a campaign.
    is_last = not MailTransport.objects.exclude(pk=row.pk).exists()
    if is_last and Campaign.objects.filter(state__in=_UNDER_WAY).exists():
        text = "Campaigns are under way or scheduled, and have no other transport: switch it off instead."
        raise TransportRefused({"name": [text]})


def _named(row: MailTransport) -> TransportRefused:
    text = f"Campaigns name “{row.name}”: switch it off instead; what was sent by it stays on record."
    return TransportRefused({"name": [text]})


def reset_transport(row: MailTransport, *, by: Actor | None = None) -> bool:
    """Let it be used again at once, whatever it refused before. False: nothing was in the way."""
    with transaction.atomic():
        was_open = breaker.recover(row.breaker_key)
        if was_open:
            audit.record(MailTransport, [row.pk], "Reset its breaker.", by=by, name=row.name)
    return was_open


def check_transport(row: MailTransport) -> tuple[bool, list[str]]:
    """Connect and log in, mail nothing. (whether it works, what the server offers or the exact error)."""
    return mailer.check(mailer.route_of(row))


def _fill(made: MailTransport, secret: str | None, values: dict[str, Any]) -> tuple[list[str], dict[str, list[str]]]:
    """Write the values into the instance: (what they change, what is wrong then, by field)."""
    is_new = made.pk is None
    changed = [name for name, value in values.items() if is_new or getattr(made, name) != value]
    for name in changed:
        setattr(made, name, values[name])
    is_sent_elsewhere = not is_new and secret is None and made.secret and _ELSEWHERE & set(changed)
    if secret is not None:
        made.secret = vault.lock(secret)
        changed.append("secret")
    errors = _errors(made)
    if "options" in changed and (name := _shown_secret(made.options)):
        text = f"Options are shown: write “{mailer.SECRET}” for “{name[:40]}”, and give its value as the secret."
        errors.setdefault("options", [text])
    if is_sent_elsewhere:
        errors["secret"] = ["Enter the secret again: it would go to another server than before."]
    return changed, errors


def _store(row: MailTransport) -> None:
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise TransportRefused({"name": [f"There is a transport “{row.name}” already: choose another name."]}) from None


def _errors(row: MailTransport) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    if not row.name.strip():
        found["name"] = ["Give it a name."]
    for name, (least, most) in _RANGES.items():
        value = getattr(row, name)
        if not (least <= value <= most if value is not None else name in _OPTIONAL):
            found[name] = [f"Write a number from {least} to {most}."]
    if (row.rate_count is None) != (row.rate_seconds is None):
        found["rate_seconds"] = ["A limit needs both: so many mails, in so many seconds. Leave both blank for none."]
    if row.secret_env and not _ENV.fullmatch(row.secret_env):
        found["secret_env"] = [
            "Write the name of a variable that begins with MAIL_, such as MAIL_PASSWORD, and not with MAIL_DKIM."
        ]
    if row.secret_env and row.secret:
        found["secret_env"] = ["Give the secret itself or the variable that holds it, not both."]
    return found | (_smtp_errors(row) if row.kind == TransportKind.SMTP else _backend_errors(row))


def _smtp_errors(row: MailTransport) -> dict[str, list[str]]:
    found = {}
    if not _HOST.fullmatch(row.host):
        found["host"] = ["Write the name or the address of the server, such as smtp.example.com."]
    if (row.secret or row.secret_env) and not row.username:
        found["username"] = ["A secret needs a user name that goes with it."]
    if row.username and not (row.secret or row.secret_env):
        found["secret"] = ["A user name needs its secret."]
    return found


def _backend_errors(row: MailTransport) -> dict[str, list[str]]:
    if not isinstance(row.options, dict):
        return {"options": ["Write one JSON object."]}
    if not mailer.is_backend(row.backend):
        text = "This is not the dotted path of a Django e-mail backend, such as anymail.backends.mailgun.EmailBackend."
        return {"backend": [text]}
    if row.options.get("fail_silently"):
        return {"options": ["With fail_silently nobody would hear that a mail was not taken: leave it out."]}
    if "file_path" in row.options:
        # Whoever may edit transports must not write files wherever this process may.
        return {"options": ["Leave file_path out: the environment variable EMAIL_FILE_PATH says where files go."]}
    if mailer.writes_files(row.backend) and not getattr(settings, "EMAIL_FILE_PATH", None):
        text = "It writes mails into files: set the environment variable EMAIL_FILE_PATH to a folder, and restart."
        return {"backend": [text]}
    return {}


def _shown_secret(options: dict[str, Any]) -> str:
    """The name of an option that would be kept and shown in the clear; "" when there is none.

    Where another option is the secret, a key is the name that goes with it, as with Mailjet and Amazon SES.
    """
    texts = list(_texts(options))
    has_secret = any(value == mailer.SECRET for _, value in texts)
    for name, value in texts:
        is_name = has_secret and (name == "api_key" or name.endswith("key_id"))
        if value not in ("", mailer.SECRET) and _SECRETS.search(name) and not is_name:
            return name
    return ""


def _texts(options: Any) -> Iterator[tuple[str, str]]:
    if isinstance(options, dict):
        for name, value in options.items():
            if isinstance(value, str):
                yield name, value
            yield from _texts(value)
