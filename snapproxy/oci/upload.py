"""Upload a blob to a repository.

It is skipped if the repository has it, mounted if another repository has it, otherwise its bytes are sent.

Short blobs are sent in one request, long ones in chunks, so that after a broken connection only a chunk is repeated
(distribution-spec, "Pushing blobs"). Registries differ: GitHub's refuses chunks over 4 MiB and accepts one request of
any length; ECR answers a chunk with 201 and never reports more than the first one; a server in front of a registry may
refuse any long request. Long chunks are tried first, then one request, then shorter chunks; a refused form
is not tried again for the next blobs. Each attempt opens the blob again. The registry verifies the digest.
"""

from __future__ import annotations

import logging
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
from snapproxy.oci.session import NOT_FOUND

_log = logging.getLogger(__name__)

CHUNK = 32 << 20
"""Size of a chunk in bytes: the maximum that is sent again after a broken connection.

Longer blobs are sent in such chunks.
"""

SMALLER_CHUNKS = (4 << 20, 1 << 20)
"""Sizes of chunks in bytes for registries that refuse the blob otherwise.

They are the limits of GitHub's registry for a chunk, and of nginx for a request.
"""

_CHUNK_MOST = 1 << 30
_OK, _CREATED, _ACCEPTED, _NO_CONTENT, _BAD_REQUEST, _BAD_RANGE = 200, 201, 202, 204, 400, 416
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,19})")

#: Answers to a request that was too long.
_TOO_LONG = frozenset({400, 413, 416})

#: Answers of registries that accept a blob only in one request.
_NO_CHUNKS = frozenset({405, 411, 415, 501})


@dataclass(frozen=True, slots=True)
class _UploadState:
    """The state of an upload: address of the next request, bytes in the registry, minimum size of a chunk."""

    url: URL
    done: int = 0
    minimum: int = 0


class _UploadLostError(TransientError):
    """The registry has lost the upload, which must start again."""


class _MethodRefusedError(Exception):
    """The registry does not accept the blob in this way. `problem` is the error if there is no other way."""

    def __init__(self, problem: UpstreamError, *, any_chunk: bool = False) -> None:
        super().__init__(problem.reason)
        self.problem = problem
        self.any_chunk = any_chunk  # chunks of every size are refused


