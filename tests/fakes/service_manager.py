"""A service manager that passes its listening socket to `snapproxy serve`, as systemd does, and reads its datagrams.

The socket stays open while the service restarts, so clients that connect meanwhile wait in the queue of the kernel.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from tests.fakes.proxy import command, environment

_PATIENCE = 30.0


class ServiceManager:
    """One service with one listening socket. Use as a context manager."""

    def __init__(self, configuration: Path, *, variables: Mapping[str, str] | None = None) -> None:
        self.configuration = configuration
        self.notices: list[str] = []
        """The datagrams of the service, in the order of arrival."""
        self._variables = dict(variables or {})
        self._folder = configuration.parent
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(self._folder / "notify"))
        self._process: subprocess.Popen[bytes] | None = None
        self._log = self._folder / "service.log"
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._listener.close()
        self._notify.close()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def start(self) -> None:
        """Start the service, and wait until it is ready."""
        seen = len(self.notices)
        # A shell sets LISTEN_PID, because only the process itself has that number. Descriptor 3 is the socket.
        script = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3<&0 0</dev/null'
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", script, "sh", *command("serve", "--config", str(self.configuration))],
                env=environment({"NOTIFY_SOCKET": str(self._folder / "notify"), **self._variables}),
                stdin=self._listener.fileno(),
                stdout=log,
                stderr=log,
            )
        self.wait(lambda: any(each.startswith("READY=1") for each in self.notices[seen:]), "it is not ready")

    def descriptors(self) -> int:
        """Return the number of open files of the service."""
        assert self._process is not None
        return len(list(Path(f"/proc/{self._process.pid}/fd").iterdir()))

    def reload(self) -> str:
        """Send SIGHUP, and return the status after the reload."""
        seen = len(self.notices)
        self.signal(signal.SIGHUP)
        self.wait(lambda: any(each.startswith("READY=1") for each in self.notices[seen:]), "it does not reload")
        assert any(each.startswith("RELOADING=1\nMONOTONIC_USEC=") for each in self.notices[seen:])
        (ready,) = (each for each in self.notices[seen:] if each.startswith("READY=1"))
        return ready.partition("\nSTATUS=")[2]

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def ended(self) -> int:
        """Wait for the end of the service, and return its exit code."""
        assert self._process is not None
        code, self._process = self._process.wait(_PATIENCE), None
        return code

    def restart(self) -> None:
        """Stop the service by SIGTERM, wait for its end, and start it again."""
        self.signal(signal.SIGTERM)
        assert self.ended() == 0, self.log
        self.start()

    def wait(self, condition: Callable[[], bool], problem: str) -> None:
        """Wait until a condition is true, or fail with the log of the service."""
        deadline = time.monotonic() + _PATIENCE
        while not condition():
            has_ended = self._process is None or self._process.poll() is not None
            if has_ended or time.monotonic() > deadline:
                raise AssertionError(f"{problem}:\n{self.log}")
            time.sleep(0.01)

    def _read(self) -> None:
        while True:
            try:
                self.notices.append(self._notify.recv(65_536).decode())
            except OSError:
                return
