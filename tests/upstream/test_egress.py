"""The egress policy without a socket: checks of addresses, and of the names they contain."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from snapproxy.core.exchange import Outcome, Passed, PassTarget, Served
from snapproxy.core.model import Archive, Refusal
from snapproxy.core.upstream_answer import Fault, Redirect, UpstreamHead, UpstreamRequest, classify
from snapproxy.upstream.egress import (
    EgressPolicy,
    GuardedResolver,
    PrivateAddressError,
    authority,
    is_public,
    open_guarded,
    pass_guard,
    read_url,
)
from snapproxy.upstream.pass_through import PassThrough

HTTPS = URL("https://snapshot.example/archive/x/f")
HTTP = URL("http://snapshot.example/archive/x/f")
REACH = EgressPolicy(
    ("https://snapshot.example/archive/x", "http://192.168.1.5:8080/mirror"),
    redirects=("cdn.example", "b.example:8443"),
)


@pytest.mark.parametrize(
    ("url", "previous", "fault"),
    [
        ("https://snapshot.example/file/da39", None, None),
        ("http://snapshot.example/file/da39", None, None),
        ("http://192.168.1.5:8080/mirror/f", None, None),
        ("https://SNAPSHOT.example./f", None, None),
        ("https://snapshot.example/f", HTTP, None),
        ("https://cdn.example/f", HTTPS, None),
        ("https://b.example:8443/f", HTTPS, None),
        ("https://cdn.example/f", None, Fault.FOREIGN),
        ("https://b.example/f", HTTPS, Fault.FOREIGN),
        ("https://cdn.example:8443/f", HTTPS, Fault.FOREIGN),
        ("https://snapshot.example:22/f", HTTPS, Fault.FOREIGN),
        ("http://192.168.1.5/f", HTTP, Fault.FOREIGN),
        ("https://notsnapshot.example/f", HTTPS, Fault.FOREIGN),
        ("https://snapshot.example.evil.example/f", HTTPS, Fault.FOREIGN),
        ("http://cdn.example/f", HTTPS, Fault.DOWNGRADE),
        ("https://user:x@cdn.example/f", HTTPS, Fault.BAD_REDIRECT),
        ("ftp://cdn.example/f", HTTPS, Fault.BAD_REDIRECT),
        ("https:///f", HTTPS, Fault.BAD_REDIRECT),
    ],
)
def test_which_addresses_may_be_asked(url: str, previous: URL | None, fault: Fault | None) -> None:
    assert REACH.objection(URL(url, encoded=True), previous) is fault


@pytest.mark.parametrize("host", ["10.0.0.1", "[::1]", "[::ffff:10.0.0.1]", "169.254.169.254"])
def test_a_private_address_is_refused_even_if_listed_for_redirects(host: str) -> None:
    reach = EgressPolicy(("http://snapshot.example/",), redirects=(host,))
    assert reach.objection(URL(f"http://{host}/f"), HTTP) is Fault.PRIVATE


HOLDER = EgressPolicy.of_blob_source("https://reg.example")
ASKED = URL("https://reg.example/v2/a/blobs/sha256:0")


@pytest.mark.parametrize(
    ("url", "previous", "is_private", "fault"),
    [
        ("https://reg.example/v2/a/blobs/sha256:0", None, False, None),
        ("https://bucket.example/blob?signature=x", ASKED, False, None),
        ("https://bucket.example/blob", None, False, Fault.FOREIGN),
        ("http://bucket.example/blob", ASKED, False, Fault.DOWNGRADE),
        ("https://user:x@bucket.example/blob", ASKED, False, Fault.BAD_REDIRECT),
        ("https://10.0.0.1/blob", ASKED, False, Fault.PRIVATE),
        ("https://10.0.0.1/blob", ASKED, True, None),
        ("https://169.254.169.254/latest/meta-data", ASKED, True, Fault.PRIVATE),
    ],
)
def test_a_blob_source_may_redirect_anywhere_but_to_private_addresses(
    url: str, previous: URL | None, is_private: bool, fault: Fault | None
) -> None:
    assert HOLDER.objection(URL(url), previous, is_private=is_private) is fault


def test_a_private_base_of_an_archive_allows_no_further_redirects() -> None:
    reach = EgressPolicy(("http://10.0.0.5/",), redirects=("10.0.0.1",))
    assert reach.objection(URL("http://10.0.0.1/f"), URL("http://10.0.0.5/f"), is_private=True) is Fault.PRIVATE


def test_the_policy_of_an_archive_is_its_bases_and_redirects() -> None:
    row = Archive("x", "apt", "snapshots", snapshot=("http://s/",), mirrors=("http://m/",), redirects=("r",))
    assert EgressPolicy.of(row) == EgressPolicy(("http://s/", "http://m/"), ("r",))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://A.example/x", "a.example"),
        ("https://a.example:443/x", "a.example"),
        ("https://a.example:80/x", "a.example:80"),
        ("http://[::1]:8080/x", "[::1]:8080"),
    ],
)
def test_the_key_of_an_upstream_for_rate_limits(url: str, name: str) -> None:
    assert authority(URL(url)) == name


@pytest.mark.parametrize("address", ["151.101.2.132", "2a04:4e42::644", "::ffff:151.101.2.132", "64:ff9b::9765:284"])
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:0:127.0.0.1",
        "64:ff9b:1::7f00:1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "fec0::1",
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


class Answers(AbstractResolver):
    """Resolves to the addresses that a test has set."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        return [ResolveResult(hostname=host, host=one, port=port, family=2, proto=0, flags=0) for one in self.addresses]

    async def close(self) -> None:
        pass


