"""What several verbs share: options, the configuration, times, the application, refusals and JSON."""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import os
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from socket import socket
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from snapproxy.capture.captures import Captures
from snapproxy.capture.replay import Replayed
from snapproxy.cli import run_as_owner
from snapproxy.config import Config, load
from snapproxy.core import time_spec
from snapproxy.core.listing import Selection
from snapproxy.core.model import Instant, Match, Proof, Refusal, Resolved, TimeSpec
from snapproxy.core.package_diff import PackageChange
from snapproxy.core.progress import Progress
from snapproxy.core.record import Record
from snapproxy.errors import ConfigurationError, SnapproxyError
from snapproxy_storage import Blobs

if TYPE_CHECKING:  # the registries' client is loaded by the verbs that use it
    from snapproxy.jobs.export import Exporter
    from snapproxy.jobs.import_artifact import Importer

T = TypeVar("T")


class Fetched(Protocol):
    """What became of a file that was fetched; `digest` is its sha256, `cache` is HIT, MISS or JOINED."""

    @property
    def size(self) -> int: ...
    @property
    def digest(self) -> str: ...
    @property
    def proof(self) -> Proof: ...
    @property
    def cache(self) -> str: ...
    @property
    def snapshot(self) -> str: ...


class Swept(Protocol):
    """What an observation came to: of its roots, which were new; packages that were brought, and that could not be had."""

    @property
    def at(self) -> Instant: ...
    @property
    def roots(self) -> Sequence[str]: ...
    @property
    def changed(self) -> Sequence[str]: ...
    @property
    def older(self) -> Sequence[str]: ...
    @property
    def packages(self) -> int: ...
    @property
    def missing(self) -> int: ...


class Entry(Protocol):
    """A snapshot that answers from `first` to `last`; `root` is whose it is, '' where it holds the whole archive."""

    @property
    def snapshot(self) -> str: ...
    @property
    def first(self) -> Instant: ...
    @property
    def last(self) -> Instant: ...
    @property
    def is_settled(self) -> bool: ...
    @property
    def root(self) -> str: ...
    @property
    def is_bad(self) -> bool: ...
    @property
    def because(self) -> str: ...


class Compared(Protocol):
    """What differs between two times: the snapshots that answered for each, the changes, and the components that were compared."""

    @property
    def before(self) -> Sequence[str]: ...
    @property
    def after(self) -> Sequence[str]: ...
    @property
    def changes(self) -> Sequence[PackageChange]: ...
    @property
    def parts(self) -> Sequence[str]: ...


class App(Protocol):
    """The application as the command line sees it; `wiring.App` is it."""

    captures: Captures
    blobs: Blobs
    exporter: Exporter
    importer: Importer

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None: ...

    async def serve(self, sockets: Sequence[socket]) -> None:
        """Answer on `sockets` until cancelled."""

    async def resolve(self, archive: str, time_spec: str) -> Resolved | Refusal: ...

    async def fetch(
        self, archive: str, time_spec: str, path: str, target: Path, progress: Progress
    ) -> Fetched | Refusal:
        """Bring a file to `target`: whole and verified, or not at all."""

    async def observe(
        self,
        archive: str,
        paths: Sequence[str],
        *,
        with_packages: bool,
        progress: Progress,
    ) -> Swept | Refusal:
        """Remember roots of an archive as they are now: all of them, or none."""

    async def timeline(self, archive: str, start: Instant, end: Instant) -> Sequence[Entry] | Refusal: ...

    async def mark(self, archive: str, time_spec: TimeSpec, because: str | None) -> Instant | Refusal:
        """Mark the snapshot that answers for a time as bad; with None, take the mark back. Return its instant."""

    async def diff(
        self, archive: str, before: str, after: str, selection: Selection, progress: Progress
    ) -> Compared | Refusal:
        """Return which packages differ between two times; `progress` receives each path that is requested."""

    async def answered(self, capture: str = "") -> Record:
        """Return what was answered so far: of the record that is replayed, else what a capture holds."""

    def now(self) -> Instant: ...

    def stats(self) -> Mapping[str, Any]: ...


