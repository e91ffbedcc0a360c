"""The account of disk space: the quota, the floor of free space, reservations of drafts, changes of the blobs.

`space_file` has the figures that all processes share, `space_count` counts the files, `space` waits for room.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from snapproxy_storage.failures import is_unwritable, os_failure
from snapproxy_storage.open_folder import OpenFolder
from snapproxy_storage.protocols import DiskFailure
from snapproxy_storage.space_count import settle, size_on_disk
from snapproxy_storage.space_file import Figures, SpaceFile
from snapproxy_storage.space_protocols import BLOCK, blocks

_log = logging.getLogger(__name__)

RECORD_BYTES = 2 * BLOCK
"""Bytes that a draft takes besides its own: its record, and the next one while that is written."""

_MOST_SPARE = 4 << 20
_SPARE_PART = 16
"""The part of the quota, and its maximum in bytes, that only the records of drafts and short probes of the disk use."""

_MOST_FLOOR = 5 * 10**9
_FLOOR_PART = 20
"""The usual floor of free space: 5 % of the file system, which ext4 reserves for root as well and which keeps a file
system from becoming slow, but no more than some downloads, logs and a catalog need on a large one.
"""

_STEP = 1 << 20
"""Bytes by which a draft of unknown length reserves more. The last steps before the quota are smaller."""

_UNLIMITED = 1 << 62

OVER_QUOTA = "is over its quota"


class OutOfSpace(DiskFailure):
    """The quota or the floor of free space allows no more bytes, although the disk would take them."""


@dataclass(slots=True)
class Reservation:
    """The bytes that are promised to one draft, and those of them that are on disk."""

    size: int
    written: int = 0
    adopted: int = 0
    """The bytes of an earlier writer that counted as `kept` before."""

    def covers(self, total: int) -> bool:
        """Return whether a draft of `total` bytes is promised its space."""
        return blocks(total) + RECORD_BYTES <= self.size


class SpaceAccount:
    """The account of one store for this process. All methods block for microseconds, unless they say otherwise."""

    def __init__(
        self, file: SpaceFile, blobs: OpenFolder, drafts: OpenFolder, *, quota: int | None = None, floor: int | None = 0
    ) -> None:
        self.file = file
        self.blobs = blobs
        self._drafts = drafts
        self.set_limits(quota, floor)
        self._reserved = 0
        self._unwritten = 0
        self._totals = threading.Lock()
        self._is_wrong = False
        """Whether a change of the blobs could not be recorded: a count is needed."""

    def set_limits(self, quota: int | None, floor: int | None) -> None:
        """Set the quota, and the floor of free space; None: the usual one."""
        self.quota = quota
        self.floor = self._usual_floor() if floor is None else floor
        self._spare = 0 if quota is None else min(_MOST_SPARE, quota // _SPARE_PART)

    @property
    def free(self) -> int:
        """The free bytes of the file system."""
        status = os.fstatvfs(self.blobs.fd)
        return status.f_bavail * status.f_frsize

    def _usual_floor(self) -> int:
        status = os.fstatvfs(self.blobs.fd)
        return min(_MOST_FLOOR, status.f_blocks * status.f_frsize // _FLOOR_PART)

    @property
    def most(self) -> int | None:
        """The maximum bytes of a draft, None without a quota."""
        return None if self.quota is None else self.quota - self._spare - RECORD_BYTES

    def room(self, figures: Figures | None = None) -> int:
        """Return the bytes that may be reserved, which is negative while more than allowed is stored."""
        figures = figures or self.file.seen
        if self.quota is not None and not figures.is_counted:
            return 0
        return min(self._within_quota(figures) - self._spare, self._above_floor(figures))

    def shortage(self) -> OutOfSpace | None:
        """Return why there is no room for a draft, None if there is room."""
        figures = self.file.seen
        if self.quota is not None and not figures.is_counted:
            return OutOfSpace("the stored files are still being counted for the quota", OVER_QUOTA)
        if self._within_quota(figures) - self._spare <= self._above_floor(figures):
            return None if self.quota is None else OutOfSpace(f"the quota of {self.quota} bytes is used", OVER_QUOTA)
        return OutOfSpace(f"less than {self.floor} bytes of the file system would stay free")

    def begin(self, inherited: int) -> Reservation | None:
        """Reserve the space of a new draft, or of one that continues the `inherited` bytes of an earlier writer.

        Return None if the quota has no room for its record.
        """
        with self._figures() as figures:
            if figures.is_counted and self._within_quota(figures) < RECORD_BYTES:
                return None
            left = blocks(inherited) + BLOCK if inherited else 0
            reservation = Reservation(0, adopted=min(figures.kept, left))
            figures.kept -= reservation.adopted
            self._set(figures, reservation, blocks(inherited) + RECORD_BYTES, inherited)
            return reservation

    def decline(self, reservation: Reservation) -> None:
        """End a reservation of `begin`: the draft has another writer, or its files cannot be opened."""
        with self._unless_full(), self._figures() as figures:
            figures.kept += reservation.adopted
            self._set(figures, reservation, 0, 0)

    def adjust(self, reservation: Reservation, size: int) -> None:
        """Set a reservation to the bytes that a draft has on disk, however many these are."""
        with self._unless_full(), self._figures() as figures:
            self._set(figures, reservation, blocks(size) + RECORD_BYTES, size)

    def reserve(self, reservation: Reservation, total: int, *, is_final: bool) -> bool:
        """Reserve `total` bytes for a draft, or a little more unless that is its length. Return False without room.

        Raises OSError.
        """
        if reservation.covers(total):
            return True
        with self._figures() as figures:
            missing = blocks(total) + RECORD_BYTES - reservation.size
            room = self.room(figures)
            if room < missing:
                return False
            more = missing if is_final else min(missing + _STEP, room)
            self._set(figures, reservation, reservation.size + more, reservation.written)
            return True

    def wrote(self, reservation: Reservation, written: int) -> None:
        """Note the bytes of a draft that are on disk. The next change of the figures tells the other processes."""
        with self._totals:
            self._move(reservation, reservation.size, written)

    def release(self, reservation: Reservation, *, kept: int | None = None) -> None:
        """End a reservation. `kept`: the draft is closed, and its bytes, so many, stay for a later writer."""
        with self._unless_full(), self._figures() as figures:
            self._set(figures, reservation, 0, 0)
            if kept is not None:
                figures.kept += blocks(kept) + BLOCK

    @contextlib.contextmanager
    def changing(self, digest: str, reservation: Reservation | None = None) -> Iterator[None]:
        """Account for a blob that the block stores, replaces or removes; one such block runs at a time on the machine.

        `reservation`: that of the draft that becomes the blob; its record is left. It may wait for the disk.
        """
        file = self.file
        with file.changing():
            slot, before = file.slot(), size_on_disk(self.blobs, digest)
            with self._unless_full(is_vital=True), self._figures() as figures:
                file.note_change(figures, digest)
                figures.mark(slot, is_changing=True)
            is_done = False
            try:
                yield
                is_done = True
            finally:
                difference = size_on_disk(self.blobs, digest) - before
                with self._unless_full(is_vital=True), self._figures() as figures:
                    figures.stored += difference
                    figures.count_change(digest, difference)
                    figures.mark(slot, is_changing=False)
                    if is_done and reservation is not None:
                        self._set(figures, reservation, RECORD_BYTES, 0)

    def settle(self) -> bool:
        """Look at the drafts, and take back what dead processes reserved. It may take milliseconds.

        Return whether the blobs must be counted.
        """
        with self._figures() as figures:
            return settle(self.file, figures, self._drafts)

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def _within_quota(self, figures: Figures) -> int:
        if self.quota is None:
            return _UNLIMITED
        return self.quota - figures.stored - figures.kept - figures.reserved

    def _above_floor(self, figures: Figures) -> int:
        """Return the bytes above the floor. Without a floor the disk itself refuses bytes."""
        return self.free - self.floor - figures.unwritten if self.floor else _UNLIMITED

    def _set(self, figures: Figures, reservation: Reservation, size: int, written: int) -> None:
        slot = self.file.slot_of(figures)
        with self._totals:
            self._reserved += size - reservation.size
            self._move(reservation, size, written)
            figures.set_slot(slot, reserved=self._reserved, unwritten=self._unwritten)

    def _move(self, reservation: Reservation, size: int, written: int) -> None:
        self._unwritten += max(0, size - written) - max(0, reservation.size - reservation.written)
        reservation.size, reservation.written = size, written

    @contextlib.contextmanager
    def _figures(self) -> Iterator[Figures]:
        with self.file.figures() as figures:
            if self._is_wrong:
                figures.is_counted = False
            yield figures
        self._is_wrong = False

    @contextlib.contextmanager
    def _unless_full(self, *, is_vital: bool = False) -> Iterator[None]:
        """Ignore that the full disk does not take the figures: the next change writes them. `is_vital`: it cannot."""
        try:
            yield
        except OSError as error:
            if not is_unwritable(error):
                raise
            self._is_wrong = self._is_wrong or is_vital
            _log.warning("%s", os_failure("cannot record the disk space", error))
