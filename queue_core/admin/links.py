"""Links of pages to rows elsewhere."""

from django.urls import reverse
from django.utils.html import format_html


def group_link(fingerprint: str) -> str:
    url = reverse("admin:queue_core_deadlettergroup_change", args=[fingerprint])
    return format_html('<a class="ph-link" href="{}">{}</a>', url, fingerprint[:8])


def letter_link(pk: int) -> str:
    return format_html(
        '<a class="ph-link" href="{}">dead letter {}</a>', reverse("admin:queue_core_deadletter_change", args=[pk]), pk
    )


def task_link(pk: int | None) -> str:
    if pk is None:
        return "–"  # noqa: RUF001
    return format_html(
        '<a class="ph-link" href="{}">task {}</a>', reverse("admin:queue_core_task_change", args=[pk]), pk
    )
