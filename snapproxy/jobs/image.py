"""Make a container image of a record's packages.

Its only layer is a tar of the package manager's cache folder, as in repro-pkg-cache.

The tar is generated whenever it is read: headers are computed from names and sizes, contents are blobs of the store.
Computing its digest reads the blobs once, writing it reads them again.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import aclosing

from snapproxy.capture.contents import PlacedFile, sizes_by_digest
from snapproxy.core.client_cache import ClientSettings
from snapproxy.core.model import Instant
from snapproxy.core.record import Record
from snapproxy.core.time_spec import format_rfc3339
from snapproxy.errors import ClientError
from snapproxy.families import FAMILIES
from snapproxy.formats.canonical_json import canonical
from snapproxy.jobs.client_cache_layout import cache_files, check_settings, packages_of
from snapproxy.jobs.pack import check_stored, file_descriptor, stored
from snapproxy.oci.artifact import Artifact, BlobContent, Opened, bytes_content, hash_piece
from snapproxy.oci.manifests import Descriptor, Manifest, digest_of
from snapproxy.oci.tarball import header, padding, trailer
from snapproxy_storage import Blobs

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"

# Maps package managers' names to those of images (GOARCH, as required by image-spec), if they differ. 32-bit ARM also
# has variants.
_ARCHITECTURES: Mapping[str, str] = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "x86": "386",
    "i386": "386",
    "i686": "386",
    "armhf": "arm",
    "armv7": "arm",
    "armv7h": "arm",
    "armel": "arm",
    "ppc64el": "ppc64le",
    "mips64el": "mips64le",
}
_ANY_ARCHITECTURE = frozenset({"all", "any", "noarch", "source", "src"})


async def image_of(
    record: Record,
    blobs: Blobs,
    *,
    architecture: str = "",
    created: Instant | None = None,
    settings: ClientSettings | None = None,
) -> Artifact:
    """Return the image of the packages of a record.

    `architecture` is a name of image-spec; '' uses that of the packages.

    `settings` are those of a client whose cache has names from them. Raises RecordError without packages; ClientError
    for packages of several architectures; StorageError if the store lacks files; ArchiveDataError if an index cannot be
    read; and the errors of `cache_files`.
    """
    check_settings(record, settings)
    architecture = architecture or _architecture(record)
    check_stored(blobs, sizes_by_digest(record))
    members = await cache_files(record, blobs, settings)
    tar = _Tar(members, blobs, created or 0)
    digest = await tar.digest()
    layer = BlobContent(Descriptor(LAYER_TYPE, digest, tar.size), tar.open)
    config = canonical(
        {"architecture": architecture, "config": {}, "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest]}}
        | ({} if created is None else {"created": format_rfc3339(created)})
    )
    described = Descriptor(CONFIG_TYPE, digest_of(config), len(config))
    return Artifact.of(Manifest((layer.descriptor,), config=described), (layer, bytes_content(described, config)))


def _architecture(record: Record) -> str:
    """Return the only architecture of the packages."""
    named = {FAMILIES[record.families[entry.archive]].package_name(entry.path) for entry in packages_of(record)}
    found = sorted({_ARCHITECTURES.get(each.arch, each.arch) for each in named if each is not None} - _ANY_ARCHITECTURE)
    if len(found) != 1:
        raise ClientError(
            "The architecture of the image is ambiguous",
            why=f"Its packages are for: {', '.join(found) or 'all'}.",
            hint="Name it as container images do, for example: --arch amd64",
        )
    return found[0]


class _Tar:
    """A tar of stored files, readable from any position."""

    def __init__(self, members: Iterable[PlacedFile], blobs: Blobs, mtime: int) -> None:
        self._pieces: list[tuple[int, bytes | PlacedFile]] = []
        self._blobs = blobs
        self.size = 0
        self._mtime = mtime
        folders: set[str] = set()
        for member in members:
            parts = member.path.split("/")[:-1]
            for depth in range(1, len(parts) + 1):
                folder = "/".join(parts[:depth]) + "/"
                if folder not in folders:
                    folders.add(folder)
                    self._add(header(folder, 0, mtime, is_folder=True))
            self._add(header(member.path, member.size, mtime))
            self._add(member.data or member)
            self._add(padding(member.size))
        self._add(trailer(self.size))

    async def open(self) -> Opened:
        """Return the tar itself, which has no open resources."""
        return self

    async def digest(self) -> str:
        """Return the digest of the tar."""
        running = hashlib.sha256()
        async for piece in self.chunks(0, self.size):
            await hash_piece(running.update, piece)
        return f"sha256:{running.hexdigest()}"

    def fileno(self) -> int | None:
        return None

    async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        for offset, piece in self._pieces:
            size = len(piece) if isinstance(piece, bytes) else piece.size
            first, last = max(start - offset, 0), min(stop - offset, size)
            if first >= last:
                continue
            if isinstance(piece, bytes):
                yield piece[first:last]
                continue
            opened = await stored(self._blobs, file_descriptor(piece.sha256, size)).open()
            try:
                async with aclosing(opened.chunks(first, last)) as parts:  # type: ignore[type-var]
                    async for part in parts:
                        yield part
            finally:
                opened.close()

    def close(self) -> None:
        """Do nothing: no file is open."""

    def _add(self, piece: bytes | PlacedFile) -> None:
        size = len(piece) if isinstance(piece, bytes) else piece.size
        self._pieces.append((self.size, piece))
        self.size += size
