"""Listening, readiness, systemd's protocols, and stopping."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from snapproxy.base.clock import SystemClock
from snapproxy.cli import main, readiness, run_as_owner, sockets
from snapproxy.cli.port_holder import holder_of
from snapproxy.cli.serve import no_settings, reader_of, serve
from snapproxy.config import load
from snapproxy.errors import ConfigurationError
from snapproxy_storage import StorageFailure

APP = Any


def test_every_endpoint_is_bound_and_named() -> None:
    listeners = sockets.bind([("127.0.0.1", 0), ("::1", 0), ("0.0.0.0", 0)])
    urls = [sockets.url(each) for each in listeners]
    ports = [each.getsockname()[1] for each in listeners]
    for each in listeners:
        each.close()
    assert urls == [f"http://127.0.0.1:{ports[0]}", f"http://[::1]:{ports[1]}", f"http://127.0.0.1:{ports[2]}"]


def test_a_port_in_use_is_one_clear_error_and_nothing_stays_open(plain_environment: Path, capsys: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError):
            sockets.bind([("127.0.0.1", 0), ("127.0.0.1", port)])
        assert main(["serve", "--listen", f"127.0.0.1:{port}"]) == 2
    output = capsys.readouterr().err
    assert f"snapproxy: Cannot listen on port {port}\n  127.0.0.1:{port}: Address already in use, by process " in output
    assert f" by process {os.getpid()} (" in output
    assert "--listen" in output


def test_only_pinned_forbids_what_is_live(
    plain_environment: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SNAPPROXY_DEFAULT_WHEN", "live")
    monkeypatch.setenv("SNAPPROXY_ALLOW", "")  # restored after the test
    assert main(["serve", "--only-pinned"]) == 2
    assert 'default_when: "live" is refused' in capsys.readouterr().err


def test_pages_are_optional_unless_the_settings_name_their_address(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = taken.getsockname()[:2]
        assert sockets.bind_admin([endpoint], is_required=False) == []
        assert "The admin pages are not served: Cannot listen on port" in caplog.text
        with pytest.raises(ConfigurationError):
            sockets.bind_admin([endpoint], is_required=True)


def test_the_holder_of_a_port_is_found_by_its_socket(tmp_path: Path) -> None:
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    row = "   0: {} 00000000:0000 {} 00000000:00000000 00:00000000 00000000  1000        0 {} 1 0 100 0 0 10 0\n"
    (tmp_path / "net").mkdir()
    (tmp_path / "net/tcp").write_text(
        head + row.format("0100007F:0C46", "01", 41) + row.format("0100007F:0C46", "0A", 42)
    )
    for pid, inode, command in ((7, 41, b"curl"), (8, 42, b"snap\x1bproxy\0serve\0")):
        (tmp_path / f"{pid}/fd").mkdir(parents=True)
        (tmp_path / f"{pid}/fd/3").symlink_to(f"socket:[{inode}]")
        (tmp_path / f"{pid}/cmdline").write_bytes(command)
    assert holder_of(3142, tmp_path) == "process 8 (snap?proxy serve)"
    assert holder_of(3143, tmp_path) == ""
    (tmp_path / "8/fd/3").unlink()
    assert holder_of(3142, tmp_path) == "", "a process of another user cannot be read"


def test_a_foreign_address_says_so() -> None:
    with pytest.raises(ConfigurationError, match="no such address"):
        sockets.bind([("192.0.2.1", 0)])


async def test_serving_is_announced_and_stops_at_sigterm(
    small_app: APP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = tmp_path / "ready.json"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(60)  # a server that ends early must fail the test
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        listeners = sockets.bind([("127.0.0.1", 0)])
        serving = asyncio.create_task(serve(small_app, listeners, ready, no_settings))
        assert await asyncio.to_thread(systemd.recv, 1000) == b"READY=1\nSTATUS=2 clients connected"
        announced = json.loads(ready.read_text(encoding="utf-8"))
        assert announced == {"listen": [sockets.url(listeners[0])], "pid": os.getpid()}
        answer = await asyncio.to_thread(_get, announced["listen"][0])
        assert answer.startswith("GET / HTTP/1.1")
        os.kill(os.getpid(), signal.SIGTERM)
        await serving
        told = []
        while not told or not told[-1].startswith(b"STOPPING=1"):
            told.append(systemd.recv(1000))
        stopping = b"STOPPING=1\nEXTEND_TIMEOUT_USEC=20000000\nSTATUS=stopping: up to 5 s for transfers"
        assert told == [b"STATUS=2 clients connected", stopping]
    assert small_app.stopped
    assert small_app.entered == 0
    assert list(tmp_path.glob("*ready*")) == []


class Hangups:
    """A server of `small_app` that reads its settings from a file at SIGHUP, and the datagrams that it sends."""

    def __init__(self, app: APP, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file = folder / "config.toml"
        self.file.write_text("")
        self._systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._systemd.bind(str(folder / "notify"))
        self._systemd.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(folder / "notify"))
        self.listeners = sockets.bind([("127.0.0.1", 0)])
        environ = {"HOME": str(folder)}
        self._serving = asyncio.create_task(serve(app, self.listeners, None, lambda: load(self.file, environ)))

    async def __aenter__(self) -> Self:
        assert (await self.next()).startswith("READY=1")
        assert (await self.next()).startswith("STATUS=")
        return self

    async def __aexit__(self, *_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await self._serving
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, "a second one must not end the drain"
        self._systemd.close()

    async def next(self) -> str:
        return (await asyncio.to_thread(self._systemd.recv, 10_000)).decode()

    async def reload(self, settings: str) -> str:
        """Write the settings, send SIGHUP, and return what systemd is told at the end."""
        self.file.write_text(settings)
        os.kill(os.getpid(), signal.SIGHUP)
        reloading = await self.next()
        assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=[0-9]{6,}", reloading)
        return await self.next()


@pytest.fixture(autouse=True)
def _hangup() -> Iterator[None]:
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


async def test_a_hangup_reloads_the_settings(
    small_app: APP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with Hangups(small_app, tmp_path, monkeypatch) as server:
        assert await server.reload(f'connect = true\nstate_dir = "{tmp_path}/other"') == (
            "READY=1\nSTATUS=2 clients connected"
        )
    assert [config.connect for config in small_app.loaded] == [True]
    assert f"The configuration was reloaded from {server.file}" in caplog.messages
    assert "Restart the server to apply the new values of: state_dir" in caplog.messages


BAD_SETTINGS = {
    "not TOML": ("listen = [", "The configuration file is not valid TOML"),
    "an unknown setting": ("lisen = 1", "lisen: no such setting"),
    "two archives of one address": (
        "".join(
            f'[archives.{name}]\nfamily = "apt"\nhistory = "captured"\nmirrors = ["https://{name}.example.org"]\n'
            'hosts = ["packages.example.org/debian"]\n'
            for name in ("one", "two")
        ),
        'archives.two.hosts[0]: archives.one has "packages.example.org/debian" too',
    ),
    "live for clients without a time, although live is refused": (
        'default_when = "live"\nallow = ["pinned"]',
        "default_when: ",
    ),
    "a host that is no host": ('pass = ["//"]', "pass[0]: "),
}


@pytest.mark.parametrize("mistake", BAD_SETTINGS)
async def test_bad_settings_change_nothing(
    mistake: str, small_app: APP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings, why = BAD_SETTINGS[mistake]
    async with Hangups(small_app, tmp_path, monkeypatch) as server:
        ready = await server.reload(settings)
        answer = await asyncio.to_thread(_get, sockets.url(server.listeners[0]))
    assert ready.startswith("READY=1\nSTATUS=not reloaded: ")
    assert ready.count("\n") == 1
    assert why in ready
    assert answer.startswith("GET / HTTP/1.1")
    (line,) = caplog.messages
    assert line.startswith("The configuration was not reloaded, and the former one stays in use: ")
    assert why in line
    assert small_app.loaded == []


@pytest.mark.parametrize(
    "fault", [ValueError("a bug"), StorageFailure("the catalog is full"), ConfigurationError("no")]
)
async def test_settings_that_cannot_be_applied_change_nothing(
    fault: Exception, small_app: APP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_app.fault = fault
    async with Hangups(small_app, tmp_path, monkeypatch) as server:
        assert (await server.reload("")).startswith("READY=1\nSTATUS=not reloaded: ")
        small_app.fault = None
        assert await server.reload("connect = true") == "READY=1\nSTATUS=2 clients connected"
    assert len(small_app.loaded) == 1


def test_a_file_that_was_removed_does_not_mean_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.toml"
    file.write_text("connect = true")
    monkeypatch.setattr(sys.modules[load.__module__], "SYSTEM_FILE", file)
    environ = {"HOME": str(tmp_path)}
    read = reader_of(load(None, environ))
    assert read().connect
    file.unlink()
    with pytest.raises(ConfigurationError, match="does not exist"):
        read()


async def test_the_server_of_an_artifact_ignores_a_hangup(
    small_app: APP, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Log rotation and a closed terminal send it."""
    ready = tmp_path / "ready.json"
    serving = asyncio.create_task(serve(small_app, sockets.bind([("127.0.0.1", 0)]), ready, no_settings))
    while not ready.exists():
        await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGHUP)
    while not caplog.messages:
        await asyncio.sleep(0)
    why = "An artifact is served, and has no configuration"
    assert caplog.messages == [f"The configuration was not reloaded, and the former one stays in use: {why}"]
    os.kill(os.getpid(), signal.SIGTERM)
    await serving


