"""The written form of a token: `snp-ID-SECRET-CHECK`, in lower-case hex. Pure.

The prefix makes a token recognisable to scanners for leaked secrets, and the check digits distinguish a mistyped token
from one that was revoked. The id may be logged; the secret may not.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field

PREFIX = "snp-"

_TOKEN = re.compile(r"(?P<id>[0-9a-f]{8})-(?P<secret>[0-9a-f]{64})-(?P<check>[0-9a-f]{8})")
_ID = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class TokenText:
    """A token as a client sends it: its id, and its secret of 256 bits."""

    id: str
    secret: str = field(repr=False)

    def write(self) -> str:
        """Return the text to give to the client."""
        return f"{PREFIX}{self.id}-{self.secret}-{_check(self.id, self.secret)}"


def read_token(text: str) -> TokenText | None:
    """Read a token with or without its prefix, None if it is not one."""
    found = _TOKEN.fullmatch(text.removeprefix(PREFIX))
    if found is None or found["check"] != _check(found["id"], found["secret"]):
        return None
    return TokenText(found["id"], found["secret"])


def is_id(text: str) -> bool:
    """Return whether this is the id of a token."""
    return _ID.fullmatch(text) is not None


def _check(token_id: str, secret: str) -> str:
    return f"{zlib.crc32(f'{token_id}-{secret}'.encode('ascii')):08x}"
