"""The built-in archives, and the histories: the ways in which archives keep their past. Pure."""

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

__all__ = ["BUILTIN", "HISTORIES", "RESERVED_NAMES"]

HISTORIES: Mapping[str, History] = MappingProxyType(
    {"snapshots": Snapshots(), "any-instant": AnyInstant(), "dated": Dated(), "captured": Captured()}
)
"""The possible values of `Archive.history`."""

RESERVED_NAMES = reserved_names(HISTORIES)
"""Names that no archive may have."""
