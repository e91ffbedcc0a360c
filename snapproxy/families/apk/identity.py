"""How promises name the identity of a package: a digest of a part of it, known by its length alone."""

from __future__ import annotations

IDENTITY = "apk-identity-"
"""What stands before the bits of the digest."""

BITS = {160: "sha1", 256: "sha256", 512: "sha512"}
"""The lengths that an identity may have, and the algorithm that each means for a package of version 2."""
