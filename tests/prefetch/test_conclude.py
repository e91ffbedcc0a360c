"""The outcome of an entry, the chosen times, the archives and suites to search, and the report."""

from __future__ import annotations

from dataclasses import replace

import pytest

from snapproxy.archives import BUILTIN
from snapproxy.core.model import Archive, ExpectedFile, Match, TimeSpec
from snapproxy.core.time_spec import parse_time
from snapproxy.errors import ConfigurationError
from snapproxy.families import LISTERS
from snapproxy.formats.package_lists.model import ListEntry
from snapproxy.prefetch.archive_choice import archives_of, selections_of
from snapproxy.prefetch.conclude import choose_times, conclude
from snapproxy.prefetch.evidence import FoundFile, HistoryFile, IndexEvidence
from snapproxy.prefetch.model import Candidate, Finding, ResolvedEntry
from snapproxy.prefetch.near_versions import near_versions
from snapproxy.prefetch.query import IndexedFile, Query
from snapproxy.prefetch.resolution_report import entry_lines
from tests.fakes.content import epoch
from tests.fakes.resolving import digest, named

ARCHIVES = {archive.name: archive for archive in BUILTIN}
DEBIAN, SECURITY = ARCHIVES["debian"], ARCHIVES["debian-security"]
COMPARE = LISTERS["apt"].compare
FIRST, LATER, LAST = (epoch(f"2024060{day}T000000Z") for day in (1, 2, 3))
ENTRY = named("a", "1")


def query(*archives: Archive, entry: ListEntry = ENTRY) -> Query:
    return Query(
        number=0, entry=entry, archives=archives or (DEBIAN, SECURITY), name="a", version="1", architecture="amd64"
    )


def listed(archive: Archive, sha256: str, *periods: tuple[int, int], architecture: str = "amd64") -> FoundFile:
    file = ExpectedFile(f"pool/a_1_{architecture}.deb", 5, {"sha256": sha256})
    return FoundFile(archive, IndexedFile("a", "1", architecture, file), set(periods))


def evidence(*files: FoundFile) -> IndexEvidence:
    found = IndexEvidence()
    found.listed[0] = list(files)
    return found


class TestOutcome:
    def test_the_same_bytes_in_two_archives_are_one_file(self) -> None:
        known = evidence(listed(SECURITY, "a", (FIRST, FIRST)), listed(DEBIAN, "a", (LAST, LAST)))
        found = conclude(query(), known, (), COMPARE)
        assert found.finding is Finding.RESOLVED
        assert [each.archive for each in found.candidates] == [DEBIAN, SECURITY]

    def test_other_bytes_in_another_archive_are_ambiguous(self) -> None:
        known = evidence(listed(SECURITY, "a", (FIRST, FIRST)), listed(DEBIAN, "b", (LAST, LAST)))
        found = conclude(query(), known, (), COMPARE)
        assert found.finding is Finding.AMBIGUOUS
        assert "pool/a_1_amd64.deb of debian-security at 20240601T000000Z" in found.why

    def test_a_requested_time_decides(self) -> None:
        known = evidence(listed(SECURITY, "a", (FIRST, LATER)), listed(DEBIAN, "b", (LAST, LAST)))
        found = conclude(query(), known, {LATER}, COMPARE)
        assert (found.finding, [each.digest for each in found.candidates]) == (Finding.RESOLVED, ["sha256:a"])

    def test_several_architectures_are_ambiguous(self) -> None:
        files = [listed(DEBIAN, each, (FIRST, FIRST), architecture=each) for each in ("amd64", "arm64")]
        found = conclude(query(), evidence(*files), (), COMPARE)
        assert found.finding is Finding.AMBIGUOUS
        assert "does not name the architecture" in found.why

    def test_two_recorded_files_that_no_index_lists_are_ambiguous(self) -> None:
        known = IndexEvidence()
        known.recorded[0] = [HistoryFile(0, DEBIAN, f"pool/{sha1}.deb", FIRST, sha1) for sha1 in ("aa", "bb")]
        assert conclude(query(), known, (), COMPARE).finding is Finding.AMBIGUOUS

    def test_a_recorded_file_with_the_digest_of_the_list_is_resolved(self) -> None:
        known = IndexEvidence()
        known.recorded[0] = [HistoryFile(0, DEBIAN, "pool/a.deb", FIRST, "aa", 5)]
        entry = replace(ENTRY, digests=digest("sha256", "c"))
        found = conclude(query(entry=entry), known, (), COMPARE)
        assert found.finding is Finding.RESOLVED
        assert found.candidates == (Candidate(DEBIAN, "pool/a.deb", "sha256:c", 5, ((FIRST, FIRST),)),)

    def test_a_failure_of_any_archive_of_the_entry_is_no_absence(self) -> None:
        known = IndexEvidence()
        known.failures["debian-security"] = "debian-security: it is down."
        found = conclude(query(), known, (), COMPARE)
        assert (found.finding, found.why) == (Finding.UNANSWERED, "debian-security: it is down.")
        assert conclude(query(DEBIAN), known, (), COMPARE).finding is Finding.NOT_FOUND

    def test_without_any_index_the_missing_choices_are_named(self) -> None:
        assert "Name a time (--at), and a suite (--suite)" in conclude(query(), IndexEvidence(), (), COMPARE).why


