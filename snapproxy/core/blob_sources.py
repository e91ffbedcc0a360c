"""Who has bytes by their digest alone, and the one address they are asked at: a registry's own, which snapproxy answers too.

`/v2/<repository>/blobs/sha256:<hex>` is how the OCI distribution-spec ("Pulling blobs") spells it. One spelling for both makes them
interchangeable, and lets any tool that pulls blobs read either. Pure; who is named in the settings is read by `config`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

CALL = "v2"
"""What such an address begins with."""

ANY_REPOSITORY = "snapproxy"
"""What a snapproxy is asked for, since it has but one store, whatever stands there."""

_BLOB = re.compile(r"v2/(?:[^/]+/)+blobs/sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class BlobSource:
    """A repository of a registry, or another snapproxy. `origin` is `scheme://host[:port]`.

    `registry`: the name by which the user has a login for it, to be sent when it asks for one; '' for none. `text` is how the
    settings spell it.
    """

    text: str
    origin: str
    repository: str = ANY_REPOSITORY
    registry: str = ""

    @property
    def base(self) -> str:
        """What the addresses of its blobs begin with."""
        return f"{self.origin}/{CALL}/{self.repository}/blobs/"

    def url(self, sha256: str) -> str:
        """Return where it gives the bytes of this digest (hex)."""
        return f"{self.base}sha256:{sha256}"


def blob_named(path: str) -> str | None:
    """Return the SHA-256 that a canonical path asks for, None for every other call of a registry's."""
    found = _BLOB.fullmatch(path)
    return found[1] if found else None
