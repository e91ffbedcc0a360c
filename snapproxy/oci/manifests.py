"""Descriptors, manifests and indexes (OCI image-spec 1.1) as values: read strictly, written canonically. Pure.

What is written is a function of the value alone, so equal artifacts have equal digests. What is read keeps its own bytes
(`ManifestDocument`): a digest is of bytes, and copying must not change them. Docker's older types have the same shape and are read too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.canonical_json import canonical
from snapproxy.formats.strict_json import read_object
from snapproxy.oci.places import DIGEST

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"

MANIFESTS = (MANIFEST, DOCKER_MANIFEST)
INDEXES = (INDEX, DOCKER_INDEX)
DOCUMENTS = MANIFESTS + INDEXES
"""Media types of what is put under a tag."""

LIMIT = 4 << 20
"""Bytes of a manifest at most: what distribution-spec tells registries to accept; readers refuse more."""

SIZE_LIMIT = 1 << 50
"""Bytes of a blob at most; a greater size is a mistake or a trap."""

REFERENCE_NAME = "org.opencontainers.image.ref.name"
"""Annotation of a descriptor in a layout's index: its tag."""

_SCHEMA = 2
# RFC 6838, section 4.2, as image-spec asks of a descriptor's media type.
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")
_DATA = re.compile(r"[A-Za-z0-9+/]*={0,2}")

Annotations = Mapping[str, str]
Platform = Mapping[str, str | tuple[str, ...]]


def digest_of(data: bytes) -> str:
    """Return the digest of some bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a blob or a document is: its type, its digest, its size in bytes; the rest is optional and left out when empty."""

    media_type: str
    digest: str
    size: int
    artifact_type: str = ""
    annotations: Annotations = field(default_factory=dict)
    platform: Platform = field(default_factory=dict)
    urls: tuple[str, ...] = ()
    data: str = ""

    @property
    def hex(self) -> str:
        """The digest without its algorithm."""
        return self.digest.removeprefix("sha256:")

    @property
    def tag(self) -> str:
        """The tag it has in a layout's index, '' for none."""
        return self.annotations.get(REFERENCE_NAME, "")

    def value(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        optional = {
            "artifactType": self.artifact_type,
            "annotations": dict(self.annotations),
            "platform": dict(self.platform),
            "urls": list(self.urls),
            "data": self.data,
        }
        present = {name: each for name, each in optional.items() if each}
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size} | present


EMPTY_CONFIG = Descriptor(EMPTY, digest_of(b"{}"), 2)
"""The configuration of an artifact that has none. Without `data`, which would be another manifest digest."""

