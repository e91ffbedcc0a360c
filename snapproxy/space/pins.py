"""Pins: captures, snapshots and locks whose files are not removed.

This module defines the catalog's spaces for pins:
- names `pins`: `capture/<id>`, `snapshot/<archive>/<snapshot>` or `lock/<sha256>` -> the name for the user (in `extra`)
- names `pin/<sha256>`: the digests of the files of a pinned lock, by that of the lock

A pin protects the stored files that it names, also those that are stored later.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from snapproxy.base.references import no_eviction
from snapproxy.capture import lock
from snapproxy.capture.captures import Captures
from snapproxy.core.record import Record
from snapproxy.errors import ClientError
from snapproxy_storage import Blobs, Catalog, Name

SPACE = "pins"


class PinKind(StrEnum):
    """The kind of object that a pin names."""

    CAPTURE = "capture"
    SNAPSHOT = "snapshot"
    LOCK = "lock"


@dataclass(frozen=True, slots=True, order=True)
class Pin:
    """A pin. `key`: the id of a capture, `<archive>/<snapshot>`, or the sha256 of a lock; `name`: for the user."""

    kind: PinKind
    key: str
    name: str

    @property
    def id(self) -> str:
        """The name of the pin in the catalog."""
        return f"{self.kind}/{self.key}"


class Pins:
    """The pins of one store. Reads are inline; writes are durable when they return."""

    def __init__(self, catalog: Catalog, blobs: Blobs) -> None:
        self._catalog = catalog
        self._blobs = blobs

    def all(self) -> list[Pin]:
        """Return every pin, sorted."""
        return [_pin(name, str(entry.extra["name"])) for name, entry in self._catalog.names(SPACE)]

    def snapshots(self) -> list[str]:
        """Return the pinned snapshots, as `<archive>/<snapshot>`."""
        return [pin.key for pin in self.all() if pin.kind is PinKind.SNAPSHOT]

    def has(self, pin: Pin) -> bool:
        """Return whether this pin exists."""
        return self._catalog.name(SPACE, pin.id) is not None

    async def add(self, pin: Pin, digests: dict[str, int] | None = None) -> None:
        """Store a pin. `digests`: the files of a lock, with their sizes.

        No file is removed while it is stored, so all files that the store has afterwards stay.
        """
        async with no_eviction(self._blobs):
            if digests:
                files = {digest: Name(digest, size, 0) for digest, size in digests.items()}
                await self._catalog.put_names(files_of(pin.key), files)
            await self._catalog.put_name(SPACE, pin.id, Name("", 0, 0, {"name": pin.name}))

    async def remove(self, pin: Pin) -> None:
        """Remove a pin. Raises ClientError for an unknown one."""
        if not self.has(pin):
            raise ClientError(
                "There is no such pin", why=f"Requested: {pin.kind} {pin.name}.", hint="List: snapproxy pin --list."
            )
        await self._catalog.drop_name(SPACE, pin.id)
        if pin.kind is PinKind.LOCK:
            await self._catalog.drop_space(files_of(pin.key))


def capture_pin(captures: Captures, name: str) -> Pin:
    """Return the pin of a capture. Raises ClientError for an unknown name."""
    for key, known in captures.ids().items():
        if known == name:
            return Pin(PinKind.CAPTURE, key, name)
    known_names = ", ".join(captures.names()) or "none"
    raise ClientError("No capture has that name", why=f"Requested: {name!r}. Existing captures: {known_names}.")


def snapshot_pin(archive: str, snapshot: str) -> Pin:
    """Return the pin of a snapshot."""
    return Pin(PinKind.SNAPSHOT, f"{archive}/{snapshot}", f"{archive}/{snapshot}")


def lock_pin(record: Record, name: str) -> Pin:
    """Return the pin of a lock, the same for every form of its JSON."""
    return Pin(PinKind.LOCK, hashlib.sha256(lock.encode(record)).hexdigest(), name)


def files_of(key: str) -> str:
    """Return the catalog space with the files of a pinned lock."""
    return f"pin/{key}"


def _pin(name: str, text: str) -> Pin:
    kind, _, key = name.partition("/")
    return Pin(PinKind(kind), key, text)
