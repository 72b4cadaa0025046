from django.apps import AppConfig


class ProjectConfig(AppConfig):
    """The project itself: holds the commands that run it (`up`, `services`)."""

    name = "config"
