"""Brings the bytes of one flight: source after source, resumed where they broke, judged before the last piece is released.

Which answer is worth what is `core.settle`'s to say, how long to wait is the pacer's; here stands only the order of things: try a source,
go on from where it broke, turn to the next, and commit or abandon the draft. Rules 1, 2, 5 and 6 of the design meet in `Download.run`.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from snapproxy.core.http_date import read_http_date
from snapproxy.core.model import Checker, Proof, Refusal
from snapproxy.core.settle import (
    Absent,
    Asked,
    Broken,
    Fault,
    NoSuchRange,
    NotModified,
    Offer,
    Redirect,
    StartOver,
    Take,
    Throttled,
)
from snapproxy.core.steps import Fetch, Source
from snapproxy.shell import refusals
from snapproxy.shell.clock import Clock
from snapproxy.shell.landings import Elsewhere, Failure, Landed, Landing, Unchanged, Verdicts
from snapproxy.shell.names import Names, size_of
from snapproxy.shell.reach import Reach
from snapproxy.shell.roots import Judge
from snapproxy.shell.tally import Tally
from snapproxy.shell.upstream import BodyBrokenError, Upstream, UpstreamResponse
from storage import Blobs, Body, Draft, Drafts, Meta, Sealed

if TYPE_CHECKING:
    from snapproxy.shell.flights import Flight

log = logging.getLogger(__name__)

MAX_ROOT = 64 << 20
"""Bytes of a root; Debian's largest is below 1 MiB."""

MAX_FILE = 64 << 30
"""Bytes of a file nothing promises."""

TRIES = 4
"""How often one source is asked again after it broke, each time from where it broke."""

THROTTLES = 8
"""How often a source may tell us to wait, each wait longer than the last (about an hour in all), before the flight gives up."""

ASKED_AGAIN_AFTER = 1.0
"""Seconds before the only source of a promised file is asked once more whether it really does not have it."""

WINDOW_WHOLE = 64 << 20
"""Bytes kept in memory, once the disk is full, of a file that must be whole before it is sent."""

WINDOW_STREAM = 8 << 20
"""The same of a file that streams: readers that fall further behind are cut."""


class TakenError(Exception):
    """Another process has become the writer of our draft meanwhile."""


@dataclass(frozen=True, slots=True)
class _Whole:
    """Every byte has arrived."""


@dataclass(frozen=True, slots=True)
class Means:
    """What every download needs."""

    upstream: Upstream
    verdicts: Verdicts
    names: Names
    drafts: Drafts
    blobs: Blobs
    clock: Clock
    tally: Tally

    def begin(self, step: Fetch) -> Draft | Body:
        """Return the draft of a flight to its one writer, and a body that follows it to everybody else."""
        return self.drafts.begin(step.key, window=WINDOW_WHOLE if step.whole else WINDOW_STREAM)


