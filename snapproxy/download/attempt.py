"""Brings the bytes of one flight: source after source, resumed where they broke, judged before the last piece is released.

Which answer is worth what is `core.upstream_answer`'s to say, how long to wait is the pacer's; here stands only the order of things: try a source,
go on from where it broke, turn to the next, and commit or abandon the draft. Rules 1, 2, 5 and 6 of the design meet in `Download.run`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from snapproxy.base import refusals
from snapproxy.base.names import size_of
from snapproxy.core.http_date import read_http_date
from snapproxy.core.model import Instant, Proof, Refusal
from snapproxy.core.plan_model import Fetch, Source
from snapproxy.core.upstream_answer import (
    Absent,
    BodyFollows,
    Broken,
    Fault,
    NoSuchRange,
    NotModified,
    Offer,
    Redirect,
    StartOver,
    Throttled,
    UpstreamRequest,
)
from snapproxy.download.byte_checks import MAX_ROOT
from snapproxy.download.incoming import DownloadServices, Incoming, TakenError
from snapproxy.download.outcome import DownloadOutcome, Failure, Stored, StoredElsewhere, Unchanged
from snapproxy.trust.roots import Judge
from snapproxy.upstream.egress import EgressPolicy
from snapproxy.upstream.response import BodyBrokenError, UpstreamResponse
from snapproxy_storage import Draft, Meta

if TYPE_CHECKING:
    from snapproxy.download.downloads import Flight

TRIES = 4
"""How often one source is asked again after it broke, each time from where it broke."""

THROTTLES = 8
"""How often a source may tell us to wait, each wait longer than the last (about an hour in all), before the flight gives up."""

ASKED_AGAIN_AFTER = 1.0
"""Seconds before the only source of a promised file is asked once more whether it really does not have it."""

SPARED_WAIT = 5.0
"""Seconds a source may keep us waiting while another is left to ask; one that rests for longer is passed over."""

HOLDERS_WAIT = 1.0
"""The same of one that is a mere help: it costs no build more than it gives."""


@dataclass(frozen=True, slots=True)
class _AllBytes:
    """Every byte has arrived."""


@dataclass(frozen=True, slots=True)
class _Afresh:
    """The bytes so far were given up: ask the same source again, from the first byte."""


class Attempt:
    """One flight's way over its sources. Owns its draft: ends it by commit or abandon, whatever happens."""

    def __init__(
        self, services: DownloadServices, flight: Flight, draft: Draft, judge: Judge | None, validators: Meta
    ) -> None:
        self._services = services
        self._flight = flight
        self._step: Fetch = flight.step
        self._judge = judge
        self._validators = validators
        self._incoming = Incoming(services, flight, draft, is_root=judge is not None)
        self._source: Source | None = None
        self._offer: Offer | None = None
        self._redirected_sha1 = ""
        self._is_hasty = False

    def expected_wait(self) -> float:
        """Return the seconds until the source that is being asked will probably answer."""
        wait = 0.0 if self._source is None else self._services.recent.expected_wait(self._source)
        return max(wait, float(refusals.RETRY_SOON))

    async def run(self) -> DownloadOutcome:
        """Bring the bytes. Never leaves the draft open."""
        outcome: DownloadOutcome | None = None
        try:
            await self._incoming.take_over()
            outcome = await self._over_sources()
        except TakenError:
            outcome = StoredElsewhere()
        finally:
            self._flight.receiving.clear()  # who comes now waits for the outcome: this draft is about to fail
            reason = outcome.reason if isinstance(outcome, Refusal) else "the download was stopped"
            await self._incoming.abandon(reason, keep=outcome is None)
        return outcome

    # --- sources ----------------------------------------------------------------------------------------------------------

    async def _over_sources(self) -> DownloadOutcome:
        """Ask one source after the other, until one has the file."""
        failures: list[Failure] = []
        sources = await self._services.recent.worth_asking(self._step)
        for source, is_last, pause in self._turns(sources, failures):
            await self._services.clock.sleep(pause)
            outcome = await self._try(source, is_last=is_last)
            if not isinstance(outcome, Failure) or (isinstance(outcome, Refusal) and self._incoming.is_followed):
                return outcome
            failures.append(outcome)
        # Of the archive itself a holder's failure says nothing.
        blob_sources = sum(source.is_blob_source for source in sources)
        return await self._services.recent.refusal(self._step, failures[blob_sources:] or failures)

    def _turns(self, sources: list[Source], failures: list[Failure]) -> Iterator[tuple[Source, bool, float]]:
        """Yield whom to ask next, whether nobody is left behind them, and after how many seconds; `failures` grow meanwhile.

        Once all have failed, the last one is asked again if it denied what should be there (one backend may be mistaken), and
        the first one that wanted to be asked later.
        """
        for source in sources:
            yield source, source is sources[-1], 0.0
        if isinstance(failures[-1], Absent) and (self._step.expected is not None or self._judge is not None):
            yield sources[-1], True, ASKED_AGAIN_AFTER
        throttled = (
            source
            for source, failure in zip(sources[:-1], failures, strict=False)
            if isinstance(failure, Throttled) and not source.is_blob_source
        )
        for source in throttled:
            yield source, True, 0.0
            return

    async def _try(self, source: Source, *, is_last: bool) -> Stored | Unchanged | Failure:
        """Ask one source until it has given everything, or is given up: soon, while others are left."""
        self._source, self._offer = source, None  # a validator is its own source's word: it means nothing to another
        self._is_hasty = source.is_blob_source and not is_last
        spared = HOLDERS_WAIT if self._is_hasty else SPARED_WAIT
        if not is_last and (wait := self._services.recent.expected_wait(source)) >= spared:
            return Throttled(0, wait)
        breaks = throttles = 0
        while True:
            outcome = await self._pull(source)
            if isinstance(outcome, _AllBytes):
                outcome = await self._conclude(source)
            match outcome:
                case _Afresh():
                    pass
                case Throttled():
                    throttles += 1
                    if throttles > THROTTLES or not is_last:
                        return outcome
                case Broken():
                    breaks += 1
                    # One that does not even answer is left at once, and so is a mere help.
                    has_begun = self._offer is not None and not self._is_hasty
                    if breaks >= TRIES or not outcome.is_worth_retrying or not (is_last or has_begun):
                        return outcome
                case _:
                    return outcome

    async def _pull(self, source: Source) -> _AllBytes | _Afresh | Stored | Unchanged | Failure:
        """Make one request, and take what it gives into the draft."""
        if self._incoming.size and not self._may_resume():
            if self._incoming.is_followed:
                return Broken(Fault.CHANGED)
            await self._incoming.start_over("it cannot be resumed from this source")
        expected, validators = self._step.expected, self._validators
        asked = UpstreamRequest(
            source.url,
            start=self._incoming.size or None,
            if_range=self._offer.validator if self._offer is not None and self._incoming.size else "",
            etag=validators.etag,
            since=validators.last_modified,
            size=None if expected is None else expected.size,
            page=self._step.is_page,
        )
        context, self._redirected_sha1 = self._flight.context, ""
        async with self._services.upstream.fetch(
            asked,
            EgressPolicy.of_blob_source(source.base) if source.is_blob_source else EgressPolicy.of(context.archive),
            background=context.background,
            stop_at=_never if source.is_blob_source else self._at_redirect,
            via=context.via,
            hasty=self._is_hasty,
        ) as response:
            self._services.stats.asked(*response.hops, response.url)
            match response.answer:
                case BodyFollows(offer):
                    return await self._take(response, offer, source)
                case StartOver(offer):
                    return await self._take_from_the_start(response, offer, source)
                case NotModified():
                    return Unchanged()
                case NoSuchRange(total):
                    return _AllBytes() if total == self._incoming.size else await self._give_up_bytes()
                case Redirect():
                    return await self._take_held(source)
                case _:
                    return response.answer

    def _may_resume(self) -> bool:
        """Whether bytes from here on are sure to belong to those we hold: by their promise, or by the source's validator."""
        return self._incoming.is_promised or (self._offer is not None and bool(self._offer.validator))

    async def _give_up_bytes(self) -> _Afresh | Broken:
        """Begin again if nobody has seen the bytes so far, which are of another file than this source's."""
        if self._incoming.is_followed:
            return Broken(Fault.CHANGED)
        await self._incoming.start_over("upstream's file is another one now")
        return _Afresh()

    async def _take_from_the_start(
        self, response: UpstreamResponse, offer: Offer, source: Source
    ) -> _AllBytes | _Afresh | Broken:
        """Take a file that comes from its first byte, although a part of it was asked for."""
        if self._incoming.is_followed and not self._incoming.is_promised:
            return Broken(Fault.CHANGED)
        if not self._incoming.is_followed:
            await self._incoming.start_over("upstream began again from the first byte")
        return await self._take(response, offer, source)

    async def _take(self, response: UpstreamResponse, offer: Offer, source: Source) -> _AllBytes | _Afresh | Broken:
        total = self._incoming.length_with(offer)
        if self._incoming.contradicts(total):
            return await self._give_up_bytes()
        most = MAX_ROOT if self._judge is not None else self._step.most
        limit = most if total is None else total
        if limit > most:
            return Broken(Fault.TOO_LONG)
        if not self._incoming.size:
            self._incoming.checks.named_sha1 = self._redirected_sha1
        self._offer = offer
        await self._incoming.begin(source, offer, total)
        seen = self._incoming.size - offer.start
        try:
            async for piece in response.pieces():
                fresh, seen = piece[seen:], max(0, seen - len(piece))
                if self._incoming.size + len(fresh) > limit:
                    return Broken(Fault.TOO_LONG)
                if fresh:
                    await self._incoming.take(fresh, source)
                self._services.stats.received(response.url, len(piece))
        except BodyBrokenError as broken:
            return Broken(broken.fault)
        return _AllBytes()

    # --- the verdict ------------------------------------------------------------------------------------------------------

    async def _conclude(self, source: Source) -> Stored | Refusal | _Afresh:
        """Judge what has arrived; the last piece is released only by a good verdict."""
        sealed, checks = await self._incoming.seal(), self._incoming.checks
        verdict: Proof | Refusal = self._step.proof
        if words := checks.objection(sealed):
            verdict = refusals.wrong_bytes(self._step, words)
        elif self._judge is not None:
            verdict = await self._judge(checks.kept)
        if isinstance(verdict, Refusal):
            return await self._condemn(source, verdict)
        offer = self._offer or Offer(0, sealed.size, sealed.size)
        is_stored = await self._incoming.commit(sealed, self._date(offer))
        return Stored(sealed.digest, sealed.size, verdict, offer.etag, offer.last_modified, is_in_memory=not is_stored)

    def _date(self, offer: Offer) -> Instant | None:
        """Date the blob (rule 8): as upstream does, else as the root itself does."""
        date = read_http_date(offer.last_modified)
        if date is None and self._judge is not None:
            date = self._flight.context.family.root_date(self._incoming.checks.kept)
        return date

    async def _condemn(self, source: Source, verdict: Refusal) -> Refusal | _Afresh:
        """Remember whose bytes were wrong; where several gave some, nobody can tell, and `source` may show what it has."""
        byte_sources = self._incoming.byte_sources or [source]
        if len(byte_sources) > 1 and not self._incoming.is_followed:
            await self._incoming.start_over(verdict.reason)
            return _Afresh()
        for each in byte_sources:
            await self._services.recent.remember_wrong(self._step, each)
        if not self._incoming.is_followed:
            await self._incoming.start_over(verdict.reason)
        return verdict

    # --- redirects to a digest we hold ------------------------------------------------------------------------------------

    def _at_redirect(self, location: str) -> bool:
        """Note the digest that a redirect names; stop there if the store holds it."""
        named = self._flight.context.history.digest_in(location)
        if named is None:
            return False
        self._redirected_sha1 = named
        held = self._services.names.alias("sha1", named)
        return held is not None and not self._incoming.size and size_of(self._services.blobs, held.digest) is not None

    async def _take_held(self, source: Source) -> _AllBytes | Broken:
        """Take the bytes from the store, where the redirect says that they are; judged like any that arrive."""
        held = self._services.names.alias("sha1", self._redirected_sha1)
        blob = None if held is None else await self._services.blobs.open(held.digest)
        if blob is None:
            return Broken(Fault.BAD_REDIRECT)
        self._incoming.checks.named_sha1 = self._redirected_sha1
        try:
            async for piece in blob.chunks(0, blob.size):
                await self._incoming.take(piece, source)
        finally:
            blob.close()
        self._offer = Offer(0, blob.size, blob.size)
        return _AllBytes()


def _never(_location: str) -> bool:
    """Stop at no redirect: what a holder's address looks like says nothing of a digest."""
    return False
