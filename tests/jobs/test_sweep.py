"""Observations by command: complete sets, or nothing, whatever the archive does meanwhile."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import itertools
import socket
from pathlib import Path

import pytest

from snapproxy.base.metrics import OBSERVATIONS
from snapproxy.config import Watch
from snapproxy.core.model import Refusal
from snapproxy.core.time_spec import format_instant
from snapproxy.download import attempt
from snapproxy.errors import ClientError
from snapproxy.jobs import sweep
from snapproxy.jobs.sweep import Observation, Sweeper
from snapproxy.upstream.rate_limit import RateLimiter
from tests.fakes.content import Content, FixedTree, epoch, stamp
from tests.fakes.faults import Hold, Html, Meanwhile, Status, WrongBytes
from tests.fakes.hamlet import INRELEASE, PACKAGES, RELEASE, Edition, made_up
from tests.fakes.house import PATIENT, House
from tests.fakes.present import BORN, SOURCES, Present
from tests.fakes.publisher import Publisher, SuitePlan

HOUR = 3600.0
OTHER = "dists/extra/InRelease"
OTHER_PACKAGES = "dists/extra/main/binary-amd64/Packages.xz"


class RecordedProgress:
    """Keeps every report."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, int, int | None]] = []

    def advance(self, path: str, done: int, total: int | None) -> None:
        self.reports.append((path, done, total))

    def finish(self, path: str) -> None:
        """Ignore the report."""


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(attempt, "ABSENCE_RETRY_SECONDS", 0.01)


async def observe(vendor: House, *paths: str, packages: bool = False) -> Observation:
    swept = await vendor.app.observe("vendor", paths or (INRELEASE,), with_packages=packages)
    assert isinstance(swept, Observation), swept
    return swept


async def answered(vendor: House, when: str, *paths: str) -> dict[str, bytes]:
    got = {path: await vendor.get(when, path) for path in paths}
    assert {each.status for each in got.values()} == {200}, got
    return {path: each.data for path, each in got.items()}


def is_of(tree: FixedTree, got: dict[str, bytes]) -> bool:
    return all(tree.files[path].data == data for path, data in got.items())


async def test_an_observation_can_be_asked_for_when_the_archive_is_gone(vendor: House, present: Present) -> None:
    old = present.tree
    swept = await observe(vendor)
    assert (swept.roots, swept.changed) == ((INRELEASE,), (INRELEASE,))
    vendor.clock.leap(HOUR)
    present.publish()
    await observe(vendor)
    present.mirror.fault("*", Status(404))
    got = await answered(vendor, format_instant(swept.at), INRELEASE, PACKAGES, SOURCES, PACKAGES.replace(".xz", ".gz"))
    assert is_of(old, got)


@pytest.mark.parametrize(
    ("names", "vain"),
    [
        ("", 0),  # deb http://host/a/b/flat ./
        ("sub/", 0),
        ("flat/", 0),  # deb http://host/a/b flat/
        ("flat/sub/", 0),
        ("b/flat/sub/", 2),  # the folders that may be the base are tried, from the folder of the index upwards
    ],
)
async def test_each_package_of_a_flat_repository_is_fetched_once_whatever_its_names_are_relative_to(
    vendor: House, present: Present, edition: Edition, names: str, vain: int
) -> None:
    inner = names.rpartition("flat/")[2]
    debs = {f"p_{number}_amd64.deb": Content(f"deb {number}".encode()) for number in range(3)}
    stanza = "Package: p\nVersion: {}\nArchitecture: amd64\nFilename: {}\nSize: {}\nSHA256: {}\n\n"
    index = "".join(
        stanza.format(number, f"./{names}{name}", len(deb.data), deb.sha256)
        for number, (name, deb) in enumerate(debs.items())
    ).encode()
    listed = f" {hashlib.sha256(index).hexdigest()} {len(index)} Packages\n"
    root = edition.key.clear(f"Suite: x\nSHA256:\n{listed}".encode(), at="20240701T000000Z")
    files = {f"a/b/flat/{inner}{name}": deb for name, deb in debs.items()}
    present.show(FixedTree({"a/b/flat/InRelease": Content(root), "a/b/flat/Packages": Content(index), **files}, ()))
    swept = await observe(vendor, "a/b/flat/InRelease", packages=True)
    assert (swept.packages, swept.missing) == (3, 0)
    absent = [each.path for each in present.log.entries if each.status == 404 and each.path.endswith(".deb")]
    assert len(set(absent)) == vain * len(debs)


