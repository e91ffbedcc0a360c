"""Redirects of registries: logins are not sent along, and some redirects are refused."""

from __future__ import annotations

import pytest
from yarl import URL

from snapproxy.base.clock import SystemClock
from snapproxy.core.progress import SILENT
from snapproxy.errors import UpstreamError
from snapproxy.oci.credentials import Login
from snapproxy.oci.registry import Repository
from snapproxy.oci.registry_http import RegistryConnections, RegistryRequest
from snapproxy.oci.upload import upload
from tests.fakes.one_blob import BLOB, DATA, pull
from tests.fakes.registry import SimulatedRegistry, busy, moved, reset


@pytest.mark.parametrize("bearer", [False, True])
async def test_no_credentials_follow_a_redirect_to_another_host(
    connect, registry: SimulatedRegistry, other_host: SimulatedRegistry, bearer: bool
) -> None:
    registry.login, registry.bearer = ("ann", "pw"), bearer
    registry.blobs[BLOB.descriptor.digest] = other_host.blobs[BLOB.descriptor.digest] = DATA
    registry.blob_host = f"http://{other_host.host}"
    repository = await connect(registry.host, login=Login("ann", "pw"))
    assert await pull(repository) == DATA
    assert other_host.seen
    assert not other_host.was_given_a_login
    assert registry.was_given_a_login


async def test_no_credentials_follow_an_upload_to_another_host(
    connect, registry: SimulatedRegistry, other_host: SimulatedRegistry
) -> None:
    registry.login = ("ann", "pw")
    other_host.misbehave("PUT", "/x", busy(201))
    registry.misbehave("PUT", "uploads", moved(f"http://{other_host.host}/x"))
    repository = await connect(registry.host, login=Login("ann", "pw"))
    await upload(repository, BLOB, progress=SILENT)
    assert len(other_host.asked("PUT", "/x")) == 1
    assert not other_host.was_given_a_login


async def test_https_never_becomes_http(repository: Repository) -> None:
    with pytest.raises(UpstreamError, match="redirect that is not followed"):
        repository.session.connections.location_url(URL("https://r.example/v2/"), "http://r.example/v2/")


@pytest.mark.parametrize(
    "location",
    ["http://127.0.0.1:99999/", "http://a\u00ffb..c/", f"http://{'a' * 70}.example/", "http://.../", "http://%00/"],
)
async def test_a_redirect_to_an_impossible_host_is_refused(
    repository: Repository, registry: SimulatedRegistry, location: str
) -> None:
    async def lead_astray(request):
        answer = f"HTTP/1.1 307 x\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        request.transport.write(answer.encode())
        return await reset(request)

    registry.misbehave("GET", "manifests", *[lead_astray] * 10)
    with pytest.raises(UpstreamError):
        await repository.resolve("v1")


async def test_an_identity_token_does_not_follow_a_redirect_of_the_token_service(
    connect, registry: SimulatedRegistry, other_host: SimulatedRegistry
) -> None:
    """307 and 308 repeat the form, which contains the login."""
    registry.identity_token, registry.bearer = "secret-of-ours", True
    registry.misbehave("POST", "/token", moved(f"http://{other_host.host}/steal"))
    repository = await connect(registry.host, login=Login(identity_token="secret-of-ours"))
    with pytest.raises(UpstreamError, match="redirect that is not followed") as caught:
        await repository.resolve("v1")
    assert not other_host.seen
    assert "secret-of-ours" not in str(caught.value)


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]", "[::127.0.0.1]"])
async def test_a_public_registry_does_not_lead_to_a_private_address(address: str) -> None:
    """Neither by a redirect nor by the token service that it names."""
    async with RegistryConnections("registry.example", clock=SystemClock()) as connections:
        request = RegistryRequest("GET", URL("https://registry.example/v2/"))
        with pytest.raises(UpstreamError, match="a redirect that is not followed") as caught:
            await connections._send(request, URL(f"http://{address}/"))
        assert caught.value.why == "It leads to a private address."
