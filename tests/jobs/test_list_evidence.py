"""The dates that a list of packages states."""

from __future__ import annotations

import pytest

from snapproxy.core.time_evidence import Confidence, infer
from snapproxy.formats.package_lists import known
from snapproxy.formats.package_lists.model import ListEntry, ListFormat, PackageList
from snapproxy.jobs import list_evidence

NOW = 2_000_000_000


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch):
    """Read every list as the given one."""

    def read_as(found: PackageList) -> None:
        formats = (ListFormat("sample", "a sample", lambda _: found),)
        monkeypatch.setattr(list_evidence, "read_list", lambda data: known.read_list(data, formats))

    return read_as


def entry(first: int | None, last: int | None) -> ListEntry:
    return ListEntry("line 1", name="bash", version="5", first=first, last=last)


def test_the_spans_of_entries_are_intersected(listed) -> None:
    listed(PackageList("sample", (entry(1_700_000_000, 1_700_000_900), entry(1_700_000_500, None))))
    found = infer(list_evidence.list_evidence(b"", "list"), NOW)
    assert (found.earliest, found.latest, found.confidence) == (1_700_000_500, 1_700_000_900, Confidence.GOOD)


def test_entries_of_two_instants_contradict_each_other(listed) -> None:
    listed(PackageList("sample", (entry(None, 1_700_000_000), entry(1_700_000_500, 1_700_000_900))))
    found = infer(list_evidence.list_evidence(b"", "list"), NOW)
    assert found.contradictions
    assert found.confidence is Confidence.WEAK


def test_one_limit_alone_counts(listed) -> None:
    listed(PackageList("sample", (entry(1_700_000_000, None),)))
    found = infer(list_evidence.list_evidence(b"", "list"), NOW)
    assert (found.earliest, found.latest) == (1_700_000_000, None)


def test_the_date_of_the_list_is_an_upper_limit(listed) -> None:
    listed(PackageList("sample", (entry(None, None),), made=1_700_000_000))
    found = infer(list_evidence.list_evidence(b"", "list"), NOW)
    assert (found.earliest, found.latest, found.confidence) == (None, 1_700_000_000, Confidence.WEAK)


def test_a_list_without_dates_is_unknown(listed) -> None:
    listed(PackageList("sample", (entry(None, None),)))
    assert infer(list_evidence.list_evidence(b"", "list"), NOW).confidence is Confidence.UNKNOWN
