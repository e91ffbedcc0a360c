"""Puts a blob into a repository: not at all when it is there, by a mount when another repository has it, else by bytes.

Small blobs go in one request, long ones in chunks, so that a broken connection costs a chunk and not the blob. Rules:
distribution-spec, "Pushing blobs". The bytes come from the blob's opener, anew for each attempt. The registry compares digests.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from yarl import URL

from snapproxy.core.progress import Progress
from snapproxy.errors import UpstreamError
from snapproxy.oci.artifact import BlobContent, wrong_blob
from snapproxy.oci.places import is_repository
from snapproxy.oci.registry import Repository
from snapproxy.oci.registry_http import ATTEMPTS, Body, RegistryReply, TransientError
from snapproxy.oci.session import NOT_FOUND, RegistryRefusedError

CHUNK = 32 << 20
"""Bytes sent again at most when a connection breaks; longer blobs go in chunks of this size."""

_CHUNK_MOST = 1 << 30
_OK, _CREATED, _ACCEPTED, _NO_CONTENT, _BAD_REQUEST, _BAD_RANGE = 200, 201, 202, 204, 400, 416
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,19})")

#: What registries answer that take a blob in one piece only, or in smaller ones than ours.
_NO_CHUNKS = frozenset({400, 405, 411, 413, 415, 501})


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an upload goes on: the address for the next request, the bytes that are there, and the least chunk it takes."""

    url: URL
    done: int = 0
    least: int = 0


class _ForgottenError(TransientError):
    """The registry no longer knows the upload: begin again."""


async def upload(
    repository: Repository,
    content: BlobContent,
    *,
    mount_from: Sequence[str] = (),
    progress: Progress,
    chunk: int = CHUNK,
    asks: bool = True,
) -> bool:
    """See to it that the blob is in the repository; return whether it was found there (`asks` off: it is not looked for).

    `mount_from` names repositories of the same registry that may have it.
    Raises what `Session.ask` raises, ArchiveDataError when the source gives other bytes than it should.
    """
    descriptor = content.descriptor
    is_there = asks and await repository.has(descriptor, writes=True)
    if not is_there:
        sender = _Sender(repository, content, progress, chunk)
        place = None
        for source in filter(is_repository, mount_from):
            place = await sender.mount(source)
            if place is None:
                break
        else:
            await sender.send(place)
    progress.advance(descriptor.digest, descriptor.size, descriptor.size)
    progress.finish(descriptor.digest)
    return is_there


