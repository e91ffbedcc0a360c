"""metasnap and Launchpad: their answers, hostile ones included, their place in the search, and their failures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.core.model import Archive
from snapproxy.prefetch.launchpad import DELAY, Publication, read_publications
from snapproxy.prefetch.metasnap import Row, is_suite, read_missing, read_rows
from snapproxy.prefetch.model import Finding
from tests.fakes.archive_server import ArchiveServer
from tests.fakes.content import epoch
from tests.fakes.faults import Fault, Redirect, Status
from tests.fakes.hamlet import FIRST, SECOND, SUITE, Hamlet
from tests.fakes.house import UNHURRIED, House
from tests.fakes.record_services import Launchpad, Metasnap
from tests.fakes.resolving import named, resolved, times_of

MakeHouse = Callable[..., Awaitable[House]]
KEPT, OLD, NEW = named("kept", "1"), named("moved", "1"), named("moved", "2")
ENTRY: dict[str, object] = {
    "binary_package_name": "moved",
    "binary_package_version": "2",
    "date_published": "2024-06-01T00:00:00.5+00:00",
    "date_superseded": None,
    "distro_arch_series_link": "https://api.launchpad.net/devel/ubuntu/noble/amd64",
    "pocket": "Updates",
}
START = epoch("20240601T000000Z")
BRIEF = replace(UNHURRIED, cool_down=0.2)
"""A refused request is repeated at once: these tests wait in real time."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["entries", *ENTRY]), inner),
    max_leaves=12,
)


def publications(**changes: object) -> list[Publication]:
    return list(read_publications({"entries": [{**ENTRY, **changes}]}, "2"))


class TestAnswers:
    def test_rows_of_metasnap_are_read_and_malformed_lines_are_omitted(self) -> None:
        good = b"a amd64 1 sid main 20240601T000000Z 20240602T000000Z\n"
        bad = (
            b"a amd64 1 ../x main 20240601T000000Z 20240602T000000Z\n"
            b"a amd64 1 sid main soon 20240602T000000Z\n"
            b"a amd64 1 sid main 20240602T000000Z 20240601T000000Z\n\xff\n\na b\n"
        )
        assert list(read_rows(good + bad)) == [Row(("a", "amd64", "1"), "sid", START, START + 86400)]

    def test_only_requested_packages_can_be_missing(self) -> None:
        asked = [("a", "all", "1"), ("b", "all", "1")]
        assert read_missing(b"a all 1\nc all 1\nnot found\n<html>\n", asked) == {("a", "all", "1")}

    def test_suites_stay_below_their_folder(self) -> None:
        assert all(map(is_suite, ("sid", "stable/updates", "noble-updates")))
        assert not any(map(is_suite, ("", "..", "a/../b", "/a", "a/", "a\n", "a b", "x" * 200)))

    def test_publications_are_read(self) -> None:
        assert publications() == [Publication("amd64", "noble-updates", START + DELAY, None)]
        short = "2024-06-01T00:10:00+00:00"
        assert publications(date_superseded=short) == [Publication("amd64", "noble-updates", START + 599, START + 600)]

    @pytest.mark.parametrize(
        "changes",
        [
            {"date_published": None},
            {"date_published": "soon"},
            {"pocket": "Moon"},
            {"distro_arch_series_link": 3},
            {"distro_arch_series_link": "https://x/../amd64"},
            {"binary_package_version": "3"},
        ],
    )
    def test_a_publication_without_a_suite_or_a_date_is_omitted(self, changes: dict[str, object]) -> None:
        assert publications(**changes) == []

    @given(JSON, st.binary(max_size=200))
    def test_any_answer_is_read_without_an_error(self, answer: object, body: bytes) -> None:
        list(read_publications(answer, "2"))
        list(read_rows(body))
        read_missing(body, [])


@pytest.fixture
def metasnap() -> Iterator[ArchiveServer]:
    service = Metasnap(
        [
            ("debian", "kept", "all", "1", SUITE, FIRST, SECOND),
            ("debian", "moved", "amd64", "1", SUITE, FIRST, FIRST),
            ("debian", "moved", "all", "1", SUITE, FIRST, FIRST),
        ]
    )
    with ArchiveServer(service, name="metasnap") as server:
        yield server


def forms(server: ArchiveServer) -> list[dict[str, str]]:
    assert isinstance(server.service, Metasnap)
    return server.service.forms


