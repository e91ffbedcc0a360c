"""The layout of the store on disk. All its paths are built in this module.

    state_dir/                      resolved once; no symbolic link below it is followed; folders have mode 0700
        blobs/sha256/<hex>          blobs, mode 0444, in the layout of OCI; a file that exists is complete
        drafts/<hex of key>         drafts; a lock on the file shows that its writer is alive
        drafts/<hex of key>.meta    the record of the draft, rewritten in place
        drafts/<hex of key>.new     the next <hex of key> or .meta file, before it is renamed
        catalog.sqlite3             the catalog (with -wal and -shm files of SQLite)
        epoch                       8 bytes, mapped by every process: the epoch; its lock also serializes migrations
        slots                       empty; locks on its byte ranges are the slots
        space                       the figures of disk space, mapped by every process; its locks show who writes
        counters/<16 hex>           counters of one process, mapped; its lock shows that the process is alive
        counters/sums               the counters of the processes that have ended (sums.new before it is renamed)
        counters/lock               empty; its lock is held while sums is written
        removals                    empty; its lock orders the removal of blobs and new references to them
        journals/<32 hex>           journals; several processes append lines
        backup/<32 hex>             while a backup begins: second names of the journals
        backup.lock                 empty; its lock is held while a backup is made
        restoring                   while a restore is not complete: the store cannot be opened
        quarantine/<hex>            damaged blobs that a check moved here, within a limit; never served
    cache_dir/                      may be deleted at any time
        tables/<version>/<digest>   tables; <digest>.new while one is being built
        ephemera/                   the expiring values (diskcache)

Blobs and drafts are on one file system, so that a commit is a rename.
"""

from __future__ import annotations

import contextlib
import errno
import functools
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
SPACE = "space"
COUNTERS = "counters"
COUNTERS_SUM = "sums"
COUNTERS_LOCK = "lock"
REMOVALS = "removals"
CATALOG = "catalog.sqlite3"
BLOBS = "blobs"
SHA256 = "sha256"
DRAFTS = "drafts"
JOURNALS = "journals"
QUARANTINE = "quarantine"
BACKUP = "backup"
BACKUP_LOCK = "backup.lock"
RESTORING = "restoring"
TABLES = "tables"

STATE_FILES = frozenset({EPOCH, SLOTS, SPACE, REMOVALS, BACKUP_LOCK, CATALOG, f"{CATALOG}-wal", f"{CATALOG}-shm"})
STATE_FOLDERS = frozenset({BLOBS, DRAFTS, JOURNALS, QUARANTINE, COUNTERS, BACKUP})
"""All entries of `state_dir`."""


class StoreLayout:
    """The open folders of one store. Close it after all objects that use it."""

    def __init__(self, state_dir: Path, cache_dir: Path) -> None:
        """Open the folders; create missing ones. If it raises StorageFailure, no folder stays open."""
        with contextlib.ExitStack() as undo:

            def opened(folder: OpenFolder) -> OpenFolder:
                undo.callback(folder.close)
                return folder

            self.state = opened(OpenFolder.root(state_dir))
            if self.state.has(RESTORING):
                raise StorageFailure(
                    f"a restore into {self.state.path} was interrupted: run the restore again, or empty the folder"
                )
            self.blobs = opened(opened(self.state.sub(BLOBS)).sub(SHA256))
            with self.blobs.entries() as entries:
                self.is_new = next(entries, None) is None
            self.drafts = opened(self.state.sub(DRAFTS))
            self.journals = opened(self.state.sub(JOURNALS))
            self.counters = opened(self.state.sub(COUNTERS))
            cache = opened(OpenFolder.root(cache_dir))
            self.tables = opened(cache.sub(TABLES))
            self.expiring = opened(cache.sub("ephemera"))
            self._open = undo.pop_all()

    def catalog(self) -> Path:
        """Return the path of the catalog. Refuses symbolic links, because SQLite opens files by path."""
        for name in (CATALOG, f"{CATALOG}-wal", f"{CATALOG}-shm"):
            refuse_link(self.state, name)
        return self.state.path / CATALOG

    def close(self) -> None:
        self._open.close()


def refuse_link(folder: OpenFolder, name: str) -> None:
    """Raise StorageFailure if `name` is a symbolic link. Use it for libraries that open files by path."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISLNK(folder.stat(name).st_mode):
            raise os_failure(f"cannot open {folder.path / name}", OSError(errno.ELOOP, ""))


def is_digest(name: str) -> bool:
    """Return whether this is a SHA-256 in lower-case hex, and so a valid file name of a blob."""
    return _DIGEST.fullmatch(name) is not None


@functools.lru_cache(maxsize=4096)
def blob_name(digest: str) -> str:
    """Return the file name of a blob. Raises ValueError unless it is a SHA-256 in lower-case hex."""
    if not is_digest(digest):
        raise ValueError(f"not a lower-case sha256: {digest[:80]!r}")
    return digest


def draft_name(key: str) -> str:
    """Return the file name of a draft: the SHA-256 of its key, which may be long and contain any character."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def meta_name(draft: str) -> str:
    """Return the file name of a draft's record."""
    return f"{draft}.meta"


def next_name(draft: str) -> str:
    """Return the temporary name of a draft's next file, before it is renamed."""
    return f"{draft}.new"


def draft_of(name: str) -> str | None:
    """Return the draft of a file in the folder of drafts, None for an unknown file."""
    stem = name.partition(".")[0]
    return stem if is_digest(stem) and name in (stem, meta_name(stem), next_name(stem)) else None


def version_name(version: str) -> str:
    """Return the folder name of a parser version. Raises StorageFailure for an invalid version."""
    if not _VERSION.fullmatch(version):
        raise StorageFailure(
            f"invalid table version: {version[:80]!r}; use letters, digits, dots, dashes and underscores, at most 64"
        )
    return version


def table_name(digest: str) -> str:
    """Return the file name of a table. Raises the same errors as `blob_name`."""
    return blob_name(digest)


def is_journal(name: str) -> bool:
    """Return whether this is the file name of a journal."""
    return _JOURNAL.fullmatch(name) is not None


def journal_name(name: str) -> str:
    """Return the file name of a journal. Raises ValueError unless it has 32 lower-case hex digits."""
    if not is_journal(name):
        raise ValueError(f"not the name of a journal: {name[:80]!r}")
    return name
