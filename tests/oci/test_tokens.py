"""Logins: the challenges of registries, the hosts that receive a login, and how often tokens are requested."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from aiohttp import web
from yarl import URL

from snapproxy.base.clock import SystemClock
from snapproxy.oci.artifact import Artifact
from snapproxy.oci.credentials import Keychain, Login
from snapproxy.oci.places import read_reference
from snapproxy.oci.tokens import DeniedError, Tokens, read_challenges
from snapproxy.oci.transfer import push
from tests.fakes.registry import SimulatedRegistry

MakeArtifact = Callable[..., Artifact]


async def test_many_requests_share_a_token(connect, registry: SimulatedRegistry, make_artifact: MakeArtifact) -> None:
    registry.login, registry.bearer = ("ann", "pw"), True
    repository = await connect(registry.host, login=Login("ann", "pw"))
    await push(repository, make_artifact(*[b"%d" % number for number in range(40)]), "v1")
    await repository.resolve("v1")
    tokens = registry.asked("GET", "/token")
    assert [each.query for each in tokens] == [
        {"a": "b", "service": "s", "scope": "repository:team/art:pull,push"},
        {"a": "b", "service": "s", "scope": "repository:team/art:pull"},
    ]


async def test_a_token_that_is_refused_is_renewed(
    connect, registry: SimulatedRegistry, make_artifact: MakeArtifact
) -> None:
    registry.login, registry.bearer = ("ann", "pw"), True
    repository = await connect(registry.host, login=Login("ann", "pw"))
    await push(repository, make_artifact(b"a"), "v1")
    registry.tokens = {f"gone-{number}": set() for number in range(len(registry.tokens))}
    await push(repository, make_artifact(b"b"), "v2")
    assert len(registry.asked("GET", "/token")) == 2


@pytest.mark.parametrize("oauth", [True, False])
async def test_an_identity_token_gets_a_token(
    connect, registry: SimulatedRegistry, make_artifact: MakeArtifact, oauth: bool
) -> None:
    registry.identity_token, registry.bearer, registry.oauth = "id-token", True, oauth
    repository = await connect(registry.host, login=Login(identity_token="id-token"))
    await push(repository, make_artifact(b"a"), "v1", mount_from=("team/base",))
    assert len(registry.asked("POST", "/token")) >= 1
    assert bool(registry.asked("GET", "/token")) is not oauth


async def test_a_login_is_sent_only_to_an_http_address(connect, registry: SimulatedRegistry) -> None:
    registry.login = ("ann", "pw")
    repository = await connect(registry.host, login=Login("ann", "pw"))
    for realm in ("ftp://127.0.0.1/token", "http://a:b@127.0.0.1/token", "/token", "http://[", ""):

        async def ask(request, realm: str = realm):
            return web.Response(status=401, headers={"WWW-Authenticate": f'Bearer realm="{realm}"'})

        registry.misbehave("GET", "manifests", ask)
        with pytest.raises(DeniedError):
            await repository.resolve("v1")


def test_challenges_are_separated() -> None:
    found = read_challenges(
        [
            'Basic realm="a, b=c", Bearer realm="https://t.example/x?y=1,2",service=s,scope="repository:a:pull,push"',
            "Negotiate x=1",
        ]
    )
    assert [(each.scheme, dict(each.parameters)) for each in found] == [
        ("basic", {"realm": "a, b=c"}),
        ("bearer", {"realm": "https://t.example/x?y=1,2", "service": "s", "scope": "repository:a:pull,push"}),
        ("negotiate", {"x": "1"}),
    ]


async def test_a_login_is_not_sent_from_https_to_http() -> None:
    """An eavesdropper would get the password, although the registry asked for it over https."""

    class Encrypted:
        async def base(self) -> URL:
            return URL("https://r.example/v2/")

    keychain = Keychain({}, clock=SystemClock(), login=Login("ann", "pw"))
    tokens = Tokens(Encrypted(), read_reference("r.example/a"), keychain, SystemClock())  # type: ignore[arg-type]
    with pytest.raises(DeniedError, match="login") as denied:
        await tokens.answer(['Bearer realm="http://t.example/token"'], ("repository:a:pull",), "")
    assert "a login is not sent to the address of its token service" in denied.value.why
    assert "pw" not in str(denied.value)
