"""The file with the figures of disk space that all processes share. All functions block for microseconds.

One page of words: a head, and a slot for each process that writes drafts. A process holds a lock on its slot, which the
kernel releases when it dies; what its slot says remains, and counts, until it is settled. A change rewrites the page in
one call under a lock, so a process that is killed leaves the figures as before the change or as after it.

A second lock orders the changes of the folder of blobs. A process marks its slot before it renames or removes a file,
and takes the mark back with the new figure: a slot whose process died with the mark makes a count necessary. While a
count runs, the digests of changed blobs are listed behind the page.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import threading
from array import array
from collections.abc import Iterator

from snapproxy_storage.failures import os_failure
from snapproxy_storage.layout import SPACE
from snapproxy_storage.locks import is_locked, lock, try_lock, unlock
from snapproxy_storage.open_folder import OpenFolder
from snapproxy_storage.protocols import StorageFailure

_PAGE = 4096
_WORD = 8
_DIGEST = 32

(_STORED, _KEPT, _COUNTED, _BOOT, _COUNTER, _BUCKETS, _DONE, _SUM, _CHANGES) = range(9)
"""The words of the head: see `Figures`."""
_FIRST_SLOT = 32
_SLOT_WORDS = 3
MAX_PROCESSES = (_PAGE // _WORD - _FIRST_SLOT) // _SLOT_WORDS
(_RESERVED, _UNWRITTEN, _MARKED) = range(_SLOT_WORDS)

_FIGURES_LOCK, _CHANGES_LOCK, _SLOT_LOCKS = 0, 1, 1 << 20
"""The locked bytes of the file."""


class Figures:
    """The page, read under the lock. What is set is written at the end of the block."""

    def __init__(self, words: array[int]) -> None:
        self.words = words

    @property
    def stored(self) -> int:
        """The bytes of the blobs."""
        return self.words[_STORED]

    @stored.setter
    def stored(self, value: int) -> None:
        self.words[_STORED] = max(0, value)

    @property
    def kept(self) -> int:
        """The bytes of the drafts without a writer."""
        return self.words[_KEPT]

    @kept.setter
    def kept(self, value: int) -> None:
        self.words[_KEPT] = max(0, value)

    @property
    def is_counted(self) -> bool:
        """Whether `stored` is right."""
        return bool(self.words[_COUNTED])

    @is_counted.setter
    def is_counted(self, value: bool) -> None:
        self.words[_COUNTED] = value

    @property
    def reserved(self) -> int:
        return sum(self.words[_FIRST_SLOT + _RESERVED :: _SLOT_WORDS])

    @property
    def unwritten(self) -> int:
        """The reserved bytes that are not on the disk yet."""
        return sum(self.words[_FIRST_SLOT + _UNWRITTEN :: _SLOT_WORDS])

    def set_slot(self, slot: int, *, reserved: int, unwritten: int) -> None:
        at = _FIRST_SLOT + slot * _SLOT_WORDS
        self.words[at + _RESERVED], self.words[at + _UNWRITTEN] = max(0, reserved), max(0, unwritten)

    def mark(self, slot: int, *, is_changing: bool) -> None:
        """Record whether the process is about to change the folder of blobs."""
        self.words[_FIRST_SLOT + slot * _SLOT_WORDS + _MARKED] = is_changing

    def is_marked(self, slot: int) -> bool:
        return bool(self.words[_FIRST_SLOT + slot * _SLOT_WORDS + _MARKED])

    def is_used(self, slot: int) -> bool:
        at = _FIRST_SLOT + slot * _SLOT_WORDS
        return any(self.words[at : at + _SLOT_WORDS])

    def clear(self, slot: int) -> None:
        at = _FIRST_SLOT + slot * _SLOT_WORDS
        self.words[at : at + _SLOT_WORDS] = array("Q", [0] * _SLOT_WORDS)

    @property
    def used_slots(self) -> list[int]:
        return [slot for slot in range(MAX_PROCESSES) if self.is_used(slot)]

    # --- a count of the blobs --------------------------------------------------------------------------------

    @property
    def counter(self) -> int | None:
        """The slot of the process that counts."""
        return self.words[_COUNTER] - 1 if self.words[_COUNTER] else None

    def begin_count(self, slot: int, buckets: int) -> None:
        self.words[_COUNTER], self.words[_BUCKETS] = slot + 1, buckets
        self.words[_DONE] = self.words[_SUM] = self.words[_CHANGES] = 0

    def abandon_count(self) -> None:
        self.words[_COUNTER] = 0

    def end_count(self) -> None:
        self.words[_STORED], self.words[_COUNTED], self.words[_COUNTER] = self.words[_SUM], 1, 0

    def bucket(self, digest: str) -> int:
        """Return the part of the count to which a blob belongs."""
        return bucket_of(digest, self.words[_BUCKETS])

    def add_bucket(self, size: int) -> None:
        self.words[_SUM] += size
        self.words[_DONE] += 1
        self.words[_CHANGES] = 0

    def count_change(self, digest: str, difference: int) -> None:
        """Apply the change of a blob to the running count, if the count has passed it."""
        if self.bucket(digest) < self.words[_DONE]:
            self.words[_SUM] = max(0, self.words[_SUM] + difference)


def bucket_of(digest: str, buckets: int) -> int:
    """Return the bucket of a digest; the buckets are ranges of equal size."""
    return int(digest[:8], 16) * buckets >> 32


class SpaceFile:
    """The open file. One object for each open store; threads and processes exclude each other."""

    def __init__(self, folder: OpenFolder, boot: str, *, is_empty: bool) -> None:
        """Open the file; create it if it is missing. `is_empty`: a new store, which needs no count of its blobs."""
        self._path = folder.path / SPACE
        self._in_process = threading.Lock()
        self._changing_in_process = threading.Lock()
        self._slot: int | None = None
        boot_word = int.from_bytes(hashlib.sha256(boot.encode()).digest()[:_WORD])
        try:
            self._fd = folder.open(SPACE, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise os_failure(f"cannot open {self._path}", error) from error
        try:
            self._begin(boot_word, is_empty=is_empty)
            self._map = mmap.mmap(self._fd, _PAGE, prot=mmap.PROT_READ)
        except OSError as error:
            os.close(self._fd)
            raise os_failure(f"cannot use {self._path}", error) from error
        self._words = memoryview(self._map).cast("Q")
        self.seen = Figures(self._words)  # type: ignore[arg-type]  # a view is read like an array
        """The figures without the lock: each is right, but two of them may be of different moments."""

    def _begin(self, boot: int, *, is_empty: bool) -> None:
        with self._locked(_FIGURES_LOCK, self._in_process):
            is_new = os.fstat(self._fd).st_size < _PAGE
            words = array("Q", bytes(_PAGE) if is_new else os.pread(self._fd, _PAGE, 0))
            if words[_BOOT] != boot:  # the page may not have been flushed before the machine stopped, or is damaged
                words = array("Q", bytes(_PAGE))
                words[_COUNTED], words[_BOOT] = is_new and is_empty, boot
                os.pwrite(self._fd, words.tobytes(), 0)

    @contextlib.contextmanager
    def figures(self) -> Iterator[Figures]:
        """Provide the figures under the lock, and write them at the end. Raises OSError."""
        with self._locked(_FIGURES_LOCK, self._in_process):
            before = os.pread(self._fd, _PAGE, 0)
            figures = Figures(array("Q", before))
            yield figures
            after = figures.words.tobytes()
            if after != before:
                os.pwrite(self._fd, after, 0)

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Exclude all other changes of the folder of blobs."""
        with self._locked(_CHANGES_LOCK, self._changing_in_process):
            yield

    def slot(self) -> int:
        """Return the slot of this process. Raises StorageFailure if all are taken."""
        if self._slot is None:
            with self.figures() as figures:
                return self.slot_of(figures)
        return self._slot

    def slot_of(self, figures: Figures) -> int:
        """Return the slot of this process, while it has the figures."""
        if self._slot is None:
            self._slot = self._take_slot(figures)
        return self._slot

    def _take_slot(self, figures: Figures) -> int:
        for slot in range(MAX_PROCESSES):
            if not figures.is_used(slot) and try_lock(self._fd, start=_SLOT_LOCKS + slot, length=1):
                if figures.counter == slot:
                    figures.abandon_count()  # its process died while it counted
                return slot
        raise StorageFailure(f"more than {MAX_PROCESSES} processes store files in {self._path.parent}; end some")

    def is_alive(self, slot: int) -> bool:
        """Return whether the process of a slot lives."""
        return slot == self._slot or is_locked(self._fd, start=_SLOT_LOCKS + slot, length=1)

    def is_counting(self) -> bool:
        """Return whether a process counts the blobs at this moment."""
        return self.seen.counter is not None and self.is_alive(self.seen.counter)

    def note_change(self, figures: Figures, digest: str) -> None:
        """List a blob that is about to change, for the count that runs."""
        if figures.counter is not None and self.is_alive(figures.counter):
            at = figures.words[_CHANGES]
            os.pwrite(self._fd, bytes.fromhex(digest), _PAGE + at * _DIGEST)
            figures.words[_CHANGES] = at + 1

    def changes(self, figures: Figures) -> set[str]:
        """Return the digests of the blobs that have changed since the last bucket was added."""
        data = os.pread(self._fd, figures.words[_CHANGES] * _DIGEST, _PAGE)
        return {data[at : at + _DIGEST].hex() for at in range(0, len(data), _DIGEST)}

    def forget_changes(self) -> None:
        """Shorten the file to its page, after a count."""
        os.ftruncate(self._fd, _PAGE)

    def close(self) -> None:
        if self._slot is not None:
            with contextlib.suppress(OSError), self.figures() as figures:  # a full disk: another process settles it
                if not figures.is_marked(self._slot):  # a change that could not be recorded: the blobs are counted
                    figures.clear(self._slot)
            unlock(self._fd, start=_SLOT_LOCKS + self._slot, length=1)
        self.seen = Figures(array("Q", bytes(_PAGE)))
        self._words.release()
        self._map.close()
        os.close(self._fd)

    @contextlib.contextmanager
    def _locked(self, start: int, in_process: threading.Lock) -> Iterator[None]:
        with in_process:
            lock(self._fd, start=start, length=1)
            try:
                yield
            finally:
                unlock(self._fd, start=start, length=1)
