"""Replacing the configuration of a service: all parts or none, and a bounded number of former configurations."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from snapproxy.base.metrics import CONNECTIONS, REFUSALS
from snapproxy.cli import sockets
from snapproxy.config import Config, load
from snapproxy.errors import ConfigurationError
from snapproxy.upstream.network import UpstreamProxy
from snapproxy.web.certificate import TlsListener
from snapproxy.wiring import logs
from snapproxy.wiring import service as services
from snapproxy.wiring.application import build
from snapproxy.wiring.service import Service, open_service
from snapproxy.wiring.tls import TlsCertificate
from tests.fakes.rawclient import RawClient


class Part:
    """A part that records the settings that are applied to it, and may refuse them."""

    def __init__(self) -> None:
        self.applied: list[Config] = []
        self.fault = ""

    def prepare(self, config: Config) -> Callable[[], None]:
        if self.fault:
            raise ConfigurationError(self.fault)
        return lambda: self.applied.append(config)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    environ = {"SNAPPROXY_STATE_DIR": str(tmp_path / "state"), "SNAPPROXY_CACHE_DIR": str(tmp_path / "cache")}
    return replace(load(None, environ), drain=1)


@asynccontextmanager
async def running(config: Config, *parts: Part, own_listener: bool = True) -> AsyncIterator[tuple[Service, int]]:
    """Yield a service that answers, and its port."""
    async with open_service(config, offline=True, listens_as_configured=own_listener, parts=parts) as service:
        listeners = sockets.bind([("127.0.0.1", 0)])
        serving = asyncio.create_task(service.serve(listeners))
        port = listeners[0].getsockname()[1]
        client = await RawClient.connect(port)
        assert (await client.get("/healthz")).status == 200
        client.close()
        yield service, port
        serving.cancel()
        await asyncio.wait({serving})


async def test_the_next_request_obeys_the_new_settings_and_figures_go_on(config: Config) -> None:
    async with running(config) as (service, port):
        client = await RawClient.connect(port)
        assert (await client.get("/nothing/20240601T000000Z/x")).status == 404
        target = "http://ftp.debian.org/debian/dists/stable/InRelease"
        assert (await client.get(target)).status == 407
        assert service.status().startswith("1 clients connected; ")
        await service.reload(
            replace(config, default_when=load(None, {"SNAPPROXY_DEFAULT_WHEN": "20240601"}).default_when)
        )
        answer = await client.get(target)
        assert answer.status == 424, "offline, and the store is empty"
        assert service.status().endswith("; 3 requests refused")
        client.close()


@pytest.mark.parametrize(("own_listener", "named"), [(True, ["state_dir", "listen"]), (False, ["state_dir"])])
async def test_settings_of_the_start_are_kept_and_named(
    config: Config, tmp_path: Path, own_listener: bool, named: list[str]
) -> None:
    async with running(config, own_listener=own_listener) as (service, _):
        changed = replace(config, state_dir=tmp_path / "other", listen=(("127.0.0.1", 1),), connect=True)
        assert await service.reload(changed) == named
        assert service.app.config.state_dir == config.state_dir
        assert service.app.config.connect
        assert await service.reload(config) == []
    assert not (tmp_path / "other").exists()


async def test_a_part_that_refuses_leaves_every_part_as_it_was(config: Config) -> None:
    first, second = Part(), Part()
    async with running(config, first, second) as (service, _):
        app = service.app
        second.fault = "the certificate has expired"
        with pytest.raises(ConfigurationError, match="the certificate has expired"):
            await service.reload(replace(config, connect=True))
        assert (service.app, first.applied, second.applied) == (app, [], [])
        second.fault = ""
        await service.reload(replace(config, connect=True))
        assert [each.connect for each in (*first.applied, *second.applied)] == [True, True]


async def test_former_configurations_are_closed_and_bounded(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    may_end = asyncio.Event()
    ended: list[object] = []
    end = services._end

    async def held(former: services._Generation, gateway: services.Gateway) -> None:
        await may_end.wait()
        await end(former, gateway)
        ended.append(former)

    monkeypatch.setattr(services, "_end", held)
    async with running(config) as (service, _):
        for _ in range(services.MAX_FORMER):
            await service.reload(config)
        app = service.app
        with pytest.raises(ConfigurationError, match="earlier configurations"):
            await service.reload(config)
        assert service.app is app
        may_end.set()
        async with asyncio.timeout(20):
            while len(ended) < services.MAX_FORMER:
                await asyncio.sleep(0.01)
        await service.reload(config)


async def test_a_reload_waits_until_the_service_listens(config: Config) -> None:
    """systemd may send it as soon as the process is ready."""
    async with open_service(config, offline=True) as service:
        reloading = asyncio.create_task(service.reload(replace(config, connect=True)))
        await asyncio.sleep(0)
        assert not reloading.done()
        serving = asyncio.create_task(service.serve(sockets.bind([("127.0.0.1", 0)])))
        assert await asyncio.wait_for(reloading, 20) == []
        assert service.app.config.connect
        serving.cancel()
        await asyncio.wait({serving})


async def test_pages_for_operators_have_a_listener_of_their_own(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other machines need a token, and a network that a reload removes gets nothing more."""
    monkeypatch.setattr(socket, "gethostname", lambda: "test")  # the client sends `Host: test`
    async with open_service(config, offline=True) as service:
        public, admin = sockets.bind([("127.0.0.1", 0), ("127.0.0.1", 0)])
        serving = asyncio.create_task(service.serve([public], [admin]))
        port = admin.getsockname()[1]
        client = await RawClient.connect(port)
        metrics = await client.get("/metrics")
        assert (metrics.status, metrics.headers["content-type"].partition(";")[0]) == (200, "text/plain")
        assert b"snapproxy_build_info{" in metrics.body
        for path, status in (("/healthz", 200), ("/readyz", 200), ("/stats", 200), ("/debian/live/x", 404)):
            answer = await client.get(path)
            assert (path, answer.status) == (path, status)
        _, text = await service.app.tokens.create("operator", ["admin"], None)
        for authorization, status in (("", 401), ("Bearer nonsense", 401), (f"Bearer {text}", None)):
            refusal = service.refuse_operator("10.0.0.1", authorization)
            assert (refusal and refusal.status) == status
        await service.reload(replace(config, clients=("loopback",)))
        refusal = service.refuse_operator("10.0.0.1", f"Bearer {text}")
        assert refusal is not None
        assert refusal.status == 403
        client.close()
        serving.cancel()
        await asyncio.wait({serving})


