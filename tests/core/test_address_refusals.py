"""Requests that are passed through or refused; no text of a client is ever repeated."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.core.address import foreign_host, read
from snapproxy.core.exchange import FileTarget, PassTarget, ScriptTarget, TunnelTarget
from snapproxy.core.model import Refusal
from snapproxy.core.time_spec import parse_time
from tests.core.addresses import BOOK, SHA1, TS, ask, refused


class TestPassAndTunnel:
    def test_a_passed_host_is_reached_as_asked_query_and_all(self) -> None:
        assert ask("http://files.example/a/b%20c?x=1&y") == PassTarget("files.example", 80, "/a/b%20c?x=1&y")
        assert ask("http://FILES.example:80") == PassTarget("files.example", 80, "/")
        assert ask("http://other.example:8080/a", method="POST") == PassTarget("other.example", 8080, "/a")

    @pytest.mark.parametrize(
        "url", ["http://files.example:81/", "https://files.example/", "http://git.example/", "http://x.files.example/"]
    )
    def test_only_the_named_host_and_port_passes(self, url: str) -> None:
        refused(ask(url), 403)

    def test_a_row_goes_before_pass_so_that_nothing_pinnable_goes_unpinned(self) -> None:
        book = replace(BOOK, passes=(("ftp.debian.org", 80),))
        refused(ask("http://ftp.debian.org/debian/x", book), 407)
        assert ask("http://ftp.debian.org/other", book) == PassTarget("ftp.debian.org", 80, "/other")
        refused(ask("http://ftp.debian.org//debian/x", book), 407)

    def test_connect_is_off(self) -> None:
        answer = refused(ask("snapshot.debian.org:443", method="CONNECT", pair="live:x"), 403)
        assert answer.is_foreign
        assert refused(ask("http://evil.example/x"), 403).is_foreign
        assert answer.reason == "CONNECT is off: write http:// for https:// in the sources"
        assert "`pass`" in answer.hint

    def test_a_passed_host_may_be_tunnelled_to_in_any_view(self) -> None:
        for pair in (None, f"{TS}:x", "live:x"):
            assert ask("Git.example:443", method="CONNECT", pair=pair) == TunnelTarget("git.example", 443)
        refused(ask("git.example:22", method="CONNECT"), 403)

    def test_enabled_it_is_for_live_a_rows_hosts_and_port_443_only(self) -> None:
        book = replace(BOOK, connect=True)
        assert ask("ftp.debian.org:443", book, method="CONNECT", pair="live:x") == TunnelTarget("ftp.debian.org", 443)
        assert ask("ftp.debian.org:443", replace(book, default_when=parse_time("live")), method="CONNECT")
        refused(ask("ftp.debian.org:443", book, method="CONNECT"), 407)
        challenged = replace(book, default_when=parse_time("live"), challenged=frozenset({"rpm"}))
        assert ask("ftp.debian.org:443", challenged, method="CONNECT") == TunnelTarget("ftp.debian.org", 443)
        refused(ask("download.opensuse.org:443", challenged, method="CONNECT"), 407)
        refused(ask("ftp.debian.org:22", book, method="CONNECT", pair="live:x"), 403)
        refused(ask("evil.example:443", book, method="CONNECT", pair="live:x"), 403)
        pinned = refused(ask("ftp.debian.org:443", book, method="CONNECT", pair=f"{TS}:x"), 403)
        assert pinned.reason == "a tunnel cannot be pinned: write http:// for https://"

    @pytest.mark.parametrize(
        "target", ["", "/", "host:", "http://git.example:443/", "a@git.example:443", "git.example:443/x"]
    )
    def test_a_malformed_tunnel_is_refused(self, target: str) -> None:
        refused(ask(target, method="CONNECT"), 400)


class TestRefusals:
    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "get", "", "X" * 100])
    @pytest.mark.parametrize("target", [f"/debian/{TS}/x", "/healthz", "*", "http://evil.example/"])
    def test_other_methods_are_not_allowed(self, method: str, target: str) -> None:
        answer = refused(ask(target, method=method), 405)
        assert answer.headers == {"Allow": "GET, HEAD, CONNECT"}

    def test_head_is_read_like_get(self) -> None:
        assert ask(f"/debian/{TS}/x", method="HEAD") == ask(f"/debian/{TS}/x")

    @pytest.mark.parametrize("target", [f"/debian/{TS}/x?", f"/debian/{TS}/x?y=1", "/healthz?x", f"/file/{SHA1}?x=1"])
    def test_a_query_is_for_service_calls_only(self, target: str) -> None:
        assert refused(ask(target), 400).reason == "this address does not accept a query string"
        assert refused(ask("http://ftp.debian.org/debian/x?y", pair=f"{TS}:x"), 400)

    @pytest.mark.parametrize(
        "target",
        ["", "*", "debian/x", "ftp://ftp.debian.org/debian/x", "file:///etc/passwd", "://x", "http:/x", "/x#y"],
    )
    def test_what_is_no_address_is_refused(self, target: str) -> None:
        refused(ask(target), 400)

    @pytest.mark.parametrize(
        "evil",
        [
            *[
                "../../etc/passwd",
                "%2e%2e/x",
                "..%2f..%2fx",
                "a\\b",
                "a%5cb",
                "a%00b",
                "a%zzb",
                "a%0d%0aSet-Cookie:x",
                "a%ffb",
            ],
            *["a\x00b", "a\rb", "%252e%252e/x", "%c0%ae%c0%ae/x", "a" * 5000, "\udcff\udcfe"],
        ],
    )
    @pytest.mark.parametrize(
        "place",
        [f"/debian/{TS}/", f"/archive/debian/{TS}/", "http://ftp.debian.org/debian/", "/mr/", f"/~a/debian/{TS}/"],
    )
    def test_every_attack_is_refused_in_every_form(self, place: str, evil: str) -> None:
        answer = refused(ask(place + evil, pair=f"{TS}:x"), 400)
        assert evil not in repr(answer)


PIECES = st.sampled_from(
    [
        "/",
        "//",
        "debian",
        "archive",
        TS,
        "live",
        "..",
        ".",
        "%2e",
        "%2f",
        "%00",
        "~a",
        "?",
        "#",
        "mr",
        "file",
        SHA1,
        "http://",
        "https://",
        "HTTPS///",
        "ftp.debian.org",
        "snapshot.debian.org",
        "files.example",
        ":80",
        "@",
        "\\",
        "�",
        "ppa",
        "%7e",
        "+",
        " ",
        "\n",
    ]
)
TARGETS = st.text(max_size=60) | st.lists(PIECES, max_size=12).map("".join)
MARK = "Zq9mark"


@given(st.sampled_from(["GET", "HEAD", "CONNECT", "POST", "\udcff"]), TARGETS, st.text(max_size=40))
def test_no_request_raises_and_no_path_leaves_its_archive(method: str, target: str, authorization: str) -> None:
    answer = read(method, target, replace(BOOK, connect=True), proxy_authorization=authorization)
    if isinstance(answer, FileTarget):
        assert not answer.path.startswith("/")
        assert not {"..", "."} & set(answer.path.split("/"))
        assert "//" not in answer.path
        assert "\x00" not in answer.path
    if isinstance(answer, Refusal):
        refused(answer, answer.status)


@given(TARGETS, st.integers(0, 60))
def test_no_refusal_repeats_a_clients_text(target: str, at: int) -> None:
    answer = read("GET", target[:at] + MARK + target[at:], BOOK, proxy_authorization=f"Basic {MARK}")
    if isinstance(answer, Refusal):
        assert MARK not in repr(answer)


@pytest.mark.parametrize(
    ("method", "raw", "host"),
    [
        ("CONNECT", "Download.Example:443", "https://download.example"),
        ("CONNECT", "[::1]:444", "https://[::1]:444"),
        ("CONNECT", "a b:443", ""),
        ("GET", "http://other.example:80/x", "http://other.example"),
        ("GET", "https://other.example/x", "https://other.example"),
        ("GET", "http://user:secret@other.example/x", ""),
        ("GET", "ftp://other.example/x", ""),
        ("GET", "/debian/20240601T000000Z/x", ""),
        ("GET", "http://" + "a" * 300 + "/x", ""),
    ],
)
def test_the_host_of_a_refused_request_is_written_without_user_and_default_port(
    method: str, raw: str, host: str
) -> None:
    assert foreign_host(method, raw) == host


class TestWithoutLive:
    """A proxy whose setting `allow` does not include live."""

    BOOK = replace(BOOK, serves_live=False)

    @pytest.mark.parametrize(("url", "pair"), [
        ("/debian/live/dists/x", None),
        ("/~build/debian/live/dists/x", None),
        ("/archive/debian/live/dists/x", None),
        ("http://ftp.debian.org/debian/dists/x", "live:x"),
        ("http://ftp.debian.org/debian/dists/x", "live:build"),
    ])  # fmt: skip
    def test_live_is_refused_in_every_form(self, url: str, pair: str | None) -> None:
        answer = refused(ask(url, self.BOOK, pair=pair), 403)
        assert answer.reason == "live is refused here: request an instant"
        assert not answer.is_foreign
        assert "`allow`" in answer.why

    def test_pinned_requests_are_answered(self) -> None:
        for url, pair in ((f"/debian/{TS}/dists/x", None), ("http://ftp.debian.org/debian/dists/x", f"{TS}:x")):
            assert isinstance(ask(url, self.BOOK, pair=pair), FileTarget)
        assert ask(f"/debian/{TS}/dists/x", self.BOOK, pair="live:x") == replace(
            file_target(ask(f"/debian/{TS}/dists/x")), overridden="live"
        )

    def test_a_script_of_the_present_fails(self) -> None:
        script = ask("/live/pin.sh", self.BOOK)
        assert isinstance(script, ScriptTarget)
        assert isinstance(script.when, Refusal)
        assert ask(f"/{TS}/pin.sh", self.BOOK) == ask(f"/{TS}/pin.sh")

    def test_named_hosts_are_still_passed(self) -> None:
        """The administrator named them; they are counted as unpinned."""
        assert isinstance(ask("http://files.example/x", self.BOOK, pair=f"{TS}:x"), PassTarget)


def file_target(target: object) -> FileTarget:
    assert isinstance(target, FileTarget)
    return target
