"""The limit: one message made beforehand, over one raw pipelined connection, as fast as the sink answers."""

import os
import socket
import time

from tests.benchmarks import letter

_OPENING = b"MAIL FROM:<bench@example.com>\r\nRCPT TO:<reader@example.com>\r\nDATA\r\n"


def reset() -> None:
    """It keeps nothing."""


def fill(n: int, seconds: float) -> None:
    """The message is always the same."""


def send(n: int) -> float:
    body = (f"From: {letter.FROM}\nSubject: News\n\n{letter.TEXT}{letter.HTML}").replace(
        "\n", "\r\n"
    ).encode() + b".\r\n"
    with socket.create_connection(("127.0.0.1", int(os.environ["BENCH_SMTP_PORT"]))) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answers = line.makefile("rb")
        answers.readline()
        line.sendall(b"HELO bench\r\n")
        answers.readline()
        started = time.perf_counter()
        line.sendall(_OPENING)
        for number in range(n):
            for _ in range(3):
                reply = answers.readline()
            if not reply.startswith(b"354"):
                raise SystemExit(f"The sink said {reply!r}.")
            line.sendall(body + (_OPENING if number + 1 < n else b""))
            answers.readline()
        return time.perf_counter() - started
