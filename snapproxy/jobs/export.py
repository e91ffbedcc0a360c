"""Export captures to image layouts, registries and folders.

An export is complete under its final name, or does not exist.

`capture.artifact` and `capture.tree` define the content; `oci` transfers it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

from snapproxy.base.atomic_files import hidden_folder, in_thread
from snapproxy.capture.lock import FILE_NAME
from snapproxy.capture.tree import Tree, lay_out
from snapproxy.core.client_cache import ClientSettings
from snapproxy.core.clock import Clock
from snapproxy.core.model import Instant
from snapproxy.core.progress import SILENT, Progress
from snapproxy.core.record import Record
from snapproxy.errors import ClientError
from snapproxy.jobs.image import image_of
from snapproxy.jobs.pack import check_stored, file_descriptor, pack, pack_blobs, stored
from snapproxy.jobs.tree_dates import root_dates
from snapproxy.oci.artifact import Artifact
from snapproxy.oci.credentials import Keychain, Login
from snapproxy.oci.files import explained, put, put_bytes
from snapproxy.oci.layout_write import write_layout, write_tar
from snapproxy.oci.manifests import Descriptor, digest_of
from snapproxy.oci.places import LayoutPlace, Place, Reference, TarPlace, TreePlace
from snapproxy.oci.referrers import attach
from snapproxy.oci.registry import Repository, open_repository
from snapproxy.oci.transfer import push
from snapproxy_storage import Blobs


@dataclass(frozen=True, slots=True)
class RegistryAccess:
    """How to connect to registries.

    `environ`, `authfile` and `login` are those of `Keychain`, the others those of `RegistryConnections`.
    """

    environ: Mapping[str, str] = field(default_factory=dict)
    authfile: Path | None = None
    login: Login | None = None
    plain_http: bool = False
    tls_verify: bool = True

    def open(self, reference: Reference, clock: Clock) -> AbstractAsyncContextManager[Repository]:
        """Connect to a repository."""
        return open_repository(
            reference,
            keychain=self._keychain(clock),
            clock=clock,
            plain_http=self.plain_http,
            tls_verify=self.tls_verify,
        )

    async def settled(self, reference: Reference, clock: Clock) -> RegistryAccess:
        """Return the same settings with the login already looked up, for a later change of user.

        Raises the same errors as `Keychain.find`.
        """
        login = await self._keychain(clock).find(reference.registry, reference.repository)
        return replace(self, environ={}, authfile=None, login=login)

    def _keychain(self, clock: Clock) -> Keychain:
        return Keychain(self.environ, clock=clock, authfile=self.authfile, login=self.login)


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """The form of an export. `bare`, `created` and `known` are those of `pack`; `blobs_only` selects `pack_blobs`.

    `as_image` selects the image of `image_of`, for the machine `architecture` and a client with `settings`.
    """

    bare: bool = False
    created: Instant | None = None
    known: Record | None = None
    blobs_only: bool = False
    as_image: bool = False
    architecture: str = ""
    settings: ClientSettings | None = None
    access: RegistryAccess = field(default_factory=RegistryAccess)


@dataclass(frozen=True, slots=True)
class Exported:
    """A finished export: `name` is its reference, `digest` that of its manifest (or lock), `size` in bytes."""

    name: str
    digest: str
    files: int
    size: int


class Exporter:
    """Exports captures of one store."""

    def __init__(self, blobs: Blobs, clock: Clock) -> None:
        self._blobs = blobs
        self._clock = clock

    async def export(
        self, record: Record, place: Place, options: ExportOptions, progress: Progress = SILENT
    ) -> Exported:
        """Write the files of a record to a place.

        Raises ClientError if the place is in use, RecordError if the record cannot be written in the requested form,
        StorageError for missing bytes and for a full disk, and the errors of `push`.
        """
        if isinstance(place, TreePlace) and not (options.as_image or options.blobs_only):
            return await self._write_tree(record, lay_out(record, options.known), place, progress)
        return await self._write(await self._artifact(record, options), place, options, progress)

    async def _artifact(self, record: Record, options: ExportOptions) -> Artifact:
        if options.as_image:
            return await image_of(
                record,
                self._blobs,
                architecture=options.architecture,
                created=options.created,
                settings=options.settings,
            )
        if options.blobs_only:
            return pack_blobs(record, self._blobs, known=options.known)
        return pack(record, self._blobs, bare=options.bare, created=options.created, known=options.known)

    async def _write(self, artifact: Artifact, place: Place, options: ExportOptions, progress: Progress) -> Exported:
        digest = artifact.root.digest
        match place:
            case LayoutPlace():
                await write_layout(artifact, place, progress=progress)
            case TarPlace():
                await write_tar(artifact, place, mtime=options.created or 0, progress=progress)
            case Reference():
                if place.digest:
                    raise ClientError(
                        "An export cannot have a digest in its destination",
                        why=f"{place.name} names one, but the digest is computed from the contents.",
                        hint="Name a tag, or none: docker://REGISTRY/REPOSITORY:TAG.",
                    )
                async with options.access.open(place, self._clock) as repository:
                    await push(repository, artifact, place.version, progress=progress)
                return _exported(artifact, str(replace(place, tag="", digest=digest)).removeprefix("docker://"))
            case TreePlace():
                raise ClientError(
                    "An artifact cannot be written as a folder", hint="Use oci:, oci-archive: or docker://."
                )
        return _exported(artifact, digest)

    async def attach(
        self, record: Record, subject: Reference, options: ExportOptions, progress: Progress = SILENT
    ) -> Exported:
        """Push the files of a record into the repository of an image, as a referrer of the image.

        Raises the errors of `export`, and MissingError if the image does not exist.
        """
        async with options.access.open(subject, self._clock) as repository:
            image: Descriptor = (await repository.resolve("")).descriptor
            artifact = pack(
                record, self._blobs, bare=options.bare, created=options.created, known=options.known, subject=image
            )
            root = await attach(repository, artifact, progress=progress)
        return _exported(artifact, replace(subject, tag="", digest=root.digest).name)

    async def _write_tree(self, record: Record, tree: Tree, place: TreePlace, progress: Progress) -> Exported:
        path = Path(place.path)
        check_stored(self._blobs, {leaf.sha256: leaf.size for leaf in tree.leaves})
        dates = await root_dates(record, self._blobs)
        with explained(path):
            if await in_thread(lambda: path.exists() and not (path.is_dir() and not any(path.iterdir()))):
                raise ClientError(
                    "The destination exists already",
                    why=f"{path} exists.",
                    hint="Name a folder that does not exist yet.",
                )
            async with hidden_folder(path) as folder:
                for leaf in tree.leaves:
                    target = folder / leaf.path
                    await in_thread(target.parent.mkdir, parents=True, exist_ok=True)
                    await put(stored(self._blobs, file_descriptor(leaf.sha256, leaf.size)), target)
                    if date := dates.get(leaf.path):
                        await in_thread(os.utime, target, (date, date))
                    progress.advance(leaf.path, leaf.size, leaf.size)
                    progress.finish(leaf.path)
                for name, data in tree.documents.items():
                    await put_bytes(data, folder / name)
        lock = digest_of(tree.documents[FILE_NAME])
        return Exported(lock, lock, len(tree.leaves), sum(leaf.size for leaf in tree.leaves))


def _exported(artifact: Artifact, name: str) -> Exported:
    return Exported(name, artifact.root.digest, len(artifact.contents), artifact.size)
