"""The example: a made-up audience and a letter, shipped so that the first run shows a real campaign."""

from pathlib import Path

from django.db import transaction

from campaigns.models import Campaign
from campaigns.services.import_recipients import import_recipients
from campaigns.services.launch import launch
from templates_app.models import EmailTemplate
from templates_app.rendering import Content
from templates_app.services import create_template

FOLDER = Path(__file__).resolve().parent.parent / "example"
NAME = "Example: autumn teas"
SENDER = "Harbour Lane Tea <hello@harbourlane.example>"


def find_example() -> Campaign | None:
    return Campaign.objects.filter(name=NAME).order_by("pk").first()


def make_example() -> Campaign:
    """Create, fill and launch the example campaign: all of it or nothing."""
    subject, html, text = ((FOLDER / part).read_text("utf-8") for part in ("subject.txt", "body.html", "body.txt"))
    content = Content(subject, html, text)
    with transaction.atomic():
        template = EmailTemplate.objects.filter(name=NAME).first()
        if template is None:
            template = create_template(
                name=NAME, content=content, description="Shipped with Posthaste.", note="As shipped."
            )
        campaign = Campaign.objects.create(name=NAME, template=template, from_email=SENDER)
        with (FOLDER / "audience.csv").open("rb") as raw:
            import_recipients(campaign, raw, filename="audience.csv")
        return launch(campaign)