EMPTY_BYTES = b"{}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image or artifact: a configuration and layers, in the order that was present."""

    layers: tuple[Descriptor, ...]
    artifact_type: str = ""
    config: Descriptor = EMPTY_CONFIG
    subject: Descriptor | None = None
    annotations: Annotations = field(default_factory=dict)
    media_type: str = MANIFEST

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """What must be there before it."""
        return (self.config, *self.layers)

    def value(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return _common(self) | {"config": self.config.value(), "layers": [each.value() for each in self.layers]}

    def document(self) -> ManifestDocument:
        """Return its bytes. Raises ArchiveDataError when they are more than LIMIT."""
        return _encode(self.media_type, self.value())


@dataclass(frozen=True, slots=True)
class ImageIndex:
    """Several manifests under one name, in the order that was present."""

    manifests: tuple[Descriptor, ...]
    artifact_type: str = ""
    subject: Descriptor | None = None
    annotations: Annotations = field(default_factory=dict)
    media_type: str = INDEX

    def value(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return _common(self) | {"manifests": [each.value() for each in self.manifests]}

    def document(self) -> ManifestDocument:
        """Return its bytes. Raises ArchiveDataError when they are more than LIMIT."""
        return _encode(self.media_type, self.value())


@dataclass(frozen=True, slots=True)
class ManifestDocument:
    """The very bytes of a manifest or an index."""

    media_type: str
    data: bytes

    @property
    def digest(self) -> str:
        """What it is known by."""
        return digest_of(self.data)

    @property
    def descriptor(self) -> Descriptor:
        """What points to it, without annotations."""
        return Descriptor(self.media_type, self.digest, len(self.data))

    def read(self) -> Manifest | ImageIndex:
        """Read it. Raises ArchiveDataError."""
        return read_document(self)

    @property
    def referrer(self) -> Descriptor:
        """What a list of referrers says of it (distribution-spec, "Listing Referrers"): its type and all its annotations."""
        read = self.read()
        kind = read.artifact_type or (read.config.media_type if isinstance(read, Manifest) else "")
        return Descriptor(self.media_type, self.digest, len(self.data), kind, read.annotations)


def read_document(document: ManifestDocument) -> Manifest | ImageIndex:
    """Read a manifest or an index. Raises ArchiveDataError for what is too long, unknown, contradicts itself or breaks the format."""
    if len(document.data) > LIMIT:
        raise _too_long(len(document.data))
    value = read_object(document.data, "The manifest")
    if value.get("schemaVersion") != _SCHEMA or isinstance(value["schemaVersion"], bool):
        raise _invalid("The manifest is of a schema we do not know", f"schemaVersion is {value.get('schemaVersion')!r}")
    media_type = _media_type_of(value, document.media_type)
    subject = _descriptor(value["subject"]) if value.get("subject") is not None else None
    kind = _text(value, "artifactType")
    notes = _annotations(value)
    if media_type in MANIFESTS:
        layers = tuple(_descriptor(each) for each in _list(value, "layers"))
        return Manifest(layers, kind, _descriptor(value.get("config")), subject, notes, media_type)
    return ImageIndex(tuple(_descriptor(each) for each in _list(value, "manifests")), kind, subject, notes, media_type)


def _media_type_of(value: dict[str, Any], outside: str) -> str:
    """Return its type; what it says itself, what was stated of it, and what it holds must agree (CVE-2021-41190)."""
    stated = _text(value, "mediaType") or outside
    if stated not in DOCUMENTS:
        raise _invalid("The manifest is of a type we do not know", f"Its media type is {stated[:100]!r}")
    if outside and stated != outside:
        raise _invalid(
            "The manifest contradicts itself", f"It says it is {stated}, and was stated to be {outside[:100]!r}"
        )
    if ("manifests" in value) == ("layers" in value or "config" in value) or ("manifests" in value) != (
        stated in INDEXES
    ):
        raise _invalid("The manifest contradicts itself", f"It says it is {stated}, and holds something else")
    return stated


def _descriptor(value: Any) -> Descriptor:
    if not isinstance(value, dict):
        raise _invalid("The manifest cannot be read", "A descriptor is missing or is no object")
    media_type, digest, size = _text(value, "mediaType"), _text(value, "digest"), value.get("size")
    if not _MEDIA_TYPE.fullmatch(media_type):
        raise _invalid("The manifest cannot be read", f"{media_type[:100]!r} is no media type")
    if not DIGEST.fullmatch(digest):
        known = "sha256 is the only algorithm we trust" if ":" in digest else "it names no algorithm"
        raise _invalid("The manifest names a blob by a digest we do not trust", f"{digest[:100]!r}: {known}")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= SIZE_LIMIT:
        raise _invalid("The manifest cannot be read", f"{digest} is stated to have {size!r} bytes"[:200])
    data = _text(value, "data")
    if not _DATA.fullmatch(data):
        raise _invalid("The manifest cannot be read", f"The data within the descriptor of {digest} is no base64")
    urls = tuple(_listed_text(value, "urls"))
    return Descriptor(
        media_type, digest, size, _text(value, "artifactType"), _annotations(value), _platform(value), urls, data
    )


def _platform(value: dict[str, Any]) -> Platform:
    platform = _optional(value, "platform", {})
    if not isinstance(platform, dict):
        raise _invalid("The manifest cannot be read", "A platform is no object")
    return {
        name: tuple(_listed_text(platform, name)) if isinstance(each, list) else _text(platform, name)
        for name, each in platform.items()
    }


def _annotations(value: dict[str, Any]) -> Annotations:
    notes = _optional(value, "annotations", {})
    if not isinstance(notes, dict):
        raise _invalid("The manifest cannot be read", "Its annotations are no object")
    return {name: _text(notes, name) for name in notes}


def _optional(value: dict[str, Any], name: str, default: Any) -> Any:
    """Return a property; an explicit null is read as its absence, as Go programs do."""
    found = value.get(name)
    return default if found is None else found


def _text(value: dict[str, Any], name: str) -> str:
    text = _optional(value, name, "")
    if not isinstance(text, str):
        raise _invalid("The manifest cannot be read", f"{name[:100]!r} is no text")
    return text


def _list(value: dict[str, Any], name: str) -> list[Any]:
    found = _optional(value, name, [])
    if not isinstance(found, list):
        raise _invalid("The manifest cannot be read", f"{name} is no list")
    return found


def _listed_text(value: dict[str, Any], name: str) -> list[str]:
    found = _list(value, name)
    if not all(isinstance(each, str) for each in found):
        raise _invalid("The manifest cannot be read", f"{name[:100]!r} is no list of texts")
    return found


def _common(self: Manifest | ImageIndex) -> dict[str, Any]:
    value: dict[str, Any] = {"schemaVersion": _SCHEMA, "mediaType": self.media_type}
    if self.artifact_type:
        value["artifactType"] = self.artifact_type
    if self.subject:
        value["subject"] = self.subject.value()
    if self.annotations:
        value["annotations"] = dict(self.annotations)
    return value


def _encode(media_type: str, value: dict[str, Any]) -> ManifestDocument:
    document = ManifestDocument(media_type, canonical(value))
    if len(document.data) > LIMIT:
        raise _too_long(len(document.data))
    return document


def _too_long(size: int) -> ArchiveDataError:
    return ArchiveDataError(
        "The manifest is longer than 4 MiB",
        why=f"It has {size} bytes; registries and readers take {LIMIT}.",
        hint="Split what it lists over several manifests under an index.",
    )


def _invalid(reason: str, why: str) -> ArchiveDataError:
    return ArchiveDataError(reason, why=f"{why}.")
