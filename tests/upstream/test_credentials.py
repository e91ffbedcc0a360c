"""The credentials of an archive: where they are sent, and where they never are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snapproxy.core.upstream_answer import BodyFollows, Forbidden, UpstreamAnswer, UpstreamRequest
from snapproxy.upstream.credentials import CredentialFiles, UpstreamLogin
from snapproxy.upstream.egress import EgressPolicy
from tests.fakes.rude_server import RudeServer, reply
from tests.fakes.upstream_bench import BODY, Bench

TOKEN = "s3cret"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    return written(tmp_path / "pro.auth", f"bearer {TOKEN}\n")


def written(path: Path, text: str, mode: int = 0o640) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def policy(server: RudeServer, secret: Path, *, base: str = "/debian", **options: object) -> EgressPolicy:
    return EgressPolicy(
        (server.url(base),),
        ("127.0.0.9", f"127.0.0.1:{server.port}"),
        login=UpstreamLogin("[archives.esm] credentials", f"file:{secret}", over_http=True),
        **options,
    )


def authorizations(server: RudeServer) -> list[tuple[str, str]]:
    return [(each.target, each.headers.get("authorization", "")) for each in server.seen]


async def asked(bench: Bench, path: str, reach: EgressPolicy) -> UpstreamAnswer:
    return await bench.settled(UpstreamRequest(bench.server.url(path)), reach)


async def test_they_are_sent_to_the_origin_of_a_base(bench: Bench, secret: Path) -> None:
    bench.server.on("/debian/a", reply(200, BODY))
    assert isinstance(await asked(bench, "/debian/a", policy(bench.server, secret)), BodyFollows)
    assert authorizations(bench.server) == [("/debian/a", f"Bearer {TOKEN}")]


@pytest.mark.parametrize("path", ["/other/a", "/debian/%2e%2e/other", "/debian/..%2fother", "/debian/./a", "/"])
async def test_a_path_that_the_entry_excludes_gets_none(bench: Bench, secret: Path, path: str) -> None:
    written(secret, f"machine http://127.0.0.1:{bench.server.port}/debian/ login ann password {TOKEN}")
    bench.server.on(path, reply(403))
    answer = await asked(bench, path, policy(bench.server, secret, base="/"))
    assert authorizations(bench.server) == [(path, "")]
    assert isinstance(answer, Forbidden)
    assert "no entry for this address" in answer.login


async def test_a_redirect_within_the_origin_keeps_them(bench: Bench, secret: Path) -> None:
    """A snapshot service redirects from the archive's folder to the file by its digest."""
    bench.server.on("/debian/a", reply(302, location="/file/0123"))
    bench.server.on("/file/0123", reply(200, BODY))
    await asked(bench, "/debian/a", policy(bench.server, secret))
    sent = f"Bearer {TOKEN}"
    assert authorizations(bench.server) == [("/debian/a", sent), ("/file/0123", sent)]


async def test_a_redirect_to_another_origin_gets_none_and_neither_does_the_way_back(bench: Bench, secret: Path) -> None:
    async with RudeServer() as other:
        bench.server.on("/debian/a", reply(302, location=other.url("/debian/a")))
        other.on("/debian/a", reply(302, location=bench.server.url("/debian/back")))
        bench.server.on("/debian/back", reply(200, BODY))
        bases = (bench.server.url("/debian"), other.url("/debian"))
        reach = EgressPolicy(bases, login=UpstreamLogin("[archives.esm] credentials", f"file:{secret}", over_http=True))
        await asked(bench, "/debian/a", reach)
        assert authorizations(other) == [("/debian/a", "")]
    assert authorizations(bench.server) == [("/debian/a", f"Bearer {TOKEN}"), ("/debian/back", "")]


async def test_another_archive_with_the_same_base_gets_none(bench: Bench, secret: Path) -> None:
    bench.server.on("/debian/a", reply(200, BODY))
    async with bench.upstream as upstream:
        for reach in (policy(bench.server, secret), EgressPolicy((bench.server.url("/debian"),))):
            async with upstream.fetch(UpstreamRequest(bench.server.url("/debian/a")), reach):
                pass
    assert [each for _, each in authorizations(bench.server)] == [f"Bearer {TOKEN}", ""]


async def test_plain_http_gets_none_unless_the_setting_says_so(bench: Bench, secret: Path) -> None:
    bench.server.on("/debian/a", reply(401))
    reach = EgressPolicy(
        (bench.server.url("/debian"),), login=UpstreamLogin("[archives.esm] credentials", f"file:{secret}")
    )
    answer = await asked(bench, "/debian/a", reach)
    assert authorizations(bench.server) == [("/debian/a", "")]
    assert isinstance(answer, Forbidden)
    assert "plain http" in answer.login
    assert "credentials_over_http" in answer.login


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_login_names_the_archive_and_the_setting_and_not_the_secret(
    bench: Bench, secret: Path, status: int
) -> None:
    bench.server.on("/debian/a", reply(status, www_authenticate="Bearer"))
    answer = await asked(bench, "/debian/a", policy(bench.server, secret))
    assert answer == Forbidden(status, f'The credentials that were sent: [archives.esm] credentials = "file:{secret}".')


async def test_a_file_that_changed_is_read_again(bench: Bench, secret: Path) -> None:
    bench.server.on("/debian/a", reply(200, BODY))
    async with bench.upstream as upstream:
        for token in ("first", "second"):
            new = written(secret.with_suffix(".new"), f"bearer {token}")
            new.replace(secret)
            request = UpstreamRequest(bench.server.url("/debian/a"))
            async with upstream.fetch(request, policy(bench.server, secret)):
                pass
    assert [each for _, each in authorizations(bench.server)] == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize(
    ("mode", "text", "why"),
    [
        (0o644, "bearer s3cret", "chmod o-rw"),
        (0o602, "bearer s3cret", "chmod o-rw"),
        (0o600, "s3cret", "neither"),
        (0o600, "x" * 70_000, "more than 64 KiB"),
    ],
)
async def test_without_a_usable_file_no_request_is_sent(
    bench: Bench, secret: Path, mode: int, text: str, why: str
) -> None:
    written(secret, text, mode)
    answer = await asked(bench, "/debian/a", policy(bench.server, secret))
    assert isinstance(answer, Forbidden)
    assert answer.status == 0
    assert why in answer.login
    assert str(secret) in answer.login
    assert "s3cret" not in answer.login
    assert bench.server.seen == []


async def test_neither_a_missing_file_nor_a_pipe_nor_a_folder_is_waited_for(bench: Bench, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, why in (("absent", "No such file"), ("pipe", "regular file"), (".", "directory")):
        answer = await asked(bench, "/debian/a", policy(bench.server, tmp_path / name))
        assert isinstance(answer, Forbidden)
        assert why in answer.login


async def test_a_credential_of_systemd_is_found_in_its_folder(secret: Path) -> None:
    login = UpstreamLogin("[archives.esm] credentials", "systemd:pro.auth")
    use = await CredentialFiles({"CREDENTIALS_DIRECTORY": str(secret.parent)}).use(login, "https://h.example/x")
    assert use.authorization == f"Bearer {TOKEN}"
    assert TOKEN not in repr(use)
    outside = await CredentialFiles({}).use(login, "https://h.example/x")
    assert outside.is_unusable
    assert "LoadCredential=pro.auth" in outside.text