class Download:
    """One flight's way over its sources. Owns its draft: ends it by commit or abandon, whatever happens."""

    def __init__(self, means: Means, flight: Flight, draft: Draft, judge: Judge | None, validators: Meta) -> None:
        self._means = means
        self._flight = flight
        self._step: Fetch = flight.step
        self._draft = draft
        self._judge = judge
        self._validators = validators
        self._source: Source | None = None
        self._offer: Offer | None = None
        self._promised_sha1 = ""
        self._is_ended = False
        self._forget_bytes()

    def expected_wait(self) -> float:
        """Return the seconds until the source that is being asked will probably answer."""
        wait = 0.0 if self._source is None else self._means.verdicts.expected_wait(self._source)
        return max(wait, float(refusals.RETRY_SOON))

    async def run(self) -> Landing:
        """Bring the bytes. Never leaves the draft open."""
        landing: Landing | None = None
        try:
            self._draft.tap(self._tap)
            if self._draft.size and self._may_resume():
                await self._draft.rehash()
            elif self._draft.size:
                await self._draft.restart()
            landing = await self._over_sources()
        except TakenError:
            return Elsewhere()
        finally:
            if not self._is_ended:
                reason = landing.reason if isinstance(landing, Refusal) else "the download was stopped"
                await self._abandon(reason, keep=landing is None)
        return landing

    async def _abandon(self, reason: str, *, keep: bool = False) -> None:
        self._is_ended = True
        await asyncio.shield(self._draft.abandon(reason, keep=keep))

    # --- what passes by ---------------------------------------------------------------------------------------------------

    def _forget_bytes(self) -> None:
        promise = self._step.promise
        self._checker: Checker | None = None
        if promise is not None and "sha256" not in promise.digests:  # else the store's own hash tells
            self._checker = self._flight.asking.family.checker(promise)
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._root = bytearray()

    def _tap(self, data: bytes) -> None:
        """See every byte, on the writer thread: for what the store does not hash by itself."""
        if self._checker is not None:
            self._checker.update(data)
        if self._promised_sha1:
            self._sha1.update(data)
        if self._judge is not None and len(self._root) <= MAX_ROOT:
            self._root += data

    async def _start_over(self, reason: str) -> None:
        """Give the bytes so far up, and begin a new draft: who followed the old one must never see other bytes in it."""
        await self._abandon(reason)
        writer = self._means.begin(self._step)
        if not isinstance(writer, Draft):
            writer.close()
            raise TakenError
        self._draft = self._flight.draft = writer
        self._is_ended = False
        self._forget_bytes()
        writer.tap(self._tap)

    # --- sources ----------------------------------------------------------------------------------------------------------

    async def _over_sources(self) -> Landing:
        """Try each source in order. A last 404 for something that should be there is asked once more: one backend may be mistaken."""
        sources = self._means.verdicts.worth_asking(self._step)
        failures: list[Failure] = []
        for source in sources:
            outcome = await self._try(source)
            if not isinstance(outcome, Failure) or (isinstance(outcome, Refusal) and self._is_followed):
                return outcome
            failures.append(outcome)
        if (
            failures
            and isinstance(failures[-1], Absent)
            and (self._step.promise is not None or self._judge is not None)
        ):
            await self._means.clock.sleep(ASKED_AGAIN_AFTER)
            outcome = await self._try(sources[-1])
            if not isinstance(outcome, Failure):
                return outcome
            failures.append(outcome)
        return self._means.verdicts.refusal(self._step, failures)

    @property
    def _is_followed(self) -> bool:
        """Whether readers may hold bytes already."""
        return not self._step.whole and self._flight.is_arriving

    async def _try(self, source: Source) -> Landed | Unchanged | Failure:
        """Ask one source until it has given everything, gives up, or is given up."""
        self._source = source
        breaks = throttles = 0
        while True:
            outcome = await self._pull(source)
            match outcome:
                case _Whole():
                    return await self._conclude(source)
                case Throttled():
                    throttles += 1
                    if throttles > THROTTLES or not source.last_resort:
                        return outcome
                case Broken(Fault.WRONG_SIZE) if not source.last_resort:
                    return Absent(404)  # a mirror has another version under that name, which is no fault of anybody's
                case Broken():
                    breaks += 1
                    if breaks >= TRIES or not outcome.is_unwell:
                        return outcome
                case _:
                    return outcome

    async def _pull(self, source: Source) -> _Whole | Landed | Unchanged | Failure:
        """Make one request, and take what it gives into the draft."""
        if self._draft.size and not self._may_resume():
            if self._is_followed:
                return Broken(Fault.CHANGED)
            await self._start_over("it cannot be resumed from this source")
        promise, validators = self._step.promise, self._validators
        asked = Asked(
            source.url,
            start=self._draft.size or None,
            if_range=self._offer.validator if self._offer is not None and self._draft.size else "",
            etag=validators.etag,
            since=validators.last_modified,
            size=None if promise is None else promise.size,
        )
        asking = self._flight.asking
        async with self._means.upstream.fetch(
            asked, Reach.of(asking.row), background=asking.background, stop_at=self._at_redirect, via=asking.via
        ) as response:
            self._means.tally.asked(*response.hops, response.url)
            match response.settled:
                case Take(offer):
                    pass
                case StartOver(offer):
                    if self._is_followed:
                        return Broken(Fault.CHANGED)
                    await self._start_over("upstream began again from the first byte")
                case NotModified():
                    return Unchanged()
                case NoSuchRange(total):
                    if total == self._draft.size:
                        return _Whole()
                    self._offer = None  # of another file: it cannot be resumed
                    return Broken(Fault.CHANGED)
                case Redirect(location):
                    return await self._land_held(location)
                case _:
                    return response.settled
            return await self._take(response, offer, source)

    def _may_resume(self) -> bool:
        """Whether bytes from here on are sure to belong to those we hold: by their promise, or by the source's validator."""
        promise = self._step.promise
        return (promise is not None and promise.is_strong) or (self._offer is not None and bool(self._offer.validator))

    async def _take(self, response: UpstreamResponse, offer: Offer, source: Source) -> _Whole | Broken:
        self._offer = offer
        limit = offer.total if offer.total is not None else MAX_ROOT if self._judge is not None else MAX_FILE
        if limit > MAX_FILE or (self._judge is not None and limit > MAX_ROOT):
            return Broken(Fault.TOO_LONG)
        await self._draft.describe(Meta(source.url, offer.total, offer.etag, offer.last_modified))
        self._flight.date = read_http_date(offer.last_modified)
        self._flight.arriving.set()
        try:
            async for piece in response.pieces():
                if self._draft.size + len(piece) > limit:
                    return Broken(Fault.TOO_LONG)
                await self._draft.write(piece)
                self._means.tally.received(response.url, len(piece))
        except BodyBrokenError as broken:
            return Broken(broken.fault)
        return _Whole()

    # --- the verdict ------------------------------------------------------------------------------------------------------

    async def _conclude(self, source: Source) -> Landed | Refusal:
        """Judge what has arrived; the last piece is released only by a good verdict."""
        sealed = await self._draft.seal()
        verdict: Proof | Refusal | None = self._differs(sealed)
        if verdict is None and self._judge is not None:
            verdict = await self._judge(bytes(self._root))
        if isinstance(verdict, Refusal):
            self._means.verdicts.remember_wrong(self._step, source)
            if not self._is_followed:
                await self._start_over(verdict.reason)
            return verdict
        self._is_ended = True
        blob = await self._draft.commit()
        blob.close()
        offer = self._offer or Offer(0, sealed.size, sealed.size)
        if not self._draft.full:
            await self._date(sealed.digest, offer)
            if self._promised_sha1 and self._sha1.hexdigest() == self._promised_sha1:
                await self._means.names.put_alias("sha1", self._promised_sha1, sealed.digest, sealed.size)
        proof = self._step.proof if verdict is None else verdict
        return Landed(sealed.digest, sealed.size, proof, offer.etag, offer.last_modified, is_adrift=self._draft.full)

    def _differs(self, sealed: Sealed) -> Refusal | None:
        promise = self._step.promise
        if promise is None:
            return None
        words = "size differs" if promise.size not in (None, sealed.size) else None
        if words is None and promise.digests.get("sha256", sealed.digest) != sealed.digest:
            words = "sha256 differs"
        if words is None and self._checker is not None:
            words = self._checker.finish()
        return None if words is None else refusals.wrong_bytes(self._step, words)

    async def _date(self, digest: str, offer: Offer) -> None:
        """Date the blob (rule 8): as upstream does, else as the root itself does, else now."""
        date = read_http_date(offer.last_modified)
        if date is None and self._judge is not None:
            date = self._flight.asking.family.root_date(bytes(self._root))
        await self._means.names.put_date(digest, self._means.clock.now() if date is None else date)

    # --- redirects to a digest we hold ------------------------------------------------------------------------------------

    def _at_redirect(self, location: str) -> bool:
        """Note the digest that a redirect names; stop there if the store holds it."""
        named = self._flight.asking.history.digest_in(location)
        if named is None:
            return False
        self._promised_sha1 = named
        held = self._means.names.alias("sha1", named)
        return held is not None and not self._draft.size and size_of(self._means.blobs, held.digest) is not None

    async def _land_held(self, location: str) -> Landed | Failure:
        """Take the bytes from the store, where the redirect says that they are; judged like any that arrive."""
        held = self._means.names.alias("sha1", self._promised_sha1)
        blob = None if held is None else await self._means.blobs.open(held.digest)
        if blob is None:
            return Broken(Fault.BAD_REDIRECT)
        try:
            async for piece in blob.chunks(0, blob.size):
                await self._draft.write(piece)
        finally:
            blob.close()
        self._offer = Offer(0, blob.size, blob.size)
        return await self._conclude(Source(location, location, last_resort=True))
