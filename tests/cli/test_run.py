"""A command behind its own proxy: environment, exit codes, signals, and the summary."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from snapproxy.cli import main, run_command, sockets
from snapproxy.cli.child_env import environment, write_apt_config
from snapproxy.cli.summary import RunSummary, summarize
from snapproxy.errors import SnapproxyError
from tests.cli.conftest import FIGURES

APP = Any
PROXY = "http://20240601T000000Z:x@127.0.0.1:4000"


@pytest.fixture
def built(small_app: APP, plain_environment: Path, monkeypatch: pytest.MonkeyPatch) -> APP:
    options: dict[str, Any] = {}
    small_app.options = options
    monkeypatch.setattr(run_command, "build", lambda _config, **given: options.update(given) or small_app)
    return small_app


def test_everything_is_sent_to_the_proxy(tmp_path: Path) -> None:
    caller = {"PATH": "/bin", "no_proxy": "*", "HTTPS_PROXY": "http://other:1", "SOURCE_DATE_EPOCH": "5"}
    given = environment(caller, PROXY, tmp_path)
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        assert given[name] == PROXY
    assert given["no_proxy"] == given["NO_PROXY"] == ""
    assert (given["PATH"], given["SOURCE_DATE_EPOCH"]) == ("/bin", "5")
    assert given["APT_CONFIG"] == f"{tmp_path}/apt.conf"


def test_apk_3_has_no_index_that_is_young_enough(tmp_path: Path) -> None:
    """Otherwise it uses an index of another time for four hours. The caller's own settings stay."""
    (tmp_path / "theirs").write_text("no-progress", encoding="utf-8")
    given = environment({"APK_CONFIG": f"{tmp_path}/theirs"}, PROXY, tmp_path)
    assert Path(given["APK_CONFIG"]).read_text(encoding="utf-8").split("\n") == ["no-progress", "cache-max-age 0", ""]


