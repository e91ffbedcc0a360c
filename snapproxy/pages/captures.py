"""The captures: a list, the contents of one, the differences of two, and their written forms as downloads."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from snapproxy.capture.captures import CaptureSummary
from snapproxy.capture.forms import FORMS
from snapproxy.capture.json_values import entry_value, summary_value
from snapproxy.capture.reading import CaptureReader, why_unverified
from snapproxy.capture.record_diff import RecordDiff, compare
from snapproxy.core.model import Proof
from snapproxy.core.record import Record, RecordEntry
from snapproxy.families import FAMILIES
from snapproxy.pages.view import FileToDownload, NoSuchPageError, View, code, counted, link, moment, number, size, table

PAGE_CAPTURES, PAGE_ENTRIES = 50, 100
"""Numbers of captures and of answers on one page."""

MOST_NAMES = 500
"""Number of captures that the form of the comparison offers."""

MOST_CHANGES = 1000
"""Number of differences that the page shows; JSON has all of them."""

_FILES = {
    "lock": ("snapproxy.lock", "application/json"),
    "spdx": ("spdx.json", "application/spdx+json"),
    "cyclonedx": ("cdx.json", "application/vnd.cyclonedx+json"),
    "sha256sums": ("sha256sums", "text/plain; charset=utf-8"),
    "in-toto": ("intoto.json", "application/vnd.in-toto+json"),
}
_FORM_NAMES = {
    "lock": "Lock",
    "spdx": "SPDX 2.3",
    "cyclonedx": "CycloneDX 1.6",
    "sha256sums": "SHA256SUMS",
    "in-toto": "in-toto",
}
_ABSENT = "absent"


class CapturePages:
    """The views of captures. `families`: the family of each archive."""

    def __init__(self, reader: CaptureReader, families: Mapping[str, str]) -> None:
        self._reader = reader
        self._families = families

    async def every(self, query: Mapping[str, str]) -> View:
        """Return a page of the list, from the name in `after` on."""
        found, has_more = await self._reader.page(query.get("after", ""), PAGE_CAPTURES)
        rows = [
            (
                _link(each.name),
                _state(each),
                moment(each.begun),
                number(each.files),
                number(each.absences),
                size(each.size),
                ", ".join(each.archives) or "none yet",
            )
            for each in found
        ]
        columns = ("Capture", "State", "Begun (UTC)", "#Files", "#Absences", "#Size", "Archives")
        empty = "Nothing was recorded yet. A request that names a capture begins it."
        shown = {
            "shown_captures": table("captures", "Captures", columns, rows, empty=empty),
            "names": await self._reader.names(MOST_NAMES),
            "next": f"/captures?after={quote(found[-1].name)}" if has_more else "",
        }
        next_after = found[-1].name if has_more else None
        data = {"captures": [summary_value(each) for each in found], "next_after": next_after}
        return View("captures.html", "captures", "Captures", data, shown)

    async def one(self, name: str, query: Mapping[str, str]) -> View:
        """Return a capture: its numbers, its unverified files, and a page of its contents."""
        summary = await self._reader.summary(name)
        record = await self._reader.record(name)
        page = await self._reader.entries(name, after=query.get("after", ""), most=PAGE_ENTRIES)
        reasons = await asyncio.to_thread(_reasons, record.entries)
        proofs = Counter(each.proof for each in record.entries if not each.is_absence)
        unverified = [
            {
                "reason": reason,
                "files": len(entries),
                "examples": [f"{each.archive}: {each.path}" for each in entries[:3]],
            }
            for reason, entries in reasons.items()
        ]
        data = {
            "capture": summary_value(summary),
            "proofs": {proof.word: proofs[proof] for proof in sorted(proofs, reverse=True)},
            "unverified": unverified,
            "unpinned": sorted(record.unpinned),
            "solvers": sorted(record.solvers),
            "entries": [_entry_value(each) for each in page.entries],
            "next_after": page.next_key or None,
        }
        address = f"/captures/{quote(name, safe='')}"
        shown = {
            "summary": summary,
            "state": _state(summary),
            "begun": moment(summary.begun),
            "numbers": _numbers(summary, record, proofs),
            "requests": _requests(record.entries),
            "unverified": table(
                "unverified",
                "Files without a chain of digests from a checked signature",
                ("Reason", "#Files", "Examples"),
                [
                    (reason, number(len(parts)), code("; ".join(f"{each.archive}: {each.path}" for each in parts[:3])))
                    for reason, parts in reasons.items()
                ],
            ),
            "contents": table(
                "contents",
                "Contents",
                ("File", "Archive", "Snapshot", "Role", "Proof", "#Size", "SHA-256"),
                [self._row(each) for each in page.entries],
                empty="Nothing was served.",
            ),
            "downloads": [
                {"href": f"{address}/{form}", "text": _FORM_NAMES[form], "file": _file_name(name, form)}
                for form in _FILES
            ],
            "next": f"{address}?after={quote(page.next_key, safe='')}" if page.next_key else "",
            "is_first": not query.get("after"),
            "address": address,
            "names": [each for each in await self._reader.names(MOST_NAMES) if each != name],
        }
        return View("capture.html", "captures", name, data, shown)

    async def file(self, name: str, form: str) -> FileToDownload:
        """Return a written form of a capture."""
        if form not in _FILES:
            raise NoSuchPageError("There is no such form of a capture", hint=f"The forms are: {', '.join(_FILES)}.")
        record = await self._reader.record(name)
        data = await asyncio.to_thread(FORMS[form], record, None)
        return FileToDownload(_file_name(name, form), _FILES[form][1], data)

    async def compare(self, query: Mapping[str, str]) -> View:
        """Return the differences from the capture `one` to the capture `other`."""
        one, other = query.get("one", ""), query.get("other", "")
        records = [await self._reader.record(name) for name in (one, other)]
        diff = await asyncio.to_thread(compare, *records)
        families = {**records[0].families, **records[1].families}
        rows = await asyncio.to_thread(diff.rows, families)
        data = {"one": one, "other": other, "differs": bool(diff), **diff.value()}
        shown = {
            "changes": table(
                "changes",
                f"From {one} to {other}",
                ("Change", "Archive", "Name", "Before", "After"),
                [
                    (kind, archive, code(name), before, after)
                    for kind, archive, name, before, after in rows[:MOST_CHANGES]
                ],
                empty="The captures have the same files.",
            ),
            "more": max(0, len(rows) - MOST_CHANGES),
            "counts": _change_counts(diff),
            "captures": [_link(one), _link(other)],
            "swap": f"/compare?one={quote(other)}&other={quote(one)}",
        }
        return View("compare.html", "captures", f"{one} and {other}", data, shown)

    def _row(self, entry: RecordEntry) -> Sequence[Any]:
        family = FAMILIES.get(self._families.get(entry.archive, ""))
        package = None if family is None else family.package_name(entry.path)
        if package is None:
            file: Mapping[str, str] = code(entry.path)
        else:
            where = f"/packages?archive={quote(entry.archive, safe='')}&name={quote(package.name, safe='')}"
            file = {**link(entry.path, where), "code": "1"}
        if entry.is_absence:
            return file, entry.archive, code(entry.snapshot), entry.role.value, _ABSENT, "", ""
        return (
            file,
            entry.archive,
            code(entry.snapshot),
            entry.role.value,
            entry.proof.word,
            size(entry.size),
            code(entry.sha256[:16]),
        )


def _link(name: str) -> Mapping[str, str]:
    return link(name, f"/captures/{quote(name, safe='')}")


def _file_name(name: str, form: str) -> str:
    """Return the name of a download. The name of a capture has only letters, digits, dots and hyphens."""
    return f"{name}.{_FILES[form][0]}"


def _state(summary: CaptureSummary) -> str:
    return "closed" if summary.is_closed else "open"


def _entry_value(entry: RecordEntry) -> dict[str, Any]:
    return entry_value(entry) | {"unverified": "" if entry.is_absence else why_unverified(entry)}


def _reasons(entries: Iterable[RecordEntry]) -> dict[str, list[RecordEntry]]:
    found: dict[str, list[RecordEntry]] = {}
    for entry in entries:
        reason = "" if entry.is_absence else why_unverified(entry)
        if reason:
            found.setdefault(reason, []).append(entry)
    return dict(sorted(found.items(), key=lambda each: -len(each[1])))


def _requests(entries: Iterable[RecordEntry]) -> dict[str, Any]:
    """Return a table of the archives and times that the build requested."""
    found: dict[tuple[str, str], list[RecordEntry]] = {}
    for entry in entries:
        found.setdefault((entry.archive, entry.requested), []).append(entry)
    rows = [
        (
            archive,
            code(requested),
            code(", ".join(sorted({each.snapshot for each in parts if each.snapshot})[:5])),
            number(sum(not each.is_absence for each in parts)),
            number(sum(each.is_absence for each in parts)),
        )
        for (archive, requested), parts in sorted(found.items())[:PAGE_ENTRIES]
    ]
    return table("requests", "Archives and times", ("Archive", "Requested", "Snapshot", "#Files", "#Absences"), rows)


def _numbers(summary: CaptureSummary, record: Record, proofs: Counter[Proof]) -> list[dict[str, str]]:
    verified = proofs[Proof.GPG]
    return [
        {"label": "Files", "value": number(summary.files), "note": counted(summary.absences, "absence")},
        {"label": "Size", "value": size(summary.size), "note": "each digest once"},
        {"label": "Verified", "value": number(verified), "note": "from a checked signature"},
        {"label": "Unverified", "value": number(proofs.total() - verified), "note": "see below"},
        {"label": "Unpinned hosts", "value": number(len(record.unpinned)), "note": "through the setting pass"},
    ]


def _change_counts(diff: RecordDiff) -> str:
    parts = (("snapshots", diff.archives), ("packages", diff.packages), ("files", diff.files))
    return ", ".join(f"{number(len(changes))} {name}" for name, changes in parts)
