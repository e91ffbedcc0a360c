"""Registries that send us elsewhere: no login goes along, and some ways are not gone."""

from __future__ import annotations

import pytest
from yarl import URL

from snapproxy.errors import UpstreamError
from snapproxy.oci.credentials import Login
from snapproxy.oci.progress import SILENT
from snapproxy.oci.registry import Repository
from snapproxy.oci.upload import upload
from tests.fakes.one_blob import BLOB, DATA, pull
from tests.fakes.registry import SimulatedRegistry, busy, moved


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


async def test_an_upload_that_is_sent_elsewhere_takes_no_credentials_along(
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
    with pytest.raises(UpstreamError, match="do not go"):
        repository.session.wire.joined(URL("https://r.example/v2/"), "http://r.example/v2/")
