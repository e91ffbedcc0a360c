"""A repository of a registry (OCI distribution-spec 1.1): read and write documents, read blobs. `upload` writes blobs.

Every returned byte was verified: a document against its digest, a blob while it streams, with the last piece held back
until then. An interrupted download is resumed where it stopped.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from snapproxy.core.clock import Clock
from snapproxy.errors import ArchiveDataError, UpstreamError
from snapproxy.oci.artifact import Opened, missing_blob, verified, wrong_blob
from snapproxy.oci.credentials import Keychain
from snapproxy.oci.manifests import DOCUMENTS, LIMIT, Descriptor, ManifestDocument
from snapproxy.oci.places import DIGEST, Reference
from snapproxy.oci.registry_http import ATTEMPTS, Body, RegistryConnections, RegistryReply, TransientError
from snapproxy.oci.session import NOT_FOUND, Session

ACCEPT = {"Accept": ", ".join(DOCUMENTS)}

_OK, _CREATED, _PARTIAL = 200, 201, 206
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/(?:[0-9]{1,19}|\*)")


class MissingError(UpstreamError):
    """The registry has no such manifest, or no such repository."""


@dataclass(frozen=True, slots=True)
class PutResult:
    """The answer to a stored document.

    `subject`: the digest under which the referrers API lists it, '' if there is no such API.
    """

    subject: str = ""


@dataclass(slots=True)
class UploadLimits:
    """What the registry refused of uploads so far: the smallest chunk and the smallest whole blob, in bytes."""

    chunk: int = 1 << 63
    whole: int = 1 << 63
    reported: bool = False


class Repository:
    """A repository for reading and writing; implements `artifact.ArtifactSource`. `open_repository` opens one."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.upload_limits = UploadLimits()
        self.reference = session.reference

    async def resolve(self, version: str) -> ManifestDocument:
        """Return the document with a tag or a digest ('': those of the reference).

        Raises MissingError, ArchiveDataError.
        """
        found = await self.find(version or self.reference.version)
        if found is None:
            name = f"{self.reference.registry}/{self.reference.repository}"
            raise MissingError(
                "The registry has no such manifest",
                why=f"{name} has no {version or self.reference.version}.",
                hint="Check the name, and whether a login is needed: registries answer 404 "
                "for a repository that a login may not read.",
            )
        return found

    async def find(self, version: str) -> ManifestDocument | None:
        """Return the document with a tag or a digest, None if it does not exist.

        Its bytes are verified against the digest.
        """
        url = await self.session.url(f"manifests/{version}")
        async with self.session.ask("GET", url, headers=ACCEPT) as reply:
            if reply.status == NOT_FOUND:
                return None
            if reply.status != _OK:
                raise await self.session.refusal(reply, "to send a manifest")
            media_type = reply.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            reported = reply.headers.get("Docker-Content-Digest", "")
            document = ManifestDocument(media_type if media_type in DOCUMENTS else "", await _read_document(reply))
        expected = version if DIGEST.fullmatch(version) else reported
        if DIGEST.fullmatch(expected) and expected != document.digest:
            raise ArchiveDataError(
                "The registry sent a manifest that does not match its digest",
                why=f"The expected digest is {expected}; the received manifest has {document.digest}.",
            )
        return document if document.media_type else ManifestDocument(document.read().media_type, document.data)

    async def document(self, descriptor: Descriptor) -> ManifestDocument:
        """Return a document by its descriptor. Raises MissingError, ArchiveDataError."""
        found = await self.resolve(descriptor.digest)
        if len(found.data) != descriptor.size:
            raise wrong_blob(descriptor, f"{len(found.data)} bytes were received instead of {descriptor.size}")
        return found

    async def put(self, document: ManifestDocument, version: str = "") -> PutResult:
        """Store a document under a tag or ('') its digest.

        The blobs and documents that it names must be in the repository.

        Raises the errors of `Session.ask`, RegistryRefusedError, and ArchiveDataError if the registry reports another
        digest.
        """
        url = await self.session.url(f"manifests/{version or document.digest}")
        headers = {"Content-Type": document.media_type}
        async with self.session.ask(
            "PUT", url, writes=True, headers=headers, body=_bytes(document.data), length=len(document.data)
        ) as reply:
            if reply.status != _CREATED:
                raise await self.session.refusal(reply, "to store a manifest")
            reported = reply.headers.get("Docker-Content-Digest", document.digest)
            if DIGEST.fullmatch(reported) and reported != document.digest:
                raise ArchiveDataError(
                    "The registry stored a manifest under another digest",
                    why=f"{document.digest} was sent; the registry reports {reported}.",
                )
            return PutResult(reply.headers.get("OCI-Subject", ""))

    async def has(self, descriptor: Descriptor, *, writes: bool = False) -> bool:
        """Return whether the repository has the blob.

        `writes`: use the authorization that a subsequent upload needs.
        """
        url = await self.session.url(f"blobs/{descriptor.digest}")
        async with self.session.ask("HEAD", url, writes=writes) as reply:
            if reply.status not in {_OK, NOT_FOUND}:
                raise await self.session.refusal(reply, "to report whether it has a blob")
            return reply.status == _OK

    async def blob(self, descriptor: Descriptor) -> AsyncIterator[bytes]:
        """Yield a blob, verified; see `artifact.ArtifactSource`. An interrupted download is resumed."""
        async with aclosing(verified(self._pieces(descriptor), descriptor)) as pieces:
            async for piece in pieces:
                yield piece

    async def open(self, descriptor: Descriptor) -> Opened:
        """Return a blob to read parts of it, unverified. Reading raises ArchiveDataError if it is missing."""
        return _Remote(lambda start: self._pieces(descriptor, start))

    async def _pieces(self, descriptor: Descriptor, start: int = 0) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of a blob, over several connections if necessary.

        Only attempts without any bytes count as failed.
        """
        done, attempt = start, 1
        while True:
            try:
                async with aclosing(self._from(descriptor, done)) as pieces:
                    async for piece in pieces:
                        done += len(piece)
                        attempt = 1
                        yield piece
            except TransientError as error:
                if attempt == ATTEMPTS:
                    raise
                self.session.connections.back_off(attempt, error.retry_after)
                attempt += 1
            else:
                return

    async def _from(self, descriptor: Descriptor, start: int) -> AsyncGenerator[bytes, None]:
        url = await self.session.url(f"blobs/{descriptor.digest}")
        async with self.session.ask(
            "GET", url, headers={"Range": f"bytes={start}-"} if start else {}, attempts=1
        ) as reply:
            if reply.status == NOT_FOUND:
                raise missing_blob(descriptor, f"{self.reference.registry}/{self.reference.repository}")
            if reply.status not in {_OK, _PARTIAL}:
                raise await self.session.refusal(reply, "to send a blob")
            skip = start - _first(reply)
            if skip < 0:
                raise wrong_blob(descriptor, "the registry sent another range than the requested one")
            async for piece in reply.pieces():
                rest = piece[skip:]
                skip -= len(piece) - len(rest)
                if rest:
                    yield rest


class _Remote:
    """A blob in a registry. `follow` yields its bytes from a position on."""

    def __init__(self, follow: Callable[[int], AsyncGenerator[bytes, None]]) -> None:
        self._follow = follow

    def fileno(self) -> int | None:
        return None

    async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        async with aclosing(self._follow(start)) as pieces:
            async for piece in pieces:
                yield piece[: stop - start]
                start += len(piece)
                if start >= stop:
                    return

    def close(self) -> None:
        """Do nothing: a connection is open only while `chunks` is read."""


@asynccontextmanager
async def open_repository(
    reference: Reference, *, keychain: Keychain, clock: Clock, plain_http: bool = False, tls_verify: bool = True
) -> AsyncIterator[Repository]:
    """Connect to a repository. See `RegistryConnections` for `plain_http` and `tls_verify`."""
    async with RegistryConnections(
        reference.api_host, clock=clock, plain_http=plain_http, tls_verify=tls_verify
    ) as connections:
        yield Repository(Session(reference, connections, keychain, clock))


async def _read_document(reply: RegistryReply) -> bytes:
    size = reply.headers.get("Content-Length", "0")
    if len(size) > len(str(LIMIT)) or int(size) > LIMIT:
        raise ArchiveDataError("The manifest is longer than 4 MiB", why=f"Its Content-Length is {size[:20]}.")
    return await reply.read(LIMIT)


def _first(reply: RegistryReply) -> int:
    """Return the position in the blob at which the answer begins."""
    if reply.status != _PARTIAL:
        return 0
    found = _CONTENT_RANGE.fullmatch(reply.headers.get("Content-Range", "").strip())
    return int(found[1]) if found else 1 << 63


def _bytes(data: bytes) -> Body:
    async def body() -> AsyncIterator[bytes]:
        yield data

    return body
