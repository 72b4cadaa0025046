"""What people write: csv.DictReader, each address checked, bulk_create(ignore_conflicts) into the same table."""

import csv
from collections.abc import Iterator
from itertools import islice

from django.utils import timezone

from tests.benchmarks.peers import import_posthaste as ours

from campaigns.addresses import AddressError, parse_address  # isort: skip
from campaigns.models import Recipient  # isort: skip

_BATCH = 5_000
reset = ours.reset


def fill(n: int, seconds: float) -> None:
    campaign = ours.draft()
    people = _people(campaign.pk)
    while batch := list(islice(people, _BATCH)):
        Recipient.objects.bulk_create(batch, ignore_conflicts=True)


def _people(campaign: int) -> Iterator[Recipient]:
    # Defaults of the database would be compiled for every row, which is none of the peer's fault.
    given = {"state": "pending", "attempts": 0, "detail": "", "created_at": timezone.now()}
    with ours.FILE.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            try:
                address = parse_address(row.pop("email"))
            except AddressError:
                continue
            name = f"{row['first_name']} {row['last_name']}"
            yield Recipient(
                campaign_id=campaign, key=address.key, email=address.email, name=name, attributes=row, **given
            )
