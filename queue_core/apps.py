from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class QueueCoreConfig(AppConfig):
    name = "queue_core"
    verbose_name = "Queue"

    def ready(self) -> None:
        from queue_core import checks, stored_checks  # noqa: F401

        autodiscover_modules("tasks")
