"""Mark the stored files that something needs, and find the references that are recorded afterwards.

The order of the steps makes it safe against other processes:

1. The blobs are listed. A blob that is stored later is not removed.
2. The journals of open captures are read, then closed captures: one that is closed meanwhile moves from the first to
   the second. Then pins, observations and live sets.
3. Immediately before some blobs are removed, under the lock that recorders hold (`Blobs.evict`), `since` reads the new
   lines of journals and the new captures. A new pin or observation stops the removal, and all steps are repeated.

Live sets need no third step: a root whose files are gone is fetched again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import partial

from snapproxy.archives import HISTORIES
from snapproxy.base.clock import Clock
from snapproxy.base.names import Names
from snapproxy.capture.notes import noted_digest
from snapproxy.core.model import STRONG, Archive, ExpectedFile, Family, Instant, Role
from snapproxy.errors import ArchiveDataError, SnapproxyError
from snapproxy.families import FAMILIES
from snapproxy.indexes.helper_process import HelperDiedError, ParseTimeoutError
from snapproxy.indexes.index_tables import IndexTables
from snapproxy.live.state import copies_in
from snapproxy.space import pins
from snapproxy.space.ledger import Ledger
from snapproxy.space.protected_files import Cause
from snapproxy_storage import CatalogScan, StorageFailure, Store

log = logging.getLogger(__name__)

LIVE_SECONDS = 7 * 86400
"""A live root that no client requested for so long is not protected."""


class References:
    """The references to the blobs of one store, as `mark` found them last."""

    def __init__(
        self, store: Store, archives: Mapping[str, Archive], tables: IndexTables, ledger: Ledger, clock: Clock
    ) -> None:
        self._store = store
        self._archives = archives
        self._tables = tables
        self._ledger = ledger
        self._clock = clock
        self._names = Names(store.catalog, clock)
        self._read: dict[str, int] = {}
        """The offset up to which each journal was read."""
        self._closed: set[str] = set()
        self._others: tuple[object, ...] = ()

    async def mark(self) -> None:
        """Protect every stored blob that something needs. Raises StorageFailure and SnapproxyError."""
        self._read.clear()
        self._closed.clear()
        with await asyncio.to_thread(self._store.catalog.scan) as scan:
            await asyncio.to_thread(self._mark_captures, scan)
            self._others = await asyncio.to_thread(self._state_of_others, scan)
            await self._mark_pins(scan)
            await self._mark_observed(scan)
            await self._mark_live(scan)

    def since(self, scan: CatalogScan) -> Container[str] | None:
        """Return the digests that captures have recorded since `mark`; None if other references have changed.

        It runs on a thread, under the lock of `Blobs.evict`.
        """
        if self._state_of_others(scan) != self._others:
            return None
        found = set(self._noted())
        for key in self._newly_closed(scan):
            found.update(digest for _, _, digest, _ in scan.names(key))
        self._ledger.protect(found, Cause.CAPTURE)
        return found

    # --- captures

    def _mark_captures(self, scan: CatalogScan) -> None:
        self._ledger.protect(self._noted(), Cause.CAPTURE)
        self._closed.update(self._newly_closed(scan))
        self._ledger.protect((digest for _, _, digest, _ in scan.names("capture/")), Cause.CAPTURE)

    def _noted(self) -> Iterator[str]:
        """Yield the digests in the lines of all journals that were not read yet."""
        journals = self._store.journals
        for journal in journals.stored():
            offset = self._read.get(journal.name, 0)
            while offset < journal.size:
                lines, end = journals.read(journal.name, offset)
                if end == offset:
                    break  # an incomplete line at the end, or a journal that was closed meanwhile
                offset = self._read[journal.name] = end
                yield from filter(None, map(noted_digest, lines))

    def _newly_closed(self, scan: CatalogScan) -> list[str]:
        """Return the captures that were closed or imported since the last call."""
        found = [key for key, _ in scan.facts("capture/") if key not in self._closed]
        self._closed.update(found)
        return found

    def _state_of_others(self, scan: CatalogScan) -> tuple[object, ...]:
        """Return a value that differs after a pin or an observation was added."""
        pinned = tuple(name for _, name, _, _ in scan.names(pins.SPACE))
        return pinned, *(scan.count_values(f"root/{name}/") for name in self._observed_archives(scan))

    # --- pins

    async def _mark_pins(self, scan: CatalogScan) -> None:
        for pin in pins.Pins(self._store.catalog, self._store.blobs).all():
            match pin.kind:
                case pins.PinKind.LOCK:
                    await asyncio.to_thread(self._mark_space, scan, pins.files_of(pin.key), Cause.PIN)
                case pins.PinKind.SNAPSHOT:
                    await asyncio.to_thread(self._mark_space, scan, pin.key, Cause.PIN)
                    await self._mark_roots(pin.key)
                case pins.PinKind.CAPTURE:
                    pass  # captures are protected in any case; the pin prevents that they expire

    def _mark_space(self, scan: CatalogScan, space: str, cause: Cause) -> None:
        self._ledger.protect((digest for found, _, digest, _ in scan.names(space) if found == space), cause)

    async def _mark_roots(self, space: str) -> None:
        """Protect the stored files that the indexes of a pinned snapshot list, under whatever name."""
        archive = self._archives.get(space.partition("/")[0])
        for root in self._names.roots(space) if archive is not None else ():
            await self._protect([root.digest], Cause.PIN)
            if archive is not None:
                listed = await self._listed(archive, root.path, root.digest)
                await self._protect(self._digests(archive, listed), Cause.PIN)
                for each in filter(partial(_is_index, FAMILIES[archive.family]), listed):
                    for digest in self._digests(archive, [each]):
                        inner = await self._listed(archive, each.path, digest)
                        await self._protect(self._digests(archive, inner), Cause.PIN)

    async def _listed(self, archive: Archive, path: str, digest: str) -> Sequence[ExpectedFile]:
        """Return the files that a root or an index lists, none if it is not stored or cannot be read.

        Raises ArchiveDataError if it could not be parsed for a reason that may pass: its files may be needed.
        """
        if not await self._has(digest):
            return []
        try:
            return await self._tables.all(FAMILIES[archive.family], digest, path)
        except (HelperDiedError, ParseTimeoutError):
            raise
        except ArchiveDataError:
            return []  # it proves nothing

    def _digests(self, archive: Archive, files: Iterable[ExpectedFile]) -> Sequence[str]:
        """Return the SHA-256 of those of the listed files for which it is known."""
        found = (self._names.sha256_of(archive.name, each) for each in files)
        return [each for each in found if each is not None]

    # --- observations

    def _observed_archives(self, scan: CatalogScan) -> Sequence[str]:
        """Return the archives whose past is known by observations alone, and observed ones that have no settings."""
        observed = [name for name, archive in self._archives.items() if HISTORIES[archive.history].is_observed]
        spaces = {space.partition(":")[2] for space, _, _, _ in scan.names("observed:")}
        return sorted({*observed, *(spaces - self._archives.keys())})

    async def _mark_observed(self, scan: CatalogScan) -> None:
        """Protect all that an observed archive has: its names, its roots, and every file that these list."""
        for name in await asyncio.to_thread(self._observed_archives, scan):
            await asyncio.to_thread(self._mark_names, scan, name)
            if (archive := self._archives.get(name)) is not None:
                prefix = f"root/{name}/"
                for key, digest in await asyncio.to_thread(list, scan.values(prefix)):
                    await self._read_observed(archive, key.removeprefix(prefix), digest)
                live = f"live/{name}/"  # an adopted root is recorded as an observation a little later
                for key, fact in await asyncio.to_thread(list, scan.facts(live)):
                    await self._read_observed(archive, key.removeprefix(live), fact["file"]["digest"])
        await asyncio.to_thread(self._mark_listed, scan)

    def _mark_listed(self, scan: CatalogScan) -> None:
        """Protect the stored files that observed indexes list, also those that they list by another strong digest."""
        self._ledger.protect_listed(Cause.OBSERVED)
        for algorithm in set(STRONG) - {"sha256"}:
            known = (name for name in scan.names(algorithm) if name[0] == algorithm)
            self._ledger.protect(
                (digest for _, other, digest, _ in known if self._ledger.is_listed(other)), Cause.OBSERVED
            )

    def _mark_names(self, scan: CatalogScan, archive: str) -> None:
        for spaces in (f"{archive}/", f"weak:{archive}"):
            self._ledger.protect((digest for _, _, digest, _ in scan.names(spaces)), Cause.OBSERVED)
        self._ledger.protect((digest for _, digest in scan.values(f"root/{archive}/")), Cause.OBSERVED)

    async def _read_observed(self, archive: Archive, path: str, digest: str) -> None:
        """Add the files that an observed root or index lists, and those that its indexes list. Each is read once."""
        family, name = FAMILIES[archive.family], f"{archive.name}/{path} {digest}"
        if family.classify(path).role not in (Role.ROOT, Role.INDEX) or not digest:
            return
        if await asyncio.to_thread(self._ledger.was_read, name):
            return
        if not (listed := await self._listed(archive, path, digest)):
            return
        strong = [each.strong[1] for each in listed if each.strong is not None]
        is_whole = True
        for each in listed:
            if _is_index(family, each) and each.path != path:
                inner = self._names.sha256_of(archive.name, each)
                if inner is not None and await self._has(inner):
                    await self._read_observed(archive, each.path, inner)
                else:
                    is_whole = False  # it may be stored later
        await asyncio.to_thread(self._ledger.add_listed, strong)
        if is_whole:
            await asyncio.to_thread(self._ledger.note_read, name)

    # --- the present

    async def _mark_live(self, scan: CatalogScan) -> None:
        oldest = self._clock.now() - LIVE_SECONDS
        for key, fact in await asyncio.to_thread(lambda: [*self._live_roots(scan, oldest)]):
            _, name, path = key.split("/", 2)
            await self._protect(copies_in(fact), Cause.LIVE)
            for digest in filter(None, copies_in(fact)[:2]):
                try:
                    archive = self._archives[name]
                    listed = await self._listed(archive, path, digest)
                    indexes = filter(partial(_is_index, FAMILIES[archive.family]), listed)
                    await self._protect(self._digests(archive, indexes), Cause.LIVE)
                except (SnapproxyError, StorageFailure) as error:  # the set is fetched again if its files are gone
                    log.warning("The indexes of %s are not protected: %s", key, error)

    def _live_roots(self, scan: CatalogScan, oldest: Instant) -> Iterator[tuple[str, Mapping[str, object]]]:
        for key, fact in scan.facts("live/"):
            _, name, path = key.split("/", 2)
            archive = self._archives.get(name)
            if archive is None or fact["checked"] < oldest:
                continue
            if FAMILIES[archive.family].classify(path).role is Role.ROOT:
                yield key, fact

    # --- on a thread

    async def _protect(self, digests: Sequence[str], cause: Cause) -> None:
        await asyncio.to_thread(self._ledger.protect, digests, cause)

    async def _has(self, digest: str) -> bool:
        return await asyncio.to_thread(self._ledger.has, digest)


def _is_index(family: Family, file: ExpectedFile) -> bool:
    return family.classify(file.path).role is Role.INDEX
