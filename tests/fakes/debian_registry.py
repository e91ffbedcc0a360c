"""Debian's docker-registry (2.8), started on a free port of the loopback address."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

USER, PASSWORD = "ann", "s3cret"
HTPASSWD = "ann:$2b$04$Tief3Dnx9LpyXNHEKvpO8ezWv.7xE36kHEEyPq33JgdMOf5jzp/ku\n"
"""docker-registry accepts bcrypt hashes only: this is the hash of the password, at the lowest cost."""


class DebianRegistry:
    """Runs while its `with` lasts, with its files in `folder`. `is_locked`: it requires USER and PASSWORD."""

    def __init__(self, folder: Path, *, is_locked: bool = False) -> None:
        self._folder = folder
        self._is_locked = is_locked
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.host = f"127.0.0.1:{free.getsockname()[1]}"

    def __enter__(self) -> Self:
        settings = self._folder / "config.yml"
        auth = ""
        if self._is_locked:
            (self._folder / "htpasswd").write_text(HTPASSWD)
            auth = f"auth: {{htpasswd: {{realm: here, path: {self._folder}/htpasswd}}}}\n"
        settings.write_text(
            "version: 0.1\nlog: {accesslog: {disabled: true}, level: error}\n"
            f"storage: {{filesystem: {{rootdirectory: {self._folder}/data}}, delete: {{enabled: true}}}}\n"
            f"http: {{addr: '{self.host}', secret: s}}\n{auth}"
        )
        program = shutil.which("docker-registry") or "/usr/bin/docker-registry"
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen([program, "serve", str(settings)], stdout=log, stderr=log)
        host, port = self.host.split(":")
        for _ in range(500):
            try:
                socket.create_connection((host, int(port)), timeout=1).close()
            except ConnectionRefusedError:
                if self._process.poll() is not None:
                    break
                time.sleep(0.02)
            else:
                return self
        self.__exit__(None, None, None)
        raise RuntimeError((self._folder / "log").read_text())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(10)
