"""An IMAP and a POP3 server that know just enough of their protocols, each with one mailbox in memory."""

import re
import socketserver
import ssl
import threading
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass
class Mail:
    content: bytes
    flags: set[str] = field(default_factory=set)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class MailboxServer:
    """`url()` leads to it; `mails` is what lies in it. `context`: speaks TLS from the first byte."""

    scheme: str
    handler: type[socketserver.StreamRequestHandler]

    def __init__(self, mails: list[bytes], *, context: ssl.SSLContext | None = None, **traits: Any) -> None:
        self.mails = {number: Mail(content) for number, content in enumerate(mails, start=1)}
        self.commands: list[str] = []
        self.traits = traits
        self._server = _Server(("127.0.0.1", 0), type("Handler", (self.handler,), {"box": self}))
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def url(self, *, password: str = "secret", secure: bool = False, folder: str = "") -> str:
        port = self._server.server_address[1]
        return f"{self.scheme}{'s' if secure else ''}://bounces%40example.com:{password}@127.0.0.1:{port}{folder}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(socketserver.StreamRequestHandler):
    box: MailboxServer

    def say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self) -> None:
        try:
            self.greet()
            if self.box.traits.get("mute"):
                self.rfile.read()
            while line := self.rfile.readline():
                self.box.commands.append(line.decode().strip())
                self.answer(line.decode().strip())
        except (ConnectionError, ssl.SSLError, ValueError):
            return

    def greet(self) -> None:
        raise NotImplementedError

    def answer(self, line: str) -> None:
        raise NotImplementedError


class _Imap(_Handler):
    def greet(self) -> None:
        self.say("* OK ready")

    def answer(self, line: str) -> None:
        tag, command, rest = [*line.split(" ", 2), ""][:3]
        getattr(self, f"do_{command.lower()}", self.refuse)(tag, rest)

    def refuse(self, tag: str, rest: str) -> None:
        self.say(f"{tag} BAD what?")

    def do_capability(self, tag: str, rest: str) -> None:
        self.say(f"* CAPABILITY IMAP4rev1{' UIDPLUS' if self.box.traits.get('uidplus', True) else ''}")
        self.say(f"{tag} OK done")

    def do_login(self, tag: str, rest: str) -> None:
        good = rest == 'bounces@example.com "secret"'
        self.say(f"{tag} OK done" if good else f"{tag} NO [AUTHENTICATIONFAILED] wrong password")

    def do_select(self, tag: str, rest: str) -> None:
        self.say(f"{tag} OK done" if rest == '"INBOX"' else f"{tag} NO no such folder")

    def do_uid(self, tag: str, rest: str) -> None:
        command, _, what = rest.partition(" ")
        getattr(self, f"uid_{command.lower()}")(what)
        self.say(f"{tag} OK done")

    def uid_search(self, what: str) -> None:
        assert what == "UNSEEN UNDELETED"
        found = [n for n, mail in self.box.mails.items() if not mail.flags & {"\\Seen", "\\Deleted"}]
        self.say(f"* SEARCH {' '.join(map(str, found))}")

    def uid_fetch(self, what: str) -> None:
        number, limit = re.fullmatch(r"(\d+) \(BODY\.PEEK\[\]<0\.(\d+)>\)", what).groups()  # type: ignore[union-attr]
        content = self.box.mails[int(number)].content[: int(limit)]
        self.say(f"* 1 FETCH (UID {number} BODY[]<0> {{{len(content)}}}")
        self.wfile.write(content + b")\r\n")

    def uid_store(self, what: str) -> None:
        number, _, flags = what.split(" ", 2)
        self.box.mails[int(number)].flags |= set(flags.strip("()").split())

    def uid_expunge(self, what: str) -> None:
        for number in map(int, what.split(",")):
            if "\\Deleted" in self.box.mails[number].flags:
                del self.box.mails[number]

    def do_expunge(self, tag: str, rest: str) -> None:
        for number in [n for n, mail in self.box.mails.items() if "\\Deleted" in mail.flags]:
            del self.box.mails[number]
        self.say(f"{tag} OK done")

    def do_logout(self, tag: str, rest: str) -> None:
        self.say("* BYE")
        self.say(f"{tag} OK done")


class ImapServer(MailboxServer):
    scheme = "imap"
    handler = _Imap


class _Pop3(_Handler):
    def greet(self) -> None:
        self.marked: set[int] = set()
        self.say("+OK ready")

    def answer(self, line: str) -> None:
        command, *words = line.split()
        getattr(self, f"do_{command.lower()}")(*words)

    def do_user(self, name: str) -> None:
        self.say("+OK")

    def do_pass(self, word: str) -> None:
        self.say("+OK" if word == "secret" else "-ERR wrong password")

    def do_list(self) -> None:
        self.say("+OK")
        for number, mail in self.box.mails.items():
            self.say(f"{number} {len(mail.content)}")
        self.say(".")

    def do_retr(self, number: str, limit: int | None = None) -> None:
        self.say("+OK")
        for line in self.box.mails[int(number)].content.splitlines()[:limit]:
            self.wfile.write((b"." if line.startswith(b".") else b"") + line + b"\r\n")
        self.say(".")

    def do_top(self, number: str, lines: str) -> None:
        self.do_retr(number, int(lines))

    def do_dele(self, number: str) -> None:
        self.marked.add(int(number))
        self.say("+OK")

    def do_quit(self) -> None:
        for number in self.marked:
            del self.box.mails[number]
        self.say("+OK")


class Pop3Server(MailboxServer):
    scheme = "pop3"
    handler = _Pop3
