"""What an OCI artifact of a record consists of, and back: layers with titles, in manifests. Their JSON and their transport are `oci`'s.

    manifest 1:   snapproxy.lock.json   file   file   file ...
    manifest 2:   file   file ...                                    (only of very large records; an index then names both)

A layer is the raw file, so its address in a registry is the package's own digest. Every *name* has a layer: where several files have one
content, several layers point to one blob, so that plain readers (`oras pull`, apt-transport-oci) find each of them. The lock tells what
titles cannot: which time was asked for, what was absent, which proof there was. Reading back believes the lock and digests alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from snapproxy.capture.contents import RecordedFile, check_names, recorded_files
from snapproxy.capture.lock import FILE_NAME, MEDIA_TYPE, encode
from snapproxy.capture.lock_reader import decode
from snapproxy.core.model import Instant, Role
from snapproxy.core.record import Record
from snapproxy.core.time_spec import format_rfc3339
from snapproxy.errors import RecordError

ARTIFACT_TYPE = "application/vnd.snapproxy.capture.v1"

BLOBS_TYPE = "application/vnd.snapproxy.blobs.v1"
"""The type of what keeps packages in a registry, where they are asked for by digest, and says nothing of them."""

FILE_TYPE = "application/octet-stream"
"""The media type of a file, whatever is in it: the one that apt-transport-oci takes, and no runtime would unpack."""

TITLE = "org.opencontainers.image.title"
"""The annotation that bears a layer's title."""

CREATED = "org.opencontainers.image.created"

MOST_LAYERS = 5000
"""Layers a manifest may have before the next one begins."""

MOST_BYTES = 3 * 2**20
"""Bytes of JSON that the layers of a manifest may come to: readers take 4 MiB, docker-registry 2.8 has refused 5 MB."""

_BYTES_EACH = 230
"""Bytes of a layer's JSON without its title."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A blob of an artifact: `size` in bytes, `sha256` in hex, `title` '' where it has none."""

    title: str
    media_type: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ArtifactPlan:
    """What is to be written: the layers of each manifest (an index is needed for more than one), and what all of them are annotated with.

    `lock` is the bytes of the first layer of the first manifest; all other layers are files of the record, known by their digests.
    """

    manifests: tuple[tuple[Layer, ...], ...]
    lock: bytes
    annotations: Mapping[str, str] = field(default_factory=dict)


def describe(record: Record, *, bare: bool = False, created: Instant | None = None) -> ArtifactPlan:
    """Say what the artifact of a record consists of. A function of its arguments: no clock, no order of requests, no capture's name.

    `created`: from SOURCE_DATE_EPOCH, else nothing tells a time. `bare`: titles are paths in the one repository of the record, and
    apt-transport-oci can read it as that. Raises RecordError when there are several, and as `recorded_files` does.
    """
    lock = encode(record)
    files = recorded_files(record)
    titles = _bare_titles(files) if bare else [content.title for content in files]
    layers = [
        Layer(title, FILE_TYPE, content.size, content.sha256) for title, content in zip(titles, files, strict=True)
    ]
    check_names([FILE_NAME, *titles])
    first = Layer(FILE_NAME, MEDIA_TYPE, len(lock), sha256(lock).hexdigest())
    annotations = {} if created is None else {CREATED: format_rfc3339(created)}
    return ArtifactPlan(tuple(_manifests([first, *sorted(layers, key=_order)])), lock, annotations)


def describe_blobs(record: Record) -> tuple[tuple[Layer, ...], ...]:
    """Say which layers hold the packages of a record, each content once, by digest, without a title: for those who ask by digest.

    Raises RecordError when there is no package.
    """
    sizes = {
        entry.sha256: entry.size for entry in record.entries if entry.role is Role.PACKAGE and not entry.is_absence
    }
    if not sizes:
        raise RecordError("The record holds no package", why="Nothing of it would be asked for by its digest.")
    return tuple(_manifests(Layer("", FILE_TYPE, sizes[digest], digest) for digest in sorted(sizes)))


def lock_layer(layers: Iterable[Layer]) -> Layer:
    """Find the lock among the layers of all manifests of an artifact. Raises RecordError when there is none, or more than one."""
    found = {layer for layer in layers if layer.media_type == MEDIA_TYPE}
    if len(found) == 1:
        return found.pop()
    raise RecordError(
        "The artifact holds no single lock",
        why=f"{len(found)} of its layers are of the type {MEDIA_TYPE}, which one must be.",
        hint="Only artifacts that `snapproxy export` wrote can be read; make sure that it is the right reference.",
    )


def restore(layers: Iterable[Layer], lock: bytes) -> Record:
    """Return the record of an artifact, given the layers of all its manifests and the bytes of its lock.

    What the lock does not speak of is ignored, whatever its type or title; titles are no more than checked. The bytes of the files
    remain to be verified, each against its digest. Raises RecordError when the lock is not the one the layers name, cannot be read,
    or names a file that no layer holds; and when titles escape from a folder or repeat.
    """
    found = tuple(layers)
    named = lock_layer(found)
    if (named.size, named.sha256) != (len(lock), sha256(lock).hexdigest()):
        raise _broken(f"The layer of the lock is of sha256 {named.sha256}; its bytes are not.")
    check_names(layer.title for layer in found if layer.title)
    record = decode(lock)
    sizes = {layer.sha256: layer.size for layer in found}
    for entry in record.entries:
        if not entry.is_absence and sizes.get(entry.sha256) != entry.size:
            name = f"{entry.archive}/{entry.snapshot}/{entry.path}"
            raise _broken(f"No layer has sha256 {entry.sha256} and {entry.size} bytes, which {name!a} needs.")
    return record


def _bare_titles(files: tuple[RecordedFile, ...]) -> list[str]:
    archives = sorted({content.archive for content in files})
    if len(archives) > 1:
        raise RecordError(
            "Only the record of one archive can have bare titles",
            why=f"This one has files of {', '.join(archives)}.",
            hint="Leave --bare out, or record the archives in captures of their own.",
        )
    return [
        content.title.removeprefix(f"{content.archive}/") if content.path.startswith("/") else content.path
        for content in files
    ]


def _manifests(layers: Iterable[Layer]) -> Iterator[tuple[Layer, ...]]:
    """Deal layers out to manifests, in their order, as many to each as readers take."""
    dealt: list[Layer] = []
    size = 0
    for layer in layers:
        own = _BYTES_EACH + 2 * len(layer.title.encode())  # JSON escapes quotes, and nothing else that a path can hold
        if dealt and (len(dealt) == MOST_LAYERS or size + own > MOST_BYTES):
            yield tuple(dealt)
            dealt, size = [], 0
        dealt.append(layer)
        size += own
    yield tuple(dealt)


def _order(layer: Layer) -> tuple[str, str]:
    return layer.title, layer.sha256


def _broken(why: str) -> RecordError:
    hint = "It was damaged or altered on its way: copy it again from where it was exported to."
    return RecordError("The artifact does not hold what its lock names", why=why, hint=hint)
