import mailbox as files
import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from campaigns import services
from campaigns.bounces import MAX_BYTES
from campaigns.bounces.mailbox import MailboxError
from queue_core.management.verbs import add_json, tell


class Command(BaseCommand):
    help = "Read bounces and complaints: out of the mailbox BOUNCE_MAILBOX_URL, or from files, Maildirs or a pipe."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "paths",
            nargs="*",
            metavar="PATH",
            help="mails, mboxes, Maildirs or folders of mails, which are left as they are; - is a pipe",
        )
        add_json(parser)

    def handle(self, *args: Any, paths: list[str], json: bool, **options: Any) -> None:
        if not paths and not settings.BOUNCE_MAILBOX_URL:
            raise CommandError("Set BOUNCE_MAILBOX_URL, such as imaps://user:password@host/INBOX, or name files.")
        try:
            counts = services.read_mails(_mails(paths)) if paths else services.read_bounces(settings.BOUNCE_MAILBOX_URL)
        except MailboxError as exc:
            raise CommandError(str(exc)) from None
        except OSError as exc:
            raise CommandError(f"Cannot read {exc.filename}: {os.strerror(exc.errno or 0)}.") from None
        tell(self.stdout, _sentence(counts), counts, as_json=json, complete=True)


def _sentence(counts: dict[str, int]) -> str:
    if not counts:
        return "There was no mail to read."
    kinds = ("hard", "soft", "refused", "complained", "delayed", "delivered", "auto_reply", "unknown")
    found = ", ".join(f"{counts[kind]} {kind.replace('_', ' ')}" for kind in kinds if kind in counts)
    results = {"new": "news", "suppressed": "suppressed", "set_aside": "for a person to look at", "early": "too early"}
    then = "; ".join(f"{counts[name]} {text}" for name, text in results.items() if name in counts)
    return f"Read {counts['mails']} mails: {found}.{f' {then}.' if then else ''}"


def _mails(paths: list[str]) -> Iterator[bytes]:
    for path in paths:
        if path == "-":
            yield sys.stdin.buffer.read(MAX_BYTES)
        elif Path(path).is_dir():
            for file in _files(Path(path)):
                yield from _mails_of(file)
        else:
            yield from _mails_of(Path(path))


def _files(folder: Path) -> list[Path]:
    """The mails of a Maildir, or the files of any other folder; not those of folders below."""
    maildir = [part for name in ("new", "cur") if (part := folder / name).is_dir()]
    return [file for part in maildir or [folder] for file in sorted(part.iterdir()) if file.is_file()]


def _mails_of(file: Path) -> Iterator[bytes]:
    head = _beginning(file)
    if not head.startswith(b"From "):
        yield head
        return
    with closing(files.mbox(file, create=False)) as box:
        yield from (box.get_bytes(key)[:MAX_BYTES] for key in box.iterkeys())


def _beginning(path: Path) -> bytes:
    with path.open("rb") as mail:
        return mail.read(MAX_BYTES)
