"""Fetching wanted files: what is compared, what is tried again, and how long, on a virtual clock."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from dataclasses import replace

import pytest

from snapproxy.core.exchange import Conditions, FileTarget, Outcome, ServiceTarget
from snapproxy.core.model import Proof, Refusal
from snapproxy.core.time_spec import parse_time
from snapproxy.families import FAMILIES
from snapproxy.prefetch.fetch_files import MAX_FAILURES, FileFetcher, FileOutcome, PrefetchedFile
from snapproxy.prefetch.model import WantedFile
from snapproxy_storage import DraftFailed
from tests.fakes.answerer import DEBIAN, WHEN, FakeArchive
from tests.fakes.virtual_clock import VirtualClock

DATA = b"the bytes of a package" * 100
SHA256, SHA512, MD5 = (hashlib.new(name, DATA).hexdigest() for name in ("sha256", "sha512", "md5"))
COOLING = Refusal(503, "snapshot.example answered 509", headers={"Retry-After": "900"}, is_wait=True)
UNREACHABLE = Refusal(504, "snapshot.example cannot be reached", headers={"Retry-After": "5"})
FORBIDDEN = Refusal(502, "Upstream refuses access to this file (403)")


class ScriptedArchive(FakeArchive):
    """A fake archive whose first answers for a path are scripted; `captured` are the requests of a capture."""

    def __init__(self) -> None:
        super().__init__()
        self.first: dict[str, list[Refusal]] = {}
        self.captured: list[str] = []
        self.busiest = self._open = 0

    async def answer(self, target: FileTarget | ServiceTarget, conditions: Conditions) -> Outcome:
        self._open += 1
        self.busiest = max(self.busiest, self._open)
        await asyncio.sleep(0)
        self._open -= 1
        if target.capture:
            self.captured.append(target.path)
        if self.first.get(target.path):
            self.asked.append((target.path, conditions))
            return self.first[target.path].pop(0)
        return await super().answer(target, conditions)


class Report:
    """The events that a fetch reports."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, object]] = []

    def advance(self, file: WantedFile, done: int, total: int | None) -> None:
        self.events.append(("advance", file.path, (done, total)))

    def wait(self, file: WantedFile, refusal: Refusal, seconds: float) -> None:
        self.events.append(("wait", file.path, (refusal.reason, seconds)))

    def finish(self, file: WantedFile, outcome: FileOutcome) -> None:
        self.events.append(("finish", file.path, type(outcome).__name__))


@pytest.fixture
def archive() -> Iterator[ScriptedArchive]:
    archive = ScriptedArchive()
    yield archive
    archive.close()
    assert all(source.readers == 0 for source in archive.files.values()), "every body was closed"


def wanted(path: str, digest: str = "", size: int | None = None) -> WantedFile:
    return WantedFile(DEBIAN, parse_time(WHEN), path, digest, size)


async def fetch(
    archive: FakeArchive,
    *files: WantedFile,
    capture: str = "",
    max_wait: float | None = None,
    report: Report | None = None,
) -> tuple[dict[WantedFile, FileOutcome], float]:
    """Return the outcomes, and the seconds that the fetch took."""
    clock = VirtualClock()
    fetcher = FileFetcher(archive, families=FAMILIES, clock=clock, capture=capture, max_wait=max_wait)
    return await clock.run(fetcher.fetch(files, report or Report())), clock.monotonic()


async def one(archive: FakeArchive, file: WantedFile, **options: object) -> FileOutcome:
    outcomes, _ = await fetch(archive, file, **options)  # type: ignore[arg-type]
    return outcomes[file]


def refusal(outcome: FileOutcome) -> Refusal:
    assert isinstance(outcome, Refusal), outcome
    return outcome


async def test_a_stored_file_is_recorded_and_not_read(archive: ScriptedArchive) -> None:
    archive.add("a.deb", DATA)
    outcome = await one(archive, wanted("a.deb", f"sha256:{SHA256}", len(DATA)), capture="build")
    assert outcome == PrefetchedFile(len(DATA), SHA256, Proof.GPG, "HIT", "20240531T203452Z")
    assert archive.captured == ["a.deb"]
    assert all(conditions.background for _, conditions in archive.asked)


