"""The upstream proxy: what is sent to it, what passes it by, and the rules that hold through it."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from yarl import URL

from snapproxy.core.exchange import Passed, PassTarget
from snapproxy.core.model import Refusal
from snapproxy.core.upstream_answer import BodyFollows, Broken, Fault, UpstreamAnswer, UpstreamRequest
from snapproxy.errors import ConfigurationError
from snapproxy.upstream.credentials import UpstreamLogin
from snapproxy.upstream.egress import EgressPolicy
from snapproxy.upstream.network import UpstreamNetwork, UpstreamProxy, read_authorities
from snapproxy.upstream.pass_through import PassThrough
from tests.fakes.archive_server import ArchiveServer
from tests.fakes.content import FixedTree, Timeline
from tests.fakes.forward_proxy import TunnelProxy
from tests.fakes.rude_server import RudeServer, reply, say, then_close
from tests.fakes.services import MirrorService
from tests.fakes.upstream_bench import BODY, Bench, Names

LOGIN = "Basic " + base64.b64encode(b"ann:s3cret").decode()
BASE = "http://archive.test/debian"


def bench(server: RudeServer, names: Names | None = None, **options: object) -> Bench:
    """The server is the proxy."""
    proxy = UpstreamProxy(f"http://127.0.0.1:{server.port}", **options)
    return Bench(server, names=names or Names(), network=UpstreamNetwork(proxy))


async def asked(bench: Bench, url: str, reach: EgressPolicy) -> UpstreamAnswer:
    return await bench.settled(UpstreamRequest(url), reach)


async def test_a_name_is_left_to_the_proxy(server: RudeServer) -> None:
    server.on(f"{BASE}/a", reply(200, BODY))
    names = Names()
    assert isinstance(await asked(bench(server, names), f"{BASE}/a", EgressPolicy((BASE,))), BodyFollows)
    assert [(each.method, each.target) for each in server.seen] == [("GET", f"{BASE}/a")]
    assert "proxy-authorization" not in server.seen[0].headers
    assert names.asked == []


@pytest.fixture
def login(tmp_path: Path) -> UpstreamLogin:
    file = tmp_path / "proxy.auth"
    file.write_text("basic ann:s3cret\n", encoding="utf-8")
    file.chmod(0o600)
    return UpstreamLogin("upstream_proxy_credentials", f"file:{file}", over_http=True)


async def test_its_login_is_sent_to_the_proxy(server: RudeServer, login: UpstreamLogin) -> None:
    server.on(f"{BASE}/a", reply(200, BODY))
    await asked(bench(server, login=login), f"{BASE}/a", EgressPolicy((BASE,)))
    assert server.seen[0].headers["proxy-authorization"] == LOGIN
    assert "authorization" not in server.seen[0].headers


async def test_without_a_usable_login_no_request_is_sent(
    server: RudeServer, login: UpstreamLogin, caplog: pytest.LogCaptureFixture
) -> None:
    Path(login.place.removeprefix("file:")).chmod(0o644)
    answer = await asked(bench(server, login=login), f"{BASE}/a", EgressPolicy((BASE,)))
    assert answer == Broken(Fault.PROXY_CREDENTIALS)
    assert not answer.is_worth_retrying
    assert "No request is sent through the upstream proxy. upstream_proxy_credentials = " in caplog.text
    assert "chmod o-rw" in caplog.text
    assert server.seen == []


@pytest.mark.parametrize(
    ("host", "exceptions", "is_proxied"),
    [
        ("archive.test", (), True),
        ("archive.test", ("archive.test",), False),
        ("a.archive.test", ("archive.test",), True),
        ("a.archive.test", ("*.archive.test",), False),
        ("archive.test", ("*.archive.test",), True),
        ("ARCHIVE.test.", ("archive.test",), False),
        ("127.0.0.2", (), False),
        ("localhost", (), False),
        ("[::1]", (), False),
        ("10.0.0.1", (), True),
        ("10.0.0.1", ("10.0.0.1",), False),
    ],
)
def test_which_hosts_pass_it_by(host: str, exceptions: tuple[str, ...], is_proxied: bool) -> None:
    assert UpstreamProxy("http://proxy.test:3128", exceptions).is_for(URL(f"http://{host}/x")) is is_proxied


class TestFaults:
    async def test_a_proxy_that_is_down(self, server: RudeServer, unused_port: int) -> None:
        down = Bench(server, network=UpstreamNetwork(UpstreamProxy(f"http://127.0.0.1:{unused_port}")))
        assert await asked(down, f"{BASE}/a", EgressPolicy((BASE,))) == Broken(Fault.PROXY)

    async def test_a_proxy_whose_name_is_unknown(self, server: RudeServer) -> None:
        lost = Bench(server, names=Names(), network=UpstreamNetwork(UpstreamProxy("http://proxy.test:3128")))
        assert await asked(lost, f"{BASE}/a", EgressPolicy((BASE,))) == Broken(Fault.PROXY)

    async def test_a_407_is_no_answer_of_the_upstream(self, server: RudeServer) -> None:
        server.on(f"{BASE}/a", reply(407, proxy_authenticate="Basic"))
        assert await asked(bench(server), f"{BASE}/a", EgressPolicy((BASE,))) == Broken(Fault.PROXY_LOGIN)

    @pytest.mark.parametrize(("status", "fault"), [(407, Fault.PROXY_LOGIN), (403, Fault.PROXY), (502, Fault.PROXY)])
    async def test_a_refused_tunnel(self, server: RudeServer, status: int, fault: Fault) -> None:
        async with TunnelProxy(1, refusal=status) as proxy:
            tunnel = Bench(server, network=UpstreamNetwork(UpstreamProxy(proxy.url)))
            answer = await asked(tunnel, "https://archive.test/a", EgressPolicy(("https://archive.test",)))
        assert answer == Broken(fault)


class TestRedirects:
    """The proxy resolves names, so a name that only an upstream wrote is checked here first."""

    async def redirected(self, server: RudeServer, target: str, reach: EgressPolicy, names: Names) -> UpstreamAnswer:
        server.on(f"{BASE}/a", reply(302, location=target))
        server.on(target, reply(200, BODY))
        return await asked(bench(server, names), f"{BASE}/a", reach)

    async def test_to_a_host_that_is_not_listed(self, server: RudeServer) -> None:
        answer = await self.redirected(
            server, "http://other.test/a", EgressPolicy((BASE,)), Names(other_test="8.8.8.8")
        )
        assert answer == Broken(Fault.FOREIGN)

    async def test_to_a_listed_name_with_a_private_address(self, server: RudeServer) -> None:
        reach = EgressPolicy((BASE,), ("other.test",))
        answer = await self.redirected(server, "http://other.test/a", reach, Names(other_test="10.0.0.1"))
        assert answer == Broken(Fault.PRIVATE)
        assert len(server.seen) == 1

    async def test_to_a_listed_name_that_only_the_proxy_can_resolve(self, server: RudeServer) -> None:
        reach = EgressPolicy((BASE,), ("other.test",))
        assert isinstance(await self.redirected(server, "http://other.test/a", reach, Names()), BodyFollows)

    async def test_of_a_blob_source_to_a_name_that_cannot_be_checked(self, server: RudeServer) -> None:
        reach = EgressPolicy.of_blob_source("http://archive.test")
        answer = await self.redirected(server, "http://storage.test/a", reach, Names())
        assert answer == Broken(Fault.NAME)
        assert len(server.seen) == 1

    async def test_of_a_blob_source_to_a_public_name(self, server: RudeServer) -> None:
        reach = EgressPolicy.of_blob_source("http://archive.test")
        answer = await self.redirected(server, "http://storage.test/a", reach, Names(storage_test="8.8.8.8"))
        assert isinstance(answer, BodyFollows)

    async def test_to_a_private_address(self, server: RudeServer) -> None:
        reach = EgressPolicy.of_blob_source("http://archive.test")
        assert await self.redirected(server, "http://10.0.0.1/a", reach, Names()) == Broken(Fault.PRIVATE)

    async def test_the_login_of_the_proxy_is_not_sent_past_it(self, server: RudeServer, login: UpstreamLogin) -> None:
        async with RudeServer() as direct:
            server.on(f"{BASE}/a", reply(302, location=direct.url("/a", "direct.test")))
            direct.on("/a", reply(200, BODY))
            reach = EgressPolicy((BASE, direct.url("", "direct.test")))
            names = Names(direct_test="127.0.0.1")
            await asked(bench(server, names, login=login, exceptions=("direct.test",)), f"{BASE}/a", reach)
            assert [each.headers.get("proxy-authorization") for each in direct.seen] == [None]


class TestUnpinned:
    """Hosts in `pass` and tunnels go through the proxy as well."""

    @staticmethod
    async def forwarded(server: RudeServer, host: str = "kept.test", **options: object) -> Passed | Refusal:
        proxy = UpstreamProxy(f"http://127.0.0.1:{server.port}", **options)
        forwarder = PassThrough(Traffic(), instance="test", resolver=Names(), proxy=proxy)
        try:
            passed = await forwarder.forward(PassTarget(host, 80, "/a"), "GET", [], None)
            if not isinstance(passed, Refusal):
                passed.close()
            return passed
        finally:
            await forwarder.close()

    async def test_a_request_is_forwarded_with_the_login(self, server: RudeServer, login: UpstreamLogin) -> None:
        server.on("http://kept.test/a", reply(204))
        passed = await self.forwarded(server, login=login)
        assert not isinstance(passed, Refusal)
        assert passed.status == 204
        assert server.seen[0].headers["proxy-authorization"] == LOGIN

    async def test_a_407_of_the_proxy_is_not_sent_to_the_client(self, server: RudeServer) -> None:
        """The client would answer with a login of its own."""
        server.on("http://kept.test/a", reply(407, proxy_authenticate="Basic"))
        refused = await self.forwarded(server)
        assert isinstance(refused, Refusal)
        assert refused.status == 502
        assert "upstream_proxy_credentials" in refused.hint

    async def test_without_a_usable_login_nothing_is_sent(self, server: RudeServer, login: UpstreamLogin) -> None:
        Path(login.place.removeprefix("file:")).chmod(0o644)
        refused = await self.forwarded(server, login=login)
        assert isinstance(refused, Refusal)
        assert "chmod o-rw" in refused.why
        assert server.seen == []

    async def test_an_exception_is_reached_directly(self, server: RudeServer) -> None:
        refused = await self.forwarded(server, exceptions=("kept.test",))
        assert isinstance(refused, Refusal)
        assert server.seen == []

    @staticmethod
    async def opened(
        address: str, login: UpstreamLogin | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        forwarder = PassThrough(Traffic(), instance="test", resolver=Names(), proxy=UpstreamProxy(address, (), login))
        return await forwarder.open("kept.test", 443)

    async def test_a_tunnel_is_opened_by_connect(self, server: RudeServer, login: UpstreamLogin) -> None:
        server.on("/a", reply(200, b"through"))
        async with TunnelProxy(server.port) as proxy:
            reader, writer = await self.opened(proxy.url, login)
            writer.write(b"GET /a HTTP/1.1\r\nHost: kept.test\r\n\r\n")
            assert (await reader.readuntil(b"through")).startswith(b"HTTP/1.1 200")
            writer.close()
            await writer.wait_closed()
            (connect,) = proxy.seen
        assert (connect.method, connect.target) == ("CONNECT", "kept.test:443")
        assert connect.headers["proxy-authorization"] == LOGIN

    @pytest.mark.parametrize(("status", "text"), [(403, r"\(403\)"), (407, "upstream_proxy_credentials")])
    async def test_a_refused_tunnel_says_why(self, status: int, text: str) -> None:
        async with TunnelProxy(1, refusal=status) as proxy:
            with pytest.raises(OSError, match=text):
                await self.opened(proxy.url)

    @pytest.mark.parametrize("answer", [b"SSH-2.0-x\r\n\r\n", b"", b"HTTP/1.1 20\r\n\r\n", b"x" * 100_000])
    async def test_an_answer_that_is_none_ends_the_tunnel(self, server: RudeServer, answer: bytes) -> None:
        server.on("kept.test:443", then_close(say(answer)))
        with pytest.raises(OSError, match="no valid answer"):
            await self.opened(f"http://127.0.0.1:{server.port}")

    async def test_a_proxy_that_is_down_is_named(self, unused_port: int) -> None:
        with pytest.raises(OSError, match="proxy cannot be reached"):
            await self.opened(f"http://127.0.0.1:{unused_port}")


class Traffic:
    """Counts nothing."""

    def unpinned(self, host: str, sent: int, received: int) -> None: ...


class TestAuthorities:
    """A server whose certificate is by an authority that only the configuration knows."""

    @pytest.fixture
    def authority(self) -> trustme.CA:
        return trustme.CA()

    @pytest.fixture
    def file(self, authority: trustme.CA, tmp_path: Path) -> str:
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        return str(tmp_path / "ca.pem")

    @pytest.fixture
    def secure(self, authority: trustme.CA) -> Iterator[ArchiveServer]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "archive.test").configure_cert(context)
        shown = Timeline()
        shown.publish("20240601T000000Z", FixedTree({}, ()))
        with ArchiveServer(MirrorService({"debian": shown}), tls=context) as server:
            yield server

    async def test_it_is_trusted_for_its_archive_alone(
        self, server: RudeServer, secure: ArchiveServer, file: str
    ) -> None:
        url = f"{secure.url}/debian/absent"
        with_authority = EgressPolicy((secure.url,), authority=file)
        client = Bench(server, network=UpstreamNetwork(tls=read_authorities("", [file])))
        async with client.upstream as upstream:
            answers = []
            for reach in (with_authority, EgressPolicy((secure.url,))):
                async with upstream.fetch(UpstreamRequest(url), reach) as response:
                    answers.append(response.answer)
        assert [type(each).__name__ for each in answers] == ["Absent", "Broken"]
        assert answers[1] == Broken(Fault.TLS)

    async def test_a_general_one_is_trusted_for_every_archive(
        self, server: RudeServer, secure: ArchiveServer, file: str
    ) -> None:
        client = Bench(server, network=UpstreamNetwork(tls=read_authorities(file, [])))
        answer = await asked(client, f"{secure.url}/debian/absent", EgressPolicy((secure.url,)))
        assert type(answer).__name__ == "Absent"

    async def test_through_a_tunnel_the_proxy_gets_its_login_and_the_archive_gets_its_own(
        self, server: RudeServer, secure: ArchiveServer, file: str, login: UpstreamLogin
    ) -> None:
        port = int(secure.url.rpartition(":")[2])
        names = Names()
        reach = EgressPolicy(("https://archive.test",), login=login)
        async with TunnelProxy(port) as proxy:
            network = UpstreamNetwork(UpstreamProxy(proxy.url, login=login), read_authorities(file, []))
            answer = await asked(Bench(server, names=names, network=network), "https://archive.test/debian/x", reach)
            (connect,) = proxy.seen
        assert type(answer).__name__ == "Absent"
        assert (connect.method, connect.target) == ("CONNECT", "archive.test:443")
        assert connect.headers["proxy-authorization"] == LOGIN
        assert "authorization" not in connect.headers
        (request,) = secure.log.entries
        assert request.headers["authorization"] == LOGIN
        assert "proxy-authorization" not in request.headers
        assert names.asked == []

    @pytest.mark.parametrize("content", [None, "", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n"])
    def test_a_file_without_an_authority_is_refused(self, tmp_path: Path, content: str | None) -> None:
        file = tmp_path / "bad.pem"
        if content is not None:
            file.write_text(content, encoding="utf-8")
        with pytest.raises(ConfigurationError) as caught:
            read_authorities(str(file), [])
        assert f'upstream_ca = "{file}"' in caught.value.why


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
