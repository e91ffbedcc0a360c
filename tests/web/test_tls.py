"""The TLS listener: real handshakes, files longer than a buffer, a replaced certificate, silent clients."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from snapproxy.errors import ConfigurationError
from snapproxy.web import certificate as certificates
from snapproxy.web import tls_accept
from snapproxy.web.certificate import ServerCertificate, TlsListener, read_certificate
from snapproxy.web.protocol import Limits
from tests.web.conftest import WHEN, Site


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def write(authority: trustme.CA, folder: Path, name: str = "localhost") -> tuple[Path, Path]:
    """Write a certificate and its key; return their paths."""
    issued = authority.issue_cert(name, "127.0.0.1")
    folder.mkdir(exist_ok=True)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))
    key.chmod(0o600)
    return certificate, key


def new_certificate(authority: trustme.CA, folder: Path, name: str = "localhost") -> ssl.SSLContext:
    return read_certificate(*write(authority, folder, name))


@dataclass
class Secure:
    """A server that listens with TLS as well."""

    site: Site
    certificate: ServerCertificate
    port: int
    trust: ssl.SSLContext

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.trust)

    async def get(self, target: str) -> tuple[bytes, bytes]:
        """Return the head and the body of an answer, after which the connection is closed."""
        reader, writer = await self.connect()
        writer.write(f"GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        return head, body


@pytest.fixture
async def secure(site: Site, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Secure:
    monkeypatch.setattr(tls_accept, "HANDSHAKE_S", 1.0)
    certificate = ServerCertificate(await asyncio.to_thread(new_certificate, authority, tmp_path))
    listener = socket.create_server(("127.0.0.1", 0))
    await site.server.start([], TlsListener([listener], certificate))
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    return Secure(site, certificate, listener.getsockname()[1], trust)


async def test_a_file_arrives_whole(secure: Secure) -> None:
    data = os.urandom(3_000_000)
    secure.site.archive.add("pool/big.deb", data)
    head, body = await secure.get(secure.site.url("pool/big.deb"))
    assert head.startswith(b"HTTP/1.1 200")
    assert body == data


async def test_pages_have_the_address_of_the_listener(secure: Secure) -> None:
    _, page = await secure.get("/")
    assert b"URIs: https://test/debian" in page
    _, script = await secure.get(f"/{WHEN}/~build/pin.sh")
    assert b"https://test" in script


async def test_http_1_1_is_the_only_protocol_and_tls_1_2_the_oldest(secure: Secure) -> None:
    secure.trust.set_alpn_protocols(["h2", "http/1.1"])
    _, writer = await secure.connect()
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
    writer.close()
    context = certificates._new_context()
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


async def test_new_connections_get_a_replaced_certificate_and_open_ones_continue(
    secure: Secure, authority: trustme.CA, tmp_path: Path
) -> None:
    def common_names(writer: asyncio.StreamWriter) -> set[str]:
        return {value for _, value in writer.get_extra_info("peercert")["subjectAltName"]}

    reader, before = await secure.connect()
    secure.certificate.replace(await asyncio.to_thread(new_certificate, authority, tmp_path / "new", "new.example"))
    _, after = await secure.connect()
    assert "new.example" not in common_names(before)
    assert "new.example" in common_names(after)
    before.write(b"GET /healthz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 200")
    before.close()
    after.close()


async def test_plain_http_and_a_client_that_closes_harm_no_other(secure: Secure) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", secure.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    assert b"HTTP/1.1" not in await reader.read()
    writer.close()
    head, _ = await secure.get("/healthz")
    assert head.startswith(b"HTTP/1.1 200")


async def test_a_client_that_never_begins_its_handshake_is_disconnected(secure: Secure) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", secure.port)
    async with asyncio.timeout(30):
        assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize("mode", [0o644, 0o602])
def test_a_key_of_all_users_is_refused(authority: trustme.CA, tmp_path: Path, mode: int) -> None:
    certificate, key = write(authority, tmp_path)
    key.chmod(mode)
    with pytest.raises(ConfigurationError) as caught:
        read_certificate(certificate, key)
    assert f"{mode:04o}" in caught.value.why
    assert caught.value.hint == f"Run: chmod o-rw {key}"


def test_files_that_cannot_be_used_are_named(authority: trustme.CA, tmp_path: Path) -> None:
    certificate, key = write(authority, tmp_path)
    _, other = write(authority, tmp_path / "other")
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    empty.chmod(0o600)
    for pair in ((certificate, other), (certificate, empty), (empty, key), (certificate, tmp_path / "none")):
        with pytest.raises(ConfigurationError) as caught:
            read_certificate(*pair)
        assert str(pair[1]) in caught.value.why


class TestHandshakes:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(connections=5)

    async def test_silent_handshakes_count_as_connections(self, secure: Secure) -> None:
        """They would otherwise take every descriptor: asyncio counts a connection after its handshake."""
        secure.site.archive.add("x", b"hello")
        silent = [await asyncio.open_connection("127.0.0.1", secure.port) for _ in range(20)]
        assert (await secure.get(secure.site.url("x")))[1] == b"hello"
        cut = [await asyncio.wait_for(reader.read(), 5) for reader, _ in silent[:15]]
        assert cut == [b""] * 15
        for _, writer in silent:
            writer.close()

    async def test_a_request_in_the_packet_of_the_handshake_is_read(self, secure: Secure) -> None:
        secure.site.archive.add("x", b"hello")
        for _ in range(20):
            assert (await secure.get(secure.site.url("x")))[1] == b"hello"
