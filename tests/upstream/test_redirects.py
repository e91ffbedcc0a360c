"""Redirects: names and addresses that an upstream may redirect to."""

from __future__ import annotations

import pytest

from snapproxy.core.upstream_answer import BodyFollows, Broken, Fault, Offer, Redirect, UpstreamRequest
from snapproxy.upstream.egress import EgressPolicy
from tests.fakes.rude_server import RudeServer, head, reply, say
from tests.fakes.upstream_bench import BODY, Bench, Names


async def test_a_redirect_is_followed_inside_over_one_connection(bench: Bench) -> None:
    end = bench.server.on("/file/da39", reply(200, BODY))
    url = bench.server.on("/f", reply(302, b"moved", location="/file/da39"))
    async with bench.upstream as upstream, upstream.fetch(UpstreamRequest(url, size=1024), bench.reach) as response:
        assert await response.read(1024) == BODY
        assert (response.url, response.hops) == (end, (url,))
    assert bench.server.connections == 1


async def test_a_redirect_can_be_stopped_and_answered_from_elsewhere(bench: Bench) -> None:
    url = bench.server.on("/f", reply(302, location="/file/da39"))
    shown: list[str] = []

    def held(location: str) -> bool:
        shown.append(location)
        return True

    async with bench.upstream as upstream, upstream.fetch(UpstreamRequest(url), bench.reach, stop_at=held) as response:
        assert response.answer == Redirect(bench.server.url("/file/da39"))
        assert response.url == url
    assert shown == [bench.server.url("/file/da39")]
    assert [seen.target for seen in bench.server.seen] == ["/f"]


async def test_conditions_travel_along_a_redirect(bench: Bench) -> None:
    bench.server.on("/g", say(head(206, content_length=1, content_range="bytes 1023-1023/1024") + BODY[-1:]))
    url = bench.server.on("/f", reply(302, location="/g"))
    assert await bench.body(UpstreamRequest(url, start=1023)) == BODY[-1:]
    assert bench.server.seen[1].headers["range"] == "bytes=1023-"


async def test_every_hop_needs_a_permit_for_its_own_host(server: RudeServer) -> None:
    async with RudeServer() as other:
        bench = Bench(server)
        other.on("/g", reply(200, BODY))
        url = server.on("/f", reply(302, location=other.url("/g")))
        reach = EgressPolicy((server.url("/"),), redirects=(f"127.0.0.1:{other.port}",))
        assert await bench.settled(UpstreamRequest(url), reach) == Broken(Fault.PRIVATE)
        reach = EgressPolicy((server.url("/"), other.url("/")))
        assert await bench.settled(UpstreamRequest(url), reach) == BodyFollows(Offer(0, 1024, 1024))
        assert set(bench.slots.held) == {f"upstream 127.0.0.1:{server.port}", f"upstream 127.0.0.1:{other.port}"}
        assert set(bench.slots.held.values()) == {0}


async def test_redirect_loop(bench: Bench) -> None:
    bench.server.on("/g", reply(302, location="/f"))
    url = bench.server.on("/f", reply(302, location="/g"))
    assert await bench.settled(UpstreamRequest(url)) == Broken(Fault.LOOP)
    assert len(bench.server.seen) == 2


async def test_a_redirect_to_itself_is_a_loop(bench: Bench) -> None:
    url = bench.server.on("/f", reply(302, location="/f"))
    assert await bench.settled(UpstreamRequest(url)) == Broken(Fault.LOOP)


async def test_too_many_redirects(bench: Bench) -> None:
    for number in range(9):
        bench.server.on(f"/{number}", reply(302, location=f"/{number + 1}"))
    assert await bench.settled(UpstreamRequest(bench.server.url("/0"))) == Broken(Fault.TOO_MANY_HOPS)
    assert len(bench.server.seen) == 6, "the first and five more"


