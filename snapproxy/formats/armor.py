"""Remove the ASCII armor (RFC 9580, section 6.2) of OpenPGP keys.

Keyrings named `*.asc` are armored, and gpgv reads binary keyrings only.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator

BEGIN = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"
END = b"-----END PGP PUBLIC KEY BLOCK-----"


def is_armored(data: bytes) -> bool:
    """Return whether `data` is text with a public key block. A binary keyring never begins with an ASCII character."""
    return data[:1].isascii() and BEGIN in data


def dearmor(data: bytes) -> bytes:
    """Return the key material of every public key block in `data`, concatenated. Raises ValueError for a damaged block.

    The checksum line is ignored, as section 6.1 of the RFC requires.
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
