"""Hash the bytes of a draft and write to disk those that readers may receive. All functions block and run on threads.

`draft` makes one call at a time. A full disk is a result, not an error: from then on calls return the bytes, to be kept
in memory.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from snapproxy_storage.blob_check import Identity
from snapproxy_storage.draft_files import DraftFiles
from snapproxy_storage.failures import DISK_FULL, is_full, is_unwritable
from snapproxy_storage.held_back import HeldBack, releasable
from snapproxy_storage.open_folder import OpenFolder
from snapproxy_storage.protocols import Meta, StorageFailure
from snapproxy_storage.space_account import Reservation, SpaceAccount

_log = logging.getLogger(__name__)

_READ_BACK = 1 << 20
"""Bytes that a rehash reads at a time, so that writes of other drafts can run in between."""


@dataclass(frozen=True, slots=True)
class SinkStep:
    """The result of a call: how many bytes readers may receive, and how many of them are on disk.

    `spilled` contains the bytes that must be kept in memory instead. It is empty unless the disk is full.
    """

    available: int
    on_disk: int
    is_full: bool
    spilled: list[memoryview] = field(default_factory=list)
    identity: Identity | None = None
    """The identity of the blob's file, after its rename."""


class DraftSink:
    """The hash, the taps and the files of one draft. `files` is None if the disk was full at the start.

    `reservation` is the disk space that the account promised to the files.
    """

    def __init__(self, files: DraftFiles | None, account: SpaceAccount, reservation: Reservation) -> None:
        self._files = files
        self._account = account
        self.reservation = reservation
        self._hash = hashlib.sha256()
        self._taps: list[Callable[[bytes], None]] = []
        self._held = HeldBack()
        self._hashed = 0
        self._on_disk = files.written if files else 0

    @property
    def on_disk(self) -> int:
        return self._on_disk

    @property
    def hashed(self) -> int:
        """The number of bytes that were taken."""
        return self._hashed

    @property
    def is_off_disk(self) -> bool:
        """Whether the draft has no files."""
        return self._files is None

    def must_reserve(self, total: int) -> bool:
        """Return whether the draft needs more disk space for `total` bytes."""
        return self._files is not None and not self.reservation.covers(total)

    def refuse_disk(self) -> None:
        """Continue without the disk, because there is no room for the draft."""
        self._leave_disk()

    def release(self) -> None:
        """End the reservation, after the readers of this process."""
        if self.reservation.size:
            self._account.release(self.reservation)

    def tap(self, update: Callable[[bytes], None]) -> None:
        self._taps.append(update)

    def digest(self) -> str:
        return self._hash.hexdigest()

    def take(self, pieces: list[bytes], length: int | None) -> SinkStep:
        """Hash the pieces, and write the bytes that no longer need to be held back."""
        for piece in pieces:
            self._digest_piece(piece)
        self._held.add(pieces)
        return self._place(releasable(self._hashed, length))

    def take_rest(self) -> SinkStep:
        """Write the last piece, after a good verdict.

        First record the length, in case the process dies before the rename.
        """
        if self._files is not None and self._files.meta.length is None:
            self._describe(replace(self._files.meta, length=self._hashed))
        return self._place(self._hashed)

    def rehash(self, reader: int, start: int, stop: int) -> int:
        """Hash up to 1 MiB that an earlier writer left, from `start`; return the number of bytes.

        This works on a full disk.
        """
        data = os.pread(reader, min(_READ_BACK, stop - start), start)
        if not data:
            raise StorageFailure(f"the draft ends at byte {start} instead of {stop}; restart the draft")
        self._digest_piece(data)
        return len(data)

    def describe(self, meta: Meta) -> SinkStep:
        """Publish the properties to all readers, and write the bytes that a newly known length releases."""
        self._describe(meta)
        return self._place(releasable(self._hashed, meta.length))

    def restart(self) -> int | None:
        """Start at zero; return a descriptor for readers, None if the disk is full."""
        self._on_disk = 0
        if self._files is None:
            return None
        try:
            self._files.restart()
            self._account.wrote(self.reservation, 0)
            return self._files.open_reader()
        except OSError as error:
            self._give_up_disk(error)
            return None

    def publish(self, blobs: OpenFolder, digest: str) -> SinkStep:
        """Rename the complete file to its blob, and release the lock."""
        if self._files is not None:
            try:
                changing = functools.partial(self._account.changing, digest, self.reservation)
                identity = self._files.publish(blobs, digest, changing)
            except OSError as error:
                self._give_up_disk(error)
            else:
                self._close()
                self.release()
                return SinkStep(self._hashed, self._hashed, is_full=False, identity=identity)
        return SinkStep(self._hashed, self._on_disk, is_full=True)

    def keep(self, reason: str) -> None:
        """Keep the bytes for a later resume. Removes them and raises OSError if the disk fails."""
        if self._files is None:
            return
        is_kept = False
        try:
            self._files.keep(reason)
            is_kept = True
        except OSError:
            self._files.discard(reason)
            raise
        finally:
            self._close()
            self._account.release(self.reservation, kept=self._on_disk if is_kept else None)

    def discard(self, reason: str) -> None:
        """Remove the files."""
        if self._files is None:
            return
        is_removed = False
        try:
            self._files.discard(reason)
            is_removed = True
        finally:
            self._close()
            self._account.release(self.reservation, kept=None if is_removed else self._on_disk)

    def _digest_piece(self, piece: bytes) -> None:
        self._hash.update(piece)
        for update in self._taps:
            update(piece)
        self._hashed += len(piece)

    def _describe(self, meta: Meta) -> None:
        if self._files is None:
            return
        known = self._files.meta.length
        try:
            if known not in (None, meta.length):
                self._files.restart()  # nothing is written yet, but readers of an earlier writer have another length
            self._files.describe(meta)
        except OSError as error:
            self._give_up_disk(error)

    def _place(self, visible: int) -> SinkStep:
        """Write the held-back bytes before offset `visible` to disk, or return all of them if the disk is full."""
        if self._files is not None and visible > self._on_disk:
            try:
                self._files.append(self._held.front(visible - self._on_disk))
            except OSError as error:
                files = self._files
                self._give_up_disk(error)
                self._advance(files.written)
            else:
                self._advance(self._files.written)
        if self._files is not None:
            return SinkStep(self._on_disk, self._on_disk, is_full=False)
        spilled = self._held.front(self._held.size)
        self._held.drop(self._held.size)
        return SinkStep(max(visible, self._on_disk), self._on_disk, is_full=True, spilled=spilled)

    def _advance(self, written: int) -> None:
        self._held.drop(written - self._on_disk)
        self._on_disk = written
        self._account.wrote(self.reservation, written)

    def _give_up_disk(self, error: OSError) -> None:
        """Continue without the disk if it is full: fail the readers in other processes and remove the files.

        Re-raise other errors.
        """
        if not is_unwritable(error) or (self._on_disk and not is_full(error)):
            raise error  # on a faulty disk the bytes in the file cannot be trusted
        self._leave_disk()

    def _leave_disk(self) -> None:
        if self._files is None:
            return
        try:
            self._files.discard(DISK_FULL)
        except OSError as further:
            _log.warning("Cannot remove a draft from the full disk: %s", further)
            self._account.release(self.reservation, kept=self._on_disk)
        else:  # readers have the removed file open, so it takes its space until the draft has ended
            self._account.adjust(self.reservation, self._on_disk)
        self._close()

    def _close(self) -> None:
        if self._files is not None:
            self._files.close()
            self._files = None