class Silent:
    """A server whose store answers `answers` times."""

    def __init__(self, answers: int) -> None:
        self._left = answers

    def status(self) -> str:
        return "fine"

    async def health(self) -> str:
        self._left -= 1
        if self._left < 0:
            await asyncio.Event().wait()
        return "No space left on device"


async def test_the_watchdog_is_fed_while_the_store_answers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An error is an answer: a restart would not repair a full disk."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(60)  # a server that ends early must fail the test
        systemd.settimeout(10)
        environ = {
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": "20000",
            "WATCHDOG_PID": str(os.getpid()),
        }
        reporting = asyncio.create_task(readiness.report(Silent(2), environ, SystemClock()))
        told = [(await asyncio.to_thread(systemd.recv, 1000)).decode() for _ in range(4)]
        reporting.cancel()
    assert told == ["STATUS=fine\nWATCHDOG=1"] * 2 + ["STATUS=fine"] * 2
    assert caplog.messages[0] == "The store has not answered for 0.01 s"


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_of_another_process_is_not_ours(environ: dict[str, str], seconds: float | None) -> None:
    assert readiness.watchdog_seconds(environ) == seconds


def _get(url: str) -> str:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url) as answer:
        return str(answer.read().decode())


async def test_a_server_that_breaks_is_not_a_clean_end(small_app: APP, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_sockets: object) -> None:
        raise ConfigurationError("broken")

    monkeypatch.setattr(small_app, "serve", broken)
    with pytest.raises(ConfigurationError, match="broken"):
        await serve(small_app, [], None, no_settings)


