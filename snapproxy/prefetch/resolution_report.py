"""Report every entry of a list that is not simply resolved, in lines of text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from snapproxy.prefetch.model import Finding, ResolvedEntry

_ORDER = (
    Finding.NOT_FOUND,
    Finding.AMBIGUOUS,
    Finding.OUT_OF_REACH,
    Finding.UNANSWERED,
    Finding.DIGEST_MISSING,
    Finding.HEADER_ONLY,
)


def entry_lines(entries: Iterable[ResolvedEntry], *, most: int) -> Iterator[str]:
    """Yield the entries by finding, with their place in the list and the reason; at most `most` of each finding."""
    by_finding = defaultdict(list)
    for each in entries:
        by_finding[each.finding].append(each)
    for finding in _ORDER:
        if found := by_finding[finding]:
            yield f"{finding.value}: {len(found)}"
            yield from (f"  {each.entry.origin}: {each.entry.label}. {each.why}" for each in found[:most])
            if len(found) > most:
                yield f"  and {len(found) - most} more; --json prints all"
