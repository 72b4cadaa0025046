from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from campaigns import services
from campaigns.addresses import AddressError, parse_address
from campaigns.models import Suppression
from queue_core.management.verbs import ACTOR, EXIT_CODES, add_json, tell
from queue_core.services.outcome import plural


class Command(BaseCommand):
    help = f"Take addresses off the list of those that are never mailed. {EXIT_CODES}"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("emails", nargs="+", metavar="EMAIL")
        add_json(parser)

    def handle(self, *args: Any, emails: list[str], json: bool, **options: Any) -> None:
        try:
            keys = {parse_address(email).key for email in emails}
        except AddressError as exc:
            raise CommandError(f"One of these is no address: {exc.reason}. Nothing changed.") from None
        with transaction.atomic():
            found = list(Suppression.objects.filter(key__in=keys))
            for entry in found:
                services.unsuppress(entry, by=ACTOR)
        absent = len(keys) - len(found)
        sentence = f"Took {plural(len(found), 'address', 'addresses')} off the list." + (
            f" Not on it: {absent}." if absent else ""
        )
        tell(self.stdout, sentence, {"changed": len(found), "left": absent}, as_json=json, complete=not absent)
