"""The choice between https and http, and the verification of certificates."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from snapproxy.base.clock import SystemClock
from snapproxy.oci.registry_http import ConnectionBrokenError, RegistryConnections, RegistryRequest
from tests.fakes.registry import SimulatedRegistry


@pytest.fixture
async def tls_host(tmp_path: Path) -> AsyncIterator[str]:
    """An https server on this machine with a self-signed certificate."""
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *subject]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=request.scheme)

    app = web.Application()
    app.router.add_get("/v2/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def spoken(host: str, **options: bool) -> str:
    async with RegistryConnections(host, clock=SystemClock(), **options) as wire:
        base = await wire.base()
        async with wire.ask(RegistryRequest("GET", base), attempts=1) as reply:
            assert reply.status == 200
            return base.scheme


async def test_http_is_used_on_this_machine_if_https_is_not_supported(registry: SimulatedRegistry) -> None:
    assert await spoken(registry.host) == "http"
    assert await spoken(registry.host, tls_verify=False) == "http"
    assert await spoken(registry.host, plain_http=True) == "http"


async def test_an_untrusted_certificate_is_no_reason_for_http(tls_host: str) -> None:
    with pytest.raises(ConnectionBrokenError, match="certificate") as refused:
        await spoken(tls_host)
    assert "--tls-verify=false" in refused.value.hint


async def test_without_verification_any_certificate_is_accepted(tls_host: str) -> None:
    assert await spoken(tls_host, tls_verify=False) == "https"


def test_other_machines_are_asked_by_https_only() -> None:
    assert RegistryConnections("r.example", clock=SystemClock())._schemes == ("https",)
    assert RegistryConnections("10.0.0.1:5000", clock=SystemClock())._schemes == ("https",)
    assert RegistryConnections("r.example", clock=SystemClock(), plain_http=True)._schemes == ("http",)


async def test_the_environments_proxy_is_not_used(registry: SimulatedRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert await spoken(registry.host) == "http"
    (seen,) = registry.asked("GET", "/v2/")
    assert seen.headers["accept-encoding"] == "identity"
