"""The record of metasnap: the suites that listed a version of a Debian package, and from when until when.

Requests contain many packages of one archive and architecture. If the service lacks one of them it answers 404 and
lists the missing ones; the others are requested again without them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from snapproxy.core.model import Archive, Instant, Refusal
from snapproxy.core.time_spec import parse_time
from snapproxy.core.upstream_answer import UpstreamRequest
from snapproxy.errors import ClientError
from snapproxy.prefetch.evidence import IndexEvidence, SuitePeriod, reason_of
from snapproxy.prefetch.query import Query
from snapproxy.prefetch.record_service import Missing, RecordService

ARCHIVES = (
    "debian",
    "debian-debug",
    "debian-security",
    "debian-ports",
    "debian-volatile",
    "debian-backports",
)
"""The archives of the service, in the order in which they are asked."""

MOST_PACKAGES = 200
"""Maximum number of packages of one request: the list of all of them, in a 404, is below the bytes that are read."""

_SUITE = re.compile(r"(?!.{128})[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)*")
_ANY = "all"
_NATIVE = "amd64"
"""The architecture of a request for packages of every architecture; the service requires one."""

Package = tuple[str, str, str]
"""Name, architecture, version."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of an answer: the suite that listed a package from `first` to `last`."""

    package: Package
    suite: str
    first: Instant
    last: Instant


class MetasnapRecords:
    """Asks metasnap (implements `records.Records`)."""

    def __init__(self, service: RecordService) -> None:
        self._service = service

    def serves(self, archive: Archive) -> bool:
        return archive.family == "apt" and _service_name(archive) in ARCHIVES

    async def ask(self, archives: Sequence[Archive], queries: Sequence[Query], evidence: IndexEvidence) -> None:
        """Ask about the packages that have a name, a complete version and an architecture, archive by archive."""
        left = [each for each in queries if each.name and each.architecture and not each.is_bare and _is_plain(each)]
        for archive in sorted(archives, key=lambda each: ARCHIVES.index(_service_name(each))):
            own = [each for each in left if archive in each.archives]
            for architecture in sorted({each.architecture for each in own}):
                same = [each for each in own if each.architecture == architecture]
                for start in range(0, len(same), MOST_PACKAGES):
                    if not await self._ask(archive, same[start : start + MOST_PACKAGES], evidence):
                        return  # the service does not answer: further requests would fail too
            left = [each for each in left if not evidence.periods.get(each.number)]

    async def _ask(self, archive: Archive, queries: Sequence[Query], evidence: IndexEvidence) -> bool:
        """Ask about queries of one architecture; those that are missing once more as packages of every architecture."""
        native = queries[0].architecture
        for architecture in dict.fromkeys((native, _ANY)):
            left = [each for each in queries if not evidence.periods.get(each.number)]
            wanted: defaultdict[Package, list[Query]] = defaultdict(list)
            for each in left:
                wanted[each.name, architecture, each.version].append(each)
            if not wanted:
                return True
            answer = await self._rows(archive, _NATIVE if native == _ANY else native, list(wanted))
            if isinstance(answer, Refusal):
                for each in queries:
                    evidence.unanswered[each.number] = f"{archive.name}: {reason_of(answer)}"
                return False
            for row in answer:
                for each in wanted.get(row.package, ()):
                    evidence.periods[each.number].append(SuitePeriod(archive, row.suite, row.first, row.last))
        return True

    async def _rows(self, archive: Archive, native: str, packages: Sequence[Package]) -> list[Row] | Refusal:
        """Return the rows of packages, without the missing ones: two requests at most."""
        answer = await self._post(archive, native, packages)
        if isinstance(answer, Missing):
            missing = read_missing(answer.body, packages)
            present = [each for each in packages if each not in missing]
            if not missing:
                return Refusal(502, "metasnap answered 404", "The answer does not list the missing packages")
            answer = await self._post(archive, native, present) if present else b""
        if isinstance(answer, Missing):
            return Refusal(502, "metasnap answered 404 again", "The missing packages were omitted from the request")
        return answer if isinstance(answer, Refusal) else list(read_rows(answer))

    async def _post(self, archive: Archive, native: str, packages: Iterable[Package]) -> bytes | Missing | Refusal:
        words = ",".join(f"{name}:{architecture}={version}" for name, architecture, version in packages)
        form = (("archive", _service_name(archive)), ("arch", native), ("pkgs", words))
        return await self._service.ask(UpstreamRequest(self._service.base, page=True, form=form))


def read_rows(answer: bytes) -> Iterator[Row]:
    """Yield the rows of an answer. Malformed lines are omitted."""
    for line in answer.decode("utf-8", "replace").splitlines():
        match line.split():
            case [name, architecture, version, suite, _component, begin, end] if is_suite(suite):
                first, last = _instant(begin), _instant(end)
                if first is not None and last is not None and first <= last:
                    yield Row((name, architecture, version), suite, first, last)


def read_missing(body: bytes, packages: Iterable[Package]) -> set[Package]:
    """Return the packages that the body of a 404 lists, of those that were requested."""
    known = set(packages)
    lines = (tuple(line.split()) for line in body.decode("utf-8", "replace").splitlines())
    return {(line[0], line[1], line[2]) for line in lines if len(line) == 3} & known  # noqa: PLR2004 (name, arch, version)


def is_suite(text: str) -> bool:
    """Return whether a service's word may be a folder below `dists`."""
    return _SUITE.fullmatch(text) is not None


def _instant(text: str) -> Instant | None:
    try:
        return parse_time(text).instant
    except ClientError:
        return None


def _is_plain(query: Query) -> bool:
    """Return whether the words of a query cannot change the meaning of the list of packages."""
    words = (query.name, query.version, query.architecture)
    return not any(mark in word for word in words for mark in ",=\r\n\t ")


def _service_name(archive: Archive) -> str:
    """Return the archive's name at the snapshot service, which metasnap uses too."""
    return archive.snapshot[0].rstrip("/").rpartition("/")[2] if archive.snapshot else ""
