"""An SMTP server that does what a test tells it, also what no server should do."""

import email
import socket
import ssl
import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

# Instead of a reply: end the connection, leave the client waiting, or keep it busy with a reply that never ends.
DROP = "drop"
HANG = "hang"
TRICKLE = "trickle"

PIPELINING = ("PIPELINING", "8BITMIME", "SIZE 1000000")
_AGREES = {"greeting": "220 test", "mail": "250 ok", "rcpt": "250 ok", "data": "354 go", "dot": "250 2.0.0 ok",
           "rset": "250 ok", "starttls": "220 go", "auth": "235 ok", "quit": "221 bye"}  # fmt: skip

# For localhost and 127.0.0.1, signed by itself; it protects nothing but these tests.
CERTIFICATE = """\
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIA57dliyTMMs5c6C9RcfObi5LWa4FkL6q/4QLFiOA509oAoGCCqGSM49
AwEHoUQDQgAENiUuXO6d/+0yx+axGp27Vm0OQYva/JDQkpwV3fqnQCNRYMYbhhhH
lbl5AUqGqHnWTZItmJ/67/MjEkQKDJZmDw==
-----END EC PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBnDCCAUGgAwIBAgIUZKPsbemJXvD2Fe+K0ylsZYoRs2swCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMzE4NTU1M1oYDzIxMjYxMDMw
MTg1NTUzWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQ2JS5c7p3/7TLH5rEanbtWbQ5Bi9r8kNCSnBXd+qdAI1FgxhuGGEeV
uXkBSoaoedZNki2Yn/rv8yMSRAoMlmYPo28wbTAdBgNVHQ4EFgQUrK+oagRq8pR/
yt46eD5KHFRosI0wHwYDVR0jBBgwFoAUrK+oagRq8pR/yt46eD5KHFRosI0wDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSQAwRgIhAMdrIw0qY+C8vvUZGz2G/V770WmRgl9Em/t8uVvm7TzoAiEA
x0AZgIR01R2M2NdHvAzeV7SwYdUUrVYThDAZACFwsoA=
-----END CERTIFICATE-----
"""


class _Dropped(Exception):
    pass


@dataclass
class SmtpServer:
    """Listens on 127.0.0.1 while its `with` block runs.

    `replies` maps a command (greeting ehlo starttls auth mail rcpt data body dot rset) to what it is answered, in
    turn over all connections; after these it is agreed to. `body` is answered at its first byte, before the dot.
    """

    replies: dict[str, list[str | bytes]] = field(default_factory=dict)
    extensions: tuple[str, ...] = PIPELINING
    certificate: Path | None = None
    bodies: list[bytes] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    connections: int = 0
    # What RCPT to an address is answered, every time.
    towards: dict[str, str | bytes] = field(default_factory=dict)
    # Seconds before each answer to a final dot.
    delay: float = 0.0

    def script(self, **replies: list[str | bytes]) -> None:
        """Answer so from now on; commands that are not named are agreed to."""
        self._scripts = defaultdict(deque, {command: deque(answers) for command, answers in replies.items()})

    def addressed(self) -> list[str]:
        """The To of every message that came; an empty one is how a client ends what it was not to begin."""
        return [str(email.message_from_bytes(body)["To"]) for body in self.bodies if body]

    def __enter__(self) -> Self:
        self.script(**self.replies)
        self._released = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        # Closing alone does not wake a thread that waits in accept().
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(10)
        with suppress(_Dropped, OSError), self._lines(connection) as lines:
            self._answer(connection, "greeting")
            self._converse(connection, lines)

    def _converse(self, connection: socket.socket, lines: BinaryIO) -> None:
        for line in lines:
            command = line.strip().decode().lower()
            self.commands.append(command)
            self._obey(connection, command, lines)

    def _obey(self, connection: socket.socket, command: str, lines: BinaryIO) -> None:
        verb = command.split(":")[0].split(" ")[0]
        if verb == "ehlo" and not self._scripts["ehlo"]:
            offers = ["test", *self.extensions]
            text = [f"250-{offer}" for offer in offers[:-1]] + [f"250 {offers[-1]}"]
            connection.sendall("\r\n".join(text).encode() + b"\r\n")
            return
        address = command.partition("<")[2].rstrip(">")
        if verb == "rcpt" and address in self.towards:
            self._scripts["rcpt"].appendleft(self.towards[address])
        digit = self._answer(connection, verb)
        if verb == "starttls" and digit == "2":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate or "")
            secret = context.wrap_socket(connection, server_side=True)
            with self._lines(secret) as secret_lines:
                self._converse(secret, secret_lines)
            raise _Dropped
        if verb == "data" and digit == "3":
            self._take_body(connection, lines)
        if verb == "rcpt":
            self.recipients.append(address)

    def _take_body(self, connection: socket.socket, lines: BinaryIO) -> None:
        if self._scripts["body"]:
            lines.read(1)
            self._answer(connection, "body")
            raise _Dropped
        body = b""
        for line in lines:
            if line == b".\r\n":
                break
            body += line[1:] if line.startswith(b".") else line
        else:
            return
        self.bodies.append(body)
        self._released.wait(self.delay)
        self._answer(connection, "dot")

    def _answer(self, connection: socket.socket, command: str) -> str:
        """Say what the script says next; the first digit of it."""
        script = self._scripts[command]
        reply = script.popleft() if script else _AGREES.get(command, "502 what?")
        if reply == HANG:
            self._released.wait(10)
        while reply == TRICKLE and not self._released.wait(0.05):
            connection.sendall(b"2")
        if reply in (DROP, HANG, TRICKLE):
            raise _Dropped
        data = reply if isinstance(reply, bytes) else reply.encode() + b"\r\n"
        connection.sendall(data)
        if data.startswith(b"421"):
            raise _Dropped
        return chr(data[0])

    @contextmanager
    def _lines(self, connection: socket.socket) -> Iterator[BinaryIO]:
        with connection, connection.makefile("rb") as lines:
            yield lines
