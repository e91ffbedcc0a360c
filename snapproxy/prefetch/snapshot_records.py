"""The record of snapshot.debian.org: the files of a binary package's version, by `/mr/binary/.../binfiles`.

It names files by SHA-1, and the first dump whose pool had them. Which suite listed them, and until when, is in the
indexes of the dumps only.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snapproxy.base.concurrency import gather_bounded
from snapproxy.core.exchange import Answerer, ServiceTarget
from snapproxy.core.history import History, NativeCall
from snapproxy.core.model import Archive, Instant, Refusal
from snapproxy.core.paths import names_a_file
from snapproxy.core.time_spec import parse_time
from snapproxy.errors import ClientError
from snapproxy.families import LISTERS
from snapproxy.prefetch.evidence import HistoryFile, IndexEvidence, reason_of
from snapproxy.prefetch.query import Query, is_architecture, without_epoch
from snapproxy.prefetch.records import CONCURRENT_QUESTIONS, ask_service

_CALLS = "mr"
_SHA1 = re.compile(r"[0-9a-f]{40}")
_MOST_VERSIONS = 4
"""Maximum number of versions with one version in their file names (they differ in the epoch)."""


@dataclass(frozen=True, slots=True)
class ServiceFile:
    """A file as the service describes it. `archive` is the service's name of the archive; `size` in bytes."""

    architecture: str
    sha1: str
    archive: str
    path: str
    size: int | None
    first: Instant


class SnapshotRecords:
    """Asks the service of a snapshot archive (implements `records.Records`)."""

    def __init__(self, answerer: Answerer, histories: Mapping[str, History]) -> None:
        self._answerer = answerer
        self._histories = histories

    def serves(self, archive: Archive) -> bool:
        history = self._histories[archive.history]
        has_service = any(history.native_root(base) for base in archive.snapshot)
        return has_service and _CALLS in history.native_names

    async def ask(self, archives: Sequence[Archive], queries: Sequence[Query], evidence: IndexEvidence) -> None:
        """Ask about each query once, at the service of its first archive."""
        names = {each.name for each in archives}

        async def ask(query: Query) -> None:
            known = [each for each in query.archives if each.name in names]
            if known:
                await self._ask(known, query, evidence)

        await gather_bounded([each for each in queries if each.name or _sha1_of(each)], ask, CONCURRENT_QUESTIONS)

    async def _ask(self, archives: Sequence[Archive], query: Query, evidence: IndexEvidence) -> None:
        for first, own in _by_service(archives, self._histories).items():
            if sha1 := _sha1_of(query):
                answer = await self._call(first, f"{_CALLS}/file/{sha1}/info")
                found = [] if isinstance(answer, Refusal) else list(read_file_info(answer, sha1))
            else:
                answer, found = await self._files_of_name(first, query, evidence)
            if isinstance(answer, Refusal) and not answer.is_absence:
                evidence.unanswered[query.number] = f"{first.name}: {reason_of(answer)}"
            for file in found:
                self._add(own, query, file, evidence)

    def _add(self, archives: Sequence[Archive], query: Query, file: ServiceFile, evidence: IndexEvidence) -> None:
        every = LISTERS[archives[0].family].any_architecture
        if file.architecture and not is_architecture(query.architecture, file.architecture, every):
            return
        for archive in archives:
            if _service_name(archive) == file.archive:
                evidence.recorded[query.number].append(
                    HistoryFile(query.number, archive, file.path, file.first, file.sha1, file.size)
                )

    async def _files_of_name(
        self, archive: Archive, query: Query, evidence: IndexEvidence
    ) -> tuple[object | Refusal, list[ServiceFile]]:
        """Ask for the files of a version. If the service has no such version, ask which versions it has."""
        if not query.is_bare:
            answer = await self._files_of_version(archive, query.name, query.version)
            if not isinstance(answer, Refusal) or not answer.is_absence:
                return answer, [] if isinstance(answer, Refusal) else list(read_binary_files(answer))
        versions = await self._call(archive, f"{_CALLS}/binary/{query.name}/")
        if isinstance(versions, Refusal):
            return versions, []
        known = list(read_versions(versions))
        for version in known:
            evidence.versions[query.name].setdefault(version, None)
        if not query.is_bare:
            return versions, []
        found: list[ServiceFile] = []
        for version in [each for each in known if without_epoch(each) == query.version][:_MOST_VERSIONS]:
            answer = await self._files_of_version(archive, query.name, version)
            if isinstance(answer, Refusal):
                return answer, found
            found += read_binary_files(answer)
        return versions, found

    async def _files_of_version(self, archive: Archive, name: str, version: str) -> object | Refusal:
        return await self._call(archive, f"{_CALLS}/binary/{name}/{version}/binfiles", "fileinfo=1")

    async def _call(self, archive: Archive, path: str, query: str | None = None) -> object | Refusal:
        """Return the parsed answer of a call."""
        if not names_a_file(path.rstrip("/")):  # a list may have anything in place of a name
            return Refusal(404, "No package can have that name or version")
        try:
            call = self._histories[archive.history].read_native(archive, path, query)
        except ClientError as error:
            return Refusal(404, error.reason)
        if not isinstance(call, NativeCall):
            return Refusal(404, "That is not a question to the snapshot service")
        data = await ask_service(self._answerer, ServiceTarget(archive, call.path))
        if isinstance(data, Refusal):
            return data
        try:
            return dict(json.loads(data))
        except (ValueError, TypeError, RecursionError):
            return Refusal(502, "The snapshot service sent an answer that is not JSON")


