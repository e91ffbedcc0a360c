"""The differences of two records, and nothing else."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given

from snapproxy.capture.record_diff import RecordChange, RecordDiff, RecordedState, compare
from snapproxy.core.model import Proof, Role
from snapproxy.core.record import Record, RecordEntry
from tests.capture.records import AT, CURL, DUMP, absence, content, entry, example, no_deadline, records

FAMILIES = {"debian": "apt"}
NEWER = CURL.replace("u5", "u7")
LATER = {"requested": "20240701T000000Z", "snapshot": "20240630T210000Z"}


def difference(one: list[RecordEntry], other: list[RecordEntry]) -> RecordDiff:
    return compare(Record(tuple(one), FAMILIES), Record(tuple(other), FAMILIES))


@no_deadline
@given(record=records())
def test_a_record_does_not_differ_from_itself(record: Record) -> None:
    assert not compare(record, replace(record, entries=record.entries[::-1]))


@no_deadline
@given(one=records(), other=records())
def test_seen_from_the_other_side_the_same_things_differ(one: Record, other: Record) -> None:
    there, back = compare(one, other), compare(other, one)
    assert there.value().keys() == back.value().keys()
    assert [(change.name, change.before, change.after) for change in there.files] == [
        (change.name, change.after, change.before) for change in back.files
    ]
    assert len(there.rows({**one.families, **other.families})) == len(back.rows({**one.families, **other.families}))


def test_another_time_alone_is_no_difference_of_files() -> None:
    found = difference([entry(CURL)], [entry(CURL, **LATER)])
    assert found.archives == (RecordChange("snapshots", "debian", "", (DUMP,), ("20240630T210000Z",)),)
    assert (found.packages, found.files) == ((), ())
    assert not difference([entry(CURL)], [entry(CURL, requested="1717200000")])


def test_a_new_version_is_one_row_and_two_files() -> None:
    found = difference([entry(CURL)], [entry(NEWER)])
    assert found.rows(FAMILIES) == [("changed", "debian", "curl amd64", "7.88.1-10+deb12u5", "7.88.1-10+deb12u7")]
    assert [(change.kind, change.name) for change in found.files] == [("removed", CURL), ("added", NEWER)]


def test_other_bytes_under_one_name_are_told_by_digest() -> None:
    found = difference([entry(CURL)], [entry(CURL, text="tampered")])
    before, after = content(CURL)[:12], content("tampered")[:12]
    assert found.rows(FAMILIES) == [("changed", "debian", CURL, f"{before} gpg", f"{after} gpg")]
    assert found.packages == ()


def test_a_weaker_proof_is_a_difference() -> None:
    found = difference([entry("a", Role.OTHER)], [entry("a", Role.OTHER, proof=Proof.NONE)])
    assert found.files[0].before == (RecordedState(content("a"), 5, Proof.GPG),)
    assert found.files[0].after == (RecordedState(content("a"), 5, Proof.NONE),)


def test_an_absence_is_told_from_a_file_and_from_not_having_asked() -> None:
    assert difference([absence("a")], [entry("a", Role.INDEX)]).rows(FAMILIES) == [
        ("changed", "debian", "a", "absent gpg", f"{content('a')[:12]} gpg")
    ]
    assert difference([], [absence("a")]).rows(FAMILIES)[1] == ("added", "debian", "a", "", "absent gpg")


def test_another_solver_is_a_difference() -> None:
    one, other = (replace(example(), solvers=frozenset({f"apt {version}"})) for version in ("2.6.1", "3.0.3"))
    found = compare(one, other)
    assert found
    assert found.value()["solvers"] == [
        {"kind": "removed", "solver": "apt 2.6.1"},
        {"kind": "added", "solver": "apt 3.0.3"},
    ]
    assert found.rows(FAMILIES)[0] == ("removed", "", "apt 2.6.1", "apt 2.6.1", "")


def test_hosts_and_json() -> None:
    other = replace(example(), unpinned=frozenset({"github.com", "example.org"}), entries=example().entries[:-1])
    gone = example().entries[-1]
    assert compare(example(), other).value() == {
        "archives": [],
        "files": [
            {
                "after": [],
                "archive": "debian",
                "before": [{"proof": "gpg", "sha256": gone.sha256, "size": gone.size}],
                "kind": "removed",
                "path": gone.path,
            }
        ],
        "packages": [
            {
                "after": [],
                "archive": "debian",
                "before": ["7.88.1-10+deb12u5"],
                "kind": "removed",
                "package": "curl amd64",
            }
        ],
        "solvers": [],
        "unpinned": [{"host": "::1", "kind": "removed"}, {"host": "example.org", "kind": "added"}],
    }
    assert gone.requested == AT
