"""Reload and restart a server while clients download: none of them sees an error that it does not retry by itself."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.fakes import proxy as snapproxy_process
from tests.fakes.apt_root import AptRoot
from tests.fakes.content import Content
from tests.fakes.faults import Hold
from tests.fakes.forms import sources
from tests.fakes.proxy import configuration
from tests.fakes.service_manager import ServiceManager
from tests.fakes.world import FIRST, World

pytestmark = pytest.mark.journey

DRAIN = 2
WINDOW = 16 << 10
"""Receive buffer of a client, in bytes, so that the kernel does not take a whole file."""
MAX_ATTEMPTS = 5


@pytest.fixture
def settings(world: World, tmp_path: Path) -> Path:
    return configuration(tmp_path / "service", world, top=f'drain = "{DRAIN}s"')


@pytest.fixture
def service(settings: Path) -> Iterator[ServiceManager]:
    with ServiceManager(settings) as manager:
        yield manager
        assert "Traceback" not in manager.log, manager.log


def package(world: World, name: str) -> tuple[str, Content]:
    found = next(each for each in world.first.debian.packages if each.name == name)
    return f"/debian/{FIRST}/{found.path}", found.files[found.path]


@dataclass
class Download:
    """The result of a client that resumes a file by Range after its connection was cut, as apt and `curl -C -` do.

    `errors`: what a client reports without a retry of its own: a status other than 200 and 206, or a new connection
    that is refused or closed without an answer.
    """

    data: bytes = b""
    cuts: int = 0
    errors: str = ""
    seconds: float = 0.0

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


async def download(port: int, path: str, piece: int, pause: float) -> Download:
    """Download a file, reading `piece` bytes at a time with a pause after each."""
    began = time.monotonic()
    result = await _download(port, path, piece, pause)
    result.seconds = time.monotonic() - began
    return result


async def _download(port: int, path: str, piece: int, pause: float) -> Download:
    result, validator = Download(), ""
    for _ in range(MAX_ATTEMPTS):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
            reader, writer = await asyncio.open_connection(sock=sock, limit=WINDOW)
            resume = f"Range: bytes={len(result.data)}-\r\n{validator}" if result.data else ""
            writer.write(f"GET {path} HTTP/1.1\r\nHost: t\r\n{resume}\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        except (OSError, asyncio.IncompleteReadError) as error:
            result.errors += f"no answer: {error!r}\n"
            return result
        fields = dict(line.lower().split(": ", 1) for line in head[1:-2])
        status = int(head[0].split()[1])
        if status == 200:
            result.data = b""
        elif status != 206:
            result.errors += f"{head[0]}\n"
            return result
        validator = next((f"If-Range: {fields[key]}\r\n" for key in ("etag",) if key in fields), "")
        left = int(fields["content-length"])
        with contextlib.suppress(OSError):
            while left and (data := await reader.read(piece)):
                result.data += data
                left -= len(data)
                await asyncio.sleep(pause)
        writer.close()
        if not left:
            return result
        result.cuts += 1
    result.errors += f"cut {result.cuts} times\n"
    return result


def prepared(world: World, service: ServiceManager) -> tuple[tuple[str, Content], tuple[str, Content], Hold]:
    """Return a stored package of moderate size, and a large one, of which upstream sends the beginning and waits."""
    stored, large = package(world, "liblzma5"), package(world, "libc6")
    prepare_indexes(world, service)
    assert not asyncio.run(download(service.port, stored[0], 1 << 20, 0)).errors
    hold = world.mirror.fault(f"*/{Path(large[0]).name}", Hold(after=large[1].size // 2))
    world.snapshot.fault(f"*/{Path(large[0]).name}", hold)
    return stored, large, hold


@pytest.mark.parametrize("clients", [16, pytest.param(200, marks=pytest.mark.long)])
def test_no_client_is_lost_by_a_reload_and_a_restart(world: World, service: ServiceManager, clients: int) -> None:
    """A quarter each: transfers shorter than the drain bound, long ones, new clients during reload and restart."""
    stored, large, hold = prepared(world, service)
    quarter = clients // 4

    async def main() -> tuple[list[Download], list[Download]]:
        pieces = stored[1].size // 20
        long = [asyncio.create_task(download(service.port, large[0], 1 << 16, 0)) for _ in range(quarter)]
        short = [asyncio.create_task(download(service.port, stored[0], pieces, 0.03)) for _ in range(quarter)]
        await asyncio.sleep(0.5)

        async def arriving() -> None:
            for _ in range(quarter):
                short.append(asyncio.create_task(download(service.port, stored[0], pieces, 0.01)))
                await asyncio.sleep(2.0 / quarter)

        arrivals = asyncio.create_task(arriving())
        for _ in range(3):
            assert "not reloaded" not in await asyncio.to_thread(service.reload)
        uncut = [each.result().cuts for each in (*long, *short) if each.done()]
        await arrivals
        arrivals = asyncio.create_task(arriving())
        await asyncio.to_thread(service.restart)
        hold.release()
        await arrivals
        assert not any(uncut), "a reload cut a transfer"
        return await asyncio.gather(*long), await asyncio.gather(*short)

    long, short = asyncio.run(main())
    assert [each.errors for each in (*long, *short) if each.errors] == []
    assert {each.sha256 for each in long} == {large[1].sha256}
    assert {each.sha256 for each in short} == {stored[1].sha256}
    assert [each.seconds for each in short if each.cuts and each.seconds < DRAIN] == []
    assert {each.cuts for each in long} == {1}
    asked = [each for each in world.log.requests() if unquote(each.path).endswith(Path(large[0]).name)]
    # The next process continues the bytes of the draft, once for all clients.
    assert [each.status for each in asked if each.status in {200, 206}] == [200, 206]


@pytest.fixture
def held(world: World, service: ServiceManager) -> Iterator[tuple[str, Content, Hold]]:
    """The large package, of which upstream sends the beginning and waits."""
    _, large, hold = prepared(world, service)
    yield *large, hold
    hold.release()


def prepare_indexes(world: World, service: ServiceManager) -> None:
    for name in ("InRelease", "main/binary-amd64/Packages.xz"):
        path = f"/debian/{FIRST}/dists/{world.codename}/{name}"
        assert not asyncio.run(download(service.port, path, 1 << 20, 0)).errors


@pytest.mark.long
def test_apt_and_curl_continue_by_themselves_after_a_restart(
    world: World, service: ServiceManager, apt_root: Callable[[str], AptRoot], tmp_path: Path
) -> None:
    """Both receive a package that upstream sends for longer than the drain bound."""
    root = sources(apt_root("root"), world, f"http://127.0.0.1:{service.port}/debian/{FIRST}")
    assert root.update().code == 0
    _, large, hold = prepared(world, service)
    copy = tmp_path / "copy.deb"
    url = f"http://127.0.0.1:{service.port}{large[0]}"
    codes = tmp_path / "codes"
    loop = 'until curl --silent --fail --continue-at - --output "$1" "$2"; do echo $? >> "$3"; done'
    curl = subprocess.Popen(["sh", "-c", loop, "sh", copy, url, codes])
    apt = root.start("apt-get", "install", "--download-only", "-y", "libc6")
    service.wait(lambda: copy.exists() and copy.stat().st_size > 0, "curl receives nothing")
    service.restart()
    hold.release()
    output, _ = apt.communicate(timeout=60)
    assert apt.returncode == 0, output
    assert curl.wait(60) == 0
    assert hashlib.sha256(copy.read_bytes()).hexdigest() == large[1].sha256
    assert set(codes.read_text().split()) == {"18"}, "CURLE_PARTIAL_FILE, after which -C - resumes"
    fetched = {hashlib.sha256(data).hexdigest() for data in root.fetched().values()}
    assert large[1].sha256 in fetched


def read_head(sock: socket.socket) -> str:
    sock.settimeout(20)
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(1)
    return data.decode()


def test_running_transfers_end_under_the_former_settings(
    settings: Path, service: ServiceManager, held: tuple[str, Content, Hold]
) -> None:
    """The new ones apply to the next request, on the same connection too; a bad file changes nothing."""
    path, content, hold = held
    before = settings.read_text()
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
        assert read_head(client).startswith("HTTP/1.1 200 ")
        settings.write_text(f'default_when = "{FIRST}"\n{before}')
        assert "not reloaded" not in service.reload()
        settings.write_text(before + "\nunknown = 1\n")
        assert "not reloaded" in service.reload()
        hold.release()
        data = b""
        while len(data) < content.size:
            data += client.recv(1 << 20)
        assert hashlib.sha256(data).hexdigest() == content.sha256
        # The same connection is answered under the new settings, which have a default time.
        client.sendall(b"GET http://ftp.debian.org/debian/dists/none/InRelease HTTP/1.1\r\nHost: t\r\n\r\n")
        assert "HTTP/1.1 407 " not in (head := read_head(client)), head


def test_a_capture_goes_on_across_a_reload(
    world: World, service: ServiceManager, settings: Path, held: tuple[str, Content, Hold], tmp_path: Path
) -> None:
    """One answer ends under the former settings, one begins under the new ones: the lock has both."""
    path, content, hold = held
    other, _ = package(world, "liblzma5")
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        client.sendall(f"GET /~build{path} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
        read_head(client)
        assert "not reloaded" not in service.reload()
        assert not asyncio.run(download(service.port, f"/~build{other}", 1 << 20, 0)).errors
        hold.release()
        left = content.size
        while left:
            left -= len(client.recv(1 << 20))
    lock = tmp_path / "build.lock.json"
    done = snapproxy_process.run("lock", "build", "--config", str(settings), "--output", str(lock))
    assert done.returncode == 0, done.stderr
    names = {Path(each).name for each in (path, other)}
    assert names <= set(re.findall(r'"path":"(?:[^"]*/)?([^"/]+)"', lock.read_text().replace(" ", "")))


def test_former_settings_leave_nothing_behind(service: ServiceManager) -> None:
    service.reload()
    before = service.descriptors()
    for _ in range(20):
        assert "not reloaded" not in service.reload()
    service.wait(lambda: service.descriptors() == before, "descriptors of former configurations stay open")


def test_settings_that_need_a_restart_are_named(service: ServiceManager, settings: Path, tmp_path: Path) -> None:
    """`listen` is not among them: the service manager has chosen the socket."""
    text = settings.read_text().replace("state_dir = ", f'listen = "127.0.0.1:1"\nstate_dir = "{tmp_path}/new"\n# ')
    settings.write_text(text)
    assert "not reloaded" not in service.reload()
    assert "Restart the server to apply the new values of: state_dir\n" in service.log
    assert not (tmp_path / "new").exists()


def test_a_second_signal_ends_the_process_at_once(service: ServiceManager, held: tuple[str, Content, Hold]) -> None:
    path, content, hold = held
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
        read_head(client)
        service.signal(signal.SIGTERM)
        service.wait(lambda: any(each.startswith("STOPPING=1") for each in service.notices), "it does not stop")
        service.signal(signal.SIGHUP)  # it has no effect any more
        service.signal(signal.SIGTERM)
        assert service.ended() == -signal.SIGTERM
    hold.release()
    service.start()
    assert asyncio.run(download(service.port, path, 1 << 20, 0)).sha256 == content.sha256


def test_a_server_that_stops_is_not_ready(service: ServiceManager, held: tuple[str, Content, Hold]) -> None:
    """A load balancer that keeps its connection reads it there; a new connection waits for the next process."""
    path, _, hold = held
    with (
        socket.create_connection(("127.0.0.1", service.port)) as transfer,
        socket.create_connection(("127.0.0.1", service.port)) as probe,
    ):
        transfer.sendall(f"GET {path} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
        read_head(transfer)
        service.signal(signal.SIGTERM)
        service.wait(lambda: any(each.startswith("STOPPING=1") for each in service.notices), "it does not stop")
        probe.sendall(b"GET /readyz HTTP/1.1\r\nHost: t\r\n\r\n")
        head = read_head(probe)
        assert head.startswith("HTTP/1.1 503 ")
        assert "\r\nConnection: close\r\n" in head
        assert probe.recv(100).startswith(b"draining: ")
        hold.release()
        assert service.ended() == 0
