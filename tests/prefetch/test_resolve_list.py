"""Lists of packages against the tiny archive: versions that live in different snapshots, and entries that fail."""

from __future__ import annotations

from snapproxy.prefetch.model import Finding
from tests.fakes.hamlet import FIRST, SECOND, SUITE, Hamlet, content_of
from tests.fakes.house import House
from tests.fakes.resolving import fetched, named, resolved, times_of

BOTH = (named("kept", "1"), named("moved", "1"))


async def test_versions_of_one_snapshot_need_one_instant(house: House, hamlet: Hamlet) -> None:
    found = await resolved(house, *BOTH, suites=(SUITE,))
    assert [each.finding for each in found.entries] == [Finding.RESOLVED] * 2
    assert times_of(found) == [FIRST]
    assert [(each.path, each.digest, each.size) for each in found.files] == [
        (package.path, f"sha256:{content_of(package).sha256}", content_of(package).size)
        for package in (hamlet.edition.kept, hamlet.edition.old)
    ]


async def test_versions_of_two_snapshots_need_two_instants(house: House, hamlet: Hamlet) -> None:
    entries = (*BOTH, named("moved", "2"))
    found = await resolved(house, *entries, suites=(SUITE,))
    assert times_of(found) == [FIRST, SECOND]
    assert len(found.files) == 3
    edition = hamlet.edition
    expected = {content_of(each).data for each in (edition.kept, edition.old, edition.new)}
    assert set(await fetched(house, found)) == expected
