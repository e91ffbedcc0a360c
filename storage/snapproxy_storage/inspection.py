"""Read the catalog of a store without opening the store: nothing is created, migrated, locked or changed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from snapproxy_storage.catalog_schema import VERSION
from snapproxy_storage.failures import sqlite_failure
from snapproxy_storage.layout import CATALOG

_BUSY_SECONDS = 5.0
_LAST = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class CatalogState:
    """What a catalog contains: its schema version and that of this program, the latest observation, facts, spaces.

    `observed` is None without any observation. `spaces` are the requested prefixes with which a space of names begins.
    """

    version: int
    supported: int
    observed: int | None
    facts: dict[str, Any]
    spaces: frozenset[str]


def inspect_catalog(state_dir: Path, *, facts: str, spaces: Sequence[str]) -> CatalogState | None:
    """Return the state of the catalog, None if there is none.

    `facts` is the prefix of the keys of the facts to read. Raises StorageFailure for a catalog that cannot be read.
    Call it in a thread.
    """
    path = state_dir / CATALOG
    if not path.exists():
        return None
    try:
        uri = f"file:{quote(str(path))}?{_mode(path)}"
        with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)) as catalog:
            return _read(catalog, facts, spaces)
    except sqlite3.Error as error:
        raise sqlite_failure(f"cannot read the catalog {path}", error) from error


def _mode(path: Path) -> str:
    """Return how to open the catalog: without a write-ahead log in use, opening it read-only would create one."""
    try:
        is_in_use = path.with_name(f"{CATALOG}-wal").stat().st_size > 0
    except FileNotFoundError:
        is_in_use = False
    return "mode=ro" if is_in_use else "immutable=1"


def _read(catalog: sqlite3.Connection, facts: str, spaces: Sequence[str]) -> CatalogState:
    (version,) = catalog.execute("PRAGMA user_version").fetchone()
    if not 0 < version <= VERSION:  # its tables may have another meaning
        return CatalogState(version, VERSION, None, {}, frozenset())
    (observed,) = catalog.execute("SELECT max(last) FROM span").fetchone()
    rows = catalog.execute("SELECT key, value FROM fact WHERE key BETWEEN ? AND ?", (facts, facts + _LAST)).fetchall()
    used = "SELECT 1 FROM name WHERE space BETWEEN ? AND ? LIMIT 1"
    return CatalogState(
        version,
        VERSION,
        observed,
        {key: json.loads(value) for key, value in rows},
        frozenset(each for each in spaces if catalog.execute(used, (each, each + _LAST)).fetchone()),
    )
