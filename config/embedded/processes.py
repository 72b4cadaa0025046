"""Child processes: whose pid is it, ending with the parent, logs."""

import ctypes
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_PR_SET_PDEATHSIG = 1
_LOG_BYTES = 10 * 1024 * 1024


def runs(pid: int, program: str, argument: str) -> bool:
    """True when `pid` is a live process of `program` started with `argument`.

    A pid alone proves nothing: after a crash its number may belong to somebody else.
    """
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return False
    return Path(words[0]).name == program and argument in words


def exists(pid: int) -> bool:
    """True when some process has this pid."""
    return Path(f"/proc/{pid}").exists()


def die_with_parent(how: signal.Signals) -> Callable[[], None]:
    """A `preexec_fn`: the kernel sends the child `how` when the process that started it ends, however it ends."""
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def tie() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, how)
        if os.getppid() != parent:
            os._exit(1)

    return tie


def open_log(path: Path) -> BinaryIO:
    """Open a log for appending; one that grew beyond 10 MiB is first moved aside as `<name>.old`."""
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(path.with_suffix(".old"))
    return path.open("ab")


def tail(path: Path, lines: int = 8) -> str:
    """The last `lines` lines of a log, or an empty text."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 8192))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
