"""Quoted-printable (RFC 2045, 6.7) of a text that comes in pieces.

A mail is mostly what its template says, word for word, between a few values. Those lasting pieces are encoded once for
a campaign. Pieces can be put together in any order, as the encoding may break a line wherever it likes: a line that
would become too long ends before the piece.
"""

import binascii
import re
from collections.abc import Iterable
from typing import NamedTuple

_FULL = 75  # of 76 characters: one is left for the sign that the line goes on
_SOFT_BREAK = b"=\r\n"
_BLANKS = (b" ", b"\t")
_LATE_BLANK = re.compile(rb"(=20|=09)(?=\n)(?<=[^\n]{77})")
# What stands for itself, and is short: most of what differs between mails.
_ITSELF = re.compile("[!-<>-~](?:[ -<>-~]{0,72}[!-<>-~])?")


class _Piece(NamedTuple):
    """`head` and `tail` are the lengths of its first and last line, which are the same one if it has no `breaks`.

    What says that the first line goes on is not counted: it has its place.
    """

    data: bytes
    head: int
    tail: int
    breaks: bool


class Quoted:
    """An encoder that knows the `lasting` pieces beforehand. Safe to share between threads."""

    def __init__(self, lasting: Iterable[str] = ()) -> None:
        self._lasting = {piece: _piece(piece) for piece in lasting}

    def encode(self, pieces: Iterable[str]) -> bytes:
        """The encoding of all `pieces` in a row; their line ends are line feeds, and become CRLF."""
        known = self._lasting
        own: dict[str, _Piece] = {}
        out: list[bytes] = []
        column = 0
        for text in filter(None, pieces):
            piece = known.get(text) or own.get(text)
            if piece is None:
                piece = own[text] = _piece(text)
            data, head, tail, breaks = piece
            if (column and column + head > _FULL) or (not head and out and out[-1].endswith(_BLANKS)):
                out.append(_SOFT_BREAK)
                column = 0
            out.append(data)
            column = tail if breaks else column + tail
        if out and out[-1].endswith(_BLANKS):
            out.append(_SOFT_BREAK)
        return b"".join(out)


def _piece(text: str) -> _Piece:
    if _ITSELF.fullmatch(text):
        return _Piece(text.encode(), len(text), len(text), breaks=False)
    # Python's encoder does not look whether a blank that it encodes at the end of a line has room there.
    data = _LATE_BLANK.sub(rb"=\n\1", binascii.b2a_qp(text.encode(), istext=True)).replace(b"\n", b"\r\n")
    if text.endswith((" ", "\t")):
        # A blank is encoded where a line ends, which the end of a piece is rarely.
        data = data[:-3] + text[-1].encode()
    begun, is_broken, last = data.rpartition(b"\r\n")
    if len(last) > _FULL:
        # As the last of a text it may be one longer; here something comes behind it.
        begun, is_broken, last = data[:-1] + b"=", b"\r\n", data[-1:]
    head = begun.partition(b"\r\n")[0].removesuffix(b"=") if is_broken else last
    return _Piece(begun + is_broken + last, len(head), len(last), bool(is_broken))
