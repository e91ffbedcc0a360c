"""Fetch the files of an observation that no index lists: files beside its roots, and signatures of its packages.

They are fetched from the archive itself in the same observation, and have no proof. A failure does not stop the
observation: nothing lists these files, so nothing else depends on them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from snapproxy.base.clock import Clock
from snapproxy.base.concurrency import gather_bounded
from snapproxy.base.context import RequestContext
from snapproxy.base.names import Names
from snapproxy.core.expected_files import signature_name
from snapproxy.core.model import TIMELESS, ExpectedFile, Proof, Refusal, Resolved, Role
from snapproxy.core.plan_model import StoredFile
from snapproxy.core.sources import fetch_now
from snapproxy.download.downloads import Downloads
from snapproxy.download.outcome import Stored
from snapproxy.live.live_files import LiveFiles
from snapproxy.live.observations import Observations

log = logging.getLogger(__name__)

AT_ONCE = 4
"""Maximum number of concurrent downloads; the rate limit of each upstream also applies."""

MAX_ABSENT = 8
"""Number of packages whose signatures are absent after which no further one of the index is requested: most archives
that sign packages in this way sign all of them."""


@dataclass(frozen=True, slots=True)
class Beside:
    """Files beside the roots of an observation: the stored ones, and the paths that upstream lacked."""

    files: tuple[StoredFile, ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of the stored files."""
        return tuple(file.path for file in self.files)


class UnlistedFiles:
    """Fetches files that no index lists."""

    def __init__(
        self, *, live: LiveFiles, names: Names, observations: Observations, downloads: Downloads, clock: Clock
    ) -> None:
        self._live = live
        self._names = names
        self._observations = observations
        self._downloads = downloads
        self._clock = clock

    async def beside(self, context: RequestContext, roots: Iterable[str], named: Sequence[str]) -> Beside:
        """Fetch the files beside these roots, the `named` ones, and those that clients have requested live."""
        usual = [path for root in roots for path in context.family.beside_root(root)]
        files, absent = list[StoredFile](), list[str]()
        for path in dict.fromkeys((*usual, *named, *self._observations.beside(context.archive))):
            await self._downloads.forget_absence(fetch_now(context.archive, path, context.family))
            found = await self._live.obtain(context, path)
            if isinstance(found, StoredFile) and not found.notes:
                files.append(found)
            elif found is None:
                absent.append(path)
            else:
                reason = found.reason if isinstance(found, Refusal) else "upstream did not send it in time"
                log.info("%s of %s was not observed: %s", path, context.archive.name, reason)
        return Beside(tuple(files), tuple(absent))

    async def signatures(self, context: RequestContext, listed: Iterable[ExpectedFile]) -> None:
        """Fetch the detached signatures of the packages in `listed` that are not stored.

        Record which of them upstream lacks.
        """
        space = f"{context.archive.name}/{TIMELESS}"
        wanted: list[tuple[str, str]] = []
        for expected in listed:
            if context.family.classify(expected.path).role is not Role.PACKAGE:
                continue
            path, name = context.family.signature(expected.path), signature_name(expected)
            if path is not None and name is not None and self._is_unknown(space, name):
                wanted.append((path, name))
        absent = 0

        async def fetch(each: tuple[str, str]) -> None:
            nonlocal absent
            if absent < MAX_ABSENT:
                absent += await self._fetch_signature(context, space, *each)

        await gather_bounded(wanted, fetch, AT_ONCE)

    def _is_unknown(self, space: str, name: str) -> bool:
        return self._names.stored(space, name) is None and not self._names.is_lacking(space, name)

    async def _fetch_signature(self, context: RequestContext, space: str, path: str, name: str) -> bool:
        """Fetch the signature at `path`, and record it as `name`. Return whether upstream lacks it."""
        step = fetch_now(context.archive, path, context.family)
        await self._downloads.forget_absence(step)
        flight, _ = self._downloads.join(step, context, None)
        outcome = await flight.wait_outcome(context, float("inf"))
        if isinstance(outcome, Stored) and not outcome.is_in_memory:
            file = StoredFile(name, outcome.digest, outcome.size, Proof.NONE)
            await self._names.put_name(space, name, file, Role.PACKAGE, Resolved(TIMELESS, 0))
        elif isinstance(outcome, Refusal):
            log.info("%s was not fetched: %s", path, outcome.reason)
            if outcome.is_absence:
                await self._names.put_lacking(space, name)
                return True
        return False
