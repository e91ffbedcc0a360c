"""Read and write the names of places of artifacts, in the form of skopeo. No place is accessed.

`oci:DIR[:tag]`, `oci-archive:FILE[:tag]`, `docker://registry/repo[:tag|@digest]`, `dir:PATH`. `dir:` means a plain tree
of files, unlike in skopeo; this module only parses it.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from snapproxy.errors import ClientError

SPELLINGS = "Use oci:DIR[:TAG], oci-archive:FILE.tar[:TAG], docker://REGISTRY/REPOSITORY[:TAG|@sha256:HEX] or dir:PATH."

HUB = "docker.io"
"""Docker Hub, as users write it. Its API has another host name, and its credentials have another key."""

_HUB_ALIASES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_HUB_API = "registry-1.docker.io"

# distribution-spec, "Pulling manifests".
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_LONGEST_NAME = 255
# image-spec, "Pre-Defined Annotation Keys", org.opencontainers.image.ref.name.
_REF_NAME = re.compile(
    r"[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*(?:/[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*)*"
)
_LONGEST_REF = 255

_HIGHEST_PORT = 65535
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = re.compile(rf"(?P<host>{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{{1,5}}))?")

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
"""The only kind of digest that snapproxy writes and accepts."""


@dataclass(frozen=True, slots=True)
class LayoutPlace:
    """An image layout in a folder. `tag` '' reads the only manifest, and writes one without a tag."""

    path: str
    tag: str = ""

    def __str__(self) -> str:
        return f"oci:{self.path}" + (f":{self.tag}" if self.tag else "")


@dataclass(frozen=True, slots=True)
class TarPlace:
    """An image layout in an uncompressed tar."""

    path: str
    tag: str = ""

    def __str__(self) -> str:
        return f"oci-archive:{self.path}" + (f":{self.tag}" if self.tag else "")


@dataclass(frozen=True, slots=True)
class TreePlace:
    """A plain tree of files."""

    path: str

    def __str__(self) -> str:
        return f"dir:{self.path}"


@dataclass(frozen=True, slots=True)
class Reference:
    """A repository of a registry, with at most one of a tag and a digest."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        return f"docker://{self.name}"

    @property
    def name(self) -> str:
        """The name for messages: `registry/repository:tag` or `registry/repository@digest`."""
        joint = f"@{self.digest}" if self.digest else f":{self.version}"
        return f"{self.registry}/{self.repository}{joint}"

    @property
    def version(self) -> str:
        """The digest or tag to request from the registry. A name without either means `latest`, as in docker."""
        return self.digest or self.tag or "latest"

    @property
    def api_host(self) -> str:
        """The `host[:port]` of the registry's API."""
        return _HUB_API if self.registry == HUB else self.registry


Place = LayoutPlace | TarPlace | Reference | TreePlace


def read_place(text: str) -> Place:
    """Parse the name of a place. Raises ClientError, whose hint lists the accepted forms."""
    kind, colon, rest = text.partition(":")
    if "\0" in text or "\n" in text:
        raise _invalid("It contains control characters")
    if colon and kind == "docker":
        if not rest.startswith("//"):
            raise _invalid("The prefix docker: must be followed by // and the registry")
        return read_reference(rest.removeprefix("//"))
    if colon and kind in {"oci", "oci-archive"}:
        path, tagged, tag = rest.partition(":")
        if not path:
            raise _invalid(f"The prefix {kind}: must be followed by a path")
        if tagged and (len(tag) > _LONGEST_REF or not _REF_NAME.fullmatch(tag)):
            raise _invalid("The tag after the path's colon is invalid (a path must not contain a colon)")
        return LayoutPlace(path, tag) if kind == "oci" else TarPlace(path, tag)
    if colon and kind == "dir":
        if not rest:
            raise _invalid("The prefix dir: must be followed by a path")
        return TreePlace(rest)
    raise _invalid("It does not begin with one of the known prefixes")


def read_reference(text: str) -> Reference:
    """Parse `registry/repository[:tag|@digest]`. Raises ClientError.

    As in docker, the part before the first slash is a registry if it contains a dot or a colon, or is `localhost`.
    Otherwise the whole text is a name on Docker Hub, where a name of one part is below `library/`.
    """
    name, at, digest = text.partition("@")
    if at and not DIGEST.fullmatch(digest):
        raise _invalid("The character @ must be followed by a digest: sha256: and 64 lower-case hex digits")
    first, slash, rest = name.partition("/")
    has_registry = bool(slash) and ("." in first or ":" in first or first == "localhost")
    registry, path = (first, rest) if has_registry else (HUB, name)
    repository, colon, tag = path.partition(":")
    if registry.lower() in _HUB_ALIASES:
        registry = HUB
        repository = repository if "/" in repository else f"library/{repository}"
    if not is_registry(registry):
        raise _invalid("The registry is not a host name with an optional port")
    if not is_repository(repository) or len(registry) + 1 + len(repository) > _LONGEST_NAME:
        raise _invalid("A repository consists of lower-case letters and digits, joined by '.', '_', '-' and '/'")
    if colon and not _TAG.fullmatch(tag):
        raise _invalid("A tag consists of at most 128 letters, digits, '.', '_' and '-'")
    if colon and at:
        raise _invalid("It has both a tag and a digest: omit the tag")
    return Reference(registry, repository, tag, digest)


def is_registry(text: str) -> bool:
    """Return whether `text` is `host` or `host:port`."""
    found = _HOST.fullmatch(text)
    if found is None or (found["port"] and not 0 < int(found["port"]) <= _HIGHEST_PORT):
        return False
    try:
        return not found["host"].startswith("[") or bool(ipaddress.IPv6Address(found["host"][1:-1]))
    except ValueError:
        return False


def is_repository(text: str) -> bool:
    """Return whether `text` is a valid name of a repository."""
    return _REPOSITORY.fullmatch(text) is not None


def is_loopback(registry: str) -> bool:
    """Return whether a registry is on this machine, where plain HTTP cannot be intercepted."""
    found = _HOST.fullmatch(registry)
    host = found["host"].lower() if found else ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _invalid(why: str) -> ClientError:
    return ClientError("The name of the artifact's place is invalid", why=f"{why}.", hint=SPELLINGS)
