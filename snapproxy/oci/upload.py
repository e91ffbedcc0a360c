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
class _UploadState:
    """Where an upload goes on: the address for the next request, the bytes that are there, and the minimum chunk it takes."""

    url: URL
    done: int = 0
    minimum: int = 0


class _UploadLostError(TransientError):
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
        state = None
        for source in filter(is_repository, mount_from):
            state = await sender.mount(source)
            if state is None:
                break
        else:
            await sender.send(state)
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

    async def mount(self, source: str) -> _UploadState | None:
        """Let the registry take the blob from another repository; None when it did, else the upload that it began instead."""
        query = {"mount": self._descriptor.digest, "from": source}
        async with self._session.ask(
            "POST", await self._session.url("blobs/uploads/", query), writes=True, also=source
        ) as reply:
            if reply.status == _CREATED:
                return None
            return await self._started(reply)

    async def send(self, state: _UploadState | None) -> None:
        """Send the blob, from the beginning as often as the registry loses what it had."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                state = state or await self._start()
                await (self._send_chunks(state) if self._in_chunks else self._send_whole(state))
            except TransientError as error:
                if attempt == ATTEMPTS:
                    raise
                state = None
                self._session.connections.back_off(attempt, error.retry_after)
            else:
                return

    async def _start(self) -> _UploadState:
        async with self._session.ask("POST", await self._session.url("blobs/uploads/"), writes=True) as reply:
            return await self._started(reply)

    async def _started(self, reply: RegistryReply) -> _UploadState:
        if reply.status != _ACCEPTED:
            raise await self._session.refusal(reply, "to begin an upload")
        minimum = reply.headers.get("OCI-Chunk-Min-Length", "0")
        return _UploadState(self._next(reply, None), 0, int(minimum) if re.fullmatch(r"[0-9]{1,10}", minimum) else 0)

    async def _send_whole(self, state: _UploadState) -> None:
        await self._complete(state, self._body(0, self._descriptor.size), self._descriptor.size)

    async def _complete(self, state: _UploadState, body: Body | None = None, length: int = 0) -> None:
        """End the upload, with the blob's bytes or behind its last chunk."""
        joint = "&" if state.url.raw_query_string else "?"
        digest = self._descriptor.digest.replace(":", "%3A")
        url = URL(f"{state.url}{joint}digest={digest}", encoded=True)
        headers = {"Content-Type": "application/octet-stream"}
        async with self._session.ask(
            "PUT", url, writes=True, headers=headers, body=body, length=length, attempts=1
        ) as reply:
            if reply.status == NOT_FOUND:
                raise _upload_lost()
            if reply.status == _CREATED:
                return
            error = await self._session.refusal(reply, "a blob")
            if reply.status == _BAD_REQUEST and "DIGEST_INVALID" in error.why:
                raise wrong_blob(self._descriptor, "the registry counted another digest of what was sent")
            raise error

    async def _send_chunks(self, state: _UploadState) -> None:
        failures, furthest = 0, state.done
        while state.done < self._descriptor.size:
            before = state.done
            try:
                state = await self._send_chunk(state)
                if state.done <= before:
                    raise _no_progress(before)
            except _UploadLostError:
                raise
            except TransientError as error:
                failures += 1
                if failures == ATTEMPTS:
                    raise
                self._session.connections.back_off(failures, error.retry_after)
                state = await self._ask_progress(state)
            except RegistryRefusedError as error:
                if error.answered not in _NO_CHUNKS or before:
                    raise
                self._in_chunks = False
                await self._send_whole(await self._start())
                return
            if state.done > furthest:
                failures, furthest = 0, state.done
        await self._complete(state)

    async def _send_chunk(self, state: _UploadState) -> _UploadState:
        """Send a chunk, and return where the next one goes."""
        size = min(max(self._chunk, state.minimum), _CHUNK_MOST, self._descriptor.size - state.done)
        stop = state.done + size
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"{state.done}-{stop - 1}",
        }
        async with self._session.ask(
            "PATCH",
            state.url,
            writes=True,
            headers=headers,
            body=self._body(state.done, stop),
            length=size,
            attempts=1,
        ) as reply:
            if reply.status == _ACCEPTED:
                return _UploadState(self._next(reply, state), _end(reply, stop), state.minimum)
            if reply.status == NOT_FOUND:
                raise _upload_lost()
            if reply.status != _BAD_RANGE:
                raise await self._session.refusal(reply, "a part of a blob")
        found = await self._ask_progress(state)
        if found.done == state.done:
            raise _upload_lost()  # it refuses the very part that it says comes next
        return found

    async def _ask_progress(self, state: _UploadState) -> _UploadState:
        """Ask the registry how far the upload is."""
        async with self._session.ask("GET", state.url, writes=True) as reply:
            if reply.status not in {_OK, _NO_CONTENT}:
                raise _upload_lost()
            return _UploadState(self._next(reply, state), _end(reply, 0), state.minimum)

    def _next(self, reply: RegistryReply, state: _UploadState | None) -> URL:
        """Return where the upload goes on; the address is a new one each time, and may be relative."""
        location = reply.headers.get("Location", "")
        if location:
            return self._session.connections.location_url(reply.url, location)
        if state is None:
            raise UpstreamError("The registry did not say where to upload to", why="Its answer has no Location.")
        return state.url

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


def _upload_lost() -> _UploadLostError:
    return _UploadLostError(
        "The registry forgot an upload, again and again",
        why="What had been sent of a blob was gone before its end was.",
        hint="Try again later. Several registries behind one name must share their uploads.",
    )


def _no_progress(done: int) -> TransientError:
    return TransientError(
        "The registry takes no more of an upload",
        why=f"It said yes to each next part of a blob, and that it has {done} bytes of it still.",
        hint="Try again later, or another registry.",
    )
