"""Blob sources (`sources` of an archive): asked first for listed files, and never an obstacle."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from snapproxy.base.metrics import VERIFICATION_FAILURES
from snapproxy.core.blob_sources import BlobSource
from snapproxy.core.model import Archive
from tests.fakes.faults import Redirect, Status
from tests.fakes.hamlet import FIRST, INRELEASE, PACKAGES, Hamlet, content_of
from tests.fakes.house import UNHURRIED, House
from tests.fakes.present import Present
from tests.fakes.registry import Misdeed, SimulatedRegistry, busy, cut_after, moved

MakeHouse = Callable[..., Awaitable[House]]
USER, PASSWORD = "ann", "s3cret"
RESTING = replace(UNHURRIED, rest=5.0, failure_cool_down_most=20.0)


@pytest.fixture
async def registry() -> AsyncIterator[SimulatedRegistry]:
    async with SimulatedRegistry() as registry:
        yield registry


@pytest.fixture
async def storage_host() -> AsyncIterator[SimulatedRegistry]:
    async with SimulatedRegistry() as registry:
        yield registry


@pytest.fixture(autouse=True)
def _nobodys_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No login of the user who runs the tests is found."""
    for name in ("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def logged_in(registry: SimulatedRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry requires a login, and the file that the environment names has it."""
    registry.login = (USER, PASSWORD)
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (tmp_path / "auth.json").write_text(json.dumps({"auths": {registry.host: {"auth": auth}}}))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))


def blob_source(registry: SimulatedRegistry) -> BlobSource:
    return BlobSource(
        f"docker://{registry.host}/team/packages", f"http://{registry.host}", "team/packages", registry.host
    )


def with_source(row: Archive, registry: SimulatedRegistry) -> Archive:
    return replace(row, sources=(blob_source(registry),))


def fill(registry: SimulatedRegistry, *contents: bytes) -> None:
    for data in contents:
        registry.blobs[digest_of(data)] = data


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.fixture
async def house(make_house: MakeHouse, hamlet: Hamlet, registry: SimulatedRegistry) -> House:
    """A house whose client has the root and the index of FIRST; counters are zero."""
    return await updated(make_house, hamlet, registry)


async def updated(make_house: MakeHouse, hamlet: Hamlet, registry: SimulatedRegistry, **options: object) -> House:
    house = await make_house(rows=(with_source(hamlet.row, registry),), **options)
    for path in (INRELEASE, PACKAGES):
        assert (await house.get(FIRST, path)).status == 200
    hamlet.log.reset_counts()
    registry.seen.clear()
    return house


class TestOrder:
    async def test_a_blob_of_the_registry_is_requested_nowhere_else(
        self, house: House, hamlet: Hamlet, registry: SimulatedRegistry
    ) -> None:
        kept = content_of(hamlet.edition.kept).data
        fill(registry, kept)
        got = await house.get(FIRST, hamlet.edition.kept.path)
        assert (got.data, got.proof, got.served.cache) == (kept, "gpg", "MISS")
        assert list(hamlet.log.entries) == []
        assert [each.path for each in registry.seen] == [f"/v2/team/packages/blobs/{digest_of(kept)}"]

    async def test_a_whole_update_with_a_full_registry_asks_the_archive_for_its_root_alone(
        self, make_house: MakeHouse, hamlet: Hamlet, registry: SimulatedRegistry
    ) -> None:
        fill(registry, hamlet.content(PACKAGES).data, content_of(hamlet.edition.old).data)
        house = await make_house(rows=(with_source(hamlet.row, registry),))
        await house.get(FIRST, INRELEASE)
        asked = len(hamlet.asked())
        assert (await house.get(FIRST, PACKAGES)).data == hamlet.content(PACKAGES).data
        assert (await house.get(FIRST, hamlet.edition.old.path)).status == 200
        assert len(hamlet.asked()) == asked

    async def test_roots_and_weak_digests_are_never_requested_from_it(
        self, make_house: MakeHouse, hamlet: Hamlet, registry: SimulatedRegistry
    ) -> None:
        house = await make_house(rows=(with_source(hamlet.row, registry),))
        fill(registry, hamlet.content(INRELEASE).data, content_of(hamlet.edition.weak).data)
        await house.get(FIRST, INRELEASE)
        assert registry.seen == []
        await house.get(FIRST, PACKAGES)
        registry.seen.clear()
        assert (await house.get(FIRST, hamlet.edition.weak.path)).status == 200
        assert registry.seen == []

    async def test_of_an_observed_archive_it_has_what_the_mirror_has_deleted(
        self, make_house: MakeHouse, present: Present, registry: SimulatedRegistry
    ) -> None:
        house = await make_house(rows=(with_source(present.vendor, registry),))
        then, package = present.tree, present.package
        for path in (INRELEASE, PACKAGES):
            await house.get("live", path)
        house.clock.leap(3600)
        await house.get("live", INRELEASE)
        seen, _ = house.store.catalog.around(f"root/vendor/{INRELEASE}", house.clock.now())
        assert seen is not None
        present.publish()
        fill(registry, then.files[package].data)
        got = await house.get(str(seen.last), package)
        assert (got.status, got.data) == (200, then.files[package].data)

    async def test_a_live_index_that_its_root_lists_is_requested_from_it(
        self, make_house: MakeHouse, present: Present, registry: SimulatedRegistry
    ) -> None:
        house = await make_house(rows=(with_source(present.vendor, registry),))
        fill(registry, present.tree.files[PACKAGES].data)
        await house.get("live", INRELEASE)
        present.reset()
        assert (await house.get("live", PACKAGES)).data == present.tree.files[PACKAGES].data
        assert present.asked(PACKAGES) == []

    async def test_offline_no_request_is_sent(
        self, house: House, make_house: MakeHouse, hamlet: Hamlet, registry: SimulatedRegistry
    ) -> None:
        fill(registry, content_of(hamlet.edition.kept).data)
        await house.close()
        offline = await make_house(rows=(with_source(hamlet.row, registry),), offline=True)
        assert (await offline.get(FIRST, hamlet.edition.kept.path)).status == 424
        assert registry.seen == []


