"""Fetch wanted files into the store, and into a capture: each one whole and verified, or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from snapproxy.base.clock import Clock
from snapproxy.base.concurrency import gather_bounded
from snapproxy.core.exchange import Answerer, Conditions, FileTarget, Moved, Served
from snapproxy.core.model import Proof, Refusal
from snapproxy.core.progress import Progress
from snapproxy.prefetch.model import WantedFile
from snapproxy_storage import DraftFailed, DraftOrphaned

CONCURRENT_FILES = 8
"""Files requested concurrently; the rate limit decides how many of the requests go upstream."""

MOST_CUTS = 3
"""Maximum number of downloads of one file that may break off."""


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A wanted file that is stored. `digest` is its sha256 (hex), `size` in bytes, `cache` HIT, MISS or JOINED."""

    wanted: WantedFile
    size: int
    digest: str
    proof: Proof
    cache: str
    snapshot: str


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A wanted file that was refused, or whose bytes have another digest than the list states."""

    wanted: WantedFile
    refusal: Refusal

    @property
    def is_failure(self) -> bool:
        """Whether the file is missing; an absence of a file that may be absent is recorded, and is no failure."""
        return not (self.wanted.may_be_absent and self.refusal.is_absence)


class FileFetcher:
    """Fetches files in the background: the requests of clients have priority.

    `capture`: the capture that records the files, '' for none. A refusal that may pass, such as a cool-down, is waited
    for; every other one is final for its file and does not stop the others.
    """

    def __init__(self, answerer: Answerer, clock: Clock, progress: Progress, capture: str = "") -> None:
        self._answerer = answerer
        self._clock = clock
        self._progress = progress
        self._capture = capture

    async def fetch(self, files: Sequence[WantedFile]) -> list[FetchedFile | RefusedFile]:
        """Fetch the files, and return the outcome of each one in their order; equal files are fetched once."""
        distinct = list(dict.fromkeys(files))
        outcomes = await gather_bounded(distinct, self._fetch, CONCURRENT_FILES)
        found = dict(zip(distinct, outcomes, strict=True))
        return [found[each] for each in files]

    async def _fetch(self, wanted: WantedFile) -> FetchedFile | RefusedFile:
        cuts = 0
        while True:
            outcome = await self._answerer.answer(
                FileTarget(wanted.archive, wanted.when, wanted.path, self._capture), Conditions(background=True)
            )
            if isinstance(outcome, Served):
                try:
                    done = await self._read(wanted, outcome)
                except (DraftFailed, DraftOrphaned) as failed:
                    cuts += 1
                    if cuts < MOST_CUTS:
                        continue
                    done = RefusedFile(wanted, Refusal(502, "The download failed", str(failed), "Try again."))
            elif isinstance(outcome, Moved):
                done = RefusedFile(wanted, Refusal(404, "The path is a folder, not a file"))
            elif outcome.may_pass:
                await self._clock.sleep(float(outcome.headers["Retry-After"]))
                continue
            else:
                done = RefusedFile(wanted, outcome)
            self._progress.finish(_label(wanted))
            return done

    async def _read(self, wanted: WantedFile, served: Served) -> FetchedFile | RefusedFile:
        """Read a body to its end, so that a capture records it, and compare its digest with the wanted one."""
        algorithm, _, expected = wanted.digest.partition(":")
        sha256, hashes = hashlib.sha256(), [hashlib.new(algorithm)] if expected else []
        body, offset = served.body, 0
        try:
            while body.size is None or offset < body.size:
                ready = await body.wait(offset)
                async for piece in body.chunks(offset, ready):
                    for each in (sha256, *hashes):
                        each.update(piece)
                offset = ready
                self._progress.advance(_label(wanted), offset, body.size)
        finally:
            body.close()
        if hashes and hashes[0].hexdigest() != expected:
            return RefusedFile(wanted, _other_bytes(wanted, algorithm, hashes[0].hexdigest()))
        return FetchedFile(wanted, offset, sha256.hexdigest(), served.proof, served.cache, served.snapshot)


def _label(wanted: WantedFile) -> str:
    return f"{wanted.archive.name}/{wanted.when.text}/{wanted.path}"


def _other_bytes(wanted: WantedFile, algorithm: str, found: str) -> Refusal:
    return Refusal(
        502,
        "The archive has another file than the list names",
        f"The list has {wanted.digest} for {wanted.path}, and the file at {wanted.when.text} has {algorithm}:{found}.",
        "Use the time at which the list was made.",
    )
