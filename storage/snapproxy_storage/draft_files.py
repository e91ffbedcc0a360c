"""The two files of one draft, in the hands of its writer: bytes and record. Everything here blocks and raises OSError.

The writer's lock on the file of bytes is its sign of life. A file or record that an earlier reader may hold open is only ever
continued with the same bytes; for others a new file takes the name, and the old record says so to whoever still reads it.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import replace

from snapproxy_storage.draft_record import MOST_BYTES, DraftRecord, State, decode, encode
from snapproxy_storage.held_back import releasable
from snapproxy_storage.layout import meta_name, next_name
from snapproxy_storage.locks import try_lock, unlock
from snapproxy_storage.open_folder import OpenFolder
from snapproxy_storage.protocols import Meta, StorageFailure

_MOST_VECTORS = 1024  # IOV_MAX
_MOST_RACES = 50
_BEGUN_AGAIN = "the download began again from the start"


def read_record(fd: int) -> DraftRecord | None:
    """Return what the record says now, None when it is torn (look again) or damaged."""
    return decode(os.pread(fd, MOST_BYTES, 0))


class DraftFiles:
    """A draft that this object's maker holds the lock of. `written` bytes are in the file, all of which readers may have seen."""

    def __init__(self, folder: OpenFolder, name: str, boot: str, fd: int) -> None:
        """Continue what an earlier writer left behind the locked descriptor `fd`, if that can be, else begin at zero."""
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
        """Become the writer of the draft `name`, None when there is one. Raises OSError, or StorageFailure when it keeps changing hands."""
        for _ in range(_MOST_RACES):
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
            # Its last writer renamed or removed it between our open and our lock: look again.
        raise StorageFailure(f"cannot begin the draft {folder.path / name}: it keeps changing hands; ask again")

    @property
    def meta(self) -> Meta:
        return self._record.meta

    def open_reader(self) -> int:
        """Return another opening of the bytes, for readers: it shares neither the lock nor the right to write."""
        return self._folder.open(self._name, os.O_RDONLY)

    def append(self, pieces: list[memoryview]) -> None:
        """Write the pieces at the end. When it raises, `written` says how far it came."""
        while pieces:
            count = os.pwritev(self._fd, pieces[:_MOST_VECTORS], self.written)
            self.written += count
            while pieces and count >= len(pieces[0]):
                count -= len(pieces.pop(0))
            if count:
                pieces[0] = pieces[0][count:]

    def describe(self, meta: Meta) -> None:
        """Tell readers in every process."""
        self._update_record(replace(self._record, meta=meta))

    def restart(self) -> None:
        """Begin at zero in a new file. Readers of the old one fail."""
        self._begin_at_zero()

    def publish(self, blobs: OpenFolder, digest: str) -> None:
        """Make the whole file the blob `digest`. A crash at any instant leaves the blob whole or not there."""
        os.fchmod(self._fd, 0o444)
        os.fsync(self._fd)
        self._folder.rename(self._name, blobs, digest)
        blobs.sync()
        self._folder.sync()
        self._update_record(replace(self._record, state=State.WHOLE, digest=digest))
        self._folder.remove(meta_name(self._name))

    def keep(self, reason: str) -> None:
        """Fail the readers, and leave the bytes for a later resume."""
        os.fsync(self._fd)
        kept = replace(self._record, state=State.KEPT)
        fd = self._write_next(kept)  # a new file: who reads the old one goes on seeing the failure
        os.fsync(fd)
        self._update_record(replace(self._record, state=State.FAILED, reason=reason))
        self._install_record(fd, kept)

    def discard(self, reason: str) -> None:
        """Fail the readers, and leave nothing. Does as much of it as the disk lets it, then raises the first error."""
        with contextlib.ExitStack() as steps:  # runs in reverse, every step whatever the others do
            steps.callback(self._folder.remove, next_name(self._name))
            steps.callback(self._folder.remove, meta_name(self._name))
            steps.callback(self._remove_bytes)
            steps.callback(self._update_record, replace(self._record, state=State.FAILED, reason=reason))

    def close(self) -> None:
        """Give up the lock."""
        if self._fd >= 0:
            unlock(self._fd)
            os.close(self._fd)
            self._fd = -1
        if self._record_fd >= 0:
            os.close(self._record_fd)
            self._record_fd = -1

    def _continue(self) -> bool:
        """Go on with the bytes and the record that are there; False when they cannot be trusted."""
        try:
            self._record_fd = self._folder.open(meta_name(self._name), os.O_RDWR)
        except FileNotFoundError:
            return False
        found = read_record(self._record_fd)
        if found is None or not found.is_resumable(os.fstat(self._fd).st_ino, self._boot):
            return False
        length = found.meta.length
        if length is not None and self.written > releasable(self.written, length):
            return False  # its writer died between the last piece and the rename: nothing would be held back until the verdict
        self._folder.remove(next_name(self._name))
        self._update_record(replace(found, state=State.ARRIVING, boot=self._boot))
        return True

    def _begin_at_zero(self) -> None:
        if self._record_fd >= 0:
            old = read_record(self._record_fd) or DraftRecord(State.FAILED, 0, self._boot)
            if old.state is not State.WHOLE:
                os.pwrite(self._record_fd, encode(replace(old, state=State.FAILED, reason=_BEGUN_AGAIN)), 0)
        if self.written:
            self._new_bytes()
        self._new_record(DraftRecord(State.ARRIVING, os.fstat(self._fd).st_ino, self._boot))

    def _new_bytes(self) -> None:
        """Put an empty, locked file under the name, so that the name always leads to a lock."""
        self._folder.remove(next_name(self._name))
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
        self._folder.remove(next_name(self._name))
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
        """Unlink the bytes, unless the name already leads to someone else's."""
        if self._folder.is_still(self._name, self._fd):
            self._folder.remove(self._name)


def open_bytes(folder: OpenFolder, name: str) -> int:
    """Return a writable descriptor of a draft's bytes, made if missing."""
    try:
        return folder.open(name, os.O_RDWR | os.O_CREAT)
    except PermissionError:
        # A writer died after it had made the file read-only, before the rename.
        fd = folder.open(name, os.O_RDONLY)
        try:
            if stat.S_ISREG(os.fstat(fd).st_mode):
                os.fchmod(fd, 0o600)
        finally:
            os.close(fd)
        return folder.open(name, os.O_RDWR | os.O_CREAT)