class TestFaults:
    """Whatever the registry does, the file comes from the archive."""

    async def comes_from_the_archive(self, house: House, hamlet: Hamlet) -> None:
        got = await house.get(FIRST, hamlet.edition.kept.path)
        assert (got.status, got.broke, got.data) == (200, "", content_of(hamlet.edition.kept).data)
        assert [each.service for each in hamlet.asked()] == ["now"]

    async def test_it_has_no_such_blob(self, house: House, hamlet: Hamlet, registry: SimulatedRegistry) -> None:
        await self.comes_from_the_archive(house, hamlet)
        assert len(registry.seen) == 1
        assert house.cool_downs(f"http://{registry.host}") == 0

    @pytest.mark.parametrize("deed", [busy(500), busy(403), busy(401), moved("http://[", 302)])
    async def test_it_refuses_or_fails(
        self, house: House, hamlet: Hamlet, registry: SimulatedRegistry, deed: Misdeed
    ) -> None:
        fill(registry, content_of(hamlet.edition.kept).data)
        registry.misbehave("GET", "blobs", deed)
        await self.comes_from_the_archive(house, hamlet)

    async def test_its_bytes_are_wrong_and_it_is_not_asked_for_them_again(
        self, house: House, hamlet: Hamlet, registry: SimulatedRegistry
    ) -> None:
        kept = content_of(hamlet.edition.kept).data
        registry.lies[digest_of(kept)] = kept[:-1] + b"?"
        first = await house.get(FIRST, hamlet.edition.kept.path)
        assert (first.status, first.broke) != (200, ""), "bytes that were sent cannot be taken back"
        await self.comes_from_the_archive(house, hamlet)
        assert len(registry.seen) == 1
        totals = await asyncio.to_thread(house.store.counters.totals)
        assert totals[VERIFICATION_FAILURES.key("debian")] == 1

    async def test_wrong_bytes_of_an_index_are_seen_before_anything_is_sent(
        self, make_house: MakeHouse, hamlet: Hamlet, registry: SimulatedRegistry
    ) -> None:
        index = hamlet.content(PACKAGES).data
        registry.lies[digest_of(index)] = index[:-1] + b"?"
        house = await make_house(rows=(with_source(hamlet.row, registry),))
        await house.get(FIRST, INRELEASE)
        assert (await house.get(FIRST, PACKAGES)).data == index

    async def test_a_file_of_another_length_is_not_begun(
        self, house: House, hamlet: Hamlet, registry: SimulatedRegistry
    ) -> None:
        registry.lies[digest_of(content_of(hamlet.edition.kept).data)] = b"too short"
        await self.comes_from_the_archive(house, hamlet)

    async def test_it_breaks_off_and_the_archive_gives_the_rest(
        self, house: House, hamlet: Hamlet, registry: SimulatedRegistry
    ) -> None:
        kept = content_of(hamlet.edition.kept).data
        registry.misbehave("GET", "blobs", cut_after(kept[:100_000], len(kept)))
        await self.comes_from_the_archive(house, hamlet)
        assert len(registry.seen) == 1, "it is not asked for the rest: another has it"
        assert [each.status for each in hamlet.asked()] == [206]

    async def test_it_is_dead_and_one_file_finds_out_for_all(
        self, make_house: MakeHouse, hamlet: Hamlet, registry: SimulatedRegistry
    ) -> None:
        house = await updated(make_house, hamlet, registry, manners=RESTING)
        await registry.__aexit__(None, None, None)
        for package in (hamlet.edition.kept, hamlet.edition.old):
            assert (await house.get(FIRST, package.path)).status == 200
        assert house.cool_downs(f"http://{registry.host}") == 1

    async def test_it_is_silent_and_a_client_loses_seconds_once(
        self, make_house: MakeHouse, hamlet: Hamlet, registry: SimulatedRegistry
    ) -> None:
        async def stall(_request: web.Request) -> web.StreamResponse | None:
            await asyncio.sleep(30)
            return None

        house = await updated(make_house, hamlet, registry, manners=RESTING)
        registry.misbehave("GET", "blobs", stall, stall)
        for package in (hamlet.edition.kept, hamlet.edition.old):
            async with asyncio.timeout(3):
                assert (await house.get(FIRST, package.path)).status == 200
        assert len(registry.seen) == 1

    async def test_it_throttles_and_is_asked_less(
        self, house: House, hamlet: Hamlet, registry: SimulatedRegistry
    ) -> None:
        fill(registry, content_of(hamlet.edition.old).data)
        registry.misbehave("GET", "blobs", busy(429, "600"))
        await self.comes_from_the_archive(house, hamlet)
        assert (await house.get(FIRST, hamlet.edition.old.path)).status == 200
        assert len(registry.seen) == 1

    async def test_its_404_says_nothing_about_the_archive(
        self, house: House, hamlet: Hamlet, registry: SimulatedRegistry
    ) -> None:
        """Only the answer of the archive counts, not that of a failing registry."""
        registry.misbehave("GET", "blobs", busy(500))
        hamlet.publish_now(FIRST)
        for server in (hamlet.now, hamlet.past):
            server.fault("*/pool/*", Status(404))
        got = await house.get(FIRST, hamlet.edition.kept.path)
        assert got.refusal.reason == "The index lists this file, but no source has it"


