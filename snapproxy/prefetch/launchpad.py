"""The record of Launchpad: when and in which suite of Ubuntu a version was published, and when it was superseded.

One request for each package. The digest comes from the index that lists the file, so Launchpad's files are not asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from snapproxy.base.concurrency import gather_bounded
from snapproxy.core.model import Archive, Instant, Refusal
from snapproxy.core.upstream_answer import UpstreamRequest
from snapproxy.prefetch.evidence import IndexEvidence, SuitePeriod, reason_of
from snapproxy.prefetch.metasnap import is_suite
from snapproxy.prefetch.query import Query, is_architecture
from snapproxy.prefetch.record_service import Missing, RecordService
from snapproxy.prefetch.records import CONCURRENT_QUESTIONS

_ARCHIVES = frozenset({"ubuntu", "ubuntu-ports"})
_COLLECTION = "/devel/ubuntu/+archive/primary"

MOST_FAILURES = 3
"""Failed questions after which Launchpad is not asked further for the list."""

DELAY = 3600
"""Seconds from a publication in Launchpad until the indexes of the archive have it (estimated)."""

_POCKETS = {"Release": "", "Updates": "-updates", "Security": "-security", "Proposed": "-proposed"}
_POCKETS["Backports"] = "-backports"


@dataclass(frozen=True, slots=True)
class Publication:
    """A publication: `first` to `last` in `suite`; `last` is None if it was not superseded."""

    architecture: str
    suite: str
    first: Instant
    last: Instant | None


class LaunchpadRecords:
    """Asks Launchpad's API (implements `records.Records`)."""

    def __init__(self, service: RecordService) -> None:
        self._service = service

    def serves(self, archive: Archive) -> bool:
        return archive.family == "apt" and archive.name in _ARCHIVES

    async def ask(self, archives: Sequence[Archive], queries: Sequence[Query], evidence: IndexEvidence) -> None:
        """Ask about each name and version once; queries of several architectures share the answer."""
        versions: dict[tuple[str, str], list[Query]] = {}
        for query in queries:
            if query.name and query.version and not query.is_bare:
                versions.setdefault((query.name, query.version), []).append(query)
        failures: list[Refusal] = []

        async def ask(version: tuple[str, str]) -> None:
            if len(failures) < MOST_FAILURES:
                answer = await self._publications(*version)
            else:
                answer = failures[-1]
            if isinstance(answer, Refusal):
                failures.append(answer)
                for query in versions[version]:
                    evidence.unanswered[query.number] = f"Launchpad: {reason_of(answer)}"
                return
            for query in versions[version]:
                _add(query, archives, answer, evidence)

        await gather_bounded(list(versions), ask, CONCURRENT_QUESTIONS)

    async def _publications(self, name: str, version: str) -> list[Publication] | Refusal:
        words = {
            "ws.op": "getPublishedBinaries",
            "binary_name": name,
            "version": version,
            "exact_match": "true",
            "ordered": "false",  # an ordered collection ends in 503
        }
        url = f"{self._service.base}{_COLLECTION}?{urlencode(words)}"
        answer = await self._service.ask(UpstreamRequest(url, page=True))
        if isinstance(answer, Refusal):
            return answer
        if isinstance(answer, Missing):
            return []
        try:
            return list(read_publications(json.loads(answer), version))
        except (ValueError, RecursionError):
            return Refusal(502, "Launchpad sent an answer that is not JSON")


def _add(
    query: Query, archives: Sequence[Archive], publications: Sequence[Publication], evidence: IndexEvidence
) -> None:
    for archive in archives:
        if archive not in query.archives:
            continue
        for each in publications:
            # A package of every architecture is published for each of them.
            if is_architecture(query.architecture, each.architecture, "all"):
                evidence.periods[query.number].append(SuitePeriod(archive, each.suite, each.first, each.last))


def read_publications(answer: object, version: str) -> Iterator[Publication]:
    """Yield the publications of a version in an answer of `getPublishedBinaries`. Malformed entries are omitted."""
    rows = answer.get("entries") if isinstance(answer, dict) else None
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and row.get("binary_package_version") == version:
            yield from _publication(row)


def _publication(row: dict[str, Any]) -> Iterator[Publication]:
    link, pocket = row.get("distro_arch_series_link"), row.get("pocket")
    if not isinstance(link, str) or not isinstance(pocket, str) or pocket not in _POCKETS:
        return
    series, _, architecture = link.rstrip("/").rpartition("/")
    suite = series.rpartition("/")[2] + _POCKETS[pocket]
    published, superseded = _instant(row.get("date_published")), _instant(row.get("date_superseded"))
    if published is not None and is_suite(suite):
        first = published + DELAY if superseded is None else max(published, min(published + DELAY, superseded - 1))
        yield Publication(architecture, suite, first, superseded)


def _instant(text: object) -> Instant | None:
    """Read a date of Launchpad, such as `2024-04-25T12:00:00.123456+00:00`."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
        return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()) if moment else None
    except (ValueError, OverflowError):
        return None
