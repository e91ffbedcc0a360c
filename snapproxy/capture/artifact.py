"""The content of a record's OCI artifact: titled layers, divided over manifests.

The package `oci` writes the JSON and transports it.

    manifest 1:   snapproxy.lock.json   file   file   file ...
    manifest 2:   file   file ...           (only for very large records; an index then lists both)

A layer is the raw file, so its address in a registry is the package's own digest. Every *name* has a layer: if several
files have the same content, several layers point to one blob, so that plain readers (`oras pull`, apt-transport-oci)
find each of them. The lock contains what titles cannot express: the requested times, the absences and the proofs.
Reading an artifact relies on the lock and the digests alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Protocol, TypeVar

from snapproxy.capture.contents import RecordedFile, check_names, recorded_file, recorded_files
from snapproxy.capture.lock import FILE_NAME, MEDIA_TYPE, encode
from snapproxy.capture.lock_reader import decode
from snapproxy.core.model import Instant, Role
from snapproxy.core.record import Record
from snapproxy.core.time_spec import format_rfc3339
from snapproxy.errors import RecordError

ARTIFACT_TYPE = "application/vnd.snapproxy.capture.v1"

BLOBS_TYPE = "application/vnd.snapproxy.blobs.v1"
"""The type of an artifact that only keeps packages in a registry, where clients request them by digest."""

FILE_TYPE = "application/octet-stream"
"""The media type of every file, whatever its content: apt-transport-oci accepts it, and no container runtime unpacks
it."""

TITLE = "org.opencontainers.image.title"
"""The annotation with a layer's title."""

CREATED = "org.opencontainers.image.created"

MOST_LAYERS = 5000
"""Maximum number of layers in a manifest; further layers go into the next one."""

MOST_BYTES = 3 * 2**20
"""Maximum size of the layers' JSON in a manifest, in bytes: readers accept 4 MiB, docker-registry 2.8 refused 5 MB."""

_BYTES_EACH = 230
"""Size of a layer's JSON without its title, in bytes."""


