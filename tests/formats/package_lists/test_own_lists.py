"""Lists that snapproxy writes itself are read back, and its lock is of no other format."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from snapproxy.capture import cyclonedx, intoto, lock, sha256sums, spdx
from snapproxy.core.record import Record
from snapproxy.formats.package_lists.known import FORMATS, read_list
from snapproxy.formats.package_lists.model import ListedDigest, ListEntry
from tests.capture.records import CURL, content, example
from tests.fakes.rpm_apk_arch_lists import accepts, refusal

DOC = "core/os/x86_64/gtk-doc-1:1.33-1-any.pkg.tar.zst"
INSTANT = 1717187692  # 2024-05-31T20:34:52Z
NOON = 1717236000
CREATED: tuple[Callable[[Record, int | None], bytes], ...] = (cyclonedx.write, spdx.write)


def digests(path: str) -> tuple[ListedDigest, ...]:
    return (ListedDigest("sha256", content(path)),)


@pytest.mark.parametrize("write", CREATED)
def test_bill_of_materials(write: Callable[[Record, int | None], bytes]) -> None:
    found = read_list(write(example(), NOON))
    by_name = {each.name: each for each in found.entries}
    doc, curl = by_name["gtk-doc"], by_name["curl"]
    has_sizes = write is cyclonedx.write
    assert doc == ListEntry(
        doc.origin,
        family="pacman",
        name="gtk-doc",
        version="1:1.33-1",
        architecture="any",
        distribution="arch",
        suite="archlinux",
        path=DOC,
        digests=digests(DOC),
        size=90_000 if has_sizes else None,
    )
    assert curl == ListEntry(
        curl.origin,
        family="apt",
        name="curl",
        version="7.88.1-10+deb12u5",
        architecture="amd64",
        distribution="debian",
        suite="debian",
        path=CURL,
        digests=digests(CURL),
        size=315_000 if has_sizes else None,
        first=INSTANT,
        last=INSTANT,
    )
    assert (len(found.entries), found.made) == (2, NOON)
    counts = "3 of type file" if has_sizes else "3 without a package URL"
    assert found.notes == (f"Left out, because they are no packages of apt, apk, pacman or rpm: {counts}.",)


@pytest.mark.parametrize("write", CREATED)
def test_a_document_without_a_time_states_none(write: Callable[[Record, int | None], bytes]) -> None:
    assert read_list(write(example(), None)).made is None


def test_sha256sums_of_packages() -> None:
    assert read_list(sha256sums.of_packages(example())).entries == (
        ListEntry(
            "line 1",
            family="pacman",
            name="gtk-doc",
            version="1:1.33-1",
            architecture="any",
            path=DOC,
            digests=digests(DOC),
        ),
        ListEntry("line 2", family="apt", name="curl", architecture="amd64", path=CURL, digests=digests(CURL)),
    )


@pytest.mark.parametrize("write", [sha256sums.of_titles, intoto.write])
def test_every_file_by_its_title(write: Callable[[Record], bytes]) -> None:
    found = read_list(write(example()))
    recorded = [(each.archive, each.path, each.sha256) for each in example().entries if not each.is_absence]
    assert sorted((each.suite, each.path, each.digests[0].value) for each in found.entries) == sorted(recorded)
    assert {each.first for each in found.entries if each.suite == "debian"} == {INSTANT}
    assert {each.first for each in found.entries if each.suite == "archlinux"} == {None}


def test_a_lock_is_of_no_format() -> None:
    """Its reader is `capture.lock_reader`. Some of its members are those of other formats."""
    data = lock.encode(example())
    assert not any(accepts(each, data) for each in FORMATS)
    assert not any(accepts(each, json.dumps(json.loads(data)).encode()) for each in FORMATS)
    assert not refusal(data).is_recognised
