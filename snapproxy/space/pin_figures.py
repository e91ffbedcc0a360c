"""Count the stored files of a pin."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from snapproxy.capture.captures import Captures
from snapproxy.space.pins import Pin, PinKind, files_of
from snapproxy.space.protected_files import FileFigures
from snapproxy_storage import CatalogScan, Store


async def figures_of(pin: Pin, store: Store, captures: Captures) -> FileFigures | None:
    """Return the stored files that a pin protects, None if its capture was removed."""
    if pin.kind is PinKind.CAPTURE:
        name = captures.ids().get(pin.key)
        if name is None:
            return None
        digests = [entry.sha256 for entry in await captures.entries(name)]
        return await asyncio.to_thread(_stored, store, digests)
    space = pin.key if pin.kind is PinKind.SNAPSHOT else files_of(pin.key)

    def stored() -> FileFigures:
        with store.catalog.scan() as scan:
            return _stored(store, _digests(scan, space))

    return await asyncio.to_thread(stored)


def _digests(scan: CatalogScan, space: str) -> Iterator[str]:
    return (digest for found, _, digest, _ in scan.names(space) if found == space)


def _stored(store: Store, digests: Iterable[str]) -> FileFigures:
    sizes = [store.blobs.size(digest) for digest in {*digests} - {""}]
    found = [size for size in sizes if size is not None]
    return FileFigures(len(found), sum(found))