def read_binary_files(answer: object) -> Iterator[ServiceFile]:
    """Yield the files of a `binfiles` answer with `fileinfo=1`. Malformed rows are omitted."""
    for row in _rows(answer, "result"):
        sha1, architecture = row.get("hash"), row.get("architecture")
        info = answer.get("fileinfo") if isinstance(answer, dict) else None
        places = info.get(sha1) if isinstance(info, dict) and isinstance(sha1, str) else None
        if isinstance(architecture, str) and isinstance(sha1, str):
            yield from _files(places, sha1, architecture)


def read_file_info(answer: object, sha1: str) -> Iterator[ServiceFile]:
    """Yield the places of a file from a `/mr/file/<sha1>/info` answer. Malformed rows are omitted."""
    yield from _files(answer.get("result") if isinstance(answer, dict) else None, sha1, "")


def read_versions(answer: object) -> Iterator[str]:
    """Yield the versions of a `/mr/binary/<name>/` answer."""
    for row in _rows(answer, "result"):
        version = row.get("binary_version")
        if isinstance(version, str):
            yield version


def _rows(answer: object, key: str) -> Iterator[dict[str, Any]]:
    rows = answer.get(key) if isinstance(answer, dict) else None
    yield from (row for row in rows if isinstance(row, dict)) if isinstance(rows, list) else ()


def _files(places: object, sha1: str, architecture: str) -> Iterator[ServiceFile]:
    for place in _rows({"": places}, ""):
        archive, folder, name, first = (place.get(key) for key in ("archive_name", "path", "name", "first_seen"))
        if not (isinstance(archive, str) and isinstance(folder, str) and isinstance(name, str)):
            continue
        path, instant = f"{folder.strip('/')}/{name}", _instant(first)
        if instant is None or not names_a_file(path) or not _SHA1.fullmatch(sha1):
            continue
        size = place.get("size")
        yield ServiceFile(architecture, sha1, archive, path, size if isinstance(size, int) else None, instant)


def _instant(text: object) -> Instant | None:
    try:
        return parse_time(text).instant if isinstance(text, str) else None
    except ClientError:
        return None


def _sha1_of(query: Query) -> str:
    """Return the SHA-1 of the query's file if nothing else identifies it."""
    if query.name:
        return ""
    return next((value for algorithm, value in query.digests() if algorithm == "sha1"), "")


def _service_name(archive: Archive) -> str:
    """Return the archive's name at its service, the end of its base."""
    return archive.snapshot[0].rstrip("/").rpartition("/")[2]


def _by_service(archives: Sequence[Archive], histories: Mapping[str, History]) -> dict[Archive, list[Archive]]:
    """Group archives by their service; the first archive of each is asked."""
    groups: defaultdict[str, list[Archive]] = defaultdict(list)
    for archive in archives:
        groups[histories[archive.history].native_root(archive.snapshot[0]) or ""].append(archive)
    return {group[0]: group for group in groups.values()}
