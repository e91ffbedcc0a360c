"""The built-in archives, and the histories: the ways in which archives keep their past. This package does no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from snapproxy.archives.histories.any_instant import AnyInstant
from snapproxy.archives.histories.captured import Captured
from snapproxy.archives.histories.dated import Dated
from snapproxy.archives.histories.snapshots import Snapshots
from snapproxy.archives.table import BUILTIN
from snapproxy.core.address import reserved_names
from snapproxy.core.history import History
from snapproxy.core.model import Archive
from snapproxy.core.similar import similar
from snapproxy.errors import ClientError

__all__ = ["BUILTIN", "HISTORIES", "RESERVED_NAMES", "find_archive"]

HISTORIES: Mapping[str, History] = MappingProxyType(
    {"snapshots": Snapshots(), "any-instant": AnyInstant(), "dated": Dated(), "captured": Captured()}
)
"""The possible values of `Archive.history`."""

RESERVED_NAMES = reserved_names(HISTORIES)
"""Names that no archive may have."""


def find_archive(archives: Mapping[str, Archive], name: str) -> Archive:
    """Return an archive by its name. Raises ClientError, which lists the known names."""
    archive = archives.get(name)
    if archive is None:
        close = similar(name, archives)
        raise ClientError(
            "There is no archive of that name",
            why=f"Known archives: {', '.join(sorted(archives))}.",
            hint=f"Did you mean {close}? " * bool(close) + "A new archive needs [archives.NAME] in the configuration.",
        )
    return archive
