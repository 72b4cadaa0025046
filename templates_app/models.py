"""A template is a name; what it says lives in its versions, which never change."""

from django.conf import settings
from django.db import models


class EmailTemplate(models.Model):
    name = models.CharField(max_length=200, unique=True)
    description = models.TextField(blank=True)
    # Empty only between the two inserts of `create_template`, inside its transaction.
    current_version = models.ForeignKey(
        "TemplateVersion", null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "email_templates"
        verbose_name = "template"

    def __str__(self) -> str:
        return self.name

    @property
    def version(self) -> "TemplateVersion":
        """The current version, which every saved template has."""
        if self.current_version is None:
            raise TemplateVersion.DoesNotExist(
                f"Template {self.pk} has no version; create templates by create_template."
            )
        return self.current_version


class TemplateFormat(models.TextChoices):
    HTML = "html", "HTML"
    MJML = "mjml", "MJML"


class TemplateVersion(models.Model):
    """Immutable: a trigger (migration 0002) refuses an UPDATE of its content."""

    template = models.ForeignKey(EmailTemplate, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    subject = models.TextField()
    html = models.TextField()
    text = models.TextField(blank=True, help_text="Blank: made from the HTML of each mail.")
    format = models.CharField(max_length=4, choices=TemplateFormat, default=TemplateFormat.HTML)
    inline_css = models.BooleanField(default=False)
    # What mails are made from: `html` compiled from MJML, with the styles in the tags. Blank where that is the same.
    compiled_html = models.TextField(blank=True, editable=False)
    note = models.CharField(max_length=200, blank=True)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "email_template_versions"
        verbose_name = "template version"
        constraints = [
            models.UniqueConstraint(fields=["template", "number"], name="template_version_number_is_unique"),
        ]

    def __str__(self) -> str:
        return f"version {self.number}"