class TestRedirects:
    """Registries keep their blobs at a storage service."""

    async def test_a_blob_is_followed_to_another_host_which_sees_no_login(
        self,
        house: House,
        hamlet: Hamlet,
        registry: SimulatedRegistry,
        storage_host: SimulatedRegistry,
        logged_in: None,
    ) -> None:
        kept = content_of(hamlet.edition.kept).data
        fill(registry, kept)
        fill(storage_host, kept)
        registry.blob_host = f"http://{storage_host.host}"
        assert (await house.get(FIRST, hamlet.edition.kept.path)).data == kept
        assert registry.seen[-1].headers["authorization"].startswith("Basic ")
        assert [each.path for each in storage_host.seen] == [f"/elsewhere/{digest_of(kept)}"]
        assert "authorization" not in storage_host.seen[0].headers
        assert list(hamlet.log.entries) == []

    async def test_the_archives_own_servers_may_not_redirect_there(
        self, house: House, hamlet: Hamlet, registry: SimulatedRegistry
    ) -> None:
        kept = content_of(hamlet.edition.kept).data
        hamlet.now.fault("*/pool/*", Redirect(f"http://{registry.host}/elsewhere/{digest_of(kept)}"))
        assert (await house.get(FIRST, hamlet.edition.kept.path)).data == kept
        assert not registry.asked("GET", "elsewhere")


