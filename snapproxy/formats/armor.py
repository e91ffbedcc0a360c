"""ASCII armor (RFC 9580, section 6.2) around OpenPGP keys: keyrings named `*.asc` come in it, and gpgv reads only what is inside."""

from __future__ import annotations

import binascii
from collections.abc import Iterator

BEGIN = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"
END = b"-----END PGP PUBLIC KEY BLOCK-----"


def is_armored(data: bytes) -> bool:
    """Whether `data` is text that holds a public key block; a binary keyring never begins with an ASCII character."""
    return data[:1].isascii() and BEGIN in data


def dearmor(data: bytes) -> bytes:
    """Return the key material of every public key block in `data`, one after the other. Raises ValueError when a block is damaged.

    The checksum line is passed over, as section 6.1 of the RFC asks.
    """
    return b"".join(_blocks(data))


def _blocks(data: bytes) -> Iterator[bytes]:
    lines = iter(data.splitlines())
    for line in lines:
        if line.strip() == BEGIN:
            body = bytearray()
            for inner in map(bytes.strip, lines):
                if inner == END:
                    break
                if b":" not in inner and not inner.startswith(b"="):  # neither a header nor the checksum
                    body += inner
            else:
                raise ValueError("a public key block does not end")
            yield binascii.a2b_base64(bytes(body), strict_mode=True)
