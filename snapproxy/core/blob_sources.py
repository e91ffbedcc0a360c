"""Sources of bytes by digest, and the form of address for requests to them; snapproxy answers the same form.

`/v2/<repository>/blobs/sha256:<hex>` is the form of the OCI distribution-spec ("Pulling blobs"). One form for both
makes registries and snapproxies interchangeable, and any tool that pulls blobs can read from either. This module does
no I/O; `config` reads which sources are configured.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

CALL = "v2"
"""The first segment of such an address."""

ANY_REPOSITORY = "snapproxy"
"""The repository requested from a snapproxy, which ignores it: it has one store."""

_BLOB = re.compile(r"v2/(?:[^/]+/)+blobs/sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class BlobSource:
    """A repository of a registry, or another snapproxy. `origin` is `scheme://host[:port]`.

    `registry`: the name under which the user has a login for it, to be sent if it requires one; '' for none. `text`:
    the source as written in the settings.
    """

    text: str
    origin: str
    repository: str = ANY_REPOSITORY
    registry: str = ""

    @property
    def base(self) -> str:
        """The beginning of the addresses of its blobs."""
        return f"{self.origin}/{CALL}/{self.repository}/blobs/"

    def url(self, sha256: str) -> str:
        """Return the address of the bytes with this digest (hex)."""
        return f"{self.base}sha256:{sha256}"


def blob_named(path: str) -> str | None:
    """Return the SHA-256 in a canonical path, None for every other address of a registry."""
    found = _BLOB.fullmatch(path)
    return found[1] if found else None
