"""THE disk map. Every path of the store is built here, and nowhere else.

    state_dir/                      resolved once; below it no symbolic link is followed; folders 0700
        blobs/sha256/<hex>          whole bytes under their own sha256, 0444 (the layout OCI uses); present means whole
        drafts/<hex of key>         arriving bytes; their writer holds a lock on the file as its sign of life
        drafts/<hex of key>.meta    what is known of them, rewritten in place
        drafts/<hex of key>.new     the next <hex of key> or .meta, until a rename puts it there
        catalog.sqlite3             the names (and SQLite's own -wal and -shm beside it)
        epoch                       8 bytes, mapped by every process: a counter of take-backs; its lock also guards migrations
        slots                       empty; byte ranges of it are the locks of connection slots
        journals/<32 hex>           lines that several processes add to; whoever has a turn holds the lock
    cache_dir/                      deleting it loses no answer
        tables/<version>/<digest>   promise tables; <digest>.new while one is built
        ephemera/                   diskcache

blobs and drafts share a file system, so that a commit is a rename.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import re
import stat
from pathlib import Path

from snapproxy_storage.failures import os_failure
from snapproxy_storage.open_folder import OpenFolder
from snapproxy_storage.protocols import StorageFailure

_DIGEST = re.compile(r"[0-9a-f]{64}")
_JOURNAL = re.compile(r"[0-9a-f]{32}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

EPOCH = "epoch"
SLOTS = "slots"
CATALOG = "catalog.sqlite3"
TABLES = "tables"


class StoreLayout:
    """The folders of one store, open. `close` it when everything that uses it is closed."""

    def __init__(self, state_dir: Path, cache_dir: Path) -> None:
        """Open the folders, making those that are missing. Raises StorageFailure and leaves nothing open."""
        with contextlib.ExitStack() as undo:

            def held(folder: OpenFolder) -> OpenFolder:
                undo.callback(folder.close)
                return folder

            self.state = held(OpenFolder.root(state_dir))
            self.blobs = held(held(self.state.sub("blobs")).sub("sha256"))
            self.drafts = held(self.state.sub("drafts"))
            self.journals = held(self.state.sub("journals"))
            cache = held(OpenFolder.root(cache_dir))
            self.tables = held(cache.sub(TABLES))
            self.expiring = held(cache.sub("ephemera"))
            self._open = undo.pop_all()

    def catalog(self) -> Path:
        """Return where the catalog is. SQLite opens by path, so a link there is refused here."""
        for name in (CATALOG, f"{CATALOG}-wal", f"{CATALOG}-shm"):
            refuse_link(self.state, name)
        return self.state.path / CATALOG

    def close(self) -> None:
        self._open.close()


def refuse_link(folder: OpenFolder, name: str) -> None:
    """Raise StorageFailure when `name` is a symbolic link: for libraries that open by path."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISLNK(folder.stat(name).st_mode):
            raise os_failure(f"cannot open {folder.path / name}", OSError(errno.ELOOP, ""))


def is_digest(name: str) -> bool:
    """Whether this is a lower-case sha256 in hex, so that it may stand as a file name."""
    return _DIGEST.fullmatch(name) is not None


def blob_name(digest: str) -> str:
    """Return the file name of a blob. Raises ValueError for anything but a lower-case sha256."""
    if not is_digest(digest):
        raise ValueError(f"not a lower-case sha256: {digest[:80]!r}")
    return digest


def draft_name(key: str) -> str:
    """Return the file name of a draft: keys may be long and hold any character, so their sha256."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def meta_name(draft: str) -> str:
    """Return the file name of a draft's record."""
    return f"{draft}.meta"


def next_name(draft: str) -> str:
    """Return where a draft's next file is made ready before a rename puts it into place."""
    return f"{draft}.new"


def draft_of(name: str) -> str | None:
    """Return which draft a file in the drafts' folder belongs to, None for a stranger."""
    stem = name.partition(".")[0]
    return stem if is_digest(stem) and name in (stem, meta_name(stem), next_name(stem)) else None


def version_name(version: str) -> str:
    """Return the folder name of a parser version. Raises StorageFailure for what cannot be one."""
    if not _VERSION.fullmatch(version):
        raise StorageFailure(f"not usable as a table version: {version[:80]!r}; use letters, digits, dots, dashes")
    return version


def table_name(digest: str) -> str:
    """Return the file name of a table. Raises ValueError as `blob_name`."""
    return blob_name(digest)


def journal_name(name: str) -> str:
    """Return the file name of a journal. Raises ValueError for anything but 32 lower-case hex digits."""
    if not _JOURNAL.fullmatch(name):
        raise ValueError(f"not the name of a journal: {name[:80]!r}")
    return name