class ArtifactLayer(Protocol):
    """A layer as an OCI manifest describes it; `oci.manifests.Descriptor` is one.

    `digest` is `sha256:` and hex, `size` in bytes.
    """

    @property
    def media_type(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def annotations(self) -> Mapping[str, str]: ...


L = TypeVar("L", bound=ArtifactLayer)


@dataclass(frozen=True, slots=True)
class ArtifactPlan:
    """The content of an artifact: the files and the annotations of each manifest. Several manifests need an index.

    `lock` holds the bytes of the lock, which is the first layer of the first manifest, before the files. All other
    layers are files of the record, identified by their digests.
    """

    manifests: tuple[tuple[RecordedFile, ...], ...]
    lock: bytes
    annotations: Mapping[str, str] = field(default_factory=dict)


def describe(record: Record, *, bare: bool = False, created: Instant | None = None) -> ArtifactPlan:
    """Return the plan of a record's artifact.

    It depends on the arguments only, not on a clock, the order of requests or the name of the capture.

    `created` is the value of SOURCE_DATE_EPOCH; without it the artifact contains no time. With `bare`, titles are paths
    in the record's only repository, so that apt-transport-oci can read the artifact as that repository. Raises
    RecordError if the record has several archives, and in the cases of `recorded_files`.
    """
    lock = encode(record)
    files = recorded_files(record)
    if bare:
        files = _with_bare_titles(files)
    check_names([FILE_NAME, *(file.title for file in files)])
    annotations = {} if created is None else {CREATED: format_rfc3339(created)}
    manifests = _divide(sorted(files, key=_title), first_title=FILE_NAME)
    return ArtifactPlan(tuple(manifests), lock, annotations)


def describe_blobs(record: Record) -> tuple[tuple[RecordedFile, ...], ...]:
    """Return the packages of a record for each manifest: each content once, by digest, without a title.

    They serve clients that request blobs by digest. Raises RecordError for a record without packages.
    """
    files = {
        entry.sha256: replace(recorded_file(entry, record.families[entry.archive]), title="")
        for entry in record.entries
        if entry.role is Role.PACKAGE and not entry.is_absence
    }
    if not files:
        raise RecordError("The record contains no package", why="It has no file that a client requests by digest.")
    return tuple(_divide(files[digest] for digest in sorted(files)))


def lock_layer(layers: Iterable[L]) -> L:
    """Return the lock among the layers of all manifests of an artifact.

    Raises RecordError unless there is exactly one.
    """
    found = {(title_of(layer), layer.size, layer.digest): layer for layer in layers if layer.media_type == MEDIA_TYPE}
    if len(found) == 1:
        return next(iter(found.values()))
    raise RecordError(
        "The artifact does not contain exactly one lock",
        why=f"{len(found)} of its layers have the type {MEDIA_TYPE}; exactly one must.",
        hint="Only artifacts written by `snapproxy export` can be read; check the reference.",
    )


def restore(layers: Iterable[ArtifactLayer], lock: bytes) -> Record:
    """Return the record of an artifact from the layers of all its manifests and the bytes of its lock.

    Layers that the lock does not mention are ignored, whatever their type or title; titles are only checked. The bytes
    of the files remain to be verified, each against its digest. Raises RecordError if the lock is not the one that the
    layers name, cannot be read, or names a file that no layer contains; and if titles are repeated or lead outside a
    folder.
    """
    found = tuple(layers)
    named = lock_layer(found)
    if (named.size, named.digest) != (len(lock), f"sha256:{sha256(lock).hexdigest()}"):
        raise _broken(f"The manifest lists the lock with sha256 {_hex(named)}; its bytes have another one.")
    check_names(title for layer in found if (title := title_of(layer)))
    record = decode(lock)
    sizes = {_hex(layer): layer.size for layer in found}
    for entry in record.entries:
        if not entry.is_absence and sizes.get(entry.sha256) != entry.size:
            name = f"{entry.archive}/{entry.snapshot}/{entry.path}"
            raise _broken(f"No layer has sha256 {entry.sha256} and {entry.size} bytes, which {name!a} needs.")
    return record


def title_of(layer: ArtifactLayer) -> str:
    """Return the title of a layer, '' if it has none."""
    return layer.annotations.get(TITLE, "")


def _with_bare_titles(files: tuple[RecordedFile, ...]) -> tuple[RecordedFile, ...]:
    archives = sorted({file.archive for file in files})
    if len(archives) > 1:
        raise RecordError(
            "Only the record of one archive can have bare titles",
            why=f"This one has files of {', '.join(archives)}.",
            hint="Omit --bare, or record each archive in a separate capture.",
        )
    return tuple(
        replace(file, title=file.title.removeprefix(f"{file.archive}/") if file.path.startswith("/") else file.path)
        for file in files
    )


def _divide(files: Iterable[RecordedFile], *, first_title: str | None = None) -> Iterator[tuple[RecordedFile, ...]]:
    """Divide files over manifests, in order, up to the limits.

    `first_title`: the title of a layer that precedes the files.
    """
    shard: list[RecordedFile] = []
    count, size = (0, 0) if first_title is None else (1, _json_size(first_title))
    for file in files:
        own = _json_size(file.title)
        if count and (count == MOST_LAYERS or size + own > MOST_BYTES):
            yield tuple(shard)
            shard, count, size = [], 0, 0
        shard.append(file)
        count += 1
        size += own
    yield tuple(shard)


def _json_size(title: str) -> int:
    return _BYTES_EACH + 2 * len(title.encode())  # of the characters in a path, JSON escapes only quotes


def _title(file: RecordedFile) -> str:
    return file.title


def _hex(layer: ArtifactLayer) -> str:
    return layer.digest.removeprefix("sha256:")


def _broken(why: str) -> RecordError:
    hint = "It was damaged or altered in transit: copy it again from the registry or folder of the export."
    return RecordError("The artifact does not contain the files that its lock names", why=why, hint=hint)