@pytest.mark.parametrize(
    ("location", "fault"),
    [
        ("http://foreign.example/f", Fault.FOREIGN),
        ("http://127.0.0.1:1/f", Fault.FOREIGN),
        ("http://169.254.169.254/latest", Fault.FOREIGN),
        ("ftp://127.0.0.1/f", Fault.BAD_REDIRECT),
        ("http://user:secret@127.0.0.1/f", Fault.BAD_REDIRECT),
    ],
)
async def test_redirect_to_where_the_archive_may_not_go(bench: Bench, location: str, fault: Fault) -> None:
    url = bench.server.on("/f", reply(302, location=location))
    settled = await bench.settled(UpstreamRequest(url))
    assert isinstance(settled, Broken)
    assert settled.fault is fault


async def test_an_address_outside_the_archives_bases_is_never_asked(bench: Bench) -> None:
    assert await bench.settled(UpstreamRequest("http://127.0.0.1:1/f")) == Broken(Fault.FOREIGN)


async def test_a_name_that_cannot_be_resolved(server: RudeServer) -> None:
    url = "http://mirror.invalid/f"
    assert await Bench(server).settled(UpstreamRequest(url), EgressPolicy((url,))) == Broken(Fault.NAME)


async def test_a_redirect_to_a_public_name_with_a_private_address(server: RudeServer) -> None:
    names = Names(public_example="127.0.0.1")
    url = server.on("/f", reply(302, location=server.url("/f", "public.example")))
    reach = EgressPolicy((server.url("/"),), redirects=(f"public.example:{server.port}",))
    assert await Bench(server, names=names).settled(UpstreamRequest(url), reach) == Broken(Fault.PRIVATE)
    assert names.asked == ["public.example"]
    assert len(server.seen) == 1


async def test_a_base_that_is_private_is_asked(server: RudeServer) -> None:
    names = Names(mirror_lan="127.0.0.1")
    server.on("/f", reply(200, BODY))
    url = server.url("/f", "mirror.lan")
    assert await Bench(server, names=names).settled(UpstreamRequest(url), EgressPolicy((url,))) == BodyFollows(
        Offer(0, 1024, 1024)
    )


async def test_a_private_blob_source_may_redirect_to_a_private_name(server: RudeServer) -> None:
    names = Names(reg_lan="127.0.0.1", store_lan="127.0.0.1")
    server.on("/v2/a/blobs/x", reply(307, location=server.url("/x", "store.lan")))
    server.on("/x", reply(200, BODY))
    url = server.url("/v2/a/blobs/x", "reg.lan")
    bench = Bench(server, names=names)
    assert await bench.settled(UpstreamRequest(url), EgressPolicy.of_blob_source(url)) == BodyFollows(
        Offer(0, 1024, 1024)
    )
    assert names.asked == ["reg.lan", "store.lan"]


@pytest.mark.parametrize("location", ["mirror.lan", "127.0.0.1"])
async def test_a_redirect_to_the_private_mirror_of_another_archive_is_refused(
    server: RudeServer, location: str
) -> None:
    """That mirror is allowed for its own archive, and a connection to it is open, and its address is known."""
    names = Names(mirror_lan="127.0.0.1")
    server.on("/f", reply(200, BODY))
    own = server.url("/f", "mirror.lan")
    url = server.on("/moved", reply(302, location=server.url("/f", location)))
    foreign = EgressPolicy((server.url("/", "elsewhere.lan"),), redirects=(f"{location}:{server.port}",))
    names.hosts["elsewhere.lan"] = "127.0.0.1"
    moved = url.replace("127.0.0.1", "elsewhere.lan")
    bench = Bench(server, names=names)
    async with bench.upstream as upstream:
        async with upstream.fetch(UpstreamRequest(own), EgressPolicy((own,))) as response:
            assert await response.read(1024) == BODY
        async with upstream.fetch(UpstreamRequest(moved), foreign) as response:
            assert response.answer == Broken(Fault.PRIVATE)
    assert [seen.target for seen in server.seen] == ["/f", "/moved"]
