"""DKIM signatures (RFC 6376, RFC 8463): relaxed/relaxed, by RSA or Ed25519 keys."""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from campaigns.states import DkimAlgorithm

RSA_BITS = 2048
# Fewer are not accepted by receivers any more, and more need not be (RFC 8301).
_RSA_RANGE = (1024, 4096)
# Also those that decide where an answer and an unsubscription go (RFC 8058 asks for them).
_SIGNED = frozenset(
    b"from reply-to to subject date message-id mime-version content-type content-transfer-encoding "
    b"list-unsubscribe list-unsubscribe-post list-id precedence".split()
)
_FIELDS = re.compile(rb"\r\n(?![ \t])")
_BLANKS = re.compile(rb"[ \t]+")
_UNTIDY = re.compile(rb"[ \t]{2,}|\t")
_ENDS = re.compile(rb"[ \t]+(?=\r\n)")
_FOLD = 72


class KeyProblem(ValueError):
    """A private key that cannot sign; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs for `domain`; the public key is published at `selector`._domainkey.`domain`."""

    domain: str
    selector: str
    key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey = field(repr=False)

    def signature(self, message: bytes) -> bytes:
        """The DKIM-Signature header of a message with CRLF line ends, itself ending with one."""
        head, _, body = message.partition(b"\r\n\r\n")
        names, prepared = _headers(head + b"\r\n" if not head.endswith(b"\r\n") else head)
        is_rsa = isinstance(self.key, rsa.RSAPrivateKey)
        # From is named once more than it is there: a second one, which some readers would show, breaks the signature.
        tags = [
            f"v=1; a={'rsa' if is_rsa else 'ed25519'}-sha256; c=relaxed/relaxed;",
            f"d={self.domain}; s={self.selector};",
            *_wrapped("h=" + ":".join(["from", *names]) + ";", ":"),
            f"bh={base64.b64encode(hashlib.sha256(_relaxed_body(body)).digest()).decode()};",
            "b=",
        ]
        own = b"dkim-signature:" + " ".join(tags).encode()
        sealed = base64.b64encode(self._seal(prepared + own)).decode()
        lines = [sealed[start : start + _FOLD] for start in range(0, len(sealed), _FOLD)]
        return ("DKIM-Signature: " + "\r\n ".join(tags) + "\r\n ".join(lines) + "\r\n").encode()

    def _seal(self, data: bytes) -> bytes:
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return self.key.sign(hashlib.sha256(data).digest())


def signatures(message: bytes, signers: Sequence[Signer]) -> bytes:
    """The DKIM-Signature headers of a message, one of each signer, to be put before it."""
    return b"".join([signer.signature(message) for signer in signers])


@lru_cache(maxsize=64)
def load(pem: str) -> rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey:
    """A private key in PEM, without a passphrase; raises KeyProblem."""
    try:
        key = serialization.load_pem_private_key(pem.strip().encode(), password=None)
    except TypeError:
        raise KeyProblem("The key has a passphrase: give it without one, it is encrypted here.") from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyProblem("This is no private key in PEM, which begins with “-----BEGIN PRIVATE KEY-----”.") from None
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    if not isinstance(key, rsa.RSAPrivateKey):
        raise KeyProblem("DKIM knows RSA and Ed25519 keys only: make one of these.")
    if not _RSA_RANGE[0] <= key.key_size <= _RSA_RANGE[1]:
        raise KeyProblem(f"An RSA key of {key.key_size} bits is not accepted everywhere: make one of {RSA_BITS} bits.")
    return key


def generate(algorithm: DkimAlgorithm) -> str:
    """A new private key, in PEM."""
    made = (
        ed25519.Ed25519PrivateKey.generate()
        if algorithm == DkimAlgorithm.ED25519
        else rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    )
    pem = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem.decode()


def algorithm_of(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> DkimAlgorithm:
    return DkimAlgorithm.RSA if isinstance(key, rsa.RSAPrivateKey) else DkimAlgorithm.ED25519


def public_of(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> str:
    """The public key as DNS wants it, base64."""
    public = key.public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        return base64.b64encode(public.public_bytes_raw()).decode()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return base64.b64encode(public.public_bytes(serialization.Encoding.DER, form)).decode()


def _headers(head: bytes) -> tuple[list[str], bytes]:
    """The names of the headers that are signed, and these headers in relaxed form."""
    names, prepared = [], []
    for header in _FIELDS.split(head.removesuffix(b"\r\n")):
        name, _, value = header.partition(b":")
        name = name.strip().lower()
        if name in _SIGNED:
            names.append(name.decode())
            value = _BLANKS.sub(b" ", value.replace(b"\r\n", b"")).strip()
            prepared.append(name + b":" + value + b"\r\n")
    # `From` is listed first as one that is not there: the verifier takes the last of a name first.
    names.sort(key=lambda name: name != "from")
    prepared.sort(key=lambda line: not line.startswith(b"from:"))
    return names, b"".join(prepared)


def _relaxed_body(body: bytes) -> bytes:
    if b"  " in body or b"\t" in body:
        body = _UNTIDY.sub(b" ", body)
    if b" \r\n" in body:
        body = _ENDS.sub(b"", body)
    body = body.rstrip(b" ")
    while body.endswith(b"\r\n\r\n"):
        body = body[: -len(b"\r\n")]
    if body in (b"", b"\r\n"):
        return b""
    return body if body.endswith(b"\r\n") else body + b"\r\n"


def _wrapped(text: str, between: str) -> list[str]:
    """Lines of a tag, broken behind `between`."""
    lines = [""]
    for word in re.findall(rf"[^{between}]*{between}?", text):
        if len(lines[-1]) + len(word) > _FOLD:
            lines.append("")
        lines[-1] += word
    return lines
