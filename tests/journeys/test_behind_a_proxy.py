"""snapproxy behind a real tinyproxy that demands a login, with an upstream whose authority is private."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from tests.fakes.apt_root import AptRoot
from tests.fakes.archive_server import ArchiveServer
from tests.fakes.content import Timeline
from tests.fakes.forms import sources, trouble
from tests.fakes.proxy import Snapproxy, configuration
from tests.fakes.services import MirrorService
from tests.fakes.world import World

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(shutil.which("tinyproxy") is None, reason="tinyproxy is not installed"),
]

_CONFIGURATION = """\
Port {port}
Listen 127.0.0.1
Timeout 60
LogFile "{folder}/tinyproxy.log"
LogLevel Connect
BasicAuth ann s3cret
ViaProxyName "tinyproxy"
"""


def own_address() -> str:
    """Return an address of this machine that is not loopback; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return str(probe.getsockname()[0])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def tinyproxy(tmp_path: Path) -> Iterator[str]:
    """The address of a running tinyproxy."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    file = tmp_path / "tinyproxy.conf"
    file.write_text(_CONFIGURATION.format(port=port, folder=tmp_path), encoding="utf-8")
    process = subprocess.Popen(["tinyproxy", "-d", "-c", str(file)], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while not listens(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_apt_reads_an_archive_behind_the_proxy(
    world: World, tinyproxy: str, tmp_path: Path, apt_root: Callable[[str], AptRoot], scheme: str
) -> None:
    address, authority = own_address(), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if scheme == "https" else None
    if tls is not None:
        authority.issue_cert(address).configure_cert(tls)
    login = tmp_path / "proxy.auth"
    login.write_text("basic ann:s3cret\n", encoding="utf-8")
    login.chmod(0o600)
    shown = Timeline()
    shown.publish("20240601T000000Z", world.first.debian)
    top = f'upstream_proxy = "{tinyproxy}"\nupstream_proxy_credentials = "file:{login}"\n'
    file = configuration(tmp_path / "snapproxy", world, top=top)
    with ArchiveServer(MirrorService({"far": shown}), name="far", address=address, tls=tls) as far:
        with file.open("a", encoding="utf-8") as out:
            out.write(
                f'[archives.far]\nfamily = "apt"\nhistory = "captured"\nmirrors = ["{far.url}/far"]\n'
                f'keyrings = ["{world.key.keyring}"]\nupstream_ca = "{tmp_path}/ca.pem"\n'
            )
        with Snapproxy(file) as at:
            root = sources(apt_root("apt"), world, f"{at.url}/far/live")
            update = root.update()
            assert (update.code, trouble(update.text)) == (0, []), update.text
            assert root.download(*world.wanted).code == 0
            assert "s3cret" not in at.log
        requests = far.requests()
        assert not far.errors
    assert requests
    assert all("proxy-authorization" not in each.headers for each in requests)
    log = (tmp_path / "tinyproxy.log").read_text(encoding="utf-8", errors="replace")
    assert (f"CONNECT {address}:" if scheme == "https" else f"GET {far.url}/far/dists/") in log
