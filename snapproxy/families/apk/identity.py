"""Names of apk's package identities among the digests of an expected file: a prefix and the length in bits."""

from __future__ import annotations

IDENTITY = "apk-identity-"
"""The prefix of the name; the length in bits follows."""

BITS = {160: "sha1", 256: "sha256", 512: "sha512"}
"""The lengths of an identity, and the algorithm of each length for a package of version 2."""
