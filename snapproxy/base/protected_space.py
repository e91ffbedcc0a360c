"""The bytes that are protected from removal, as the last clean-up measured them, for all processes on the machine."""

from __future__ import annotations

from snapproxy.core.reclaim import LOW_WATER
from snapproxy_storage import Store

_FACT = "space/protected"
"""The fact of the catalog: bytes of protected files."""


async def put_protected(store: Store, size: int) -> None:
    """Record the bytes of the protected files."""
    if store.catalog.fact(_FACT, 0) != size:
        await store.catalog.put_fact(_FACT, size)


def protected_bytes(store: Store) -> int:
    """Return the bytes of the protected files, 0 before the first clean-up."""
    return int(store.catalog.fact(_FACT, 0) or 0)


def is_quota_protected(store: Store) -> bool:
    """Return whether protected files fill the quota: they alone are above its low-water mark.

    They are measured again every minute while this is true (`wiring.space_keeper`).
    """
    space = store.space
    if space.limit is None:
        return False
    full = space.limit * LOW_WATER
    return space.stored + space.kept >= full and protected_bytes(store) >= full
