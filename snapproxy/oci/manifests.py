"""Read descriptors, manifests and indexes (OCI image-spec 1.1) strictly, and write them canonically.

The written bytes depend on the value only, so equal artifacts have equal digests. A document that was read keeps its
bytes (`ManifestDocument`), because copying must not change its digest. Docker's older media types have the same shape
and are read too.
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
"""Media types of manifests and indexes: documents that can have a tag."""

LIMIT = 4 << 20
"""Maximum size of a manifest in bytes: distribution-spec requires registries to accept this size, and readers refuse
more.
"""

SIZE_LIMIT = 1 << 50
"""Maximum size of a blob in bytes. A descriptor with a greater size is an error or an attack."""

REFERENCE_NAME = "org.opencontainers.image.ref.name"
"""The annotation with the tag of a descriptor in a layout's index."""

_SCHEMA = 2
# RFC 6838, section 4.2, as image-spec requires for the media type of a descriptor.
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")
_DATA = re.compile(r"[A-Za-z0-9+/]*={0,2}")

Annotations = Mapping[str, str]
Platform = Mapping[str, str | tuple[str, ...]]


def digest_of(data: bytes) -> str:
    """Return the digest of `data`, as `sha256:HEX`."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """The type, digest and size in bytes of a blob or a document.

    The other fields are optional and not written when empty.
    """

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
        """The digest without `sha256:`."""
        return self.digest.removeprefix("sha256:")

    @property
    def tag(self) -> str:
        """The tag in a layout's index, '' if it has none."""
        return self.annotations.get(REFERENCE_NAME, "")

    def value(self) -> dict[str, Any]:
        """Return the JSON value."""
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
"""The empty configuration of an artifact that needs none.

It has no `data`, which would change the digest of the manifest.
"""

EMPTY_BYTES = b"{}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image or artifact: a configuration, and layers in their given order."""

    layers: tuple[Descriptor, ...]
    artifact_type: str = ""
    config: Descriptor = EMPTY_CONFIG
    subject: Descriptor | None = None
    annotations: Annotations = field(default_factory=dict)
    media_type: str = MANIFEST

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The blobs that a registry must have before it accepts this manifest."""
        return (self.config, *self.layers)

    def value(self) -> dict[str, Any]:
        """Return the JSON value."""
        return _common(self) | {"config": self.config.value(), "layers": [each.value() for each in self.layers]}

    def document(self) -> ManifestDocument:
        """Return the document. Raises ArchiveDataError if it is longer than LIMIT."""
        return _encode(self.media_type, self.value())


@dataclass(frozen=True, slots=True)
class ImageIndex:
    """Several manifests under one name, in their given order."""

    manifests: tuple[Descriptor, ...]
    artifact_type: str = ""
    subject: Descriptor | None = None
    annotations: Annotations = field(default_factory=dict)
    media_type: str = INDEX

    def value(self) -> dict[str, Any]:
        """Return the JSON value."""
        return _common(self) | {"manifests": [each.value() for each in self.manifests]}

    def document(self) -> ManifestDocument:
        """Return the document. Raises ArchiveDataError if it is longer than LIMIT."""
        return _encode(self.media_type, self.value())


@dataclass(frozen=True, slots=True)
class ManifestDocument:
    """The exact bytes of a manifest or an index."""

    media_type: str
    data: bytes

    @property
    def digest(self) -> str:
        """The digest of its bytes."""
        return digest_of(self.data)

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of this document, without annotations."""
        return Descriptor(self.media_type, self.digest, len(self.data))

    def read(self) -> Manifest | ImageIndex:
        """Parse the document; see `read_document`. Raises ArchiveDataError."""
        return read_document(self)

    @property
    def referrer(self) -> Descriptor:
        """The entry in a list of referrers (distribution-spec, "Listing Referrers"): with type and all annotations."""
        read = self.read()
        kind = read.artifact_type or (read.config.media_type if isinstance(read, Manifest) else "")
        return Descriptor(self.media_type, self.digest, len(self.data), kind, read.annotations)


