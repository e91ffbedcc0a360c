"""The two files of a draft, bytes and record, as their writer uses them. All functions block and raise OSError.

The writer holds a lock on the file of bytes. A free lock means that the writer has ended. A file or record that an
earlier reader may have open is only continued with the same bytes. Other bytes are written to a new file that replaces
it under its name, and the old record is marked as failed for the readers of the old file.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

from snapproxy_storage.blob_check import Identity, identity_of
from snapproxy_storage.draft_record import MAX_BYTES, DraftRecord, State, decode, encode
from snapproxy_storage.failures import RESTARTED
from snapproxy_storage.held_back import releasable
from snapproxy_storage.layout import meta_name, next_name
from snapproxy_storage.locks import try_lock, unlock
from snapproxy_storage.open_folder import OpenFolder
from snapproxy_storage.protocols import Meta, StorageFailure

_MAX_VECTORS = 1024  # IOV_MAX
_MAX_RACES = 50


def read_record(fd: int) -> DraftRecord | None:
    """Return the current record, None if it is torn (read it again) or damaged."""
    return decode(os.pread(fd, MAX_BYTES, 0))


class DraftFiles:
    """The open files of a draft whose lock this process holds.

    All `written` bytes in the file may have been read by readers.
    """

    def __init__(self, folder: OpenFolder, name: str, boot: str, fd: int) -> None:
        """Continue the bytes of an earlier writer in the locked file `fd`, or start at zero if they are not trusted."""
        self._folder = folder
        self._name = name
        self._boot = boot
        self._fd = fd
        self._record_fd = -1
        try:
            self.written = os.fstat(fd).st_size
            if not self._continue():
                self._begin_at_zero()
        except BaseException:
            with contextlib.suppress(OSError):
                folder.remove(next_name(name))
                if not self.written:
                    self._remove_bytes()
            self.close()
            raise

    @classmethod
    def take(cls, folder: OpenFolder, name: str, boot: str) -> DraftFiles | None:
        """Become the writer of the draft `name`.

        Return None if it has a writer already. Raises OSError, StorageFailure after too many lost races.
        """
        for _ in range(_MAX_RACES):
            fd = open_bytes(folder, name)
            try:
                is_ours = try_lock(fd)
                is_current = is_ours and folder.is_still(name, fd)
            except OSError:
                os.close(fd)
                raise
            if is_current:
                return cls(folder, name, boot, fd)
            os.close(fd)
            if not is_ours:
                return None
            # The previous writer renamed or removed the file between the open and the lock in this process: retry.
        raise StorageFailure(f"cannot begin the draft {folder.path / name}: its writer changed too often; try again")

    @property
    def meta(self) -> Meta:
        return self._record.meta

    def open_reader(self) -> int:
        """Return a separate read-only descriptor of the bytes, for readers. It does not share the lock."""
        return self._folder.open(self._name, os.O_RDONLY)

    def append(self, pieces: list[memoryview]) -> None:
        """Append the pieces. If it raises, `written` counts the bytes that were written."""
        while pieces:
            count = os.pwritev(self._fd, pieces[:_MAX_VECTORS], self.written)
            self.written += count
            while pieces and count >= len(pieces[0]):
                count -= len(pieces.pop(0))
            if count:
                pieces[0] = pieces[0][count:]

    def describe(self, meta: Meta) -> None:
        """Publish the properties to the readers in every process."""
        self._update_record(replace(self._record, meta=meta))

    def restart(self) -> None:
        """Start at zero in a new file. Readers of the old file fail."""
        self._begin_at_zero()

    def publish(self, blobs: OpenFolder, digest: str, changing: Callable[[], AbstractContextManager[None]]) -> Identity:
        """Make the complete file the blob `digest`, inside `changing`, and return its identity.

        After a crash at any point the blob is complete or absent.
        """
        os.fchmod(self._fd, 0o444)
        os.fsync(self._fd)
        with changing():
            try:
                self._folder.rename(self._name, blobs, digest)
            except IsADirectoryError:
                blobs.set_aside(digest)
                self._folder.rename(self._name, blobs, digest)
        identity = identity_of(os.fstat(self._fd))
        blobs.sync()
        self._folder.sync()
        self._update_record(replace(self._record, state=State.WHOLE, digest=digest))
        self._folder.remove(meta_name(self._name))
        return identity

    def keep(self, reason: str) -> None:
        """Fail the readers and keep the bytes for a later resume."""
        os.fsync(self._fd)
        kept = replace(self._record, state=State.KEPT)
        fd = self._write_next(kept)  # a new file, so that readers of the old record still read the failure
        os.fsync(fd)
        self._update_record(replace(self._record, state=State.FAILED, reason=reason))
        self._install_record(fd, kept)

    def discard(self, reason: str) -> None:
        """Fail the readers and remove all files. Runs every step even if one fails, then raises the first error."""
        with contextlib.ExitStack() as steps:  # callbacks run in reverse order, each of them even if another raises
            steps.callback(self._folder.remove, next_name(self._name))
            steps.callback(self._folder.remove, meta_name(self._name))
            steps.callback(self._remove_bytes)
            steps.callback(self._update_record, replace(self._record, state=State.FAILED, reason=reason))

    def close(self) -> None:
        """Release the lock and the descriptors."""
        if self._fd >= 0:
            unlock(self._fd)
            os.close(self._fd)
            self._fd = -1
        if self._record_fd >= 0:
            os.close(self._record_fd)
            self._record_fd = -1

    def _continue(self) -> bool:
        """Continue the existing bytes and record. Return False if they cannot be trusted."""
        try:
            self._record_fd = self._folder.open_file(meta_name(self._name), os.O_RDWR)
        except FileNotFoundError:
            return False
        record = read_record(self._record_fd)
        if record is None or not record.is_resumable(os.fstat(self._fd).st_ino, self._boot):
            return False
        length = record.meta.length
        if length is not None and self.written > releasable(self.written, length):
            return False  # its writer died between the last piece and the rename: no last piece could be held back
        self._folder.set_aside(next_name(self._name))
        self._update_record(replace(record, state=State.ARRIVING, boot=self._boot))
        return True

    def _begin_at_zero(self) -> None:
        if self._record_fd >= 0:
            old = read_record(self._record_fd) or DraftRecord(State.FAILED, 0, self._boot)
            if old.state is not State.WHOLE:
                os.pwrite(self._record_fd, encode(replace(old, state=State.FAILED, reason=RESTARTED)), 0)
        if self.written:
            self._new_bytes()
        self._new_record(DraftRecord(State.ARRIVING, os.fstat(self._fd).st_ino, self._boot))

    def _new_bytes(self) -> None:
        """Replace the file by an empty, locked one, so that the name always refers to a locked file."""
        self._folder.set_aside(next_name(self._name))
        fd = self._folder.open(next_name(self._name), os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            try_lock(fd)
            self._folder.rename(next_name(self._name), self._folder, self._name)
        except OSError:
            os.close(fd)
            raise
        unlock(self._fd)
        os.close(self._fd)
        self._fd, self.written = fd, 0

    def _new_record(self, record: DraftRecord) -> None:
        self._install_record(self._write_next(record), record)

    def _write_next(self, record: DraftRecord) -> int:
        self._folder.set_aside(next_name(self._name))
        fd = self._folder.open(next_name(self._name), os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            os.pwrite(fd, encode(record), 0)
        except OSError:
            os.close(fd)
            raise
        return fd

    def _install_record(self, fd: int, record: DraftRecord) -> None:
        if self._record_fd >= 0:
            os.close(self._record_fd)
        self._record_fd, self._record = fd, record
        self._folder.rename(next_name(self._name), self._folder, meta_name(self._name))

    def _update_record(self, record: DraftRecord) -> None:
        self._record = record
        if self._record_fd >= 0:
            os.pwrite(self._record_fd, encode(record), 0)

    def _remove_bytes(self) -> None:
        """Unlink the file of bytes, unless the name already refers to the file of another writer."""
        if self._folder.is_still(self._name, self._fd):
            self._folder.remove(self._name)


def open_bytes(folder: OpenFolder, name: str) -> int:
    """Return a writable descriptor of the bytes of a draft. Creates the file if it is missing."""
    try:
        return folder.open_file(name, os.O_RDWR | os.O_CREAT)
    except PermissionError:
        # A writer died after it had made the file read-only and before the rename.
        fd = folder.open_file(name, os.O_RDONLY)
        try:
            os.fchmod(fd, 0o600)
        finally:
            os.close(fd)
        return folder.open(name, os.O_RDWR | os.O_CREAT)