async def test_a_new_upstream_proxy_is_used_for_the_hosts_in_pass_as_well(config: Config) -> None:
    async with running(config) as (service, _):
        await service.reload(replace(config, upstream_proxy="http://proxy.example:3128"))
        assert service._running is not None
        assert service._running.forwarder.proxy == UpstreamProxy("http://proxy.example:3128")


async def test_authorities_that_cannot_be_read_change_nothing(config: Config, tmp_path: Path) -> None:
    async with running(config) as (service, _):
        app = service.app
        with pytest.raises(ConfigurationError, match="certificate authorities"):
            await service.reload(replace(config, upstream_ca=str(tmp_path / "absent.pem")))
        assert service.app is app


async def test_the_service_publishes_its_gauges_and_is_measured(config: Config) -> None:
    async with running(config) as (service, port):
        client = await RawClient.connect(port)
        assert (await client.get("/nothing/20240601T000000Z/x")).status == 404
        store = service.app.store
        async with asyncio.timeout(20):
            while not any(gauges.get(CONNECTIONS.key()) for gauges in store.counters.gauges()):
                await asyncio.sleep(0.05)
        assert store.counters.totals()[REFUSALS.key("none", "404")] == 1
        readings = await service.monitors.readings()
        assert (readings.is_writable, readings.open_captures) == (True, 0)
        assert 0 < readings.disk_free <= readings.disk_size
        client.close()