class RefusedError(SnapproxyError):
    """An answer that was a refusal, on its way to the terminal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason, why=refusal.why, hint=refusal.hint)
        self.status = refusal.status


def build(
    config: Config,
    *,
    offline: bool = False,
    pinned: str = "",
    passes: tuple[tuple[str, int], ...] = (),
    capture: str = "",
    replayed: Replayed | None = None,
) -> App:
    """Build the application. Imported here and not above, so that `--help`, `sources` and `stats` answer without loading all of it."""
    from snapproxy import wiring  # noqa: PLC0415

    app: App = wiring.build(config, offline=offline, pinned=pinned, passes=passes, capture=capture, replayed=replayed)
    return app


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, on uvloop where it exists."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415  # absent where there is no build of it
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def answered(
    arguments: argparse.Namespace, work: Callable[[Config, argparse.Namespace], Coroutine[Any, Any, T | Refusal]]
) -> T:
    """Do a verb's work as the owner of the store, and return what came of it. Raises RefusedError when that is a refusal."""
    config = config_of(arguments)
    with run_as_owner.acting(config.state_dir):
        outcome = run(work(config, arguments))
    if isinstance(outcome, Refusal):
        raise RefusedError(outcome)
    return outcome


def tell(error: SnapproxyError) -> None:
    """Say on stderr what went wrong and what to do."""
    first, *rest = str(error).splitlines()
    print(f"snapproxy: {first}", *(f"  {line}" for line in rest), sep="\n", file=sys.stderr)


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add --config."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings (else $SNAPPROXY_CONFIG, else /etc/snapproxy/config.toml)"
    )


def add_offline(parser: argparse.ArgumentParser) -> None:
    """Add --offline."""
    parser.add_argument(
        "--offline", action="store_true", help="answer from the store alone; what it lacks is refused by name"
    )


def add_json(parser: argparse.ArgumentParser, what: str = "print JSON") -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help=what)


def config_of(arguments: argparse.Namespace) -> Config:
    """Load the settings, and make sure that both folders can be written by the owner of the first, who is acted as."""
    config = load(arguments.config)
    with _writable("state_dir", config.state_dir):
        config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for key in ("state_dir", "cache_dir"):
        folder: Path = getattr(config, key)
        with _writable(key, folder):
            run_as_owner.make(folder, config.state_dir)
            with run_as_owner.acting(config.state_dir):
                if not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
                    raise PermissionError(errno.EACCES, "permission denied, or a read-only file system")
    return config


@contextmanager
def _writable(key: str, folder: Path) -> Iterator[None]:
    """Say of the system's refusal which setting it is about."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"The {key} cannot be made or written",
            why=f"{folder}: {error.strerror}",
            hint=f"Make it writable for its user, or set {key} (SNAPPROXY_{key.upper()}) to another folder.",
        ) from error


def a_time(text: str) -> TimeSpec:
    """Read a WHEN argument (an argparse type)."""
    if time_spec.read_day(text) is not None:
        # Which instant it would be differs by archive: its own synchronisation, somewhere in that day.
        day = text.replace("/", "-")
        raise argparse.ArgumentTypeError(
            f"{text} is a folder's name; a time is {day} (its midnight), and `snapproxy resolve ARCHIVE WHEN` prints that of a folder"
        )
    try:
        return time_spec.parse_time(text)
    except SnapproxyError as error:
        raise argparse.ArgumentTypeError(str(error).replace("\n", " ")) from None


def a_lasting_time(text: str) -> TimeSpec:
    """Read a WHEN that stays put for longer than one request: `latest` would move between an update and its install."""
    read = a_time(text)
    if read.match is Match.LATEST:
        raise argparse.ArgumentTypeError(
            "latest would move between update and install; `snapproxy resolve ARCHIVE latest` prints the id to use"
        )
    return read


def an_instant(text: str) -> Instant:
    """Read a WHEN that is one instant (an argparse type)."""
    instant = a_time(text).instant
    if instant is None:
        raise argparse.ArgumentTypeError("an instant is wanted, such as 2024-06-01 or 20240601T000000Z")
    return instant


def print_json(value: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(value, indent=2, sort_keys=True))
