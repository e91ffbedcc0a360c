"""Takes captures out of the store: into image layouts, registries, and plain trees of files. Whole under the final name, or not there.

What an artifact consists of is decided in `capture.artifact`, a tree in `capture.tree`; the bytes are moved by `oci`.
"""

from __future__ import annotations

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
    """How registries are reached: `environ`, `authfile` and `login` as in `Keychain`, the others as in `Wire`."""

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
        """Return the same with the login looked up now: for who is somebody else later on. Raises as `Keychain.find`."""
        login = await self._keychain(clock).find(reference.registry, reference.repository)
        return replace(self, environ={}, authfile=None, login=login)

    def _keychain(self, clock: Clock) -> Keychain:
        return Keychain(self.environ, clock=clock, authfile=self.authfile, login=self.login)


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What of a capture is wanted, and how: `bare`, `created` and `held` as in `pack`; `blobs_only` as `pack_blobs` does it.

    `as_image`: an image of the packages as `image_of` makes it, for the machine `architecture` and a client with `settings`.
    """

    bare: bool = False
    created: Instant | None = None
    held: Record | None = None
    blobs_only: bool = False
    as_image: bool = False
    architecture: str = ""
    settings: ClientSettings | None = None
    access: RegistryAccess = field(default_factory=RegistryAccess)


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: `name` is what to ask for it by, `digest` of its manifest (of a tree: of its lock), `size` in bytes."""

    name: str
    digest: str
    files: int
    size: int


class Exporter:
    """Writes what one store holds."""

    def __init__(self, blobs: Blobs, clock: Clock) -> None:
        self._blobs = blobs
        self._clock = clock

    async def export(self, record: Record, place: Place, wish: ExportOptions, progress: Progress = SILENT) -> Exported:
        """Write what a record names to a place.

        Raises ClientError when something else is in the place, RecordError for what cannot be written
        as wished, StorageError for bytes that are gone and for a full disk, and what `push` raises.
        """
        if isinstance(place, TreePlace) and not (wish.as_image or wish.blobs_only):
            return await self._write_tree(lay_out(record, wish.held), place, progress)
        return await self._write(await self._artifact(record, wish), place, wish, progress)

    async def _artifact(self, record: Record, wish: ExportOptions) -> Artifact:
        if wish.as_image:
            return await image_of(
                record,
                self._blobs,
                architecture=wish.architecture,
                created=wish.created,
                settings=wish.settings,
            )
        if wish.blobs_only:
            return pack_blobs(record, self._blobs, held=wish.held)
        return pack(record, self._blobs, bare=wish.bare, created=wish.created, held=wish.held)

    async def _write(self, artifact: Artifact, place: Place, wish: ExportOptions, progress: Progress) -> Exported:
        digest = artifact.root.digest
        match place:
            case LayoutPlace():
                await write_layout(artifact, place, progress=progress)
            case TarPlace():
                await write_tar(artifact, place, mtime=wish.created or 0, progress=progress)
            case Reference():
                if place.digest:
                    raise ClientError(
                        "An export has the digest that its contents give it",
                        why=f"{place.name} names another one beforehand.",
                        hint="Name a tag, or none: docker://REGISTRY/REPOSITORY:TAG.",
                    )
                async with wish.access.open(place, self._clock) as repository:
                    await push(repository, artifact, place.version, progress=progress)
                return _exported(artifact, str(replace(place, tag="", digest=digest)).removeprefix("docker://"))
            case TreePlace():
                raise ClientError("An artifact is no tree of files", hint="Name oci:, oci-archive: or docker://.")
        return _exported(artifact, digest)

    async def attach(
        self, record: Record, subject: Reference, wish: ExportOptions, progress: Progress = SILENT
    ) -> Exported:
        """Push what a record names into the repository of an image, so that it is found from there.

        Raises as `export`, MissingError when there is no such image.
        """
        async with wish.access.open(subject, self._clock) as repository:
            image: Descriptor = (await repository.resolve("")).descriptor
            artifact = pack(record, self._blobs, bare=wish.bare, created=wish.created, held=wish.held, subject=image)
            root = await attach(repository, artifact, progress=progress)
        return _exported(artifact, replace(subject, tag="", digest=root.digest).name)

    async def _write_tree(self, tree: Tree, place: TreePlace, progress: Progress) -> Exported:
        path = Path(place.path)
        check_stored(self._blobs, {leaf.sha256: leaf.size for leaf in tree.leaves})
        with explained(path):
            if await in_thread(lambda: path.exists() and not (path.is_dir() and not any(path.iterdir()))):
                raise ClientError(
                    "Something is there already", why=f"{path} exists.", hint="Name a folder that does not exist yet."
                )
            async with hidden_folder(path) as folder:
                for leaf in tree.leaves:
                    target = folder / leaf.path
                    await in_thread(target.parent.mkdir, parents=True, exist_ok=True)
                    await put(stored(self._blobs, file_descriptor(leaf.sha256, leaf.size)), target)
                    progress.advance(leaf.path, leaf.size, leaf.size)
                    progress.finish(leaf.path)
                for name, data in tree.documents.items():
                    await put_bytes(data, folder / name)
        lock = digest_of(tree.documents[FILE_NAME])
        return Exported(lock, lock, len(tree.leaves), sum(leaf.size for leaf in tree.leaves))


def _exported(artifact: Artifact, name: str) -> Exported:
    return Exported(name, artifact.root.digest, len(artifact.contents), artifact.size)