async def test_a_reload_changes_the_form_of_the_access_log(
    config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    written: list[bytes] = []
    monkeypatch.setattr(logs, "write_all", written.append)
    caplog.set_level("INFO")
    async with running(replace(config, access_log="json")) as (service, port):
        client = await RawClient.connect(port)
        assert (await client.get("/nothing/20240601T000000Z/x", "X-Request-ID: job-1")).status == 404
        await service.reload(replace(config, access_log="off"))
        assert (await client.get("/nothing/20240601T000000Z/y")).status == 404
        client.close()
    lines = [json.loads(line) for line in b"".join(written).splitlines()]
    assert [(line["target"], line["status"]) for line in lines] == [
        ("/healthz", 200),
        ("/nothing/20240601T000000Z/x", 404),
    ]
    assert (lines[1]["id"], lines[1]["reason"]) == ("job-1", "no archive or page of that name")
    assert not [record for record in caplog.records if record.name == "snapproxy.access"]


async def test_a_reload_reads_the_certificate_again_or_changes_nothing(config: Config, tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    authority = trustme.CA()

    def issue(name: str) -> None:
        issued = authority.issue_cert(name)
        issued.cert_chain_pems[0].write_to_path(str(certificate))
        issued.private_key_pem.write_to_path(str(key))
        key.chmod(0o600)

    issue("before.example")
    config = replace(
        config, tls_listen=(("127.0.0.1", 0),), tls_certificate=str(certificate), tls_key=str(key), admin_listen=()
    )
    part = TlsCertificate(config)
    assert part.current is not None
    listeners = sockets.bind(config.tls_listen)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    trust.check_hostname = False

    async def name() -> str:
        _, writer = await asyncio.open_connection(*listeners[0].getsockname(), ssl=trust)
        writer.close()
        return str(writer.get_extra_info("peercert")["subjectAltName"][0][1])

    async with open_service(config, offline=True, parts=[part]) as service:
        serving = asyncio.create_task(service.serve([], (), TlsListener(listeners, part.current)))
        await service.reload(config)
        issue("after.example")
        assert await name() == "before.example"
        await service.reload(config)
        assert await name() == "after.example"
        key.chmod(0o644)
        with pytest.raises(ConfigurationError, match="certificate of the TLS listener"):
            await service.reload(replace(config, connect=True))
        assert await name() == "after.example"
        assert not service.app.config.connect
        assert await service.reload(replace(config, tls_listen=())) == ["tls_listen"]
        serving.cancel()
        await asyncio.wait({serving})


async def test_the_server_of_a_command_demands_no_token_and_admits_this_machine(config: Config) -> None:
    """The rules of an organisation's server also stand in the settings of its machine."""
    strict = replace(config, tokens="required", clients=("192.0.2.0/24",))
    async with build(strict, offline=True) as app:
        (listener,) = sockets.bind([("127.0.0.1", 0)])
        serving = asyncio.create_task(app.serve([listener], grace_seconds=0))
        client = await RawClient.connect(listener.getsockname()[1])
        assert (await client.get("/debian/20240601T000000Z/dists/x/InRelease")).status == 424
        client.close()
        serving.cancel()
        await asyncio.wait({serving})


async def test_a_reader_of_the_log_that_stalls_does_not_delay_the_stop(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    stalled = threading.Event()
    monkeypatch.setattr(logs, "write_all", lambda _: stalled.wait(60))
    monkeypatch.setattr("snapproxy.web.access_lines.FLUSH_SECONDS", 0.1)
    async with asyncio.timeout(20), running(replace(config, access_log="json")) as (_, port):
        client = await RawClient.connect(port)
        assert (await client.get("/nothing/20240601T000000Z/x")).status == 404
        client.close()
    stalled.set()
