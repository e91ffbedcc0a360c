"""Collect the dated evidence of an image: its configuration, its history, and the files of its root in its layers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

from snapproxy.core.address import AddressBook
from snapproxy.core.clock import Clock
from snapproxy.core.time_evidence import EvidenceKind, TimeEvidence, not_after, not_before
from snapproxy.errors import ArchiveDataError, ClientError
from snapproxy.formats.time_evidence.addresses import FoundAddress, addresses
from snapproxy.formats.time_evidence.dates import quoted, read_seconds
from snapproxy.formats.time_evidence.dockerfile import tag_date_of
from snapproxy.formats.time_evidence.image_config import LARGEST, ImageDates, read_image_config
from snapproxy.jobs.export import RegistryAccess
from snapproxy.jobs.layer_files import MOST_KEPT, LayerChanges, LayerFiles, read_layer
from snapproxy.jobs.pinned_addresses import pinned
from snapproxy.jobs.root_evidence import WANTED, RootEvidence, collect
from snapproxy.oci.artifact import ArtifactSource
from snapproxy.oci.layout import open_layout
from snapproxy.oci.manifests import Descriptor, ImageIndex, Manifest, ManifestDocument
from snapproxy.oci.places import LayoutPlace, Place, Reference, TarPlace, TreePlace

MOST_LAYERS = 200
LARGEST_LAYER = 2 << 30
"""Maximum size of a layer in bytes, as it is stored. A larger one is skipped, with a note."""

# debuerreotype, which makes Debian's images, is called with the time of the snapshot: debian.sh ... '@1715558400'.
_DEBUERREOTYPE = re.compile(r"(?:debian|debuerreotype-init|ubuntu)\S*\s.*'@(?P<seconds>[0-9]{9,10})'")


async def image_evidence(
    place: Place, access: RegistryAccess, clock: Clock, book: AddressBook, machine: str
) -> RootEvidence:
    """Read the evidence of the image at a place; of an index, the image for `machine` (in Go's terms), else the first.

    Raises ClientError for a place that has no image, and the errors of the place's reader.
    """
    match place:
        case TreePlace():
            raise ClientError("A folder of files is not an image", hint="Name the folder without dir: to read a root.")
        case LayoutPlace() | TarPlace():
            async with open_layout(place) as layout:
                return await _read_image(layout, await layout.resolve(place.tag), book, machine)
        case Reference():
            async with access.open(place, clock) as repository:
                return await _read_image(repository, await repository.resolve(""), book, machine)


async def _read_image(source: ArtifactSource, root: ManifestDocument, book: AddressBook, machine: str) -> RootEvidence:
    read = root.read()
    notes: list[str] = []
    if isinstance(read, ImageIndex):
        chosen = _of_machine(read, machine)
        notes.append(f"Of {len(read.manifests)} images the one for {_platform(chosen)} was read.")
        read = (await source.document(chosen)).read()
    if not isinstance(read, Manifest):
        raise ArchiveDataError("The index lists another index", why="Only an index of images can be read.")
    if read.config.size > LARGEST:
        raise ArchiveDataError("The image's configuration is too large", why=f"It has {read.config.size} bytes.")
    config = b"".join([piece async for piece in source.blob(read.config)])
    layers: list[LayerChanges] = []
    if len(read.layers) > MOST_LAYERS:
        notes.append(f"The image has {len(read.layers)} layers; those after number {MOST_LAYERS} were not read.")
    for number, descriptor in enumerate(read.layers[:MOST_LAYERS], 1):
        if descriptor.size > LARGEST_LAYER:
            notes.append(f"Layer {number} has {descriptor.size} bytes and was not read; the limit is {LARGEST_LAYER}.")
            continue
        try:
            layers.append(await _read_blob(source, descriptor, MOST_KEPT - sum(each.cost for each in layers)))
        except ArchiveDataError as error:
            notes.append(f"Layer {number} was not read: {error.why}")
    found = await asyncio.to_thread(collect, LayerFiles(layers), book)
    found.evidence += config_evidence(read_image_config(config), book)
    found.notes += notes
    return found


async def _read_blob(source: ArtifactSource, descriptor: Descriptor, most: int) -> LayerChanges:
    """Read a layer in a thread, which takes the pieces from the event loop. It may take `most` bytes of memory."""
    loop = asyncio.get_running_loop()
    async with aclosing(_generator(source.blob(descriptor))) as pieces:

        async def following() -> bytes:
            return await anext(pieces, b"")

        def pulled() -> Iterator[bytes]:
            while piece := asyncio.run_coroutine_threadsafe(following(), loop).result():
                yield piece

        return await asyncio.to_thread(read_layer, pulled(), WANTED, most=most)


async def _generator(pieces: AsyncIterator[bytes]) -> Any:
    async for piece in pieces:
        if piece:
            yield piece


def config_evidence(dates: ImageDates, book: AddressBook) -> Iterator[TimeEvidence]:
    """Yield the evidence of a configuration. Its dates of creation may have been set by the build tool."""
    place = "image configuration"
    for name, each in (("created", dates.created), *dates.labels.items()):
        if each is not None:
            yield not_after(EvidenceKind.FILE, each.last, place, f"{name}: {each.text}")
    for base in dates.bases:
        if (dated := tag_date_of(base)) is not None:
            yield not_before(EvidenceKind.STATED, dated.first, place, f"base {dated.text}")
    for number, command in dates.commands.items():
        yield from _of_command(number, command, book)


def _of_command(number: int, command: str, book: AddressBook) -> Iterator[TimeEvidence]:
    for each in addresses(command.encode()):
        used = FoundAddress(each.url, number, each.text, is_comment=True)
        if (evidence := pinned(used, "image history", book)) is not None:
            yield evidence
    made = _DEBUERREOTYPE.search(command)
    instant = read_seconds(made["seconds"]) if made else None
    if instant is not None:
        yield TimeEvidence(
            kind=EvidenceKind.COMMENT,
            first=instant,
            last=instant,
            place="image history",
            says=quoted(command),
            line=number,
            at=instant,
        )


def _of_machine(index: ImageIndex, machine: str) -> Descriptor:
    images = [each for each in index.manifests if each.platform.get("os") != "unknown"]
    if not images:
        raise ClientError("The index lists no image", why="All its entries are attestations, or it is empty.")
    return next((each for each in images if each.platform.get("architecture") == machine), images[0])


def _platform(descriptor: Descriptor) -> str:
    return f"{descriptor.platform.get('os', '?')}/{descriptor.platform.get('architecture', '?')}"
