"""Start and stop real snapproxy processes against a simulated world, and keep their output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from tests.fakes.world import GenuineWorld, World

_REPOSITORY = Path(__file__).parents[2]
_PYTHON_PATH = os.pathsep.join(map(str, (_REPOSITORY, _REPOSITORY / "storage")))
_START = 20.0
_STOP = 15.0
_UNHURRIED = "connections = 8\nrequests_per_second = 500\nburst = 500\n"


def configuration(folder: Path, world: World | GenuineWorld, *, top: str = "", pace: str = _UNHURRIED) -> Path:
    """Write a configuration with the world's servers for the built-in archives; `top` is further top-level TOML.

    Stores are in `folder`, so two processes with one configuration share them. `pace` is the rate limit of every
    upstream host; the default does not limit tests.
    """
    snapshot, mirror = world.snapshot.url, world.mirror.url
    if isinstance(world, GenuineWorld):
        rows = _row("debian", snapshot=f"{snapshot}/archive/debian", mirrors=f"{mirror}/debian", keyrings=world.keyring)
    else:
        key = world.key.keyring
        ubuntu, ppa = f"{world.ubuntu_server.url}/ubuntu", world.ppa_server.url
        places = {name: (f"{snapshot}/archive/{name}", f"{mirror}/{name}") for name in world.archives}
        places |= {"ubuntu": (ubuntu, ubuntu), "ppa": (ppa, ppa)}
        rows = "".join(_row(name, snapshot=past, mirrors=now, keyrings=key) for name, (past, now) in places.items())
    paces = "".join(f'[upstreams."{urlsplit(server.url).hostname}"]\n{pace}' for server in world.servers)
    path = folder / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    top = f'{top}\nstate_dir = "{folder / "state"}"\ncache_dir = "{folder / "cache"}"\n'
    path.write_text(f"{top}\n{rows}\n{paces}")
    return path


def _row(name: str, *, snapshot: str, mirrors: str, keyrings: Path) -> str:
    return f'[archives.{name}]\nsnapshot = ["{snapshot}"]\nmirrors = ["{mirrors}"]\nkeyrings = ["{keyrings}"]\n'


WITHOUT_PAGES = {"SNAPPROXY_ADMIN_LISTEN": "[]"}
"""Tests that run side by side cannot share the default port of the pages for operators."""


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment for snapproxy without any setting of the machine."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SNAPPROXY_") and "proxy" not in name.lower()
    }
    own = {"PYTHONPATH": _PYTHON_PATH, "PYTHONUNBUFFERED": "1"}
    return {**kept, **own, **WITHOUT_PAGES, **(extra or {})}


def command(*arguments: str) -> list[str]:
    """Return the command line of one verb."""
    return [sys.executable, "-m", "snapproxy", *arguments]


def run(
    *arguments: str, extra: Mapping[str, str] | None = None, timeout: float = 90
) -> subprocess.CompletedProcess[str]:
    """Run one verb to its end."""
    return subprocess.run(
        command(*arguments), env=environment(extra), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, timeout=timeout,
    )  # fmt: skip


class Snapproxy:
    """One `snapproxy serve` process on a free loopback port."""

    def __init__(
        self,
        configuration: Path,
        *,
        options: Iterable[str] = (),
        name: str = "serve",
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.configuration = configuration
        self._variables = variables
        self._options = tuple(options)
        self._ready = configuration.parent / f"{name}.ready"
        self._log = configuration.parent / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.pid = 0

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stop(check=kind is None)

    def start(self) -> Self:
        """Start the process and wait until it reports that it is listening.

        Raises RuntimeError with its log when it does not.
        """
        self._ready.unlink(missing_ok=True)
        fixed = (
            "serve",
            "--config",
            str(self.configuration),
            "--listen",
            "127.0.0.1:0",
            "--ready-file",
            str(self._ready),
        )
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command(*fixed, *self._options),
                env=environment(self._variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START
        while (said := self._said()) is None:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop(check=False)
                raise RuntimeError(f"snapproxy did not start:\n{self.log}")
            time.sleep(0.02)
        self.url, self.pid = said["listen"][0].rstrip("/"), said["pid"]
        return self

    def _said(self) -> dict[str, Any] | None:
        try:
            return dict(json.loads(self._ready.read_text()))
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    @property
    def log(self) -> str:
        """The output of the process so far, including that before restarts."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def port(self) -> int:
        return int(urlsplit(self.url).port or 0)

    def proxy(self, when: str, password: str = "x") -> str:
        """Return the `http_proxy` that states a time."""
        return f"http://{when}:{password}@127.0.0.1:{self.port}"

    def kill(self) -> None:
        """Kill the process, as a power cut would."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self, *, check: bool = True) -> None:
        """Terminate the process and wait; with `check`, a bad exit code or a traceback in the log is an error."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"snapproxy did not end within {_STOP:.0f} s:\n{self.log}") from None
        if check:
            assert code == 0, f"snapproxy ended with {code}:\n{self.log}"
            assert "Traceback" not in self.log, self.log
