"""django-import-export in its bulk mode, into a table of the same columns."""

import os
from typing import Any
from urllib.parse import urlsplit

import django
from django.conf import settings

_url = urlsplit(os.environ["DATABASE_URL"])
settings.configure(
    SECRET_KEY="for-a-benchmark-only",
    INSTALLED_APPS=["django.contrib.contenttypes", "import_export"],
    DATABASES={
        "default": {
            **{"ENGINE": "django.db.backends.postgresql", "NAME": _url.path[1:], "USER": _url.username},
            **{"PASSWORD": _url.password, "HOST": _url.hostname, "PORT": _url.port},
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
)
django.setup()

from django.core.validators import validate_email  # noqa: E402
from django.db import connection, models  # noqa: E402
from import_export import fields, resources, widgets  # noqa: E402
from tablib import Dataset  # noqa: E402


class Person(models.Model):
    email = models.CharField(max_length=320, unique=True, validators=[validate_email])
    first_name = models.CharField(max_length=100)
    last_name = models.CharField(max_length=100)
    city = models.CharField(max_length=100)
    plan = models.CharField(max_length=100)

    class Meta:
        app_label = "contenttypes"

    def __str__(self) -> str:
        return self.email


class Lower(widgets.CharWidget):
    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> str:
        validate_email(value)
        return str(value).lower()


class People(resources.ModelResource):
    email = fields.Field("email", "email", widget=Lower())

    class Meta:
        model = Person
        import_id_fields = ("email",)
        fields = ("email", "first_name", "last_name", "city", "plan")
        use_bulk = True
        batch_size = 1_000
        skip_diff = True
        report_skipped = False


def reset() -> None:
    with connection.schema_editor() as editor:
        if Person._meta.db_table in connection.introspection.table_names():
            editor.delete_model(Person)
        editor.create_model(Person)


def fill(n: int, seconds: float) -> None:
    with open(os.environ["BENCH_FILE"], encoding="utf-8") as lines:
        dataset = Dataset().load(lines.read(), format="csv")
    result = People().import_data(_once(dataset), raise_errors=False, collect_failed_rows=False)
    if result.has_errors() or not Person.objects.exists():
        raise RuntimeError(f"nothing was imported: {result.error_rows[:1]}")


def _once(dataset: Dataset) -> Dataset:
    """Without the rows that come twice: in its bulk mode one of them would cost the whole list."""
    rows = {row[0].lower(): row for row in dataset}
    return Dataset(*rows.values(), headers=dataset.headers)
