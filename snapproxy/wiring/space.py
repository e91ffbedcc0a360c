"""Build the clean-up of the store from the parts of the application."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack

from snapproxy.base.clock import Clock
from snapproxy.capture.captures import Captures
from snapproxy.config import Config
from snapproxy.core.model import Archive
from snapproxy.indexes.index_tables import IndexTables
from snapproxy.space.collector import Collector
from snapproxy.space.expiry import CaptureExpiry
from snapproxy.space.ledger import Ledger
from snapproxy.space.references import References
from snapproxy_storage import Store


def build_collector(
    stack: AsyncExitStack,
    config: Config,
    store: Store,
    archives: Mapping[str, Archive],
    tables: IndexTables,
    captures: Captures,
    clock: Clock,
) -> Collector:
    """Build the clean-up of an open store. `stack` closes it."""
    ledger = Ledger()
    stack.callback(ledger.close)
    return Collector(
        store,
        ledger,
        References(store, archives, tables, ledger, clock),
        CaptureExpiry(store, captures, config.capture_keep, clock),
        clock,
        has_one_disk=lambda: _is_on_one_disk(config),
    )


def _is_on_one_disk(config: Config) -> bool:
    """Return whether blobs and tables share a file system; False if a folder was deleted, as `cache_dir` may be."""
    try:
        return config.state_dir.stat().st_dev == config.cache_dir.stat().st_dev
    except OSError:
        return False
