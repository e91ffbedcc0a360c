"""Restore a store from a backup into an empty state folder. The functions block.

A file named `restoring` shows that the state folder is not whole yet: no program opens such a store, and the next
restore continues.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from snapproxy_storage.backup import Step
from snapproxy_storage.backup_manifest import BackupManifest, CopiedFile, read_manifest
from snapproxy_storage.blob_check import identity_of
from snapproxy_storage.catalog_schema import BLOB_IDENTITIES, VERSION
from snapproxy_storage.copy_file import copy_file, own, sha256_of
from snapproxy_storage.failures import os_failure, sqlite_failure
from snapproxy_storage.layout import BLOBS, CATALOG, JOURNALS, RESTORING, SHA256, is_digest
from snapproxy_storage.open_folder import OpenFolder
from snapproxy_storage.protocols import StorageFailure

_NEW_CATALOG = f"{CATALOG}.new"


@dataclass(frozen=True, slots=True)
class RestoreSummary:
    """`restored` blobs of `size` bytes; `damaged` ones of the backup were left out. `made`: when it was made."""

    made: int
    journals: int
    restored: int
    size: int
    damaged: tuple[str, ...]


def restore(source: Path, state_dir: Path, *, step: Step) -> RestoreSummary:
    """Restore the backup in `source`. Every file is compared with its digest.

    Raises StorageFailure; for a state folder that is not empty, a backup that is not whole or whose catalog or journals
    are damaged, and a catalog of a newer program, before anything is written.
    """
    if not source.is_dir():
        raise StorageFailure(f"there is no backup {source}")
    with ExitStack() as stack:
        try:
            fd = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise os_failure(f"cannot read the backup {source}", error) from error
        backup = stack.enter_context(closing(OpenFolder(source.resolve(), fd)))
        state = stack.enter_context(closing(OpenFolder.root(state_dir)))
        try:
            manifest = read_manifest(backup)
            _check(manifest, backup, state)
            return _restore(manifest, backup, state, step)
        except OSError as error:
            raise os_failure(f"cannot restore {backup.path} into {state.path}", error) from error
        except sqlite3.Error as error:
            raise sqlite_failure(f"cannot restore the catalog of {backup.path}", error) from error


def _check(manifest: BackupManifest, backup: OpenFolder, state: OpenFolder) -> None:
    if manifest.schema > VERSION:
        raise StorageFailure(
            f"a newer program made the backup {backup.path}: its schema version is {manifest.schema}, this program "
            f"supports up to {VERSION}; upgrade snapproxy"
        )
    if not state.has(RESTORING) and state.names():
        raise StorageFailure(
            f"the state directory {state.path} is not empty: move it away, or set state_dir to another folder"
        )
    with _existing(backup, manifest.state) as folder, _existing(folder, JOURNALS) as journals:
        _check_file(folder, CATALOG, manifest.catalog)
        for name, expected in manifest.journals.items():
            _check_file(journals, name, expected)


@contextmanager
def _existing(parent: OpenFolder, name: str) -> Iterator[OpenFolder]:
    """Open a folder of the backup, which may be read-only."""
    fd = parent.open(name, os.O_RDONLY | os.O_DIRECTORY)
    with closing(OpenFolder(parent.path / name, fd)) as folder:
        yield folder


def _check_file(folder: OpenFolder, name: str, expected: CopiedFile) -> None:
    fd = folder.open(name, os.O_RDONLY)
    try:
        if (os.fstat(fd).st_size, sha256_of(fd)) != (expected.size, expected.sha256):
            raise StorageFailure(f"{folder.path / name} is damaged: use another backup")
    finally:
        os.close(fd)


def _restore(manifest: BackupManifest, backup: OpenFolder, state: OpenFolder, step: Step) -> RestoreSummary:
    _touch(state, RESTORING)
    with _new(state, JOURNALS) as journals, _existing(backup, manifest.state) as source:
        with _existing(source, JOURNALS) as noted:
            for name in manifest.journals:
                _copy(noted, name, journals)
        identities, damaged, size = _restore_blobs(backup, state, step) if manifest.has_blobs else ({}, [], 0)
        _copy(source, CATALOG, state, _NEW_CATALOG)
        _record(state.path / _NEW_CATALOG, identities, manifest.schema)
        journals.sync()
        state.rename(_NEW_CATALOG, state, CATALOG)
        state.sync()
        state.remove(RESTORING)
        state.sync()
    return RestoreSummary(manifest.made, len(manifest.journals), len(identities), size, tuple(damaged))


def _restore_blobs(backup: OpenFolder, state: OpenFolder, step: Step) -> tuple[dict[str, str], list[str], int]:
    """Copy the blobs; return the identities of the new files, the damaged ones, and the bytes."""
    identities: dict[str, str] = {}
    damaged: list[str] = []
    size = 0
    with (
        _existing(backup, BLOBS) as outer,
        _existing(outer, SHA256) as source,
        _new(state, BLOBS) as folder,
        _new(folder, SHA256) as target,
        source.entries() as entries,
    ):
        for digest in (entry.name for entry in entries if is_digest(entry.name)):
            if not _is_whole(target, digest) and _copy(source, digest, target, mode=0o444, digest=digest) != digest:
                damaged.append(digest)
                continue
            status = target.stat(digest)
            identities[digest] = " ".join(map(str, identity_of(status)))
            size += status.st_size
            step(digest, status.st_size)
        target.sync()
    return identities, damaged, size


def _is_whole(folder: OpenFolder, digest: str) -> bool:
    """Return whether an interrupted restore has this blob already."""
    try:
        fd = folder.open(digest, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return sha256_of(fd) == digest
    finally:
        os.close(fd)


def _copy(source: OpenFolder, name: str, to: OpenFolder, new: str = "", *, mode: int = 0o600, digest: str = "") -> str:
    fd = source.open(name, os.O_RDONLY)
    try:
        return copy_file(fd, to, new or name, mode=mode, digest=digest)
    finally:
        os.close(fd)


@contextmanager
def _new(parent: OpenFolder, name: str) -> Iterator[OpenFolder]:
    with closing(parent.sub(name)) as folder:
        own(folder.fd, parent)
        yield folder


def _touch(folder: OpenFolder, name: str) -> None:
    fd = folder.open(name, os.O_WRONLY | os.O_CREAT)
    try:
        own(fd, folder)
        os.fsync(fd)
    finally:
        os.close(fd)
    folder.sync()


def _record(catalog: Path, identities: dict[str, str], schema: int) -> None:
    """Record the restored files as verified, in place of the files of the old machine."""
    with closing(sqlite3.connect(catalog, isolation_level=None)) as writer:
        if schema >= BLOB_IDENTITIES:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("DELETE FROM blob WHERE identity <> ''")
            writer.executemany("REPLACE INTO blob VALUES (?, ?)", identities.items())
            writer.execute("COMMIT")