def test_a_ready_file_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigurationError, match="ready file"),
        readiness.ready_file(tmp_path / "absent" / "ready.json", []),
    ):
        pass


def test_abstract_sockets_are_told_too() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0snapproxy-test-{os.getpid()}")
        readiness.notify("READY=1", {"NOTIFY_SOCKET": f"@snapproxy-test-{os.getpid()}"})
        assert systemd.recv(100) == b"READY=1"


def test_a_service_manager_that_is_gone_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    readiness.notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "absent")})
    assert caplog.messages == ["systemd cannot be notified: No such file or directory"]


async def test_many_mistakes_are_a_short_status(
    small_app: APP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with Hangups(small_app, tmp_path, monkeypatch) as server:
        ready = await server.reload("".join(f"unknown{number} = 1\n" for number in range(1000)))
    assert len(ready) < 600
    assert "unknown999: " in caplog.text


def test_sockets_for_another_process_are_left_alone() -> None:
    assert sockets.activated({}) == []
    assert sockets.activated({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) == []


def test_passed_sockets_are_used() -> None:
    """In a process of its own: descriptor 3 must be free there."""
    script = """
        import os, socket
        from snapproxy.cli import sockets
        made = socket.create_server(("127.0.0.1", 0))
        os.dup2(made.fileno(), 3)
        (passed,) = sockets.activated({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"})
        assert passed.getsockname() == made.getsockname()
        assert passed.fileno() == 3 and not passed.get_inheritable()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)


def test_root_acts_as_the_owner_of_the_store(foreign_folder: Path) -> None:
    before = (os.geteuid(), os.getegid())
    with run_as_owner.acting(foreign_folder):
        (foreign_folder / "made").touch()
        output = subprocess.run(
            ["id", "-u"], user=os.getuid(), group=os.getgid(), capture_output=True, text=True, check=True
        )
    folder, made = foreign_folder.stat(), (foreign_folder / "made").stat()
    assert (made.st_uid, made.st_gid) == (folder.st_uid, folder.st_gid)
    assert output.stdout == f"{before[0]}\n", "a command is given back what its caller was"
    assert (os.geteuid(), os.getegid()) == before


def test_a_server_gives_up_root_for_good(foreign_folder: Path) -> None:
    script = f"""
        import os, pathlib
        from snapproxy.cli import run_as_owner
        folder = pathlib.Path({str(foreign_folder)!r})
        run_as_owner.become(folder)
        assert os.getresuid() == (folder.stat().st_uid,) * 3, os.getresuid()
        assert os.getresgid() == (folder.stat().st_gid,) * 3, os.getresgid()
        assert os.geteuid() != 0 or folder.stat().st_uid == 0
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)


def test_the_folders_are_made_for_the_owner_alone(
    plain_environment: Path, small_app: APP, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snapproxy.cli.resolve.open_times", lambda _config, **_options: small_app)
    assert main(["resolve", "debian", "20240601"]) == 0
    for name in ("state", "cache"):
        assert stat.S_IMODE((plain_environment / name).stat().st_mode) == 0o700
