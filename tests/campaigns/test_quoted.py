"""Quoted-printable in pieces: whatever the pieces, a reader gets their sum, in lines of at most 76 characters."""

import quopri
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.quoted import Quoted

TEXT = st.text(
    st.one_of(st.sampled_from(" \t\n.=é–x"), st.characters(exclude_categories=["Cs"], exclude_characters="\r"))
)
PIECES = st.lists(st.one_of(TEXT, st.integers(60, 160).map(lambda n: "x" * n), st.sampled_from([" ", "\n", ".", ""])))


def check(pieces: list[str], encoder: Quoted) -> bytes:
    encoded = encoder.encode(pieces)
    assert quopri.decodestring(encoded).replace(b"\r\n", b"\n") == "".join(pieces).encode()
    assert encoded.isascii()
    assert encoded.count(b"\n") == encoded.count(b"\r") == encoded.count(b"\r\n")
    lines = encoded.split(b"\r\n")
    assert max(map(len, lines)) <= 76
    # Blanks at the end of a line may be lost on the way.
    assert not any(line.endswith((b" ", b"\t")) for line in lines)
    # "=" begins the number of a byte, or says that the line goes on.
    assert not re.search(rb"=(?![0-9A-F]{2}|\r\n)", encoded)
    return encoded


@given(PIECES, st.data())
def test_a_reader_gets_the_sum_of_the_pieces(pieces: list[str], data: st.DataObject) -> None:
    lasting = [piece for piece in pieces if data.draw(st.booleans())]
    assert check(pieces, Quoted(lasting)) == check(pieces, Quoted())


@pytest.mark.parametrize(
    ("pieces", "encoded"),
    [
        ([], b""),
        (["Hello ", "Jo", ",\n"], b"Hello Jo,\r\n"),
        (["Hello ", "", "\nx\n"], b"Hello =\r\n\r\nx\r\n"),
        (["Hello "], b"Hello =\r\n"),
        (["é", "=", "\t", "x"], b"=C3=A9=3D\tx"),
        (["x" * 75, "y"], b"x" * 75 + b"=\r\ny"),
        (["x" * 74, "y", "z\n"], b"x" * 74 + b"y=\r\nz\r\n"),
        (["x" * 74, "é"], b"x" * 74 + b"=\r\n=C3=A9"),
    ],
)
def test_writes_no_more_than_it_must(pieces: list[str], encoded: bytes) -> None:
    assert check(pieces, Quoted()) == encoded