async def test_an_unchanged_archive_is_asked_once_a_root_and_conditionally(vendor: House, present: Present) -> None:
    first = await observe(vendor)
    vendor.clock.leap(HOUR)
    present.log.reset_counts()
    second = await observe(vendor)
    assert second.changed == ()
    assert [(each.path, each.status) for each in present.log.entries] == [(f"/debian/{INRELEASE}", 304)]
    middle = await vendor.get(format_instant((first.at + second.at) // 2), INRELEASE)
    assert middle.headers["X-Snapproxy-Valid"] == f"{format_instant(first.at)}/{format_instant(second.at)}"


@pytest.mark.parametrize("packages", [False, True], ids=["indexes", "with-packages"])
async def test_republished_between_every_pair_of_requests_in_turn_every_answered_set_is_coherent(
    vendor: House, present: Present, *, packages: bool
) -> None:
    """Each publication deletes all earlier files; in the last turn, it is after the last request."""
    trees, seen = [present.tree], [(await observe(vendor)).at]
    for at in itertools.count():
        vendor.clock.leap(HOUR)
        trees.append(present.publish())
        meanwhile = present.mirror.fault("*", Meanwhile(lambda: trees.append(present.publish()), at))
        seen.append((await observe(vendor, packages=packages)).at)
        present.mirror.heal()
        if meanwhile.count <= at:
            break
    assert at >= (10 if packages else 8)
    answered_by = []
    for then in map(format_instant, seen):
        got = await answered(vendor, then, INRELEASE, PACKAGES, SOURCES)
        (tree,) = [tree for tree in trees if is_of(tree, got)]
        answered_by.append(tree)
        for package in tree.packages:
            for path, content in package.files.items():
                kept = await vendor.get(then, path)
                assert kept.data == content.data if kept.status == 200 else kept.status == 424, path
    assert answered_by == sorted(answered_by, key=trees.index), "a later look saw no older state"
    assert len(set(map(id, answered_by))) == len(seen)


async def test_an_archive_that_never_holds_still_is_not_observed(vendor: House, present: Present) -> None:
    before = await observe(vendor)
    vendor.clock.leap(HOUR)
    present.publish()
    present.mirror.fault("*", Meanwhile(present.publish))
    refusal = await vendor.app.observe("vendor", [INRELEASE], with_packages=False)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 424
    present.mirror.heal()
    beyond = await vendor.get(format_instant(vendor.clock.now()), INRELEASE)
    assert (beyond.status, beyond.refusal.reason.rpartition(" ")[2]) == (425, format_instant(before.at))


def two_suites(edition: Edition, number: int) -> FixedTree:
    at = epoch(BORN) + number * 86400
    package = made_up("hello", f"{number}.0", 2000, at=stamp(at))
    return Publisher(edition.key).tree(stamp(at), [SuitePlan("stable", (package,)), SuitePlan("extra", (package,))])


PERMANENT = {
    "404": (Status(404), 404, "Not in the archive at that time"),
    "403": (Status(403), 424, "Upstream refuses access to this file (403)"),
    "a web page": (Html(), 424, "Upstream sent a web page instead of the file"),
    "a bad signature": (WrongBytes(at=200), 424, "The root's signature is bad"),
}


@pytest.mark.parametrize("fault", PERMANENT)
async def test_a_permanent_fault_of_a_root_is_reported_after_one_attempt(
    vendor: House, present: Present, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    attempts: list[int] = []
    attempt = Sweeper._attempt
    monkeypatch.setattr(Sweeper, "_attempt", lambda *args: attempts.append(1) or attempt(*args))
    played, status, reason = PERMANENT[fault]
    present.mirror.fault("*Release*", played)
    outcome = await vendor.app.observe("vendor", (INRELEASE,), with_packages=False)
    assert isinstance(outcome, Refusal)
    assert (outcome.status, outcome.reason) == (status, reason)
    assert not outcome.may_pass
    assert len(attempts) == 1


async def test_roots_of_one_sweep_belong_together_whenever_both_are_published(
    vendor: House, present: Present, edition: Edition
) -> None:
    trees = [two_suites(edition, 11)]
    present.show(trees[0])
    first = await observe(vendor, INRELEASE, OTHER)
    for at in itertools.count():
        vendor.clock.leap(HOUR)
        trees += [two_suites(edition, number) for number in (12 + 2 * at, 13 + 2 * at)]
        present.show(trees[-2])
        publish = functools.partial(present.show, trees[-1])
        meanwhile = present.mirror.fault("*", Meanwhile(publish, at))
        await observe(vendor, INRELEASE, OTHER)
        present.mirror.heal()
        if meanwhile.count <= at:
            break
    assert at >= 10
    vendor.clock.leap(HOUR)
    last = await observe(vendor, INRELEASE, OTHER)
    for instant in range(first.at, last.at, 1200):
        got = await answered(vendor, format_instant(instant), INRELEASE, PACKAGES, OTHER, OTHER_PACKAGES)
        assert any(is_of(tree, got) for tree in trees), format_instant(instant)


async def test_a_sweep_that_is_cut_off_leaves_nothing_observed(present: Present, tmp_path: Path) -> None:
    held = present.mirror.fault("*/Packages*", Hold(after=None))
    async with House(tmp_path / "house", rows=(present.vendor,), timeouts=PATIENT) as vendor:
        sweeping = asyncio.create_task(vendor.app.observe("vendor", [INRELEASE], with_packages=False))
        while not present.log.requests(f"/debian/{INRELEASE}"):
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        sweeping.cancel()
        await asyncio.wait({sweeping})
        held.release()
    present.mirror.heal()
    async with House(tmp_path / "house", rows=(present.vendor,), timeouts=PATIENT) as vendor:
        assert (await vendor.get(format_instant(vendor.clock.now()), INRELEASE)).status == 425
        swept = await observe(vendor)
        assert is_of(present.tree, await answered(vendor, format_instant(swept.at), INRELEASE, PACKAGES))


async def test_names_without_a_moment_are_not_believed(vendor: House, present: Present) -> None:
    """The process was killed after the names of a set were written, and before its instant was recorded."""
    swept = await observe(vendor)
    digest = vendor.store.catalog.around(f"root/vendor/{INRELEASE}", swept.at)[0]
    assert digest is not None
    await vendor.store.catalog.put_fact(f"set/vendor/{INRELEASE}/{digest.value}", format_instant(swept.at - 500))
    vendor.clock.leap(HOUR)
    again = await observe(vendor)
    early = await vendor.get(format_instant(swept.at - 500), INRELEASE)
    assert early.status == 410
    assert is_of(present.tree, await answered(vendor, format_instant(again.at), INRELEASE, PACKAGES))


async def test_packages_all_brings_what_is_new_and_nothing_twice(vendor: House, present: Present) -> None:
    old, package = present.tree, present.package
    progress = RecordedProgress()
    first = await vendor.app.observe("vendor", [INRELEASE], with_packages=True, progress=progress)
    assert isinstance(first, Observation)
    assert (first.packages, first.missing) == (2, 0)
    assert (PACKAGES, old.files[package].size, old.files[package].size) in progress.reports
    vendor.clock.leap(HOUR)
    present.log.reset_counts()
    assert (await observe(vendor, packages=True)).packages == 0
    assert len(present.log.entries) == 1
    present.publish()
    vendor.clock.leap(HOUR)
    await observe(vendor, packages=True)
    present.mirror.fault("*", Status(404))
    assert is_of(old, await answered(vendor, format_instant(first.at), package))


async def test_a_package_that_upstream_has_lost_is_counted(vendor: House, present: Present) -> None:
    present.mirror.fault("*.deb", Status(404))
    swept = await observe(vendor, packages=True)
    assert (swept.packages, swept.missing) == (1, 1)
    vendor.clock.leap(HOUR)
    assert (await observe(vendor, packages=True)).missing == 1, "looked for again"


async def test_an_index_alone_is_observed_with_its_root(vendor: House, present: Present) -> None:
    swept = await observe(vendor, PACKAGES)
    assert swept.roots == (INRELEASE,)
    assert not present.asked(SOURCES)
    present.mirror.fault("*", Status(404))
    await answered(vendor, format_instant(swept.at), INRELEASE, PACKAGES)
    lacking = await vendor.get(format_instant(swept.at), SOURCES)
    assert (lacking.status, lacking.refusal.reason) == (
        424,
        "This index was observed but not stored, and no mirror has it now",
    )


async def test_a_root_with_its_signature_beside_it(edition: Edition, tmp_path: Path) -> None:
    present = Present(edition.key, has_inrelease=False)
    try:
        async with House(tmp_path / "house", rows=(present.vendor,), timeouts=PATIENT) as vendor:
            swept = await observe(vendor, PACKAGES)
            assert swept.roots == (RELEASE,)
            present.mirror.fault("*", Status(404))
            assert is_of(
                present.tree, await answered(vendor, format_instant(swept.at), RELEASE, f"{RELEASE}.gpg", PACKAGES)
            )
    finally:
        present.close()


async def test_what_vouches_for_nothing_cannot_be_observed(vendor: House) -> None:
    with pytest.raises(ClientError):
        await vendor.app.observe("vendor", ["pool/main/h/hello/hello_1.0_amd64.deb"], with_packages=False)
    missing = await vendor.app.observe("vendor", ["dists/none/InRelease"], with_packages=False)
    assert isinstance(missing, Refusal)
    assert missing.status == 404


async def test_a_sweep_lets_clients_go_first(vendor: House, present: Present, monkeypatch: pytest.MonkeyPatch) -> None:
    classes: list[bool] = []
    permit = RateLimiter.permit
    monkeypatch.setattr(
        RateLimiter,
        "permit",
        lambda self, upstream, **options: (
            classes.append(options["demand"].is_background) or permit(self, upstream, **options)
        ),
    )
    await observe(vendor, packages=True)
    assert len(classes) > 5
    assert set(classes) == {True}


async def test_a_watch_observes_inside_serve(present: Present, tmp_path: Path) -> None:
    watch = (Watch("vendor", (INRELEASE,), 3600, "all"),)
    async with House(tmp_path / "house", rows=(present.vendor,), timeouts=PATIENT, watch=watch) as vendor:
        listener = socket.create_server(("127.0.0.1", 0))
        serving = asyncio.create_task(vendor.app.serve([listener]))
        seen, row = vendor.app.observations, present.vendor
        for turn in range(2):
            while len(present.asked(INRELEASE)) <= turn or seen.last(row, INRELEASE) is None:
                await asyncio.sleep(0.05)
                vendor.clock.leap(
                    2
                )  # slowly: a reading of the index has ten minutes, and a busy machine needs a second for it
            vendor.clock.leap(HOUR)
        while not present.asked(present.package):  # the packages come after what is observed
            await asyncio.sleep(0.05)
            vendor.clock.leap(
                2
            )  # slowly: a reading of the index has ten minutes, and a busy machine needs a second for it
        await asyncio.sleep(0.5)
        assert set(present.asked(INRELEASE)[1:]) == {304}, "an unchanged root is asked about, and not sent again"
        counted = {name: value for name, value in vendor.store.counters.totals().items() if "observations" in name}
        assert counted.keys() == {OBSERVATIONS.key("vendor", "success")}
        serving.cancel()
        await asyncio.wait({serving})
        present.mirror.fault("*", Status(404))
        then = seen.last(row, INRELEASE)
        assert then is not None
        assert is_of(present.tree, await answered(vendor, format_instant(then), INRELEASE, PACKAGES, present.package))


async def test_a_root_dated_after_its_observation_is_not_observed(vendor: House, present: Present) -> None:
    dated = epoch(BORN) + 24 * int(HOUR)
    vendor.clock.leap(dated - vendor.clock.now() - 2 * HOUR)
    refusal = await vendor.app.observe("vendor", (INRELEASE,), with_packages=False)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.reason) == (
        424,
        f"Upstream's root is dated {format_instant(dated)}, after the time it is for",
    )
    assert not vendor.store.catalog.keys("root/")
