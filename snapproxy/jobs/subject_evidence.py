"""Recognise the subject that a user named (a root, an image, a Dockerfile, a list), and collect its evidence."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from snapproxy.core.address import AddressBook
from snapproxy.core.clock import Clock
from snapproxy.core.time_evidence import TimeEvidence
from snapproxy.errors import ClientError
from snapproxy.formats.package_lists.model import LARGEST
from snapproxy.formats.time_evidence.dockerfile import looks_like_dockerfile
from snapproxy.jobs.dockerfile_evidence import StageEvidence, stage_evidence
from snapproxy.jobs.export import RegistryAccess
from snapproxy.jobs.image_evidence import image_evidence
from snapproxy.jobs.list_evidence import list_evidence
from snapproxy.jobs.root_evidence import RootEvidence, collect
from snapproxy.jobs.root_files import RootFolder
from snapproxy.jobs.tar_evidence import TarKind, docker_archive_evidence, root_tar_evidence, tar_kind
from snapproxy.oci.artifact import open_regular
from snapproxy.oci.layout import MARK
from snapproxy.oci.places import LayoutPlace, TarPlace, read_place

_PREFIXES = ("docker:", "oci:", "oci-archive:", "dir:")


@dataclass(frozen=True, slots=True)
class SubjectEvidence:
    """The evidence of a subject: `root` of a root or an image, `stages` of a Dockerfile, `listed` of a list."""

    name: str
    kind: str
    root: RootEvidence | None = None
    stages: Sequence[StageEvidence] = ()
    listed: Sequence[TimeEvidence] = ()


async def subject_evidence(
    name: str, access: RegistryAccess, clock: Clock, book: AddressBook, machine: str
) -> SubjectEvidence:
    """Collect the evidence of a subject. `machine`: the architecture of the image to read, in Go's terms.

    Raises ClientError if it does not exist or is of no known kind, and the errors of its reader.
    """
    path, place = Path(name), None
    if name.startswith(_PREFIXES):
        place = read_place(name)
    elif await asyncio.to_thread((path / MARK).is_file):
        place = LayoutPlace(name)
    elif not await asyncio.to_thread(path.is_dir):
        kind = await asyncio.to_thread(_tar_kind, path)
        if kind is not TarKind.LAYOUT:
            return await asyncio.to_thread(_of_file, name, path, kind, book)
        place = TarPlace(await asyncio.to_thread(_target, path))
    if place is not None:
        return SubjectEvidence(name, "image", root=await image_evidence(place, access, clock, book, machine))
    return SubjectEvidence(name, "root", root=await asyncio.to_thread(_of_root, path, book))


def _of_root(path: Path, book: AddressBook) -> RootEvidence:
    with closing(RootFolder(path)) as files:
        return collect(files, book)


def _target(path: Path) -> str:
    """Return the file itself: the user names it, so it may be a link."""
    return str(path.resolve())


def _tar_kind(path: Path) -> TarKind | None:
    if not path.is_file():
        raise ClientError(
            "The subject does not exist",
            why=f"{path} is neither a folder nor a file.",
            hint="Name a root folder, an image, a Dockerfile or a list; an image in a registry begins with docker://.",
        )
    return tar_kind(Path(_target(path)))


def _of_file(name: str, path: Path, kind: TarKind | None, book: AddressBook) -> SubjectEvidence:
    target = Path(_target(path))
    if kind is TarKind.DOCKER:
        return SubjectEvidence(name, "image", root=docker_archive_evidence(target, book))
    if kind is TarKind.ROOT:
        return SubjectEvidence(name, "root", root=root_tar_evidence(target, book))
    with closing(open_regular(target)) as file:
        if file.size > LARGEST:
            raise ClientError("The file is too large", why=f"It has {file.size} bytes; the limit is {LARGEST}.")
        data = file.read_at(0, LARGEST)
    if looks_like_dockerfile(data):
        return SubjectEvidence(name, "Dockerfile", stages=stage_evidence(data, path.name, book))
    return SubjectEvidence(name, "list", listed=list_evidence(data, path.name))
