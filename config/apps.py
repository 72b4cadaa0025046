from django.apps import AppConfig


class ProjectConfig(AppConfig):
    """The project itself: holds the commands that run it (`up`, `services`), and the API's idempotency keys."""

    name = "config"

    def ready(self) -> None:
        from config.api.forget_keys import forget_keys
        from queue_core.services.forget import STEPS

        STEPS["idempotency keys"] = forget_keys