class TestLogins:
    @pytest.mark.parametrize("bearer", [False, True], ids=["Basic", "Bearer"])
    async def test_a_login_is_sent_once_the_registry_asks_and_kept(
        self, house: House, hamlet: Hamlet, registry: SimulatedRegistry, logged_in: None, bearer: bool
    ) -> None:
        registry.bearer = bearer
        fill(registry, content_of(hamlet.edition.kept).data, content_of(hamlet.edition.old).data)
        for package in (hamlet.edition.kept, hamlet.edition.old):
            assert (await house.get(FIRST, package.path)).status == 200
        assert list(hamlet.log.entries) == []
        sent = [each.headers.get("authorization", "").partition(" ")[0] for each in registry.asked("GET", "blobs")]
        scheme = "Bearer" if bearer else "Basic"
        assert sent == ["", scheme, scheme]
        assert len(registry.asked("GET", "/token")) == bearer

    async def test_without_a_login_it_is_skipped_for_a_minute_and_the_log_says_what_to_do(
        self, house: House, hamlet: Hamlet, registry: SimulatedRegistry, caplog: pytest.LogCaptureFixture
    ) -> None:
        registry.login = (USER, PASSWORD)
        with caplog.at_level(logging.WARNING):
            for package in (hamlet.edition.kept, hamlet.edition.old):
                assert (await house.get(FIRST, package.path)).status == 200
        assert len(registry.seen) == 1
        (line,) = [record.getMessage() for record in caplog.records if record.name == "snapproxy.oci.logins"]
        assert line.startswith(
            f"docker://{registry.host}/team/packages is not used for 60 s: The registry requires a login"
        )
        assert "skopeo login" in line

    async def test_a_new_login_is_used_within_a_minute(
        self, house: House, hamlet: Hamlet, registry: SimulatedRegistry, logged_in: None, tmp_path: Path
    ) -> None:
        login = (tmp_path / "auth.json").read_text()
        (tmp_path / "auth.json").write_text("{}")
        fill(registry, content_of(hamlet.edition.old).data)
        await house.get(FIRST, hamlet.edition.kept.path)
        (tmp_path / "auth.json").write_text(login)
        house.clock.leap(61)
        hamlet.log.reset_counts()
        assert (await house.get(FIRST, hamlet.edition.old.path)).status == 200
        assert list(hamlet.log.entries) == []

    async def test_a_rejected_login_is_not_sent_for_every_file(
        self, house: House, hamlet: Hamlet, registry: SimulatedRegistry, logged_in: None
    ) -> None:
        registry.login = (USER, "another")
        for package in (hamlet.edition.kept, hamlet.edition.old):
            assert (await house.get(FIRST, package.path)).status == 200
        assert len(registry.seen) == 2

    async def test_a_token_that_is_not_enough_is_not_fetched_for_every_file(
        self, house: House, hamlet: Hamlet, registry: SimulatedRegistry, logged_in: None
    ) -> None:
        """Docker Hub issues a token to any user, and then answers 401 to it for a private repository."""
        registry.bearer = True
        denied = busy(401)

        async def challenge(request: web.Request) -> web.StreamResponse:
            answer = await denied(request)
            assert answer is not None
            answer.headers["WWW-Authenticate"] = f'Bearer realm="http://{registry.host}/token",service="s"'
            return answer

        registry.misbehave("GET", "blobs", *[challenge] * 4)
        for package in (hamlet.edition.kept, hamlet.edition.old):
            assert (await house.get(FIRST, package.path)).status == 200
        assert len(registry.asked("GET", "blobs")) == 2

    async def test_a_silent_token_service_delays_no_client(
        self, house: House, hamlet: Hamlet, registry: SimulatedRegistry, logged_in: None
    ) -> None:
        async def stall(_request: web.Request) -> web.StreamResponse | None:
            await asyncio.sleep(30)
            return None

        registry.bearer = True
        registry.misbehave("GET", "/token", stall)
        asked = asyncio.create_task(house.get(FIRST, hamlet.edition.kept.path))
        while not registry.asked("GET", "/token"):
            await asyncio.sleep(0.01)
        house.clock.leap(3.1)
        assert (await asked).status == 200

    async def test_a_source_with_an_http_address_is_sent_no_login(
        self, make_house: MakeHouse, hamlet: Hamlet, registry: SimulatedRegistry, logged_in: None
    ) -> None:
        plain = BlobSource(f"http://{registry.host}/team/packages", f"http://{registry.host}", "team/packages")
        house = await make_house(rows=(replace(hamlet.row, sources=(plain,)),))
        for path in (INRELEASE, PACKAGES):
            assert (await house.get(FIRST, path)).status == 200
        assert [each.headers.get("authorization") for each in registry.seen] == [None]