class TestMetasnap:
    async def test_its_suites_and_instants_replace_the_archive_s_own_record(
        self, metasnap: ArchiveServer, hamlet: Hamlet, make_house: MakeHouse
    ) -> None:
        house = await make_house(metasnap=f"{metasnap.url}/api")
        found = await resolved(house, KEPT, OLD)
        assert [each.finding for each in found.entries] == [Finding.RESOLVED] * 2
        assert all(each.digest.startswith("sha256:") for each in found.files)
        assert times_of(found) == [FIRST]
        assert hamlet.asked("/mr/binary") == []
        assert forms(metasnap)[0] == {"archive": "debian", "arch": "amd64", "pkgs": "kept:amd64=1,moved:amd64=1"}
        assert [each["pkgs"] for each in forms(metasnap)[1:]] == ["moved:amd64=1", "kept:all=1"]

    async def test_a_version_that_it_lacks_is_asked_of_the_archive(
        self, metasnap: ArchiveServer, hamlet: Hamlet, make_house: MakeHouse
    ) -> None:
        house = await make_house(metasnap=f"{metasnap.url}/api")
        found = await resolved(house, OLD, NEW, suites=(SUITE,))
        assert [each.finding for each in found.entries] == [Finding.RESOLVED] * 2
        assert times_of(found) == [FIRST, SECOND]
        assert len(hamlet.asked("/mr/binary")) == 1

    @pytest.mark.parametrize("status", [404, 500, 503])
    async def test_its_failure_does_not_end_the_search(
        self, status: int, metasnap: ArchiveServer, make_house: MakeHouse
    ) -> None:
        metasnap.fault("/api", Status(status))
        house = await make_house(metasnap=f"{metasnap.url}/api", manners=BRIEF)
        found = await resolved(house, NEW, named("none", "1"), suites=(SUITE,))
        assert [each.finding for each in found.entries] == [Finding.RESOLVED, Finding.UNANSWERED]
        assert "metasnap" in found.entries[1].why or metasnap.url in found.entries[1].why
        assert 1 <= len(metasnap.log.requests("/api")) <= 3

    @pytest.mark.parametrize(
        ("fault", "why"),
        [
            (Status(403), "the service refuses access (403)"),
            (
                Redirect("http://elsewhere.example/"),
                "the service answers with a redirect, and the packages are sent to the configured address only",
            ),
        ],
    )
    async def test_the_reason_of_its_failure_is_stated(
        self, fault: Fault, why: str, metasnap: ArchiveServer, make_house: MakeHouse
    ) -> None:
        metasnap.fault("/api", fault)
        house = await make_house(metasnap=f"{metasnap.url}/api")
        found = await resolved(house, named("none", "1"), suites=(SUITE,))
        assert f"{metasnap.url}/api gave no usable answer. The request failed: {why}." in found.entries[0].why

    async def test_without_its_address_it_is_not_asked(self, metasnap: ArchiveServer, make_house: MakeHouse) -> None:
        house = await make_house()
        assert house.app.record_services == ()
        await resolved(house, NEW, suites=(SUITE,))
        assert metasnap.log.requests() == []

    async def test_offline_it_is_not_asked(self, metasnap: ArchiveServer, make_house: MakeHouse) -> None:
        house = await make_house(metasnap=f"{metasnap.url}/api", offline=True)
        await resolved(house, NEW, suites=(SUITE,))
        assert metasnap.log.requests() == []


class TestLaunchpad:
    @pytest.fixture
    def launchpad(self) -> Iterator[ArchiveServer]:
        link = f"https://api.launchpad.net/devel/ubuntu/{SUITE}/amd64"
        when = f"{SECOND[:4]}-{SECOND[4:6]}-{SECOND[6:8]}T{SECOND[9:11]}:{SECOND[11:13]}:{SECOND[13:15]}+00:00"
        entry = {**ENTRY, "distro_arch_series_link": link, "pocket": "Release", "date_published": when}
        with ArchiveServer(Launchpad([entry]), name="launchpad") as server:  # type: ignore[list-item]
            yield server

    @pytest.fixture
    def rows(self, hamlet: Hamlet) -> tuple[Archive, ...]:
        return (replace(hamlet.row, name="ubuntu"),)

    async def test_its_suite_and_instant_lead_to_the_index(
        self, launchpad: ArchiveServer, rows: tuple[Archive, ...], hamlet: Hamlet, make_house: MakeHouse
    ) -> None:
        house = await make_house(rows=rows, launchpad=launchpad.url)
        found = await resolved(house, replace(NEW, distribution="ubuntu"))
        assert [each.finding for each in found.entries] == [Finding.RESOLVED]
        assert hamlet.asked("/mr/binary") == []
        assert len(launchpad.log.requests()) == 1

    async def test_its_failure_has_a_reason(
        self, launchpad: ArchiveServer, rows: tuple[Archive, ...], make_house: MakeHouse
    ) -> None:
        launchpad.fault("/devel/*", Status(503))
        house = await make_house(rows=rows, launchpad=launchpad.url, manners=BRIEF)
        found = await resolved(house, replace(named("none", "1"), distribution="ubuntu"))
        assert [each.finding for each in found.entries] == [Finding.UNANSWERED]
        assert "503" in found.entries[0].why
