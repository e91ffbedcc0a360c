"""Heads and texts, without a socket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.core.model import Refusal, Role
from snapproxy.errors import ArchiveDataError, ClientError, StorageError, UpstreamError
from snapproxy.web.access_log import shown
from snapproxy.web.pages import Pages
from snapproxy.web.replies import ReplyHead, failure, media_type, refusal_reply, render


@given(st.text(), st.text())
def test_no_text_can_break_out_of_a_head(reason: str, value: str) -> None:
    head = render(200, reason, [("A", value)])
    assert head.endswith(b"\r\n\r\n")
    assert head.count(b"\r") == head.count(b"\n") == 3
    assert b"\x00" not in head
    assert len(head.split(b"\r\n")[0]) <= len("HTTP/1.1 200 ") + 80


@given(st.text(), st.text(), st.text())
def test_a_refusal_is_at_most_three_lines(reason: str, why: str, hint: str) -> None:
    reply = refusal_reply(Refusal(403, reason, why, hint))
    assert reply.text.count(b"\n") == sum(bool(line) for line in (reason, why, hint))
    assert reply.length == len(reply.text)


@given(st.text())
def test_a_logged_target_is_one_word_of_bounded_length(target: str) -> None:
    text = shown(target)
    assert text.isascii()
    assert text.isprintable()
    assert " " not in text
    assert '"' not in text
    assert len(text) <= 403


@pytest.mark.parametrize(
    ("target", "logged"),
    [
        ("http://u:p@h/x?q", "http://h/x?q"),
        ("http://20240601T000000Z:x.snp-abc@h:80/", "http://h:80/"),
        ("HTTPS///u:p@h/x", "HTTPS///h/x"),
        ("/~name.snp-abc/debian/x", "/~name.snp-/debian/x"),
        ("/a@b/c", "/a@b/c"),
        ("h:443", "h:443"),
    ],
)
def test_credentials_and_tokens_stay_out_of_the_log(target: str, logged: str) -> None:
    assert shown(target) == logged


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("pool/main/h/hello_1%2b1_amd64.deb", "application/vnd.debian.binary-package"),
        ("dists/x/InRelease", "text/plain; charset=utf-8"),
        ("dists/x/Release.gpg", "application/pgp-signature"),
        ("Packages.xz", "application/x-xz"),
        ("by-hash/SHA256/abcdef", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
def test_media_types(path: str, kind: str) -> None:
    assert media_type(path) == kind


@pytest.mark.parametrize("role", [Role.ROOT, Role.SIGNATURE, Role.INDEX, None])
@pytest.mark.parametrize("error", [UpstreamError("x"), ArchiveDataError("x"), StorageError("x"), ValueError("x")])
def test_what_may_be_a_root_or_an_index_never_fails_with_a_5xx(role: Role | None, error: Exception) -> None:
    assert failure(error, role).status == 424


@pytest.mark.parametrize(
    ("error", "status"), [(UpstreamError("x"), 504), (ArchiveDataError("x"), 502), (ClientError("x"), 400)]
)
def test_a_package_fails_with_the_errors_own_status(error: Exception, status: int) -> None:
    assert failure(error, Role.PACKAGE).status == status


def test_a_challenge_of_the_refusals_own_is_kept() -> None:
    reply = refusal_reply(Refusal(407, "x", headers={"Proxy-Authenticate": 'Basic realm="mine"'}))
    assert [value for name, value in reply.fields if name == "Proxy-Authenticate"] == ['Basic realm="mine"']


async def _well() -> str:
    return ""


async def test_auto_apt_proxy_finds_us_only_where_a_request_without_a_time_is_answered() -> None:
    pages = Pages(
        snippets=lambda _: [],
        script=lambda when, authority, capture: "",
        stats=dict,
        healthy=_well,
        ready=_well,
        address="127.0.0.1:3142",
        is_discoverable=True,
    )
    page = await pages.answer("/", "")
    assert isinstance(page, ReplyHead)
    assert b"<title>Apt-cacher" in page.text