class TestTimes:
    @staticmethod
    def entry(archive: Archive, name: str, *spans: tuple[int, int], when: TimeSpec | None = None) -> ResolvedEntry:
        candidate = Candidate(archive, f"pool/{name}.deb", f"sha256:{name}", 1, spans, when)
        return ResolvedEntry(ListEntry(name), Finding.RESOLVED, (candidate,))

    def test_each_archive_gets_its_fewest(self) -> None:
        entries = [
            self.entry(DEBIAN, "a", (FIRST, FIRST), (LAST, LAST)),
            self.entry(DEBIAN, "b", (LATER, LAST)),
            self.entry(SECURITY, "c", (FIRST, LATER)),
        ]
        found = choose_times(entries, {})
        assert [(each.archive.name, each.when.instant, len(each.files)) for each in found] == [
            ("debian", LAST, 2),
            ("debian-security", LATER, 1),
        ]

    def test_the_users_own_words_are_kept(self) -> None:
        when = parse_time("20240601T000000Z.nearest")
        found = choose_times([self.entry(DEBIAN, "a", (FIRST, FIRST))], {FIRST: when})
        assert [each.when for each in found] == [when]

    def test_equal_files_are_wanted_once(self) -> None:
        found = choose_times([self.entry(DEBIAN, "a", (FIRST, FIRST))] * 2, {})
        assert [len(each.files) for each in found] == [1]

    def test_a_file_outside_every_snapshot_needs_no_instant(self) -> None:
        when = TimeSpec("packages", None, Match.EXACT, verbatim=True)
        found = choose_times([self.entry(DEBIAN, "a", when=when)], {})
        assert [(each.when, len(each.files)) for each in found] == [(when, 1)]

    def test_entries_without_a_file_are_omitted(self) -> None:
        entry = replace(self.entry(DEBIAN, "a", (FIRST, FIRST)), finding=Finding.AMBIGUOUS)
        assert choose_times([entry], {}) == ()


