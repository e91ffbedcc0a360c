"""The packages that differ between two runs: the used ones first, and nothing that only looks different."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from snapproxy.core.listing import PackageVersion
from snapproxy.core.model import Proof, Role
from snapproxy.core.package_diff import ChangeKind
from snapproxy.core.record import Record, RecordEntry
from snapproxy.errors import ArchiveDataError, StorageError
from snapproxy.jobs.used_packages import UsedFiles, UsedList, UsedPackage, changed_packages, used_files

INDEX = "dists/stable/main/binary-amd64/Packages.xz"
OTHER = "dists/stable/contrib/binary-amd64/Packages.xz"
FAMILIES = {"debian": "apt", "archlinux": "pacman"}


class StoredLists:
    """Lists by digest: `name version` for each package. The source of a package is `src-` and its name."""

    def __init__(self, lists: Mapping[str, tuple[str, ...]]) -> None:
        self._lists = lists

    async def packages(self, family: str, digest: str, path: str) -> list[PackageVersion]:
        assert (family, path) in {("apt", INDEX), ("apt", OTHER)}
        if digest not in self._lists:
            raise StorageError("An index was removed from the store")
        if self._lists[digest] == ("broken",):
            raise ArchiveDataError("An index cannot be read")
        pairs = (each.split() for each in self._lists[digest])
        return [PackageVersion(name, "amd64", version, f"src-{name}", version) for name, version in pairs]


LISTS = StoredLists(
    {
        "old": ("tool 1:1.0", "noise 1", "same 1", "several 1"),
        "new": ("tool 1:2.0", "noise 2", "same 1", "several 1", "several 2", "added 1"),
        "broken": ("broken",),
    }
)


def run(digest: str, *packages: str, path: str = INDEX) -> UsedFiles:
    """Return the files of a run that read one list and downloaded packages, each as `name version`."""
    used = (UsedPackage("debian", name, "amd64", version) for name, version in (each.split() for each in packages))
    return UsedFiles(("debian",), tuple(used), (UsedList("debian", path, digest),))


async def found(before: UsedFiles, after: UsedFiles, *others: UsedFiles) -> list[tuple[str, ChangeKind, bool]]:
    changes = await changed_packages(before, after, others, FAMILIES, LISTS)  # type: ignore[arg-type]
    return [(each.change.name, each.change.kind, each.is_used) for each in changes]


OTHERS = [("added", ChangeKind.CAME, False), ("noise", ChangeKind.UP, False), ("several", ChangeKind.UP, False)]
TOOL = ("tool", ChangeKind.UP, True)


@pytest.mark.parametrize(
    ("before", "after", "others"),
    [
        (["tool 1.0"], ["tool 2.0"], []),
        (["tool 1.0"], [], []),  # the bad run failed before it downloaded anything
        ([], ["tool 2.0"], []),  # a client that kept the old version of an earlier run
        ([], [], ["tool 1.0"]),  # and both versions
    ],
)
async def test_a_used_package_comes_first(before: list[str], after: list[str], others: list[str]) -> None:
    runs = run("old", *before, "same 1"), run("new", *after), run("old", *others)
    assert await found(*runs) == [TOOL, *OTHERS]


async def test_versions_have_their_epoch_and_source() -> None:
    changes = await changed_packages(run("old", "tool 1.0"), run("new"), (), FAMILIES, LISTS)  # type: ignore[arg-type]
    assert (changes[0].change.before, changes[0].change.after) == (("1:1.0",), ("1:2.0",))
    assert (changes[0].archive, changes[0].source) == ("debian", "src-tool")


async def test_a_version_that_the_client_did_not_choose_is_no_change_of_use() -> None:
    """A list may keep several versions, and a client may be pinned to one."""
    assert ("several", ChangeKind.UP, False) in await found(run("old", "several 1"), run("new", "several 1"))


@pytest.mark.parametrize("digest", ["gone", "broken"])
async def test_without_the_lists_the_downloaded_versions_are_compared(digest: str) -> None:
    before, after = run("old", "tool 1.0", "same 1", "left 1"), run(digest, "tool 2.0", "same 1")
    assert await found(before, after) == [TOOL]


async def test_a_choice_of_another_version_is_found_though_the_lists_are_equal() -> None:
    assert await found(run("old", "tool 1.0"), run("old", "tool 2.0")) == [TOOL]


async def test_different_lists_are_not_compared_with_one_another() -> None:
    assert await found(run("old"), run("new", path=OTHER)) == []


def entry(archive: str, path: str, role: Role, digest: str = "d") -> RecordEntry:
    return RecordEntry(archive, "20240601T000000Z", "x", path, role, Proof.GPG, 1, digest)


def test_packages_and_lists_are_read_from_a_record() -> None:
    record = Record(
        (
            entry("archlinux", "core/os/x86_64/core.db", Role.ROOT),
            entry("archlinux", "core/os/x86_64/tool-1:2.0-1-any.pkg.tar.zst", Role.PACKAGE),
            entry("archlinux", "core/os/x86_64/tool-1:2.0-1-any.pkg.tar.zst.sig", Role.PACKAGE),
            entry("debian", "dists/stable/InRelease", Role.ROOT),
            entry("debian", INDEX, Role.INDEX),
            entry("debian", OTHER, Role.INDEX, digest=""),  # absent
            entry("debian", "/mr/timestamp/", Role.OTHER),
            entry("debian", "pool/main/t/tool/tool_2.0_amd64.deb", Role.PACKAGE),
        ),
        FAMILIES,
    )
    assert used_files(record) == UsedFiles(
        ("archlinux", "debian"),
        (
            UsedPackage("archlinux", "tool", "any", "1:2.0-1"),
            UsedPackage("debian", "tool", "amd64", "2.0"),
        ),
        (
            UsedList("archlinux", "core/os/x86_64/core.db", "d"),
            UsedList("debian", "dists/stable/InRelease", "d"),
            UsedList("debian", INDEX, "d"),
        ),
    )
