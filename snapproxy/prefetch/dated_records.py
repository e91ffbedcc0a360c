"""The record of an archive with one folder a day: its folder of each package lists every file that it ever had.

The list has no digests and no days, only the date of each file. The package is in the database of a later day.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import unquote

from snapproxy.base.concurrency import gather_bounded
from snapproxy.core.exchange import Answerer, ServiceTarget
from snapproxy.core.history import History, NativeCall
from snapproxy.core.model import Archive, Instant, Match, Refusal, TimeSpec
from snapproxy.core.time_spec import DAY_SECONDS
from snapproxy.errors import ClientError
from snapproxy.families import FAMILIES, LISTERS
from snapproxy.prefetch.evidence import HistoryFile, IndexEvidence, reason_of
from snapproxy.prefetch.query import Query, is_architecture
from snapproxy.prefetch.records import CONCURRENT_QUESTIONS, ask_service

# A row of nginx's and Apache's lists: a link, its text, and a date such as `20-May-2024 13:45` or `2024-05-20 13:45`.
_ROW = re.compile(
    r'<a href="(?P<link>[^"<>/]{1,512})">[^<]*</a>[^<]{0,128}?'
    r"(?P<day>[0-9]{2}-[A-Za-z]{3}-[0-9]{4}|[0-9]{4}-[0-9]{2}-[0-9]{2}) (?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class DatedRecords:
    """Reads the folders of packages (implements `records.Records`)."""

    def __init__(self, answerer: Answerer, histories: Mapping[str, History]) -> None:
        self._answerer = answerer
        self._histories = histories

    def serves(self, archive: Archive) -> bool:
        return bool(archive.snapshot) and self._folder(archive, "name") is not None

    async def ask(self, archives: Sequence[Archive], queries: Sequence[Query], evidence: IndexEvidence) -> None:
        """Ask for the folder of each package; the answer is stored, so equal names cost one request."""
        names = {each.name for each in archives}

        async def ask(query: Query) -> None:
            for archive in query.archives:
                if archive.name in names:
                    await self._ask(archive, query, evidence)

        await gather_bounded([each for each in queries if each.name], ask, CONCURRENT_QUESTIONS)

    def _folder(self, archive: Archive, name: str) -> NativeCall | None:
        """Return the call for the folder of a package, None if the archive has no such folders."""
        history = self._histories[archive.history]
        path = history.timeless(f"{name}-1-1-any.pkg.tar.zst")
        if path is None:
            return None
        try:
            call = history.read_native(archive, path[: path.rfind("/") + 1], None)
        except ClientError:
            return None
        return call if isinstance(call, NativeCall) and call.is_listing else None

    async def _ask(self, archive: Archive, query: Query, evidence: IndexEvidence) -> None:
        call = self._folder(archive, query.name)
        if call is None:
            return
        answer = await ask_service(self._answerer, ServiceTarget(archive, call.path, is_listing=True))
        if isinstance(answer, Refusal):
            if not answer.is_absence:
                evidence.unanswered[query.number] = f"{archive.name}: {reason_of(answer)}"
            return
        family, history = FAMILIES[archive.family], self._histories[archive.history]
        every = LISTERS[archive.family].any_architecture
        for file, date in read_folder(answer):
            named, lasting = family.package_name(file), history.timeless(file)
            if named is None or lasting is None or named.name != query.name:
                continue
            evidence.versions[query.name].setdefault(named.version, None)
            if named.version == query.version and is_architecture(query.architecture, named.arch, every):
                when = TimeSpec(lasting.partition("/")[0], None, Match.EXACT, verbatim=True)
                evidence.recorded[query.number].append(
                    HistoryFile(query.number, archive, lasting, date + DAY_SECONDS, when=when)
                )


def read_folder(page: bytes) -> Iterator[tuple[str, Instant]]:
    """Yield (file name, date) of each row of a folder's page. Rows of another form are omitted."""
    for found in _ROW.finditer(page.decode("utf-8", "replace")):
        date = _date(found["day"], int(found["hour"]), int(found["minute"]))
        if date is not None:
            yield unquote(html.unescape(found["link"])), date


def _date(day: str, hour: int, minute: int) -> Instant | None:
    first, second, third = day.split("-")
    try:
        if second in _MONTHS:
            moment = datetime(int(third), _MONTHS.index(second) + 1, int(first), hour, minute, tzinfo=UTC)
        else:
            moment = datetime(int(first), int(second), int(third), hour, minute, tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp())