class TestArchives:
    DISTRIBUTIONS = (
        ("apt", "debian", ["debian", "debian-security"]),
        ("apt", "debian-12", ["debian", "debian-security"]),
        ("apt", "Ubuntu", ["ubuntu", "ubuntu-ports"]),
        ("apt", "", ["debian", "debian-security"]),
        ("pacman", "arch", ["archlinux"]),
        ("pacman", "archarm", ["archlinuxarm"]),
        ("apk", "alpine", ["alpine"]),
        ("apk", "wolfi", []),
        ("rpm", "rocky", ["rocky"]),
        ("rpm", "debian", []),
    )

    @pytest.mark.parametrize(("family", "distribution", "names"), DISTRIBUTIONS)
    def test_the_distribution_selects_them(self, family: str, distribution: str, names: list[str]) -> None:
        entry = ListEntry("1", family=family, distribution=distribution)
        assert [each.name for each in archives_of(entry, ARCHIVES)] == names

    def test_debug_symbols_have_an_archive_of_their_own(self) -> None:
        entry = ListEntry("1", family="apt", distribution="debian", name="curl-dbgsym")
        assert [each.name for each in archives_of(entry, ARCHIVES)] == ["debian-debug"]

    def test_the_users_own_come_first(self) -> None:
        own = replace(DEBIAN, name="vendor")
        entry = ListEntry("1", family="apt", distribution="debian")
        assert [each.name for each in archives_of(entry, {**ARCHIVES, "vendor": own})][:2] == ["vendor", "debian"]

    def test_named_ones_replace_them_within_the_family(self) -> None:
        entry = ListEntry("1", family="apt", distribution="debian")
        found = archives_of(entry, ARCHIVES, ("debian-ports", "archlinux", "debian"))
        assert [each.name for each in found] == ["debian-ports", "debian"]

    def test_an_unknown_name_is_an_error(self) -> None:
        with pytest.raises(ConfigurationError):
            archives_of(ENTRY, ARCHIVES, ("debiann",))

    SUITES = (
        ("debian", {}, (), ["unstable", "testing", "stable"]),
        ("debian", {"suite": "bookworm"}, (), ["bookworm", "bookworm-updates", "bookworm-backports"]),
        ("debian", {"distribution": "debian-12"}, (), ["bookworm", "bookworm-updates", "bookworm-backports"]),
        ("debian", {"suite": "12"}, (), ["bookworm", "bookworm-updates", "bookworm-backports"]),
        ("debian", {"suite": "12.5"}, (), ["bookworm", "bookworm-updates", "bookworm-backports"]),
        ("debian", {"suite": "99"}, (), ["unstable", "testing", "stable"]),
        ("debian-security", {"suite": "bookworm"}, (), ["bookworm-security", "bookworm/updates"]),
        ("debian", {"suite": "bookworm-updates"}, (), ["bookworm-updates"]),
        ("ubuntu", {"distribution": "ubuntu-24.04"}, (), ["noble-updates", "noble-security", "noble"]),
        ("debian", {"suite": "bookworm"}, ("sid",), ["sid"]),
        ("ubuntu", {}, (), []),
    )

    @pytest.mark.parametrize(("archive", "stated", "chosen", "first"), SUITES)
    def test_the_release_selects_suites(
        self, archive: str, stated: dict[str, str], chosen: tuple[str, ...], first: list[str]
    ) -> None:
        entry = ListEntry("1", family="apt", **stated)  # type: ignore[arg-type]
        found = selections_of(ARCHIVES[archive], [entry], chosen, ("amd64",))
        assert [each.suite for each in found][: max(1, len(first))] == first

    def test_repositories_are_components(self) -> None:
        found = selections_of(ARCHIVES["archlinux"], [], (), ("x86_64",))
        assert [each.components for each in found][:2] == [("core",), ("extra",)]

    @pytest.mark.parametrize(("release", "folder"), [("3.20.1", "v3.20"), ("3.20", "v3.20"), ("edge", "edge")])
    def test_the_release_selects_repositories_of_alpine(self, release: str, folder: str) -> None:
        entry = ListEntry("1", family="apk", distribution="alpine", suite=release)
        found = selections_of(ARCHIVES["alpine"], [entry], (), ("x86_64",))
        assert [each.components for each in found] == [(f"{folder}/main",), (f"{folder}/community",)]

    def test_the_ids_of_an_rpm_list_are_no_folders(self) -> None:
        entry = ListEntry("1", family="rpm", suite="baseos")
        assert selections_of(ARCHIVES["rocky"], [entry], (), ()) == []


def test_the_nearest_versions_are_one_older_and_one_newer() -> None:
    known = {"1": None, "1.2~rc1": LATER, "2": FIRST, "10": None}
    assert near_versions("1.2", known, COMPARE) == (
        "The nearest versions: 1.2~rc1 (listed at 20240602T000000Z), 2 (listed at 20240601T000000Z)."
    )
    assert near_versions("11", known, COMPARE) == "The nearest versions: 10."
    assert near_versions("no version!", known, COMPARE).startswith("The nearest versions: ")


def test_the_report_has_every_entry_that_is_not_simply_resolved() -> None:
    entries = [ResolvedEntry(replace(ENTRY, origin=each.value), each, why="Because.") for each in Finding]
    lines = list(entry_lines(entries, most=1))
    reported = [each for each in Finding if f"  {each.value}: a 1 amd64. Because." in lines]
    assert set(Finding) - set(reported) == {Finding.RESOLVED, Finding.BY_IDENTITY}
    assert f"{Finding.NOT_FOUND.value}: 1" in lines
    assert "  and 1 more; --json prints all" in entry_lines([entries[-1], entries[-1]], most=1)
