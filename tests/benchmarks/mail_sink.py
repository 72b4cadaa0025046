"""A mail server that takes everything and keeps nothing: `python -m tests.benchmarks.mail_sink PORT MILLISECONDS`.

The answer to each message comes so many milliseconds after its end, as from a server that scans or stores it.
"""

import asyncio
import sys

_END = b"\r\n.\r\n"
_EHLO = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n"


class Sink(asyncio.Protocol):
    """One connection; commands that come in one packet are answered in one."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._buffer = b""
        self._in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        searched = max(0, len(self._buffer) - len(_END))
        self._buffer += data
        self._read(searched)

    def _read(self, searched: int = 0) -> None:
        answers = b""
        while (at := self._buffer.find(_END if self._in_data else b"\r\n", searched)) >= 0:
            searched = 0
            if self._in_data:
                self._buffer, self._in_data = self._buffer[at + len(_END) :], False
                if self._delay:
                    # What was sent ahead is read once this message is answered.
                    self._transport.pause_reading()
                    asyncio.get_running_loop().call_later(self._delay, self._take)
                    break
                answers += b"250 2.0.0 taken\r\n"
            else:
                line, self._buffer = self._buffer[:at], self._buffer[at + 2 :]
                answers += self._answer(line[:4].upper())
        if answers and not self._transport.is_closing():
            self._transport.write(answers)

    def _take(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(b"250 2.0.0 taken\r\n")
            self._transport.resume_reading()
            self._read()

    def _answer(self, verb: bytes) -> bytes:
        if verb == b"DATA":
            self._in_data = True
            return b"354 go on\r\n"
        if verb == b"QUIT":
            self._transport.write(b"221 bye\r\n")
            self._transport.close()
            return b""
        return _EHLO if verb == b"EHLO" else b"250 2.0.0 ok\r\n"


async def serve(port: int, delay: float) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Sink(delay), "127.0.0.1", port, backlog=200)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]) / 1000))