async def test_an_arriving_file_is_followed_to_its_end_and_then_recorded(archive: ScriptedArchive) -> None:
    source = archive.add("a.deb", b"")
    source._ended, source.length = False, len(DATA)
    report, clock = Report(), VirtualClock()
    fetcher = FileFetcher(archive, families=FAMILIES, clock=clock, capture="build")
    task = asyncio.create_task(fetcher.fetch([wanted("a.deb")], report))
    for start in (0, 1000):
        await asyncio.sleep(0.01)
        assert archive.captured == []
        source.feed(DATA[start : start + 1000] if start == 0 else DATA[start:])
    source.end()
    (outcome,) = (await task).values()
    assert isinstance(outcome, PrefetchedFile)
    assert (outcome.sha256, outcome.cache) == (SHA256, "JOINED")
    assert archive.captured == ["a.deb"]
    assert ("advance", "a.deb", (len(DATA), len(DATA))) in report.events
    assert report.events[-1] == ("finish", "a.deb", "PrefetchedFile")


@pytest.mark.parametrize("digest", [f"sha256:{SHA256}", f"sha512:{SHA512}", f"md5:{MD5}", ""])
async def test_a_file_as_listed_is_accepted(archive: ScriptedArchive, digest: str) -> None:
    archive.add("a.deb", DATA)
    assert isinstance(await one(archive, wanted("a.deb", digest)), PrefetchedFile)


@pytest.mark.parametrize(
    ("digest", "size", "difference"),
    [
        ("sha256:" + "0" * 64, None, f"the list says sha256:{'0' * 64}, the archive has sha256:{SHA256}."),
        ("sha512:" + "0" * 128, None, f"the list says sha512:{'0' * 128}, the archive has sha512:{SHA512}."),
        ("md5:" + "0" * 32, None, f"the list says md5:{'0' * 32}, the archive has md5:{MD5}."),
        (f"sha256:{SHA256}", 7, f"the list says 7 bytes, the archive has {len(DATA)}."),
        ("crc32:00000000", None, "the list says crc32:00000000, and crc32 cannot be computed of a file."),
    ],
)
async def test_a_file_other_than_listed_is_an_error_and_not_recorded(
    archive: ScriptedArchive, digest: str, size: int | None, difference: str
) -> None:
    archive.add("a.deb", DATA)
    found = refusal(await one(archive, wanted("a.deb", digest, size), capture="build"))
    assert (found.status, found.reason) == (424, "The file differs from the one in the list")
    assert found.why == f"a.deb of debian at {WHEN}: {difference}"
    assert archive.captured == []


async def test_a_digest_of_the_family_s_own_kind_is_compared_by_its_checker(archive: ScriptedArchive) -> None:
    archive.add("a.apk", b"no package")
    alpine = replace(DEBIAN, name="alpine", family="apk")
    file = replace(wanted("a.apk", "apk-identity-160:" + "0" * 40), archive=alpine)
    assert "the archive has another file" in refusal(await one(archive, file)).why
    foreign = wanted("a.apk", "apk-identity-160:" + "0" * 40)
    assert "cannot be computed" in refusal(await one(archive, foreign)).why, "an apt archive has no such digest"


async def test_one_path_is_fetched_once_for_all_its_entries(archive: ScriptedArchive) -> None:
    archive.add("a.deb", DATA)
    files = [wanted("a.deb"), wanted("a.deb", f"sha256:{SHA256}"), wanted("a.deb", "sha256:" + "0" * 64)]
    outcomes, _ = await fetch(archive, *files, *files)
    assert len(archive.asked) == 1
    assert [type(outcomes[file]) for file in files] == [PrefetchedFile, PrefetchedFile, Refusal]


