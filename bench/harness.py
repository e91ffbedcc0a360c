"""Common code of the benchmarks: servers to compare, their processor time and memory, and tables of ratios."""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from bench.archive import SUITE, WHEN, Archive
from tests.fakes.proxy import Snapproxy

BIG = 200_000_000
MIB = 1 << 20

_TICKS = os.sysconf("SC_CLK_TCK")


# --- temporary folder and servers


@contextmanager
def room(needed: int) -> Iterator[Path]:
    """Create a temporary folder (in TMPDIR) with `needed` bytes of free space, and delete it at the end."""
    with tempfile.TemporaryDirectory(prefix="snapproxy-bench-") as name:
        free = shutil.disk_usage(name).free
        if free < needed:
            raise SystemExit(
                f"{name} has {free >> 30} GiB free; {-(-needed >> 30)} are needed. Set TMPDIR to a folder that has."
            )
        yield Path(name)


def configure(folder: Path, archive: Archive) -> Path:
    """Write the proxy's configuration: the built-in archive `debian` with simulated upstreams, without rate limits."""
    limits = "connections = 64\nrequests_per_second = 1000\nburst = 10000\n"
    hosts = [urlsplit(url).hostname for url in (archive.snapshot, archive.mirror)]
    path = folder / "config.toml"
    path.write_text(
        f'state_dir = "{folder / "state"}"\ncache_dir = "{folder / "cache"}"\n[archives.debian]\n'
        f'snapshot = ["{archive.snapshot}/archive/debian"]\nmirrors = ["{archive.mirror}/debian"]\n'
        f'keyrings = ["{archive.keyring}"]\n' + "".join(f'[upstreams."{host}"]\n{limits}' for host in hosts)
    )
    return path


def url_path(path: str) -> str:
    """Return the mirror form's path of a file of the archive."""
    return f"/debian/{WHEN}/{path}"


def fetch(base: str, path: str) -> None:
    """Download a file and discard it. Raises an error when it is refused or truncated."""
    with urllib.request.urlopen(f"{base}{path}", timeout=120) as answer:
        while answer.read(MIB):
            pass


def read_indexes(proxy: Snapproxy, suite: str = SUITE) -> None:
    """Request a suite's root and index through the proxy, as an update does, so that it knows the listed files."""
    for name in ("InRelease", "main/binary-amd64/Packages.xz"):
        fetch(proxy.url, url_path(f"dists/{suite}/{name}"))


class Nginx:
    """An nginx with one worker. It serves `files`, and proxies `upstream` under /proxied/ through its own cache."""

    def __init__(self, folder: Path, *, upstream: str = "") -> None:
        self.files = folder / "files"
        self.files.mkdir(parents=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._settings = folder / "nginx.conf"
        self._settings.write_text(
            _NGINX.format(folder=folder, port=self.port, user=_user(), proxied=_proxied(upstream))
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        self._process = subprocess.Popen(
            [program, "-p", str(self._folder), "-c", str(self._settings), "-e", "error.log"]
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except ConnectionRefusedError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("nginx does not start; see its messages above") from None
                time.sleep(0.02)
            else:
                return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0


# Both servers write one log line for each request. With tcp_nopush a proxied answer stalls for 42 ms on loopback.
_NGINX = """\
daemon off;
{user}worker_processes 1;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    default_type application/octet-stream;
    sendfile on;
    keepalive_requests 1000000;
    proxy_cache_path {folder}/cache keys_zone=all:10m max_size=20g use_temp_path=off;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/files;
        {proxied}
    }}
}}
"""


def _user() -> str:
    return "user root;\n" if os.geteuid() == 0 else ""


def _proxied(upstream: str) -> str:
    if not upstream:
        return ""
    common = (
        f"proxy_pass {upstream}/; proxy_cache all; proxy_cache_valid 200 1h; "
        "proxy_http_version 1.1; proxy_set_header Connection '';"
    )
    lock = "proxy_cache_lock on; proxy_cache_lock_timeout 120s; proxy_cache_lock_age 120s;"
    return f"location /proxied/ {{ {common} }}\n        location /locked/ {{ {common} {lock} }}"


# --- processor time and memory


def family(pid: int) -> list[int]:
    """Return a process and all its living descendants."""
    found = [pid]
    for parent in found:
        try:
            for thread in Path(f"/proc/{parent}/task").iterdir():
                found.extend(map(int, (thread / "children").read_text().split()))
        except FileNotFoundError:
            continue
    return found


def cpu_seconds(pid: int) -> float:
    """Return the processor time (user and system) of a process and its children, including those that have ended."""
    total = 0
    for each in family(pid):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            continue
        own, waited = fields[11:13], fields[13:15]
        total += sum(map(int, own)) + (sum(map(int, waited)) if each == pid else 0)
    return total / _TICKS


def cpu_seconds_of_threads(pid: int) -> float:
    """Return the processor time of a process's living threads in nanosecond resolution; `cpu_seconds` has 10 ms."""
    schedules = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text().split()[0]) for each in schedules) / 1e9


def pin(pid: int, core: int) -> None:
    """Bind a process, its threads and its children to one core."""
    cores = sorted(os.sched_getaffinity(0))
    for each in family(pid):
        for thread in Path(f"/proc/{each}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {cores[core % len(cores)]})


def anonymous(pid: int) -> int:
    """Return the resident anonymous memory of a process in bytes, 0 if it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("Anonymous:"))


@dataclass
class Memory(threading.Thread):
    """Sample the anonymous memory of a process and all its children every 100 ms, from `start` until `stop`."""

    pid: int
    peak: int = 0
    """The largest sum of all processes in one sample, in bytes."""
    peaks: dict[int, int] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    samples: int = 0

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self._stopped = threading.Event()

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        while not self._stopped.wait(0.1):
            now = {pid: anonymous(pid) for pid in family(self.pid)}
            self.samples += 1
            self.peak = max(self.peak, sum(now.values()))
            for pid, size in now.items():
                self.peaks[pid] = max(self.peaks.get(pid, 0), size)
                self.names[pid] = _name(pid) or self.names.get(pid, "?")

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def _name(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return next((words[at + 1] for at, word in enumerate(words[:-1]) if word == "-m"), Path(words[0]).name)


# --- results


def ratio(pairs: Sequence[tuple[float, float]]) -> str:
    """Return the median of ours / theirs over alternating runs, with the smallest and the largest ratio."""
    ratios = sorted(ours / theirs for ours, theirs in pairs if theirs)
    if not ratios:
        return "-"
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"


def table(*rows: Sequence[str]) -> None:
    """Print rows in aligned columns. The first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
