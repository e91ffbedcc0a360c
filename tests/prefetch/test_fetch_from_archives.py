"""Fetching from a mirror and a snapshot service: least load, and no byte twice after any interruption."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from snapproxy.core.time_spec import parse_time
from snapproxy.families import FAMILIES
from snapproxy.prefetch.fetch_files import FileFetcher, FileOutcome, PrefetchedFile
from snapproxy.prefetch.model import WantedFile
from tests.fakes.content import Package
from tests.fakes.faults import Hold, Status
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, SECOND, SUITE, Hamlet, content_of, later, made_up
from tests.fakes.house import House, until
from tests.fakes.proxy import command, environment
from tests.fakes.publisher import Publisher, SuitePlan

MakeHouse = Callable[..., Awaitable[House]]
AT = later(FIRST, 3600)


def publish(hamlet: Hamlet, packages: list[Package], kept: int) -> None:
    """Publish packages at FIRST; the mirror shows SECOND, which has the first `kept` of them."""
    publisher = Publisher(hamlet.edition.key)
    for when, shown in ((FIRST, packages), (SECOND, packages[:kept])):
        hamlet.publish(when, publisher.tree(when, [SuitePlan(SUITE, tuple(shown))]))


def wanted(hamlet: Hamlet, packages: list[Package]) -> list[WantedFile]:
    """Return the wanted files in an unfortunate order: the index and the root that make the mirror usable come last."""
    files = [
        WantedFile(hamlet.row, parse_time(AT), each.path, f"sha256:{content_of(each).sha256}", content_of(each).size)
        for each in packages
    ]
    return [*files, *(WantedFile(hamlet.row, parse_time(AT), path) for path in (PACKAGES, INRELEASE))]


def fetcher(house: House, capture: str = "build") -> FileFetcher:
    return FileFetcher(house.app.answerer, families=FAMILIES, clock=house.clock, capture=capture)


async def test_files_that_the_mirror_still_has_never_ask_the_snapshot_service(
    make_house: MakeHouse, hamlet: Hamlet
) -> None:
    packages = [made_up(f"package{number}", "1", 2000) for number in range(400)]
    publish(hamlet, packages, kept=300)
    house = await make_house()
    outcomes = await fetcher(house).fetch(wanted(hamlet, packages))
    assert Counter(type(each) for each in outcomes.values()) == {PrefetchedFile: 402}
    asked = Counter(each.path.rpartition("/")[2] for each in hamlet.past.requests("/archive/") if "/pool/" in each.path)
    assert asked == Counter(package.path.rpartition("/")[2] for package in packages[300:])
    sha1s = {content_of(package).sha1 for package in packages}
    assert sum(each.path.removeprefix("/file/") in sha1s for each in hamlet.past.requests("/file/")) == 100
    others = [each for each in hamlet.past.requests() if "/pool/" not in each.path and each.path[6:46] not in sha1s]
    assert len(others) <= 8, "the timeline, the root, its index, with their redirects"
    record = await house.app.captures.record("build")
    assert {each.path for each in record.entries if each.role == "package"} == {package.path for package in packages}


async def test_a_second_run_asks_for_nothing(make_house: MakeHouse, hamlet: Hamlet) -> None:
    packages = [made_up(f"package{number}", "1", 2000) for number in range(5)]
    publish(hamlet, packages, kept=3)
    house = await make_house()
    first = await fetcher(house).fetch(wanted(hamlet, packages))
    hamlet.log.reset_counts()
    again = await fetcher(house, "other").fetch(wanted(hamlet, packages))
    assert hamlet.asked() == []
    assert {each.cache for each in first.values() if isinstance(each, PrefetchedFile)} == {"MISS"}
    assert {each.cache for each in again.values() if isinstance(each, PrefetchedFile)} == {"HIT"}


async def test_a_file_of_another_build_is_not_recorded(make_house: MakeHouse, hamlet: Hamlet) -> None:
    house = await make_house()
    file = WantedFile(hamlet.row, parse_time(AT), hamlet.edition.kept.path, "sha256:" + "0" * 64)
    (outcome,) = (await fetcher(house).fetch([file])).values()
    assert not isinstance(outcome, PrefetchedFile)
    assert outcome.status == 424
    assert "build" not in house.app.captures.names()


async def test_a_cancelled_fetch_leaves_a_draft_that_the_next_run_continues(
    make_house: MakeHouse, hamlet: Hamlet
) -> None:
    hold = hamlet.now.fault("*kept_1*", Hold(after=100_000))
    house = await make_house()
    packages = [hamlet.edition.old, hamlet.edition.kept]
    finished: list[str] = []

    class Report:
        def advance(self, file: WantedFile, done: int, total: int | None) -> None: ...
        def wait(self, file: WantedFile, refusal: object, seconds: float) -> None: ...
        def finish(self, file: WantedFile, outcome: FileOutcome) -> None:
            finished.append(file.path)

    task = asyncio.create_task(fetcher(house).fetch(wanted(hamlet, packages), Report()))
    await until(lambda: len(finished) == 3 and any(size(path) >= 100_000 for path in drafts(house.folder)))
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    await house.close()
    hold.release()
    hamlet.now.heal()
    hamlet.log.reset_counts()  # the held answer went on into a closed connection
    assert set(finished) == {INRELEASE, PACKAGES, hamlet.edition.old.path}
    again = await make_house()
    outcomes = await fetcher(again).fetch(wanted(hamlet, packages))
    caches = {file.path: each.cache for file, each in outcomes.items() if isinstance(each, PrefetchedFile)}
    assert caches == dict.fromkeys(finished, "HIT") | {hamlet.edition.kept.path: "MISS"}
    assert sent(hamlet, hamlet.edition.old) == 0
    assert sent(hamlet, hamlet.edition.kept) == content_of(hamlet.edition.kept).size - 100_000, "no byte twice"
    record = await again.app.captures.record("build")
    assert {each.path for each in record.entries} == set(caches)


def drafts(folder: Path) -> list[Path]:
    """The files of drafts; they may vanish at any time."""
    return list((folder / "state/drafts").glob("*"))


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def sent(hamlet: Hamlet, package: Package) -> int:
    """The bytes of a package that the mirror and the service have sent."""
    name, sha1 = package.path.rpartition("/")[2], content_of(package).sha1
    bodies = [each for each in hamlet.log.entries if each.status in (200, 206)]
    return sum(each.sent for each in bodies if name in each.path or sha1 in each.path)


def verb(hamlet: Hamlet, folder: Path) -> list[str]:
    """Return the command line that fetches the whole tiny archive into the capture `build`."""
    config = folder / "config.toml"
    folder.mkdir(exist_ok=True)
    row = hamlet.row
    fast = "connections = 8\nrequests_per_second = 500\nburst = 500\n"
    config.write_text(
        f'state_dir = "{folder / "state"}"\ncache_dir = "{folder / "cache"}"\n'
        f'[archives.debian]\nsnapshot = ["{row.snapshot[0]}"]\nmirrors = ["{row.mirrors[0]}"]\n'
        f'keyrings = ["{row.keyrings[0]}"]\n[upstreams."127.0.0.2"]\n{fast}[upstreams."127.0.0.3"]\n{fast}'
    )
    selection = ("debian", "--at", AT, "--suite", SUITE, "--arch", "amd64", "--all")
    return command("prefetch", *selection, "--capture", "build", "--json", "--config", str(config))


@pytest.mark.parametrize(
    ("held", "after"), [("", 0), ("moved", 0), ("moved", 100_000), ("kept", 40_000), ("kept", 250_000)]
)
def test_a_killed_verb_costs_no_byte_twice(hamlet: Hamlet, tmp_path: Path, held: str, after: int) -> None:
    """The verb is killed while the root, or the package `held`, has so many bytes and the other one is finished."""
    kept, moved = hamlet.edition.kept, hamlet.edition.old
    call = verb(hamlet, tmp_path / "run")
    server = hamlet.now if held == "kept" else hamlet.past
    hold = server.fault(f"*{held}_1*" if held else "*InRelease", Hold(after=after))
    other = content_of(moved if held == "kept" else kept)
    blob = tmp_path / "run/state/blobs/sha256" / other.sha256
    with subprocess.Popen(call, env=environment(), stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 50
        while not hold.reached.is_set() or max(map(size, drafts(tmp_path / "run")), default=0) < after:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        while held and not blob.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
    hold.release()
    server.heal()
    hamlet.log.reset_counts()  # the held answer went on into a closed connection
    done = subprocess.run(call, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found = {each["path"]: each["state"] for each in json.loads(done.stdout)["files"]}
    assert found == dict.fromkeys((kept.path, moved.path, hamlet.edition.weak.path), "ok")
    missing = {package.path: content_of(package).size for package in (kept, moved)}
    if held:
        missing |= {(moved if held == "kept" else kept).path: 0}
        missing[(kept if held == "kept" else moved).path] -= after
    assert {package.path: sent(hamlet, package) for package in (kept, moved)} == missing


async def test_a_service_that_refuses_once_is_waited_for(make_house: MakeHouse, hamlet: Hamlet) -> None:
    hamlet.past.fault("*moved_1*", Status(509, {"Retry-After": "1"}), times=1)
    house = await make_house()
    outcomes = await fetcher(house).fetch(wanted(hamlet, [hamlet.edition.old]))
    assert Counter(type(each) for each in outcomes.values()) == {PrefetchedFile: 3}
    statuses = [each.status for each in hamlet.asked("moved_1", server="past")]
    assert statuses.count(509) == 1
