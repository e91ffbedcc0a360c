"""A clean-up of a bare store, without archives."""

from __future__ import annotations

from typing import Any

import pytest

from snapproxy.base.clock import SystemClock
from snapproxy.capture.captures import Captures
from snapproxy.space.collector import Collector
from snapproxy.space.expiry import CaptureExpiry
from snapproxy.space.ledger import Ledger
from snapproxy.space.references import References
from snapproxy_storage import Meta, Store, Writing


@pytest.fixture
def make_collector() -> Any:
    """Return a function that builds the clean-up of a store."""

    def make(store: Store) -> Collector:
        clock, ledger, no_tables = SystemClock(), Ledger(), None
        captures = Captures(store, families={}, now=clock.now)
        references = References(store, {}, no_tables, ledger, clock)  # type: ignore[arg-type]
        expiry = CaptureExpiry(store, captures, 86400.0, clock)
        return Collector(store, ledger, references, expiry, clock, has_one_disk=lambda: True)

    return make


@pytest.fixture
def put() -> Any:
    """Return a function that stores bytes under a key, and returns their digest and whether they are stored."""

    async def store_bytes(store: Store, key: str, data: bytes) -> tuple[str, bool]:
        begun = store.drafts.begin(key)
        assert isinstance(begun, Writing)
        await begun.draft.describe(Meta(length=len(data)))
        await begun.draft.write(data)
        blob = await begun.draft.commit()
        blob.close()
        return blob.digest, not begun.draft.full

    return store_bytes
