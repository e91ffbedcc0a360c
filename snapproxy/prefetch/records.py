"""Records of archives' histories: services that answer which files a name and version had, and since when.

`snapshot_records` asks the service of snapshot.debian.org, `dated_records` the folders of the Arch Linux Archive.
`metasnap` and `launchpad` ask services of these names, if the configuration has their addresses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from snapproxy.core.exchange import Answerer, Conditions, Served, ServiceTarget
from snapproxy.core.model import Archive, Refusal
from snapproxy.prefetch.evidence import IndexEvidence
from snapproxy.prefetch.query import Query
from snapproxy_storage import StorageFailure, read_whole

LARGEST_ANSWER = 8 << 20
"""Maximum size of an answer in bytes; Debian's largest, the versions of one package, are far below 1 MB."""

CONCURRENT_QUESTIONS = 8
"""Questions asked concurrently; the rate limit decides how many of them go upstream."""


class Records(Protocol):
    """A record of the histories of archives."""

    def serves(self, archive: Archive) -> bool:
        """Return whether this record can know files of an archive."""

    async def ask(self, archives: Sequence[Archive], queries: Sequence[Query], evidence: IndexEvidence) -> None:
        """Add the recorded files of the queries, the versions that exist, and refused questions to the evidence.

        `archives` are served by this record; a question about several of them is asked once.
        """


async def ask_service(answerer: Answerer, target: ServiceTarget) -> bytes | Refusal:
    """Return the whole answer of an archive's own service."""
    outcome = await answerer.answer(target, Conditions(background=True))
    if isinstance(outcome, Refusal):
        return outcome
    if not isinstance(outcome, Served):
        return Refusal(404, "The service redirected the question")
    try:
        return await read_whole(outcome.body, LARGEST_ANSWER)
    except StorageFailure as failure:
        return Refusal(502, "The answer of the service could not be read", str(failure))
