"""Where mail services tell what became of our mails: django-anymail reads their formats, this takes what it read."""

from typing import Any

from anymail.signals import AnymailTrackingEvent, tracking
from django.dispatch import receiver

from campaigns import services


@receiver(tracking, dispatch_uid="campaigns.webhooks")
def take(sender: Any, event: AnymailTrackingEvent, esp_name: str, **_: Any) -> None:
    services.take_report(event, esp_name)