def read_document(document: ManifestDocument) -> Manifest | ImageIndex:
    """Parse a manifest or an index.

    Raises ArchiveDataError if it is too long, unknown, contradicts itself or breaks the format.
    """
    if len(document.data) > LIMIT:
        raise _too_long(len(document.data))
    value = read_object(document.data, "The manifest")
    if value.get("schemaVersion") != _SCHEMA or isinstance(value["schemaVersion"], bool):
        raise _invalid("The manifest has an unsupported schema", f"schemaVersion is {value.get('schemaVersion')!r}")
    media_type = _media_type_of(value, document.media_type)
    subject = _descriptor(value["subject"]) if value.get("subject") is not None else None
    kind = _text(value, "artifactType")
    notes = _annotations(value)
    if media_type in MANIFESTS:
        layers = tuple(_descriptor(each) for each in _list(value, "layers"))
        return Manifest(layers, kind, _descriptor(value.get("config")), subject, notes, media_type)
    return ImageIndex(tuple(_descriptor(each) for each in _list(value, "manifests")), kind, subject, notes, media_type)


def _media_type_of(value: dict[str, Any], outside: str) -> str:
    """Return the media type.

    Its own `mediaType`, the type stated `outside` and its members must agree (CVE-2021-41190).
    """
    stated = _text(value, "mediaType") or outside
    if stated not in DOCUMENTS:
        raise _invalid("The manifest has an unsupported type", f"Its media type is {stated[:100]!r}")
    if outside and stated != outside:
        raise _invalid(
            "The manifest contradicts itself",
            f"Its mediaType is {stated}, but its Content-Type or descriptor states {outside[:100]!r}",
        )
    if ("manifests" in value) == ("layers" in value or "config" in value) or ("manifests" in value) != (
        stated in INDEXES
    ):
        raise _invalid(
            "The manifest contradicts itself", f"Its media type is {stated}, but its members are those of another type"
        )
    return stated


def _descriptor(value: Any) -> Descriptor:
    if not isinstance(value, dict):
        raise _invalid("The manifest cannot be read", "A descriptor is missing or is not a JSON object")
    media_type, digest, size = _text(value, "mediaType"), _text(value, "digest"), value.get("size")
    if not _MEDIA_TYPE.fullmatch(media_type):
        raise _invalid("The manifest cannot be read", f"{media_type[:100]!r} is not a media type")
    if not DIGEST.fullmatch(digest):
        known = (
            "sha256 with 64 lower-case hex digits is the only supported form"
            if ":" in digest
            else "it names no algorithm"
        )
        raise _invalid("The manifest names a blob by an unsupported digest", f"{digest[:100]!r}: {known}")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= SIZE_LIMIT:
        raise _invalid("The manifest cannot be read", f"The size of {digest} is invalid: {size!r}"[:200])
    data = _text(value, "data")
    if not _DATA.fullmatch(data):
        raise _invalid("The manifest cannot be read", f"The data in the descriptor of {digest} is not base64")
    urls = tuple(_listed_text(value, "urls"))
    return Descriptor(
        media_type, digest, size, _text(value, "artifactType"), _annotations(value), _platform(value), urls, data
    )


def _platform(value: dict[str, Any]) -> Platform:
    platform = _optional(value, "platform", {})
    if not isinstance(platform, dict):
        raise _invalid("The manifest cannot be read", "A platform is not a JSON object")
    return {
        name: tuple(_listed_text(platform, name)) if isinstance(each, list) else _text(platform, name)
        for name, each in platform.items()
    }


def _annotations(value: dict[str, Any]) -> Annotations:
    notes = _optional(value, "annotations", {})
    if not isinstance(notes, dict):
        raise _invalid("The manifest cannot be read", "Its annotations are not a JSON object")
    return {name: _text(notes, name) for name in notes}


def _optional(value: dict[str, Any], name: str, default: Any) -> Any:
    """Return a member. An explicit null means that it is absent, as in Go programs."""
    found = value.get(name)
    return default if found is None else found


def _text(value: dict[str, Any], name: str) -> str:
    text = _optional(value, name, "")
    if not isinstance(text, str):
        raise _invalid("The manifest cannot be read", f"{name[:100]!r} is not a string")
    return text


def _list(value: dict[str, Any], name: str) -> list[Any]:
    found = _optional(value, name, [])
    if not isinstance(found, list):
        raise _invalid("The manifest cannot be read", f"{name} is not an array")
    return found


def _listed_text(value: dict[str, Any], name: str) -> list[str]:
    found = _list(value, name)
    if not all(isinstance(each, str) for each in found):
        raise _invalid("The manifest cannot be read", f"{name[:100]!r} is not an array of strings")
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
        why=f"It has {size} bytes; registries and readers accept {LIMIT}.",
        hint="Split its layers over several manifests under an index.",
    )


def _invalid(reason: str, why: str) -> ArchiveDataError:
    return ArchiveDataError(reason, why=f"{why}.")