class _Sender:
    """Sends one blob."""

    def __init__(self, repository: Repository, content: BlobContent, progress: Progress, chunk: int) -> None:
        self._session = repository.session
        self._content = content
        self._descriptor = content.descriptor
        self._progress = progress
        self._chunk = chunk
        self._in_chunks = content.descriptor.size > chunk

    async def mount(self, source: str) -> _Place | None:
        """Let the registry take the blob from another repository; None when it did, else the upload that it began instead."""
        query = {"mount": self._descriptor.digest, "from": source}
        async with self._session.ask(
            "POST", await self._session.url("blobs/uploads/", query), writes=True, also=source
        ) as reply:
            if reply.status == _CREATED:
                return None
            return await self._begun(reply)

    async def send(self, place: _Place | None) -> None:
        """Send the blob, from the beginning as often as the registry loses what it had."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                place = place or await self._begin()
                await (self._chunks(place) if self._in_chunks else self._whole(place))
            except TransientError as error:
                if attempt == ATTEMPTS:
                    raise
                place = None
                self._session.wire.rest(attempt, error.retry_after)
            else:
                return

    async def _begin(self) -> _Place:
        async with self._session.ask("POST", await self._session.url("blobs/uploads/"), writes=True) as reply:
            return await self._begun(reply)

    async def _begun(self, reply: RegistryReply) -> _Place:
        if reply.status != _ACCEPTED:
            raise await self._session.refusal(reply, "to begin an upload")
        least = reply.headers.get("OCI-Chunk-Min-Length", "0")
        return _Place(self._next(reply, None), 0, int(least) if re.fullmatch(r"[0-9]{1,10}", least) else 0)

    async def _whole(self, place: _Place) -> None:
        await self._close(place, self._body(0, self._descriptor.size), self._descriptor.size)

    async def _close(self, place: _Place, body: Body | None = None, length: int = 0) -> None:
        """End the upload, with the blob's bytes or behind its last chunk."""
        joint = "&" if place.url.raw_query_string else "?"
        digest = self._descriptor.digest.replace(":", "%3A")
        url = URL(f"{place.url}{joint}digest={digest}", encoded=True)
        headers = {"Content-Type": "application/octet-stream"}
        async with self._session.ask(
            "PUT", url, writes=True, headers=headers, body=body, length=length, attempts=1
        ) as reply:
            if reply.status == NOT_FOUND:
                raise _forgotten()
            if reply.status == _CREATED:
                return
            error = await self._session.refusal(reply, "a blob")
            if reply.status == _BAD_REQUEST and "DIGEST_INVALID" in error.why:
                raise wrong_blob(self._descriptor, "the registry counted another digest of what was sent")
            raise error

    async def _chunks(self, place: _Place) -> None:
        failures, furthest = 0, place.done
        while place.done < self._descriptor.size:
            before = place.done
            try:
                place = await self._one(place)
                if place.done <= before:
                    raise _stuck(before)
            except _ForgottenError:
                raise
            except TransientError as error:
                failures += 1
                if failures == ATTEMPTS:
                    raise
                self._session.wire.rest(failures, error.retry_after)
                place = await self._asked(place)
            except RegistryRefusedError as error:
                if error.answered not in _NO_CHUNKS or before:
                    raise
                self._in_chunks = False
                await self._whole(await self._begin())
                return
            if place.done > furthest:
                failures, furthest = 0, place.done
        await self._close(place)

    async def _one(self, place: _Place) -> _Place:
        """Send a chunk, and return where the next one goes."""
        size = min(max(self._chunk, place.least), _CHUNK_MOST, self._descriptor.size - place.done)
        stop = place.done + size
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"{place.done}-{stop - 1}",
        }
        async with self._session.ask(
            "PATCH",
            place.url,
            writes=True,
            headers=headers,
            body=self._body(place.done, stop),
            length=size,
            attempts=1,
        ) as reply:
            if reply.status == _ACCEPTED:
                return _Place(self._next(reply, place), _end(reply, stop), place.least)
            if reply.status == NOT_FOUND:
                raise _forgotten()
            if reply.status != _BAD_RANGE:
                raise await self._session.refusal(reply, "a part of a blob")
        found = await self._asked(place)
        if found.done == place.done:
            raise _forgotten()  # it refuses the very part that it says comes next
        return found

    async def _asked(self, place: _Place) -> _Place:
        """Ask the registry how far the upload is."""
        async with self._session.ask("GET", place.url, writes=True) as reply:
            if reply.status not in {_OK, _NO_CONTENT}:
                raise _forgotten()
            return _Place(self._next(reply, place), _end(reply, 0), place.least)

    def _next(self, reply: RegistryReply, place: _Place | None) -> URL:
        """Return where the upload goes on; the address is a new one each time, and may be relative."""
        location = reply.headers.get("Location", "")
        if location:
            return self._session.wire.joined(reply.url, location)
        if place is None:
            raise UpstreamError("The registry did not say where to upload to", why="Its answer has no Location.")
        return place.url

    def _body(self, start: int, stop: int) -> Body:
        async def body() -> AsyncIterator[bytes]:
            opened = await self._content.open()
            done = start
            try:
                async with aclosing(opened.chunks(start, stop)) as pieces:  # type: ignore[type-var]
                    async for piece in pieces:
                        yield piece
                        done += len(piece)
                        self._progress.advance(self._descriptor.digest, done, self._descriptor.size)
            finally:
                opened.close()
            if done < stop:
                raise wrong_blob(self._descriptor, f"its source ends after {done} bytes")

        return body


def _end(reply: RegistryReply, default: int) -> int:
    """Return how many bytes are there. `0-0` is what registries say of none as well, and no chunk of ours has one byte."""
    found = _RANGE.fullmatch(reply.headers.get("Range", "").strip())
    if found is None:
        return default
    return int(found[1]) + 1 if int(found[1]) else 0


def _forgotten() -> _ForgottenError:
    return _ForgottenError(
        "The registry forgot an upload, again and again",
        why="What had been sent of a blob was gone before its end was.",
        hint="Try again later. Several registries behind one name must share their uploads.",
    )


def _stuck(done: int) -> TransientError:
    return TransientError(
        "The registry takes no more of an upload",
        why=f"It said yes to each next part of a blob, and that it has {done} bytes of it still.",
        hint="Try again later, or another registry.",
    )