async def test_a_cool_down_is_waited_for_however_often(archive: ScriptedArchive) -> None:
    archive.add("a.deb", DATA)
    archive.first["a.deb"] = [COOLING] * 20
    report = Report()
    outcomes, seconds = await fetch(archive, wanted("a.deb"), report=report)
    assert isinstance(outcomes[wanted("a.deb")], PrefetchedFile)
    assert seconds == 20 * 900
    assert report.events[0] == ("wait", "a.deb", (COOLING.reason, 900.0))


async def test_the_wait_is_bounded_by_the_user_s_total(archive: ScriptedArchive) -> None:
    archive.add("a.deb", DATA)
    archive.first["a.deb"] = [COOLING] * 20
    outcomes, seconds = await fetch(archive, wanted("a.deb"), max_wait=2000)
    assert refusal(outcomes[wanted("a.deb")]) == COOLING
    assert seconds == 1800


async def test_a_head_that_does_not_arrive_within_the_total_is_given_up(archive: ScriptedArchive) -> None:
    archive.held["a.deb"] = asyncio.Event()
    outcomes, seconds = await fetch(archive, wanted("a.deb"), max_wait=2000)
    assert refusal(outcomes[wanted("a.deb")]).reason == "No byte arrived within the maximum wait"
    assert (seconds, archive.cancelled) == (2000, ["a.deb"])


async def test_an_upstream_that_stays_away_is_given_up_and_the_other_files_arrive(archive: ScriptedArchive) -> None:
    archive.add("b.deb", DATA)
    archive.outcomes = {"a.deb": UNREACHABLE, "c.deb": FORBIDDEN}
    outcomes, seconds = await fetch(archive, *map(wanted, ("a.deb", "b.deb", "c.deb")))
    assert outcomes[wanted("a.deb")] == UNREACHABLE
    assert isinstance(outcomes[wanted("b.deb")], PrefetchedFile)
    assert outcomes[wanted("c.deb")] == FORBIDDEN
    asked = [path for path, _ in archive.asked]
    assert (asked.count("a.deb"), asked.count("c.deb")) == (MAX_FAILURES, 1)
    assert seconds == (MAX_FAILURES - 1) * 5


async def test_a_broken_body_is_requested_again_a_limited_number_of_times(archive: ScriptedArchive) -> None:
    source = archive.add("a.deb", b"")
    source._ended, source.length = False, len(DATA)
    source.fail(DraftFailed("upstream closed the connection"))
    outcomes, _ = await fetch(archive, wanted("a.deb"))
    found = refusal(outcomes[wanted("a.deb")])
    assert (found.reason, found.why) == ("The download failed", "upstream closed the connection")
    assert source.opened == MAX_FAILURES


async def test_no_more_files_at_a_time_than_allowed(archive: ScriptedArchive) -> None:
    files = [wanted(f"{number}.deb") for number in range(40)]
    for file in files:
        archive.add(file.path, DATA)
    clock = VirtualClock()
    fetcher = FileFetcher(archive, families=FAMILIES, clock=clock, width=5)
    assert len(await fetcher.fetch(files)) == 40
    assert archive.busiest == 5


async def test_a_moving_time_is_requested_through_the_capture_alone(archive: ScriptedArchive) -> None:
    archive.add("a.deb", DATA)
    file = replace(wanted("a.deb"), when=parse_time("live"))
    assert isinstance(await one(archive, file, capture="build"), PrefetchedFile)
    assert archive.captured == ["a.deb"]
    assert len(archive.asked) == 1


async def test_a_capture_with_another_answer_is_an_error(archive: ScriptedArchive) -> None:
    archive.add("a.deb", DATA)
    other = archive.add("other.deb", b"recorded before")

    class Recorded(ScriptedArchive):
        async def answer(self, target: FileTarget | ServiceTarget, conditions: Conditions) -> Outcome:
            path = "other.deb" if target.capture else target.path
            return await archive.answer(replace(target, path=path), conditions)

    found = refusal(await one(Recorded(), wanted("a.deb"), capture="build"))
    assert found.reason == "The capture has another file of that name"
    assert other.readers == 0