async def resolved(guard: GuardedResolver, host: str = "mirror.example") -> list[str]:
    return [one["host"] for one in await guard.resolve(host)]


async def test_a_private_address_among_public_ones_is_dropped() -> None:
    assert await resolved(GuardedResolver(Answers("10.0.0.1", "151.101.2.132"))) == ["151.101.2.132"]


async def test_a_private_address_alone_is_refused() -> None:
    with pytest.raises(PrivateAddressError):
        await resolved(GuardedResolver(Answers("10.0.0.1")))


async def test_a_name_from_the_configuration_may_be_private() -> None:
    guard = GuardedResolver(Answers("10.0.0.1"))
    guard.allow_private("Mirror.example")
    assert await resolved(guard) == ["10.0.0.1"]


async def test_a_name_that_was_public_may_not_turn_private() -> None:
    answers = Answers("151.101.2.132")
    guard = GuardedResolver(answers)
    guard.allow_private("mirror.example")
    await resolved(guard)
    answers.addresses = ("127.0.0.1",)
    with pytest.raises(PrivateAddressError):
        await resolved(guard)


@pytest.mark.parametrize(("address", "is_private"), [("10.0.0.1", True), ("151.101.2.132", False)])
async def test_a_host_is_private_that_was_asked_and_has_no_other_address(address: str, is_private: bool) -> None:
    guard = GuardedResolver(Answers(address))
    guard.allow_private("reg.example")
    await resolved(guard, "reg.example")
    assert guard.is_private("Reg.example") is is_private
    assert guard.is_private(address) is is_private
    assert not guard.is_private("never.example")


async def test_link_local_is_never_allowed() -> None:
    guard = GuardedResolver(Answers("169.254.169.254"))
    guard.allow_private("mirror.example")
    with pytest.raises(PrivateAddressError):
        await resolved(guard)


@given(
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=60),
    st.sampled_from(["", "http://", "//", "https://a"]),
)
@example("].1/", "http://[::1")
def test_any_location_of_an_upstream_is_checked(text: str, start: str) -> None:
    settled = classify(UpstreamHead(302, {"location": start + text}), UpstreamRequest(str(HTTP)), 0)
    if isinstance(settled, Redirect):
        assert REACH.objection(read_url(settled.location), HTTP) in {None, *Fault}


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        ("https://node1.us.kept.example/x", None),
        ("https://a.kept.example/x", None),
        ("https://kept.example/x", Fault.FOREIGN),
        ("https://evilkept.example/x", Fault.FOREIGN),
        ("https://a.kept.example.evil.example/x", Fault.FOREIGN),
        ("https://a.kept.example:8443/x", Fault.FOREIGN),
        ("http://a.kept.example/x", Fault.DOWNGRADE),
    ],
)
def test_a_redirect_may_lead_to_any_host_below_a_name_that_allows_it(address, fault):
    reach = EgressPolicy(("https://archive.example",), ("*.kept.example",))
    assert reach.objection(URL(address), URL("https://archive.example/x")) is fault


class TestPass:
    """Hosts in `pass` and tunnels: what is connected to is what was checked."""

    @staticmethod
    async def forwarded(host: str, port: int, resolver: Answers) -> Passed | Refusal:
        forwarder = PassThrough(Traffic(), instance="test", resolver=resolver)
        try:
            passed = await forwarder.forward(PassTarget(host, port, "/"), "GET", [], None)
            if not isinstance(passed, Refusal):
                passed.close()
            return passed
        finally:
            await forwarder.close()

    @pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::ffff:127.0.0.1", "::127.0.0.1"])
    async def test_a_name_with_a_private_address_is_refused(self, address: str) -> None:
        refused = await self.forwarded("host.example", 80, Answers(address))
        assert isinstance(refused, Refusal)
        assert (refused.status, refused.reason) == (403, "That name resolves to a private address")
        with pytest.raises(PrivateAddressError):
            await open_guarded(pass_guard(Answers(address)), "host.example", 443)

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    async def test_an_address_in_the_configuration_is_allowed(self, host: str) -> None:
        resolver = Answers("127.0.0.1")
        async with answering() as port:
            passed = await self.forwarded(host, port, resolver)
            assert not isinstance(passed, Refusal)
            assert passed.status == 204
            assert await connected(pass_guard(resolver), host, port) == ("127.0.0.1", port)

    async def test_a_tunnel_connects_to_the_address_that_was_checked(self) -> None:
        """A second look-up could have another answer (DNS rebinding)."""
        resolver = Answers("127.0.0.1")
        guard = pass_guard(resolver)
        guard.allow_private("host.example")
        async with answering() as port:
            assert await connected(guard, "host.example", port) == ("127.0.0.1", port)
        assert resolver.asked == 1


@contextlib.asynccontextmanager
async def answering() -> AsyncIterator[int]:
    """Run a host that answers each connection once; yield its port."""
    tasks: list[asyncio.Task[None]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1])
        await asyncio.gather(*tasks)


async def connected(guard: GuardedResolver, host: str, port: int) -> object:
    """Connect and close; return the address of the other end."""
    _, writer = await open_guarded(guard, host, port)
    peer: object = writer.get_extra_info("peername")
    writer.close()
    await writer.wait_closed()
    return peer


class Traffic:
    """Ignores what it is told to count."""

    def outcome(self, outcome: Outcome) -> None: ...

    def sent(self, served: Served, count: int) -> None: ...

    def unpinned(self, host: str, sent: int, received: int) -> None: ...
