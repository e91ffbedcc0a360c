"""Fetch wanted files into the store, and record them in a capture, through the application's answerer.

    fetcher = FileFetcher(app.answerer, families=FAMILIES, clock=app.clock, capture="build")
    outcomes = await fetcher.fetch(files, progress)

Cancel it at any point: every finished file is stored and recorded, and the draft of every other one is kept for a day
and continued by the next run. That also holds for a process that is killed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from snapproxy.base import refusals
from snapproxy.base.clock import Clock
from snapproxy.base.concurrency import gather_bounded
from snapproxy.core.exchange import Answerer, Conditions, FileTarget, Moved, Served
from snapproxy.core.model import Archive, Family, Match, Proof, Refusal, Role, TimeSpec
from snapproxy.prefetch.listed_digest import ListedFileCheck
from snapproxy.prefetch.model import WantedFile
from snapproxy_storage import DraftFailed, DraftOrphaned, StorageFailure

WIDTH = 16
"""Default number of files that are requested concurrently; the rate limit decides how many requests go upstream."""

MAX_FAILURES = 4
"""Failures of one file (a broken body, wrong bytes, an upstream that cannot be reached) before it is given up.

Each one was retried by the download already; a further try is made when the cool-down of the failure is over.
"""

RETRY_SECONDS = 5.0
"""Wait before a file whose body broke is requested again."""

_ATTEMPTS = 3
"""Requests for one file until its digest is known: the download, the stored file, and one more if it was evicted."""

_PHASES = (
    frozenset({Role.ROOT, Role.SIGNATURE}),
    frozenset({Role.INDEX}),
    frozenset({Role.PACKAGE, Role.OTHER}),
)
"""The roles of files in the order in which they are fetched."""

_Key = tuple[str, TimeSpec, str]


@dataclass(frozen=True, slots=True)
class PrefetchedFile:
    """A file that is in the store and, if a capture was named, in that capture.

    `size` in bytes, `cache` as in `core.exchange.Served` (HIT: it was stored before), `snapshot` is the id that
    answered.
    """

    size: int
    sha256: str
    proof: Proof
    cache: str
    snapshot: str


FileOutcome = PrefetchedFile | Refusal


def missing_files(outcomes: Mapping[WantedFile, FileOutcome]) -> dict[WantedFile, Refusal]:
    """Return the files that are missing, with their refusals.

    An absence of a file that may be absent is recorded, and does not count.
    """
    return {
        file: outcome
        for file, outcome in outcomes.items()
        if isinstance(outcome, Refusal) and not (file.may_be_absent and outcome.is_absence)
    }


class FetchProgress(Protocol):
    """Receives the progress of the files, in the order of events. No call waits."""

    def advance(self, file: WantedFile, done: int, total: int | None) -> None:
        """Report that `done` of `total` bytes (None: unknown) have arrived. A retry may start below the last value."""

    def wait(self, file: WantedFile, refusal: Refusal, seconds: float) -> None:
        """Report that the file is requested again in `seconds`, because of `refusal`."""

    def finish(self, file: WantedFile, outcome: FileOutcome) -> None:
        """Report the outcome of a file, once for each wanted file."""


class _NoFetchProgress:
    def advance(self, file: WantedFile, done: int, total: int | None) -> None:
        """Ignore the report."""

    def wait(self, file: WantedFile, refusal: Refusal, seconds: float) -> None:
        """Ignore the report."""

    def finish(self, file: WantedFile, outcome: FileOutcome) -> None:
        """Ignore the report."""


SILENT: FetchProgress = _NoFetchProgress()
"""Ignores every report: the default where no caller displays progress."""


class FileFetcher:
    """Fetches wanted files with limited concurrency. A refusal of one file does not stop the others."""

    def __init__(
        self,
        answerer: Answerer,
        *,
        families: Mapping[str, Family],
        clock: Clock,
        capture: str = "",
        width: int = WIDTH,
        max_wait: float | None = None,
    ) -> None:
        """`capture`: the capture that records the files, '' for none.

        `width`: files requested concurrently. `max_wait`: the seconds that one file may wait in all for its first byte
        and for refusals that may pass (None: unbounded); then its outcome is the last refusal.
        """
        self._answerer = answerer
        self._families = families
        self._clock = clock
        self._capture = capture
        self._width = width
        self._max_wait = max_wait

    async def fetch(
        self, files: Iterable[WantedFile], progress: FetchProgress = SILENT
    ) -> dict[WantedFile, FileOutcome]:
        """Return the outcome of every file. Files of one archive, time and path are fetched once.

        Roots and indexes are fetched before packages: a package that an index of its snapshot lists comes from the
        mirror, any other one only from the snapshot service. Name the root and the index among the files, unless a
        client or a solver has requested them at that time.

        A file whose size or digest differs from the wanted one has a Refusal with status 424, and is not recorded.
        Raises nothing for an upstream or an archive.
        """
        groups: dict[_Key, dict[WantedFile, None]] = {}
        for file in files:
            groups.setdefault((file.archive.name, file.when, file.path), {})[file] = None

        async def fetch_one(wanted: tuple[WantedFile, ...]) -> dict[WantedFile, FileOutcome]:
            outcomes = await _OneFile(self, wanted, progress).fetch()
            for file, outcome in outcomes.items():
                progress.finish(file, outcome)
            return outcomes

        phases: list[list[tuple[WantedFile, ...]]] = [[] for _ in _PHASES]
        for group in groups.values():
            phases[self._phase(next(iter(group)))].append(tuple(group))
        found = [each for phase in phases for each in await gather_bounded(phase, fetch_one, self._width)]
        return {file: outcome for outcomes in found for file, outcome in outcomes.items()}

    def _phase(self, file: WantedFile) -> int:
        role = self.family(file.archive).classify(file.path).role
        return next(number for number, roles in enumerate(_PHASES) if role in roles)

    # --- used by the single fetches

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def max_wait(self) -> float | None:
        return self._max_wait

    @property
    def capture(self) -> str:
        return self._capture

    def family(self, archive: Archive) -> Family:
        """Return the family of an archive."""
        return self._families[archive.family]

    async def ask(self, target: FileTarget) -> Served | Refusal:
        """Request a file. The caller closes the body."""
        outcome = await self._answerer.answer(target, Conditions(background=True))
        return Refusal(404, "The path is a folder, not a file") if isinstance(outcome, Moved) else outcome


class _OneFile:
    """The fetch of one path, for all wanted files that name it.

    The file is stored and compared before the capture records it: a file that differs from the list is not recorded,
    and an interrupted fetch leaves nothing for the recorder to finish. Only a moving time is requested through the
    capture from the start, because the capture decides which snapshot it means.
    """

    def __init__(self, fetcher: FileFetcher, wanted: Sequence[WantedFile], progress: FetchProgress) -> None:
        self._fetcher = fetcher
        self._wanted = wanted
        self._progress = progress
        first = wanted[0]
        self._recorded = FileTarget(first.archive, first.when, first.path, fetcher.capture)
        is_moving = first.when.match in (Match.LIVE, Match.LATEST)
        self._target = self._recorded if is_moving else FileTarget(first.archive, first.when, first.path)
        self._waited = 0.0

    async def fetch(self) -> dict[WantedFile, FileOutcome]:
        """Fetch the file, as often as refusals that may pass require."""
        failures = 0
        while True:
            try:
                outcomes = await self._try_once()
            except (DraftFailed, DraftOrphaned) as failed:
                outcomes = self._all(_broken(failed))
            except StorageFailure as failure:
                return self._all(refusals.of_store(failure, whole=False))
            refusal = next((each for each in outcomes.values() if isinstance(each, Refusal) and each.may_pass), None)
            if refusal is None:
                return outcomes
            failures += not refusal.is_wait
            seconds = float(refusal.headers["Retry-After"])
            left = self._left
            if failures >= MAX_FAILURES or (left is not None and seconds > left):
                return outcomes
            for file in self._wanted:
                self._progress.wait(file, refusal, seconds)
            await self._fetcher.clock.sleep(seconds)
            self._waited += seconds

    @property
    def _left(self) -> float | None:
        """The seconds that this file may still wait, None for any time."""
        most = self._fetcher.max_wait
        return None if most is None else max(0.0, most - self._waited)

    def _all(self, outcome: FileOutcome) -> dict[WantedFile, FileOutcome]:
        return dict.fromkeys(self._wanted, outcome)

    async def _try_once(self) -> dict[WantedFile, FileOutcome]:
        """Store the file, compare it with each list, and record it if it is the wanted one."""
        stored = await self._store()
        if isinstance(stored, Refusal):
            return self._all(stored)
        served, cache = stored
        try:
            differences = await self._differences(served)
        finally:
            served.body.close()
        if all(differences.values()):
            return {file: refusal for file, refusal in differences.items() if refusal is not None}
        outcome = await self._record(served, cache)
        return {file: refusal or outcome for file, refusal in differences.items()}

    async def _store(self) -> tuple[Served, str] | Refusal:
        """Return the file from the store, open, and how it was found; download it if it is not stored."""
        cache = ""
        for _ in range(_ATTEMPTS):
            outcome = await self._ask(self._target)
            if isinstance(outcome, Refusal):
                return outcome
            cache = cache or outcome.cache
            if outcome.digest:
                return outcome, cache
            try:
                await self._follow(outcome)
            finally:
                outcome.body.close()
        return refusals.disk_full(whole=False)  # only a file that the disk does not take has no digest in the end

    async def _ask(self, target: FileTarget) -> Served | Refusal:
        began = self._fetcher.clock.monotonic()
        try:
            async with self._fetcher.clock.timeout(self._left):
                return await self._fetcher.ask(target)
        except TimeoutError:
            return _waited_too_long(target, self._fetcher.max_wait or 0.0)
        finally:
            self._waited += self._fetcher.clock.monotonic() - began

    async def _follow(self, served: Served) -> None:
        """Wait until all bytes have arrived and are verified; they are not read. Raises DraftFailed."""
        body, offset = served.body, 0
        while body.size is None or offset < body.size:
            offset = await body.wait(offset)
            for file in self._wanted:
                self._progress.advance(file, offset, body.size)

    async def _differences(self, served: Served) -> dict[WantedFile, Refusal | None]:
        checks = {file: ListedFileCheck(file, self._fetcher.family(file.archive)) for file in self._wanted}
        reading = [check for check in checks.values() if check.needs_bytes]
        size = served.body.size or 0
        if reading:
            async for piece in served.body.chunks(0, size):
                for check in reading:
                    check.update(piece)
        return {file: check.difference(size, served.digest) for file, check in checks.items()}

    async def _record(self, served: Served, cache: str) -> FileOutcome:
        """Request the stored file once more, through the capture."""
        if self._fetcher.capture and self._target is not self._recorded:
            outcome = await self._ask(self._recorded)
            if isinstance(outcome, Refusal):
                return outcome
            outcome.body.close()
            if outcome.digest != served.digest:
                return _recorded_before(self._recorded, served.digest, outcome.digest)
            served = outcome
        return PrefetchedFile(served.body.size or 0, served.digest, served.proof, cache, served.snapshot)


def _broken(failed: DraftFailed | DraftOrphaned) -> Refusal:
    """Return the refusal for a body that ended before its last byte."""
    return Refusal(
        502,
        "The download failed",
        str(failed),
        "Run the command again: verified parts are not downloaded twice.",
        {"Retry-After": str(round(RETRY_SECONDS))},
    )


def _waited_too_long(target: FileTarget, seconds: float) -> Refusal:
    return Refusal(
        503,
        "No byte arrived within the maximum wait",
        f"{target.path} of {target.archive.name} at {target.when.text} was requested for {seconds:.0f} s.",
        "Run the command again later, or allow a longer wait. What was fetched is kept.",
    )


def _recorded_before(target: FileTarget, sha256: str, recorded: str) -> Refusal:
    return Refusal(
        424,
        "The capture has another file of that name",
        f"{target.path} of {target.archive.name} at {target.when.text} has sha256 {sha256}, and {target.capture} "
        f"recorded {recorded or 'a file that is still arriving'} before. The first answer of a capture is final.",
        "Record under another name.",
    )
