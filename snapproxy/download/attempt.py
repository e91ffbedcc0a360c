"""An attempt to download a file: try one source after the other, resume where a connection broke, verify, commit.

`core.upstream_answer` classifies each answer, and the rate limiter decides how long to wait. This module decides the
order: try a source, resume it, turn to the next, and commit or abandon the draft. Rules 1, 2, 5 and 6 of the design
apply here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from snapproxy.base import refusals
from snapproxy.base.metrics import UNSTORED
from snapproxy.core.http_date import read_http_date
from snapproxy.core.model import Proof, Refusal
from snapproxy.core.plan_model import MAX_ROOT, Fetch, Source
from snapproxy.core.upstream_answer import (
    Absent,
    BodyFollows,
    Broken,
    CoolingDown,
    Fault,
    NoSuchRange,
    NotModified,
    Offer,
    QueueFull,
    Redirect,
    StartOver,
    Throttled,
    UpstreamRequest,
)
from snapproxy.download.flight import Flight
from snapproxy.download.incoming import AlreadyStoredError, Incoming
from snapproxy.download.outcome import DownloadOutcome, Failure, Stored, StoredElsewhere, Unchanged
from snapproxy.download.services import DownloadServices
from snapproxy.formats.encodings import is_own_compression
from snapproxy.trust.roots import RootCheck
from snapproxy.upstream.egress import EgressPolicy
from snapproxy.upstream.response import BodyBrokenError, UpstreamResponse
from snapproxy_storage import Meta

MAX_BREAKS = 4
"""Maximum number of broken requests to one source. Each resumes where the previous one broke; then the next source is
tried.
"""

MAX_THROTTLES = 8
"""Refusals of one source (429, 503, 509) before the attempt fails; the waits grow and total about an hour."""

ABSENCE_RETRY_SECONDS = 1.0
"""Seconds before a second request to the last source of a listed file, to confirm that the file is absent."""

MAX_WAIT = 5.0
"""Seconds to wait for a source while another one is left; a source that cools down for longer is skipped."""

MAX_WAIT_BLOB_SOURCE = 1.0
"""Seconds to wait for a blob source while another source is left: it is optional, and must not delay a build."""


_NOT_ASKED = (Throttled, CoolingDown, QueueFull)
"""The failures of sources that did not say whether they have the file."""


@dataclass(frozen=True, slots=True)
class _Complete:
    """Every byte has arrived."""


@dataclass(frozen=True, slots=True)
class _Restart:
    """The bytes so far were discarded: request the file from the same source again, from the first byte."""


class Attempt:
    """The attempt of one flight. It owns its draft, and ends it by commit or abandon in every case."""

    def __init__(self, services: DownloadServices, flight: Flight, check: RootCheck | None, validators: Meta) -> None:
        """`check` verifies a root, None for other files; `validators` make the request conditional."""
        self._services = services
        self._flight = flight
        self._step: Fetch = flight.step
        self._check = check
        self._validators = validators
        self._incoming = Incoming(services, flight, is_root=check is not None)
        self._offer: Offer | None = None
        self._redirected_sha1 = ""
        self._is_hasty = False

    async def run(self) -> DownloadOutcome:
        """Download the file. The draft is always committed or abandoned.

        Raise DraftTakenError if another writer has begun it.
        """
        outcome: DownloadOutcome | None = None
        try:
            outcome = await self._ask_sources()
        except AlreadyStoredError:
            outcome = StoredElsewhere()
        finally:
            # This draft may be about to fail: a client that joins now waits for the outcome.
            self._flight.receiving.clear()
            reason = outcome.reason if isinstance(outcome, Refusal) else "the download was stopped"
            await self._incoming.abandon(reason, keep=outcome is None)
        return outcome

    async def _ask_sources(self) -> DownloadOutcome:
        """Try one source after the other, until one has the file."""
        failures: list[tuple[Source, Failure]] = []
        sources = await self._services.recent.usable_sources(self._step)
        self._flight.has_wrong_source = len(sources) < len(self._step.sources)
        should_exist = self._step.expected is not None or self._check is not None
        for source, is_last, pause in _order(sources, failures, should_exist=should_exist):
            await self._services.clock.sleep(pause)
            outcome = await self._ask_source(source, is_last=is_last)
            if not isinstance(outcome, Failure):
                return outcome
            if isinstance(outcome, Refusal) and self._incoming.is_followed:
                self._flight.is_exhausted = is_last
                return outcome
            failures.append((source, outcome))
        self._flight.is_exhausted = not any(isinstance(each, _NOT_ASKED) for _, each in failures)
        # The failure of a blob source has no information about the archive itself.
        blob_sources = sum(source.is_blob_source for source in sources)
        return await self._services.recent.refusal(self._step, failures[blob_sources:] or failures)

    async def _ask_source(self, source: Source, *, is_last: bool) -> Stored | Unchanged | Failure:
        """Try one source until it has sent the whole file or fails; it is abandoned early if other sources remain."""
        self._flight.source, self._offer = source, None  # validators are valid for one source only
        self._is_hasty = source.is_blob_source and not is_last
        max_wait = MAX_WAIT_BLOB_SOURCE if self._is_hasty else MAX_WAIT
        if not is_last and (wait := self._services.recent.expected_wait(source)) >= max_wait:
            return self._services.recent.cooling_down(source, wait)
        breaks = throttles = 0
        while True:
            outcome = await self._request(source)
            if isinstance(outcome, _Complete):
                outcome = await self._verify_and_commit(source)
            match outcome:
                case _Restart():
                    pass
                case Throttled():
                    throttles += 1
                    if throttles > MAX_THROTTLES or not is_last:
                        return outcome
                case Broken():
                    breaks += 1
                    # A source that does not answer, or a blob source, is abandoned immediately.
                    has_begun = self._offer is not None and not self._is_hasty
                    if breaks >= MAX_BREAKS or not outcome.is_worth_retrying or not (is_last or has_begun):
                        return outcome
                case _:
                    return outcome

    # --- one request --------------------------------------------------------------------------------------------------

    async def _request(self, source: Source) -> _Complete | _Restart | Stored | Unchanged | Failure:
        """Send one request, and write the bytes of its answer to the draft."""
        if self._incoming.size and not _may_resume(self._incoming, self._offer):
            if self._incoming.is_followed:
                return Broken(Fault.CHANGED)
            await self._incoming.start_over("it cannot be resumed from this source")

        async def at_turn() -> UpstreamRequest:
            await self._incoming.open()
            return self._upstream_request(source)

        self._flight.is_transferring = False
        self._flight.stop_if_idle()
        context, self._redirected_sha1 = self._flight.context, ""
        async with self._services.upstream.fetch(
            self._upstream_request(source),
            EgressPolicy.of_blob_source(source.base) if source.is_blob_source else EgressPolicy.of(context.archive),
            demand=self._flight,
            at_turn=at_turn,
            max_cool_down=None if context.background else context.patience,
            stop_at=_never if source.is_blob_source else self._stops_at,
            via=context.via,
            hasty=self._is_hasty,
        ) as response:
            self._services.stats.asked(*response.hops, response.url)
            match response.answer:
                case BodyFollows(offer):
                    return await self._receive(response, offer, source)
                case StartOver(offer):
                    return await self._receive_from_start(response, offer, source)
                case NotModified():
                    return Unchanged()
                case Broken(Fault.CHANGED):
                    return await self._discard_bytes()
                case NoSuchRange(total):
                    self._flight.is_transferring = total == self._incoming.size
                    return _Complete() if total == self._incoming.size else await self._discard_bytes()
                case Redirect():
                    return await self._copy_stored(source)
                case _:
                    return response.answer

    def _upstream_request(self, source: Source) -> UpstreamRequest:
        """Return the request for the bytes that are missing."""
        expected, validators = self._step.expected, self._validators
        return UpstreamRequest(
            source.url,
            start=self._incoming.size or None,
            if_range=self._offer.validator if self._offer is not None and self._incoming.size else "",
            etag=validators.etag,
            since=validators.last_modified,
            size=None if expected is None else expected.size,
            page=self._step.is_page,
            is_verified=self._incoming.has_strong_digest,
        )

    async def _discard_bytes(self) -> _Restart | Broken:
        """Start over, because the bytes so far belong to a different file.

        Fail if a client may have read them.
        """
        if self._incoming.is_followed:
            return Broken(Fault.CHANGED)
        await self._incoming.start_over("upstream's file has changed")
        return _Restart()

    async def _receive_from_start(
        self, response: UpstreamResponse, offer: Offer, source: Source
    ) -> _Complete | _Restart | Broken:
        """Receive a file from its first byte, although a later range was requested."""
        if self._incoming.is_followed and not self._incoming.has_strong_digest:
            return Broken(Fault.CHANGED)
        if not self._incoming.is_followed:
            await self._incoming.start_over("upstream began again from the first byte")
        return await self._receive(response, offer, source)

    async def _receive(self, response: UpstreamResponse, offer: Offer, source: Source) -> _Complete | _Restart | Broken:
        total = self._incoming.length_with(offer)
        if self._incoming.contradicts(total):
            return await self._discard_bytes()
        most = MAX_ROOT if self._check is not None else self._step.most
        limit = most if total is None else total
        if limit > most:
            return Broken(Fault.TOO_LONG)
        if not self._incoming.size:
            self._incoming.checks.named_sha1 = self._redirected_sha1
        self._offer = offer
        self._flight.is_transferring = True
        await self._incoming.begin(source, offer, total)
        skip = self._incoming.size - offer.start
        try:
            async for piece in response.pieces():
                fresh, skip = piece[skip:], max(0, skip - len(piece))
                if not self._incoming.size and _is_encoded(self._flight, self._check, offer.encoding, fresh):
                    return Broken(Fault.ENCODED)
                if self._incoming.size + len(fresh) > limit:
                    return Broken(Fault.TOO_LONG)
                if fresh:
                    await self._incoming.write(fresh, source)
                self._services.stats.received(response.url, len(piece))
        except BodyBrokenError as broken:
            return Broken(broken.fault)
        return _Complete()

    # --- verification -------------------------------------------------------------------------------------------------

    async def _verify_and_commit(self, source: Source) -> Stored | Refusal | _Restart:
        """Verify the received bytes; only then is the last piece released to readers."""
        sealed, checks = await self._incoming.seal(), self._incoming.checks
        verdict: Proof | Refusal = self._step.proof
        if difference := checks.mismatch(sealed):
            verdict = refusals.wrong_bytes(self._step, difference)
        elif self._check is not None:
            verdict = await self._check(checks.kept)
        if isinstance(verdict, Refusal):
            return await self._reject(source, verdict)
        offer = self._offer or Offer(0, sealed.size, sealed.size)
        is_stored = await self._incoming.commit(sealed, read_http_date(offer.last_modified))
        if not is_stored:
            self._services.stats.shared.counters.add(UNSTORED.key())
        return Stored(sealed.digest, sealed.size, verdict, offer.etag, offer.last_modified, is_in_memory=not is_stored)

    async def _reject(self, source: Source, verdict: Refusal) -> Refusal | _Restart:
        """Record which source sent wrong bytes, and count the failure.

        If several sources sent a part, any of them may be wrong: the whole file is requested from `source` again.
        """
        self._services.stats.shared.failed_verification(self._flight.context.archive.name)
        sources = self._incoming.sources or [source]
        if len(sources) > 1 and not self._incoming.is_followed:
            await self._incoming.start_over(verdict.reason)
            return _Restart()
        for each in sources:
            await self._services.recent.record_wrong_bytes(self._step, each)
        if not self._incoming.is_followed:
            await self._incoming.start_over(verdict.reason)
        return verdict

    # --- redirects to a digest that is stored -------------------------------------------------------------------------

    def _stops_at(self, location: str) -> bool:
        """Record the SHA-1 that a redirect names; return whether its blob is stored and needs no download."""
        named = self._flight.context.history.digest_in(location)
        if named is None:
            return False
        self._redirected_sha1 = named
        stored = self._services.names.alias("sha1", named)
        if stored is None or self._incoming.size:
            return False
        return self._services.blobs.size(stored.digest) is not None

    async def _copy_stored(self, source: Source) -> _Complete | Broken:
        """Copy the bytes that the redirect names from the store; they are verified like downloaded ones."""
        stored = self._services.names.alias("sha1", self._redirected_sha1)
        blob = None if stored is None else await self._services.blobs.open(stored.digest)
        if blob is None:
            return Broken(Fault.BAD_REDIRECT)
        self._incoming.checks.named_sha1 = self._redirected_sha1
        try:
            async for piece in blob.chunks(0, blob.size):
                await self._incoming.write(piece, source)
        finally:
            blob.close()
        self._offer = Offer(0, blob.size, blob.size)
        return _Complete()


def _may_resume(incoming: Incoming, offer: Offer | None) -> bool:
    """Return whether the next bytes may be appended: verified by a strong digest or by the source's validator."""
    return incoming.has_strong_digest or (offer is not None and bool(offer.validator))


