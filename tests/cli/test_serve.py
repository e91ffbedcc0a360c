"""Listening, readiness, systemd's protocols, and stopping."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from snapproxy.cli import main, readiness, run_as_owner, sockets
from snapproxy.cli.serve import serve
from snapproxy.errors import ConfigurationError

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
    assert f"snapproxy: Cannot listen on port {port}\n  127.0.0.1:{port}: Address already in use\n" in output
    assert "--listen" in output


def test_only_pinned_forbids_what_is_live(
    plain_environment: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SNAPPROXY_DEFAULT_WHEN", "live")
    monkeypatch.setenv("SNAPPROXY_ALLOW", "")  # restored after the test
    assert main(["serve", "--only-pinned"]) == 2
    assert 'default_when: "live" is refused' in capsys.readouterr().err


def test_a_foreign_address_says_so() -> None:
    with pytest.raises(ConfigurationError, match="no such address"):
        sockets.bind([("192.0.2.1", 0)])


async def test_serving_is_announced_and_stops_at_sigterm(
    small_app: APP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = tmp_path / "ready.json"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        listeners = sockets.bind([("127.0.0.1", 0)])
        serving = asyncio.create_task(serve(small_app, listeners, ready))
        assert await asyncio.to_thread(systemd.recv, 100) == b"READY=1"
        announced = json.loads(ready.read_text(encoding="utf-8"))
        assert announced == {"listen": [sockets.url(listeners[0])], "pid": os.getpid()}
        answer = await asyncio.to_thread(_get, announced["listen"][0])
        assert answer.startswith("GET / HTTP/1.1")
        os.kill(os.getpid(), signal.SIGTERM)
        await serving
        assert systemd.recv(100) == b"STOPPING=1"
    assert small_app.stopped
    assert small_app.entered == 0
    assert list(tmp_path.glob("*ready*")) == []


async def test_a_hangup_does_not_stop_the_server(
    small_app: APP, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Log rotation and a closed terminal send it; systemd sends it on a reload that a drop-in defines."""
    unhandled: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, _frame: unhandled.append(number))
    ready = tmp_path / "ready.json"
    listeners = sockets.bind([("127.0.0.1", 0)])
    serving = asyncio.create_task(serve(small_app, listeners, ready))
    try:
        while not ready.exists():
            await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGHUP)
        while not (caplog.messages or unhandled):
            await asyncio.sleep(0)
        answer = await asyncio.to_thread(_get, sockets.url(listeners[0]))
        assert answer.startswith("GET / HTTP/1.1")
        assert caplog.messages == ["SIGHUP is ignored; restart the server to apply settings"]
        os.kill(os.getpid(), signal.SIGTERM)
        await serving
    finally:
        serving.cancel()
        signal.signal(signal.SIGHUP, before)
    assert (small_app.stopped, unhandled) == (True, [])


def _get(url: str) -> str:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url) as answer:
        return str(answer.read().decode())


async def test_a_server_that_breaks_is_not_a_clean_end(small_app: APP, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_sockets: object) -> None:
        raise ConfigurationError("broken")

    monkeypatch.setattr(small_app, "serve", broken)
    with pytest.raises(ConfigurationError, match="broken"):
        await serve(small_app, [], None)


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
