"""Report a resolution in lines of text: the chosen times, and every entry that is not simply resolved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from snapproxy.prefetch.model import Finding, Resolution

_ORDER = (
    Finding.NOT_FOUND,
    Finding.AMBIGUOUS,
    Finding.OUT_OF_REACH,
    Finding.UNANSWERED,
    Finding.DIGEST_MISSING,
    Finding.HEADER_ONLY,
)


def report_lines(resolution: Resolution) -> Iterator[str]:
    """Yield the lines: entries by finding with their place in the list, then the times, then notes."""
    by_finding = defaultdict(list)
    for each in resolution.entries:
        by_finding[each.finding].append(each)
    for finding in _ORDER:
        if entries := by_finding[finding]:
            yield f"{finding.value}: {len(entries)}"
            yield from (f"  {each.entry.origin}: {each.entry.label}. {each.why}" for each in entries)
    for group in resolution.wanted:
        yield f"{group.archive.name} at {group.when.text}: {len(group.files)} files"
    yield from resolution.notes
