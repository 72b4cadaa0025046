from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from campaigns import services
from campaigns.addresses import AddressError
from campaigns.states import SuppressionReason
from queue_core.management.verbs import ACTOR, EXIT_CODES, add_json, tell
from queue_core.services.outcome import plural


class Command(BaseCommand):
    help = f"Never mail these addresses again, whatever the campaign. {EXIT_CODES}"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("emails", nargs="+", metavar="EMAIL")
        parser.add_argument("--reason", choices=SuppressionReason.values, default=SuppressionReason.MANUAL)
        parser.add_argument("--source", default="", help="where it came from, such as: letter of 3 May")
        add_json(parser)

    def handle(self, *args: Any, emails: list[str], reason: str, source: str, json: bool, **options: Any) -> None:
        if len(source) > services.SOURCE_MAX or "\x00" in source:
            raise CommandError(f"--source takes a text of at most {services.SOURCE_MAX} characters.")
        added = 0
        with transaction.atomic():
            for email in emails:
                try:
                    added += services.suppress(email, reason=reason, source=source, by=ACTOR)[1]
                except AddressError as exc:
                    raise CommandError(
                        f"{email[:80]!r} cannot be mailed anyway: {exc.reason}. Nothing changed."
                    ) from None
        there = len(emails) - added
        sentence = f"Suppressed {plural(added, 'address', 'addresses')}." + (
            f" On the list before: {there}." if there else ""
        )
        tell(self.stdout, sentence, {"changed": added, "left": there}, as_json=json, complete=not there)
