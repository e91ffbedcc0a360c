"""Import a capture from an artifact into the store.

Every byte is verified, and no name is recorded before all files are stored.

`open_artifact` finds and opens the artifact, `store_blobs` stores its blobs, and `trust_record` determines the proofs.
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
"""Maximum number of concurrent blob transfers."""


@dataclass(frozen=True, slots=True)
class Imported:
    """The result of an import: `files`, of which `new` were stored; `roots`, of which `checked` have a good signature.

    `times` counts the times of roots that can be requested afterwards, without the capture.
    `doubts` has a line for each part of the artifact that could not be verified.
    """

    name: str
    digest: str
    files: int
    new: int
    size: int
    roots: int
    checked: int
    times: int
    doubts: tuple[str, ...]


class Importer:
    """Imports captures into one store. `archives`: the configured archives by name."""

    def __init__(
        self, store: Store, captures: Captures, trust: RecordTrust, archives: Mapping[str, Archive], clock: Clock
    ) -> None:
        self._store = store
        self._captures = captures
        self._trust = trust
        self._archives = archives
        self._clock = clock

    async def import_capture(
        self, place: Place, name: str, access: RegistryAccess, progress: Progress = SILENT
    ) -> Imported:
        """Import the capture at a place under a new name, closed.

        Raises ClientError for an invalid name or one in use, and for unknown archives; RecordError and ArchiveDataError
        for an invalid or damaged artifact; StorageError if the disk is full; and the errors of the registry client.
        """
        self._captures.check_new(name)
        async with found_at(place, access, self._clock) as found:
            self._check_archives(found.record)
            new = await self._store_blobs(found, progress)
            trusted = await self._trust.establish(found.record)
            entries = {entry.key: replace(entry, proof=trusted.proofs[entry.key]) for entry in found.record.entries}
            notes = Notes(
                entries=entries,
                valid=dict(found.record.valid),
                unpinned=set(found.record.unpinned),
                solvers=set(found.record.solvers),
            )
            await self._captures.restore(name, notes, trusted=trusted.accepted - trusted.refused)
        sizes = sizes_by_digest(found.record)
        return Imported(
            name,
            found.digest,
            len(sizes),
            new,
            sum(sizes.values()),
            trusted.roots,
            trusted.checked,
            trusted.times,
            tuple(trusted.doubts),
        )

    async def _store_blobs(self, found: FoundArtifact, progress: Progress) -> int:
        """Store the files of the record, and no other layers. Return how many are new."""
        sizes, new = sizes_by_digest(found.record), 0
        wanted = {layer.hex: layer for layer in found.layers if layer.hex in sizes}

        async def store_one(descriptor: Descriptor) -> None:
            nonlocal new
            is_new = await store_blobs(self._store, found.source, descriptor, progress)
            new += is_new

        await gather_bounded(wanted.values(), store_one, WIDTH)
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
                "The capture contains files of unknown archives",
                why=", ".join([*unknown, *(f"{name} (configured with another family)" for name in other)]) + ".",
                hint="Add an archive of that name and family to the configuration: [archives.NAME].",
            )
