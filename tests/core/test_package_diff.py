"""Differences between two listings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from snapproxy.core.package_diff import ChangeKind, PackageChange, PackageRecord, compare_listings, counts


def by_number(one: str, other: str) -> int | None:
    """Order versions as numbers; what is none cannot be ordered."""
    return int(one) - int(other) if one.isdigit() and other.isdigit() else None


def main(name: str, version: str, architecture: str = "amd64", component: str = "main") -> PackageRecord:
    return PackageRecord(component, name, architecture, version)


def test_each_kind_and_its_versions() -> None:
    before = [main("down", "2"), main("same", "1"), main("up", "9"), main("went", "1"), main("odd", "1")]
    after = [main("up", "10"), main("down", "1"), main("same", "1"), main("came", "1"), main("odd", "x")]
    assert [(each.name, each.kind, each.before, each.after) for each in compare_listings(before, after, by_number)] == [
        ("came", ChangeKind.CAME, (), ("1",)),
        ("down", ChangeKind.DOWN, ("2",), ("1",)),
        ("odd", ChangeKind.CHANGED, ("1",), ("x",)),
        ("up", ChangeKind.UP, ("9",), ("10",)),
        ("went", ChangeKind.WENT, ("1",), ()),
    ]


def test_of_several_versions_the_newest_stands_first_and_decides() -> None:
    kernels = [main("kernel", version) for version in ("8", "9", "10")]
    assert compare_listings(kernels[:2], kernels[1:], by_number) == [
        PackageChange("kernel", "amd64", "main", ChangeKind.UP, ("9", "8"), ("10", "9"))
    ]
    assert compare_listings(kernels, kernels[1:], by_number) == [
        PackageChange("kernel", "amd64", "main", ChangeKind.CHANGED, ("10", "9", "8"), ("10", "9"))
    ]


def test_architectures_and_components_are_told_apart() -> None:
    before = [main("a", "1", "amd64"), main("a", "1", "arm64"), main("b", "1")]
    after = [main("a", "2", "amd64"), main("a", "1", "arm64"), main("b", "1", component="contrib")]
    found = compare_listings(before, after, by_number)
    assert [(each.name, each.architecture, each.component, each.kind) for each in found] == [
        ("a", "amd64", "main", ChangeKind.UP),
        ("b", "amd64", "contrib", ChangeKind.CAME),
        ("b", "amd64", "main", ChangeKind.WENT),
    ]


def test_versions_that_count_as_equal_are_a_change_still() -> None:
    (change,) = compare_listings([main("a", "1")], [main("a", "01")], by_number)
    assert change.kind is ChangeKind.CHANGED


def test_every_kind_is_counted_those_that_did_not_happen_too() -> None:
    changes = compare_listings([main("a", "1"), main("b", "1")], [main("a", "2"), main("b", "2")], by_number)
    assert counts(changes) == {"came": 0, "went": 0, "up": 2, "down": 0, "changed": 0}


WORDS = st.sampled_from("abc")
LISTINGS = st.lists(st.builds(PackageRecord, WORDS, WORDS, WORDS, st.sampled_from(["1", "2", "10", "x"])), max_size=30)
_MIRRORED = {
    ChangeKind.CAME: ChangeKind.WENT,
    ChangeKind.WENT: ChangeKind.CAME,
    ChangeKind.UP: ChangeKind.DOWN,
    ChangeKind.DOWN: ChangeKind.UP,
    ChangeKind.CHANGED: ChangeKind.CHANGED,
}


@given(before=LISTINGS, after=LISTINGS)
def test_backwards_is_the_mirror_image(before: list[PackageRecord], after: list[PackageRecord]) -> None:
    mirrored = [
        PackageChange(each.name, each.architecture, each.component, _MIRRORED[each.kind], each.after, each.before)
        for each in compare_listings(before, after, by_number)
    ]
    assert compare_listings(after, before, by_number) == mirrored


@given(listing=LISTINGS, data=st.data())
def test_order_and_repetition_do_not_matter(listing: list[PackageRecord], data: st.DataObject) -> None:
    assert compare_listings(listing, data.draw(st.permutations(listing + listing[:3])), by_number) == []


@given(before=LISTINGS, after=LISTINGS)
def test_what_differs_explains_the_difference(before: list[PackageRecord], after: list[PackageRecord]) -> None:
    found = compare_listings(before, after, by_number)
    for side, told in ((before, "before"), (after, "after")):
        here = {
            each
            for each in side
            if (each.component, each.name, each.architecture) in {(c.component, c.name, c.architecture) for c in found}
        }
        assert here == {
            PackageRecord(c.component, c.name, c.architecture, version) for c in found for version in getattr(c, told)
        }
