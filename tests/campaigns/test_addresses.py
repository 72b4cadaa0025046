"""campaigns.addresses: an address ..."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from campaigns.addresses import AddressError, parse_address, search_prefix


@pytest.mark.parametrize(
    ("raw", "email", "key", "domain"),
    [
        ("jo@example.com", "jo@example.com", "jo@example.com", "example.com"),
        ("Jo.Doe@Example.COM", "Jo.Doe@example.com", "jo.doe@example.com", "example.com"),
        ("jo+news@example.com", "jo+news@example.com", "jo+news@example.com", "example.com"),
        ("O'Brien@example.ie", "O'Brien@example.ie", "o'brien@example.ie", "example.ie"),
        ("user@faß.de", "user@xn--fa-hia.de", "user@xn--fa-hia.de", "xn--fa-hia.de"),
        ("user@BÜCHER.example", "user@xn--bcher-kva.example", "user@xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("u@xn--bcher-kva.example", "u@xn--bcher-kva.example", "u@xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("u@XN--BCHER-KVA.example", "u@xn--bcher-kva.example", "u@xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("u@例え。テスト", "u@xn--r8jz45g.xn--zckzah", "u@xn--r8jz45g.xn--zckzah", "xn--r8jz45g.xn--zckzah"),
        ("u@r3---sn.example.com", "u@r3---sn.example.com", "u@r3---sn.example.com", "r3---sn.example.com"),
        ("u@1.2.3.co", "u@1.2.3.co", "u@1.2.3.co", "1.2.3.co"),
    ],
)
def test_is_split_into_what_is_sent_to_and_what_is_compared(raw: str, email: str, key: str, domain: str) -> None:
    assert parse_address(raw) == (email, key, domain)


def test_is_the_same_however_its_accents_are_composed() -> None:
    composed, decomposed = "u@b\u00fccher.example", "u@bu\u0308cher.example"
    assert parse_address(composed) == parse_address(decomposed)


@pytest.mark.parametrize(
    "edge", [" ", "\t", "\r\n", "\ufeff", "\u200b", "\u00a0", "\u2060", "\u3000", " \u200d\ufeff "]
)
def test_loses_what_is_invisible_at_its_ends(edge: str) -> None:
    assert parse_address(f"{edge}jo@example.com{edge}").email == "jo@example.com"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("jo.example.com", "no @"),
        ("@example.com", "nothing before the @"),
        ("jo@", "domain is not valid"),
        ("jo@localhost", "domain is not valid"),
        ("jo@example.c", "domain is not valid"),
        ("jo@example.123", "domain is not valid"),
        ("jo@[192.0.2.1]", "domain is not valid"),
        ("jo@example.com.", "domain is not valid"),
        ("jo@example..com", "domain is not valid"),
        ("jo@-example.com", "domain is not valid"),
        ("jo@exa_mple.com", "domain is not valid"),
        ("jo@exam ple.com", "domain is not valid"),
        ("jo@xn--a.example", "domain is not valid"),
        ("jo@" + "a" * 64 + ".com", "domain is not valid"),
        ("jo@example.com\x00", "domain is not valid"),
        ("jo@example.com,x@example.com", "more than one @"),
        ("jo doe@example.com", "a space or control character inside; write the bare address, without a name"),
        ("jo\ndoe@example.com", "a space or control character inside; write the bare address, without a name"),
        ('"jo"@example.com', "quotes or brackets; write the bare address, without a name"),
        ("Jo<jo@example.com>", "quotes or brackets; write the bare address, without a name"),
        (".jo@example.com", "a misplaced dot before the @"),
        ("j..o@example.com", "a misplaced dot before the @"),
        ("jo,doe@example.com", "a character that is not allowed before the @"),
        ("jörg@example.com", "non-ASCII before the @ needs SMTPUTF8, which is not offered"),
        ("a" * 65 + "@example.com", "longer than 64 characters before the @"),
        ("jo@" + "a." * 130 + "com", "longer than 254 characters"),
        ("jo@" + "ü." * 60 + "com", "longer than 254 characters"),
    ],
)
def test_that_cannot_be_mailed_is_refused_with_its_reason(raw: str, reason: str) -> None:
    with pytest.raises(AddressError) as error:
        parse_address(raw)
    assert error.value.reason == reason


@pytest.mark.parametrize(
    ("typed", "prefix"),
    [
        (" Jo", "jo"),
        ("jo@", "jo@"),
        ("Jo@Exam", "jo@exam"),
        ("jo@mü", "jo@xn--m"),
        ("jo@müller.example", "jo@xn--mller-kva.example"),
        ("jo@MU\u0308LLER.ex", "jo@xn--mller-kva.ex"),
        ("jo@bücher.müll", "jo@xn--bcher-kva.xn--mll"),
        ("jo@пример.рф", "jo@xn--e1afmkfd.xn--"),
        ("jo@\u0378.example", "jo@\u0378.example"),
        ("müller", "müller"),
        ("%", "%"),
    ],
)
def test_is_found_by_its_beginning(typed: str, prefix: str) -> None:
    assert search_prefix(typed) == prefix


_PIECES = st.one_of(st.text(max_size=12), st.text("abcXYZ.-_+'@ß\u0308\u0130\u200bxn", max_size=24))


@given(st.builds("{}@{}".format, _PIECES, _PIECES) | st.text(max_size=40))
@example("u@xn--")
@example("u@\u0130stanbul.com")
@example("u@a\ud800.com")
@example("\u212a@example.com")
def test_is_either_understood_or_an_address_error(raw: str) -> None:
    try:
        address = parse_address(raw)
    except AddressError:
        return
    assert address.email.isascii()
    assert address.key == address.email.lower()


@given(
    st.text(st.characters(categories=["Ll", "Lu", "Lo"]), min_size=1, max_size=15).map("jo@{}.example".format),
    st.integers(0, 30),
)
def test_is_found_by_every_beginning_that_shows_what_is_not_ascii(typed: str, length: int) -> None:
    try:
        key = parse_address(typed).key
    except AddressError:
        return
    prefix = search_prefix(unicodedata.normalize("NFC", typed)[:length])
    if "xn--" in prefix:
        assert key.startswith(prefix)


@given(
    st.from_regex(r"[A-Za-z0-9+_]{1,20}", fullmatch=True),
    st.text(st.characters(categories=["Ll", "Lu", "Lo"]), min_size=1, max_size=15),
)
def test_keeps_its_key_when_it_is_parsed_again(local: str, label: str) -> None:
    try:
        address = parse_address(f"{local}@{label}.example")
    except AddressError:
        return
    assert parse_address(address.email) == address
    assert parse_address(address.key).key == address.key
    assert parse_address(unicodedata.normalize("NFD", f"{local}@{label}.example")).key == address.key
