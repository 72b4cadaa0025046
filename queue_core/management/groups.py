"""`--group` of the commands: the failures of one fingerprint."""

from argparse import ArgumentParser, ArgumentTypeError

from django.core.management.base import CommandError

from queue_core.fingerprints import FINGERPRINT
from queue_core.models import DeadLetterGroup


def add_group(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--group", type=_fingerprint, metavar="FINGERPRINT", help="every open dead letter of this group"
    )


def _fingerprint(text: str) -> str:
    if FINGERPRINT.fullmatch(text):
        return text
    raise ArgumentTypeError(f"{text!r} is not the fingerprint of a group: those have 32 hexadecimal digits")


def group_of(mark: str) -> DeadLetterGroup:
    """CommandError, with the latest ones, where there is none."""
    group = DeadLetterGroup.objects.filter(pk=mark).first()
    if group is None:
        latest = DeadLetterGroup.objects.order_by("-is_open", "-last_seen")[:5]
        known = "".join(f"\n  {one.fingerprint}  {one.open} open  {one.name}: {one.error[:80]}" for one in latest)
        raise CommandError(f"There is no group {mark}. The latest:{known or ' none yet.'}")
    return group