def _apt_settings(config: Path, **environ: str) -> dict[str, str]:
    output = subprocess.run(
        ["apt-config", "dump"],
        env={**os.environ, "APT_CONFIG": str(config), **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    assert output.stderr == ""
    lines = (line.rstrip(";").split(" ", 1) for line in output.stdout.splitlines())
    return {key: value.strip('"') for key, value in lines}


def test_apt_waits_and_fails_loudly(tmp_path: Path) -> None:
    settings = _apt_settings(write_apt_config(tmp_path, PROXY, os.environ))
    assert settings["Acquire::http::Proxy"] == settings["Acquire::https::Proxy"] == PROXY
    assert settings["Acquire::Check-Valid-Until"] == "false"
    assert settings["APT::Update::Error-Mode"] == "any"
    assert settings["Acquire::Retries"] == "8"
    assert settings["Acquire::http::Timeout"] == "300"
    assert not any("Pipeline" in key for key in settings)


def test_no_setting_of_the_machine_leads_past_the_proxy(tmp_path: Path) -> None:
    """apt reads apt.conf.d and its main file after $APT_CONFIG, so both could undo it."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "01proxy").write_text(
        'Acquire::http::Proxy "http://cache:3142";\n'
        'Acquire::http::Proxy::ftp.debian.org "DIRECT";\n'
        'Acquire::http::Proxy-Auto-Detect "/usr/bin/auto-apt-proxy";\n'
        'Acquire::Retries "0";\nParts "read";\n',
        encoding="utf-8",
    )
    (tmp_path / "main.conf").write_text(
        'Main "read";\nAPT::Update::Error-Mode "persistent-failure";\n', encoding="utf-8"
    )
    caller = tmp_path / "caller.conf"
    caller.write_text(
        f'Dir::Etc::Parts "{tmp_path}/parts";\nDir::Etc::main "{tmp_path}/main.conf";\nCaller "read";\n',
        encoding="utf-8",
    )
    folder = tmp_path / "ours"
    folder.mkdir()
    settings = _apt_settings(write_apt_config(folder, PROXY, {**os.environ, "APT_CONFIG": str(caller)}))
    assert (settings["Caller"], settings["Parts"], settings["Main"]) == ("read", "read", "read")
    assert settings["Acquire::http::Proxy"] == PROXY
    assert "Acquire::http::Proxy::ftp.debian.org" not in settings
    assert settings.get("Acquire::http::Proxy-Auto-Detect", "") == ""
    assert settings["Acquire::Retries"] == "8"
    assert settings["APT::Update::Error-Mode"] == "any"


def test_a_machine_without_apt_is_served_too(tmp_path: Path) -> None:
    config = write_apt_config(tmp_path, PROXY, {"PATH": str(tmp_path), "APT_CONFIG": str(tmp_path / "absent")})
    assert "#include" not in config.read_text(encoding="utf-8")


CURL = 'exec curl -sS "http://archive.example/debian/x"'


def test_a_command_reaches_the_network_through_the_pin(built: APP, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--at", "2024-06-01", "--pass", "a.example:443", "--", "sh", "-c", CURL]) == 0
    (head,) = built.heads
    assert head.startswith("GET http://archive.example/debian/x HTTP/1.1")
    assert "Proxy-Authorization: Basic MjAyNDA2MDFUMDAwMDAwWjp4" in head, "20240601T000000Z:x"
    assert built.options == {
        "offline": False,
        "pinned": "20240601T000000Z",
        "passes": (("a.example", 443),),
        "capture": "",
        "replayed": None,
    }
    output = capfd.readouterr()
    assert output.out == head
    assert output.err.splitlines()[-1] == (
        "snapproxy: 3 files, 3.0 kB; 1 from cache; 2 from upstream (2 requests, 1.0 kB); 0 unverified; "
        "3 refused (2 x 403, 1 x 404), by host: https://download.example (2)"
    )
    assert built.stopped
    assert built.entered == 0


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
)
def test_the_exit_code_is_the_commands(built: APP, script: str, code: int) -> None:
    assert main(["run", "--at", "20240601", "--", "sh", "-c", script]) == code


def test_a_command_that_cannot_start_has_the_shells_codes(
    built: APP, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plain").touch()
    assert main(["run", "--at", "20240601", "--", str(tmp_path / "absent")]) == 127
    assert main(["run", "--at", "20240601", "--", str(tmp_path / "plain")]) == 126
    assert "snapproxy: The command cannot be started\n" in capsys.readouterr().err
    assert built.entered == 0


def test_nothing_of_it_stays(built: APP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    script = 'test -f "$APT_CONFIG" && test "$no_proxy" = ""'
    assert main(["run", "--at", "20240601", "--", "sh", "-c", script]) == 0
    assert list(tmp_path.glob("snapproxy-*")) == []


def test_the_summary_is_there_for_machines(built: APP, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    used = tmp_path / "used.json"
    assert main(["run", "--at", "20240601", "--summary", str(used), "--json", "--", "sh", "-c", "exit 3"]) == 3
    figures = json.loads(used.read_text(encoding="utf-8"))
    assert figures == {
        "when": "20240601T000000Z",
        "exit_code": 3,
        "files": 3,
        "bytes": 3000,
        "from_cache": 1,
        "from_upstream": 2,
        "upstream_requests": 2,
        "upstream_bytes": 1000,
        "unverified": 0,
        "refused": 3,
        "unpinned": 0,
        "roots": 1,
        "without_root": [],
        "refused_by_status": {"403": 2, "404": 1},
        "refused_hosts": {"https://download.example": 2},
    }
    assert json.loads(capsys.readouterr().err.splitlines()[-1]) == figures


def test_the_line_tells_what_passed_unpinned() -> None:
    line = RunSummary(1, 10, 1, 0, 0, 0, 1, 0, 2, roots=1).line()
    assert (
        line
        == "snapproxy: 1 files, 10 bytes; 1 from cache; 0 from upstream (0 requests, 0 bytes); 1 unverified; 2 unpinned"
    )


def test_a_joined_download_was_not_in_the_cache() -> None:
    assert summarize({**FIGURES, "misses": 0, "joined": 2}).from_upstream == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_signals_are_passed_on(
    small_app: APP, tmp_path: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_command, "in_foreground", lambda: False)
    flag = tmp_path / "ready"
    script = f"trap 'exit 9' {number.name[3:]}; touch {flag}; while :; do sleep 0.05; done"
    listeners = sockets.bind([("127.0.0.1", 0)])
    running = asyncio.create_task(run_command.run_while_serving(small_app, listeners, ["sh", "-c", script], os.environ))
    deadline = time.monotonic() + 20
    while not flag.exists() and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    os.kill(os.getpid(), number)
    code, _ = await running
    assert code == 9


async def test_ctrl_c_is_not_doubled(small_app: APP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal has sent it to the command; a second one makes many programs abandon their clean-up."""
    monkeypatch.setattr(run_command, "in_foreground", lambda: True)
    flag, listeners = tmp_path / "go", sockets.bind([("127.0.0.1", 0)])
    script = f"trap 'exit 9' INT; touch {tmp_path}/up; while ! test -e {flag}; do sleep 0.05; done; exit 0"
    running = asyncio.create_task(run_command.run_while_serving(small_app, listeners, ["sh", "-c", script], os.environ))
    while not (tmp_path / "up").exists():
        await asyncio.sleep(0.02)
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(0.2)
    flag.touch()
    code, _ = await running
    assert code == 0


async def test_a_command_does_not_outlive_its_pin(small_app: APP, monkeypatch: pytest.MonkeyPatch) -> None:
    async def breaks(_sockets: object) -> None:
        await asyncio.sleep(0.2)
        raise SnapproxyError("broken")

    monkeypatch.setattr(small_app, "serve", breaks)
    with pytest.raises(SnapproxyError, match="broken"):
        await run_command.run_while_serving(
            small_app, [], [sys.executable, "-c", "import time; time.sleep(60)"], os.environ
        )


def test_without_a_terminal_nobody_else_signals_the_command() -> None:
    script = "import sys; from snapproxy.cli.run_command import in_foreground; sys.exit(in_foreground())"
    assert subprocess.run([sys.executable, "-c", script], start_new_session=True, check=False).returncode == 0