def _order(
    sources: list[Source], failures: list[tuple[Source, Failure]], *, should_exist: bool
) -> Iterator[tuple[Source, bool, float]]:
    """Yield the next source, whether it is the last one, and the seconds to wait before the request.

    The caller appends to `failures` during iteration. Once all have failed, the last one is tried again if it
    answered that a file that should exist is absent (one backend may be wrong), and then the first one that
    throttled snapproxy.
    """
    for source in sources:
        yield source, source is sources[-1], 0.0
    if isinstance(failures[-1][1], Absent) and should_exist:
        yield sources[-1], True, ABSENCE_RETRY_SECONDS
    throttled = (
        source
        for source, failure in failures[: len(sources) - 1]
        if isinstance(failure, Throttled | CoolingDown) and not source.is_blob_source
    )
    for source in throttled:
        yield source, True, 0.0
        return


def _is_encoded(flight: Flight, check: RootCheck | None, encoding: str, first: bytes) -> bool:
    """Return whether the first bytes of a file show that the stated encoding was applied to it.

    The listed digests and the checks of roots need no such look; an index may have any compression.
    """
    if not encoding or flight.step.expected is not None or check is not None:
        return False
    path = flight.step.path
    return not (flight.context.family.classify(path).lists_files or is_own_compression(encoding, path, first))


def _never(_location: str) -> bool:
    """Return False: the address of a blob source contains no digest that could be looked up."""
    return False
