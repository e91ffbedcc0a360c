"""Copy a store to a folder, consistently, while any number of processes use it. The functions block.

The names of the catalog and the notes of open captures must be of one moment: closing a capture moves its notes from
its journal into the catalog. So the backup takes the catalog's write lock, pins a read transaction, makes a second name
(a hard link) for each journal, and releases the lock: milliseconds, in which no capture can be closed. It then copies
without haste. A name is written after its blob, so the blobs are copied last: each name has its blob, unless it was
removed in the meantime.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from snapproxy_storage.backup_manifest import MANIFEST, BackupManifest, CopiedFile, is_generation, write_manifest
from snapproxy_storage.copy_file import copy_file, own, sha256_of
from snapproxy_storage.failures import os_failure, sqlite_failure
from snapproxy_storage.layout import BACKUP, BACKUP_LOCK, BLOBS, CATALOG, JOURNALS, SHA256, is_digest, is_journal
from snapproxy_storage.locks import try_lock
from snapproxy_storage.open_folder import OpenFolder
from snapproxy_storage.protocols import StorageFailure

_BUSY_SECONDS = 20.0
_LOCK = "lock"

Step = Callable[[str, int], None]
"""Called after each blob with its digest and size. What it raises ends the work."""


@dataclass(frozen=True, slots=True)
class BackupSummary:
    """`copied` blobs were missing in the backup, `present` were there already; `size` bytes were copied.

    `damaged` blobs had other bytes than their digest and were not copied. `missing` names in the catalog have no blob.
    """

    schema: int
    journals: int
    copied: int = 0
    present: int = 0
    size: int = 0
    damaged: tuple[str, ...] = ()
    missing: int = 0


def back_up(state_dir: Path, target: Path, *, with_blobs: bool, now: int, step: Step) -> BackupSummary:
    """Copy the store to `target`, a new folder or an earlier backup, of which only new blobs are copied.

    An earlier backup stays whole until the new one is. Raises StorageFailure.
    """
    if not (state_dir / CATALOG).exists():
        raise StorageFailure(f"there is no store in {state_dir}: nothing to back up")
    with ExitStack() as stack:
        state = stack.enter_context(closing(OpenFolder.root(state_dir)))
        to = stack.enter_context(closing(OpenFolder.root(target)))
        try:
            _check_target(state, to)
            stack.enter_context(_only_one(to, _LOCK))
            stack.enter_context(_only_one(state, BACKUP_LOCK))
            return _copy(state, to, with_blobs=with_blobs, now=now, step=step)
        except OSError as error:
            raise os_failure(f"cannot write the backup {to.path}", error) from error
        except sqlite3.Error as error:
            raise sqlite_failure(f"cannot copy the catalog {state.path / CATALOG}", error) from error


def _check_target(state: OpenFolder, to: OpenFolder) -> None:
    if to.path == state.path or state.path in to.path.parents or to.path in state.path.parents:
        raise StorageFailure(f"the backup {to.path} and the store {state.path} contain one another: use another folder")
    strangers = [name for name in to.names() if not _is_ours(name)]
    if strangers:
        raise StorageFailure(f"{to.path} is not a backup: it contains {strangers[0]}; use an empty folder")


def _is_ours(name: str) -> bool:
    return name in (MANIFEST, f".{MANIFEST}.part", BLOBS, _LOCK) or is_generation(name)


@contextlib.contextmanager
def _only_one(folder: OpenFolder, lock: str) -> Iterator[None]:
    fd = folder.open(lock, os.O_RDWR | os.O_CREAT)
    try:
        own(fd, folder)
        if not try_lock(fd):
            raise StorageFailure(f"another backup of or into {folder.path} is running: wait for its end")
        yield
    finally:
        os.close(fd)


def _copy(state: OpenFolder, to: OpenFolder, *, with_blobs: bool, now: int, step: Step) -> BackupSummary:
    for name in filter(is_generation, to.names()):
        if not (to.path / MANIFEST).exists():  # a first backup that was interrupted
            shutil.rmtree(to.path / name)
    generation = f"state-{secrets.token_hex(8)}"
    with closing(to.sub(generation)) as folder, closing(folder.sub(JOURNALS)) as journals:
        try:
            schema, copied = _copy_state(state, folder, journals)
            summary = BackupSummary(schema, len(copied))
            if with_blobs:
                summary = _copy_blobs(state, to, folder.path / CATALOG, summary, step)
            folder.sync()
            journals.sync()
            manifest = BackupManifest(now, schema, generation, _described(folder, CATALOG), copied, with_blobs)
            write_manifest(to, manifest)
        except BaseException:
            shutil.rmtree(folder.path, ignore_errors=True)
            raise
    for name in filter(is_generation, to.names()):
        if name != generation:
            shutil.rmtree(to.path / name)
    return summary


def _described(folder: OpenFolder, name: str) -> CopiedFile:
    fd = folder.open(name, os.O_RDONLY)
    try:
        os.fsync(fd)
        return CopiedFile(os.fstat(fd).st_size, sha256_of(fd))
    finally:
        os.close(fd)


def _copy_state(state: OpenFolder, folder: OpenFolder, journals: OpenFolder) -> tuple[int, Mapping[str, CopiedFile]]:
    """Copy catalog and journals of one moment; return the schema version, and the journals."""
    uri = f"file:{quote(str(state.path / CATALOG))}?mode=ro"
    staging = state.path / BACKUP
    with (
        closing(sqlite3.connect(state.path / CATALOG, timeout=_BUSY_SECONDS, isolation_level=None)) as writer,
        closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)) as reader,
    ):
        shutil.rmtree(staging, ignore_errors=True)  # of a backup that was killed
        with closing(state.sub(BACKUP)) as linked, closing(state.sub(JOURNALS)) as source:
            try:
                own(linked.fd, state)
                writer.execute("BEGIN IMMEDIATE")
                reader.execute("BEGIN")
                (schema,) = reader.execute("PRAGMA user_version").fetchone()
                reader.execute("SELECT 1 FROM name LIMIT 1").fetchall()  # the transaction begins with its first read
                sizes = _link(source, linked)
                writer.execute("ROLLBACK")
                _copy_catalog(reader, folder)
                copied = {name: _copy_journal(linked, name, journals, size) for name, size in sizes.items()}
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    return schema, copied


def _link(source: OpenFolder, linked: OpenFolder) -> dict[str, int]:
    """Give each journal a second name; return the sizes of this moment, because notes are still appended."""
    sizes = {}
    for name in filter(is_journal, source.names()):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile; its notes are in the catalog already
            os.link(name, name, src_dir_fd=source.fd, dst_dir_fd=linked.fd, follow_symlinks=False)
            sizes[name] = linked.stat(name).st_size
    return sizes


def _copy_catalog(reader: sqlite3.Connection, folder: OpenFolder) -> None:
    with closing(sqlite3.connect(folder.path / CATALOG, isolation_level=None)) as copy:
        reader.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE").fetchall()  # one file, without a write-ahead log


def _copy_journal(linked: OpenFolder, name: str, to: OpenFolder, size: int) -> CopiedFile:
    fd = linked.open(name, os.O_RDONLY)
    try:
        return CopiedFile(size, copy_file(fd, to, name, mode=0o600, limit=size))
    finally:
        os.close(fd)


def _copy_blobs(state: OpenFolder, to: OpenFolder, catalog: Path, begun: BackupSummary, step: Step) -> BackupSummary:
    """Copy the blobs that the backup lacks."""
    copied = present = size = 0
    damaged = []
    with ExitStack() as stack:

        def opened(folder: OpenFolder) -> OpenFolder:
            return stack.enter_context(closing(folder))

        source, target = opened(opened(state.sub(BLOBS)).sub(SHA256)), opened(opened(to.sub(BLOBS)).sub(SHA256))
        for part in [name for name in target.names() if name.endswith(".part")]:
            target.remove(part)  # of a backup that was killed
        with source.entries() as entries:
            for digest in (entry.name for entry in entries if is_digest(entry.name)):
                try:
                    fd = source.open(digest, os.O_RDONLY)
                except FileNotFoundError:
                    continue  # removed in the meantime
                try:
                    length = os.fstat(fd).st_size
                    if target.size_of_file(digest) == length:
                        present += 1
                    elif copy_file(fd, target, digest, mode=0o400, digest=digest) == digest:
                        copied, size = copied + 1, size + length
                    else:
                        damaged.append(digest)
                finally:
                    os.close(fd)
                step(digest, length)
        target.sync()
        missing = _names_without_blob(catalog, target)
    return BackupSummary(begun.schema, begun.journals, copied, present, size, tuple(damaged), missing)


def _names_without_blob(catalog: Path, blobs: OpenFolder) -> int:
    counted = "SELECT digest, count(*) FROM name WHERE digest <> '' GROUP BY digest"
    with closing(sqlite3.connect(f"file:{quote(str(catalog))}?mode=ro", uri=True)) as copy:
        return sum(count for digest, count in copy.execute(counted) if blobs.size_of_file(digest) is None)