async def upload(
    repository: Repository,
    content: BlobContent,
    *,
    mount_from: Sequence[str] = (),
    progress: Progress,
    chunk: int = CHUNK,
    asks: bool = True,
) -> bool:
    """Make sure that the repository has the blob. Return whether the repository had it before.

    `asks` off: send the blob without checking first. `mount_from` names repositories of the same registry that may have
    the blob. Raises the errors of `Session.ask`, and ArchiveDataError if the source is damaged.
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
        self._limits = repository.upload_limits
        self._content = content
        self._descriptor = content.descriptor
        self._progress = progress
        self._longest = chunk
        self._chunk = 0  # 0: the blob in one request

    async def mount(self, source: str) -> _UploadState | None:
        """Mount the blob from another repository.

        Return None on success, otherwise the upload that the registry started instead.
        """
        query = {"mount": self._descriptor.digest, "from": source}
        async with self._session.ask(
            "POST", await self._session.url("blobs/uploads/", query), writes=True, also=source
        ) as reply:
            if reply.status == _CREATED:
                return None
            return await self._started(reply)

    async def send(self, state: _UploadState | None) -> None:
        """Send the blob by the first method that the registry accepts."""
        methods = self._methods()
        while True:
            self._chunk = methods[0]
            try:
                await self._send(state)
            except _MethodRefusedError as error:
                self._note(error)
                state, methods = None, [each for each in self._methods() if each in methods[1:]]
                if not methods:
                    raise error.problem from None
            else:
                return

    def _methods(self) -> list[int]:
        """Return the sizes of chunks to try, in order; 0 is one request. Methods that were refused before come last."""
        size = self._descriptor.size
        chunks = [each for each in (self._longest, *SMALLER_CHUNKS) if each < size]
        methods = [0, *chunks] if not chunks or chunks[0] != self._longest else [chunks[0], 0, *chunks[1:]]
        return sorted(methods, key=lambda each: each >= self._limits.chunk if each else size >= self._limits.whole)

    def _note(self, refused: _MethodRefusedError) -> None:
        """Remember the refused kind of request for the blobs that follow, and report it once."""
        before = (self._limits.chunk, self._limits.whole)
        if self._chunk:
            self._limits.chunk = min(self._limits.chunk, 0 if refused.any_chunk else self._chunk)
        else:
            self._limits.whole = min(self._limits.whole, self._descriptor.size)
        if before != (self._limits.chunk, self._limits.whole) and not self._limits.reported:
            self._limits.reported = True
            _log.warning(
                "%s does not accept %s; long blobs are sent in another way. %s",
                self._session.reference.registry,
                f"a blob in chunks of {self._chunk >> 20} MiB" if self._chunk else "a long blob in one request",
                refused.problem.why,
            )

    async def _send(self, state: _UploadState | None) -> None:
        """Send the blob. Start again from the beginning whenever the registry has lost the upload."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                state = state or await self._start()
                await (self._send_chunks(state) if self._chunk else self._send_whole(state))
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
            raise await self._session.refusal(reply, "to start an upload")
        minimum = reply.headers.get("OCI-Chunk-Min-Length", "0")
        return _UploadState(self._next(reply, None), 0, int(minimum) if re.fullmatch(r"[0-9]{1,10}", minimum) else 0)

    async def _send_whole(self, state: _UploadState) -> None:
        await self._complete(state, self._body(0, self._descriptor.size), self._descriptor.size)

    async def _complete(self, state: _UploadState, body: Body | None = None, length: int = 0) -> None:
        """Complete the upload, with the bytes of the blob or after its last chunk."""
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
                raise wrong_blob(self._descriptor, "the registry computed another digest for the bytes that were sent")
            if body is not None and reply.status in _TOO_LONG:
                raise _MethodRefusedError(error)
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
            if state.done > furthest:
                failures, furthest = 0, state.done
        await self._complete(state)

    async def _send_chunk(self, state: _UploadState) -> _UploadState:
        """Send a chunk and return the state for the next one."""
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
            if reply.status == NOT_FOUND:
                raise _upload_lost()
            if reply.status in {_ACCEPTED, _CREATED}:  # ECR: 201
                after = _UploadState(self._next(reply, state), _end(reply, stop), state.minimum)
                if after.done > state.done:
                    return after
                problem: UpstreamError = _no_progress(state.done)
            else:
                problem = await self._session.refusal(reply, "to store a part of a blob")
                if reply.status != _BAD_RANGE:
                    raise _refused_chunk(problem, reply.status) or problem
                after = state
        try:
            found = await self._ask_progress(after)
        except _UploadLostError:
            found = state
        if found.done == state.done:  # it refuses the chunk that it requests, or its reports cannot be followed
            raise _MethodRefusedError(problem, any_chunk=state.done > 0)
        return found

    async def _ask_progress(self, state: _UploadState) -> _UploadState:
        """Query the number of bytes of the upload that the registry has."""
        async with self._session.ask("GET", state.url, writes=True) as reply:
            if reply.status not in {_OK, _NO_CONTENT}:
                raise _upload_lost()
            return _UploadState(self._next(reply, state), _end(reply, 0), state.minimum)

    def _next(self, reply: RegistryReply, state: _UploadState | None) -> URL:
        """Return the address for the next request, which may change with each answer and may be relative."""
        location = reply.headers.get("Location", "")
        if location:
            return self._session.connections.location_url(reply.url, location)
        if state is None:
            raise UpstreamError("The registry sent no address for the upload", why="Its answer has no Location header.")
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
                raise wrong_blob(self._descriptor, f"the source ended after {done} bytes")

        return body


def _end(reply: RegistryReply, default: int) -> int:
    """Return the number of bytes that the registry has.

    `0-0` is read as none: registries send it for an empty upload as well, and no chunk is a single byte.
    """
    found = _RANGE.fullmatch(reply.headers.get("Range", "").strip())
    if found is None:
        return default
    return int(found[1]) + 1 if int(found[1]) else 0


def _refused_chunk(problem: UpstreamError, status: int) -> _MethodRefusedError | None:
    """Return the error for a status that concerns the chunk, None for another status."""
    if status in _NO_CHUNKS:
        return _MethodRefusedError(problem, any_chunk=True)
    return _MethodRefusedError(problem) if status in _TOO_LONG else None


def _upload_lost() -> _UploadLostError:
    return _UploadLostError(
        "The registry lost an upload repeatedly",
        why="Bytes of a blob that had been sent were deleted before the upload was complete.",
        hint="Try again later. If several registry servers share one name, they must share their uploads.",
    )


def _no_progress(done: int) -> TransientError:
    return TransientError(
        "The registry makes no progress with an upload",
        why=f"It accepted another chunk of a blob, but still reports {done} bytes.",
        hint="Try again later, or use another registry.",
    )
