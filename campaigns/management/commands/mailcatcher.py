import asyncio
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from campaigns.catcher import Mailcatcher
from campaigns.smtp import Transport


class Command(BaseCommand):
    help = "Run the mail catcher: an SMTP server that keeps every message in the database instead of delivering it."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
        parser.add_argument("--port", type=_port, help="the one of SMTP_URL, unless given; 0 for any that is free")

    def handle(self, *args: Any, host: str, port: int | None, **options: Any) -> None:
        try:
            port = Transport.from_url(settings.SMTP_URL).port if port is None else port
            asyncio.run(self._serve(host, port))
        except ValueError as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(
                f"Cannot listen on {host}:{port} ({error.strerror}): choose another port with --port, "
                "or stop what uses it."
            ) from None

    async def _serve(self, host: str, port: int) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with Mailcatcher(host, port) as catcher:
            self.stdout.write(f"Catching mail on smtp://{host}:{catcher.port}")
            self.stdout.flush()
            await stop.wait()
        self.stdout.write("Stopped.")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise ValueError(text)
    return int(text)
