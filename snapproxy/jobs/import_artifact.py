"""Brings a capture from an artifact into the store: every byte verified, nothing named before all of it is whole.

What is found where is `finding`'s, blobs are brought by `landing`, and what the catalog may believe of them is `adoption`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from snapproxy.base.concurrency import gather_bounded
from snapproxy.capture.captures import Captures
from snapproxy.capture.contents import sizes_by_digest
from snapproxy.capture.notes import Notes
from snapproxy.core.clock import Clock
from snapproxy.core.model import Archive
from snapproxy.core.progress import SILENT, Progress
from snapproxy.core.record import Record
from snapproxy.errors import ClientError
from snapproxy.jobs.export import RegistryAccess
from snapproxy.jobs.open_artifact import FoundArtifact, found_at
from snapproxy.jobs.store_blobs import store_blobs
from snapproxy.jobs.trust_record import RecordTrust
from snapproxy.oci.manifests import Descriptor
from snapproxy.oci.places import Place
from snapproxy_storage import Store

WIDTH = 8
"""Blobs on their way at once."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of an import: `files` of which `new` were not in the store, `roots` of which `checked` have a good signature.

    `doubts` say, a line each, what of the artifact could not be believed.
    """

    name: str
    digest: str
    files: int
    new: int
    size: int
    roots: int
    checked: int
    doubts: tuple[str, ...]


class Importer:
    """Fills one store. `rows` are the archives there are, by name."""

    def __init__(
        self, store: Store, captures: Captures, adopter: RecordTrust, archives: Mapping[str, Archive], clock: Clock
    ) -> None:
        self._store = store
        self._captures = captures
        self._adopter = adopter
        self._archives = archives
        self._clock = clock

    async def bring(self, place: Place, name: str, access: RegistryAccess, progress: Progress = SILENT) -> Imported:
        """Restore the capture at a place under a name of its own, closed.

        Raises ClientError for a name that is taken or no name and for archives that are not known here, RecordError and ArchiveDataError
        for what cannot be read or is damaged, StorageError when the disk is full, and what registries raise.
        """
        self._captures.check_new(name)
        async with found_at(place, access, self._clock) as found:
            self._check_archives(found.record)
            new = await self._bring_blobs(found, progress)
            adopted = await self._adopter.adopt(found.record)
            entries = {entry.key: replace(entry, proof=adopted.proofs[entry.key]) for entry in found.record.entries}
            notes = Notes(entries=entries, valid=dict(found.record.valid), unpinned=set(found.record.unpinned))
            await self._captures.restore(name, notes, trusted=adopted.taken - adopted.refused)
        sizes = sizes_by_digest(found.record)
        return Imported(
            name,
            found.digest,
            len(sizes),
            new,
            sum(sizes.values()),
            adopted.roots,
            adopted.trusted,
            tuple(adopted.doubts),
        )

    async def _bring_blobs(self, found: FoundArtifact, progress: Progress) -> int:
        """Bring what the record names; of layers that it does not name, nothing."""
        sizes, new = sizes_by_digest(found.record), 0
        wanted = {layer.hex: layer for layer in found.layers if layer.hex in sizes}

        async def bring(descriptor: Descriptor) -> None:
            nonlocal new
            is_new = await store_blobs(self._store, found.source, descriptor, progress)
            new += is_new

        await gather_bounded(wanted.values(), bring, WIDTH)
        return new

    def _check_archives(self, record: Record) -> None:
        unknown = sorted(name for name in record.families if name not in self._archives)
        other = sorted(
            name
            for name, family in record.families.items()
            if name not in unknown and self._archives[name].family != family
        )
        if unknown or other:
            raise ClientError(
                "The capture holds files of archives that are not known here",
                why=", ".join([*unknown, *(f"{name} (it is of another family here)" for name in other)]) + ".",
                hint="Add a row of that name and family to the configuration: [archives.NAME].",
            )
