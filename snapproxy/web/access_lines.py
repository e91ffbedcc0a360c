"""The access log in the forms that other programs read: Apache's combined format, and JSON.

Lines are rendered and written in batches on a thread, so a slow reader of the output delays no answer. Values of
clients are escaped: no request can add a line, a field, or a control character of a terminal.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import threading
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Never

from snapproxy.web.access_log import AccessEntry, shown, write
from snapproxy.web.replies import plain

BATCH_SECONDS = 0.2
"""How long a line waits for others."""

MAX_WAITING = 20_000
"""Maximum number of lines that wait for the output; further ones are dropped, and their number is logged."""

FLUSH_SECONDS = 5.0
"""How long the last lines may take at a stop: a program that does not read them must not delay it."""

_AGENT_LENGTH = 200
_TEXT_LENGTH = 400
_UNSAFE = re.compile(r'["\\]')
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_log = logging.getLogger(__name__)


def combined(entry: AccessEntry) -> str:
    """Return a line in Apache's combined format: `%h - %u %t "%r" %>s %b "-" "%{User-Agent}i"`; the user is a token."""
    at = datetime.fromtimestamp(entry.time, UTC)
    when = f"{at.day:02}/{_MONTHS[at.month - 1]}/{at.year}:{at:%H:%M:%S} +0000"  # %b depends on the locale
    request = f"{_quoted(entry.method)} {_quoted(shown(entry.target))} HTTP/{entry.version}"
    user, agent = _word(entry.token), _quoted(entry.agent[:_AGENT_LENGTH]) or "-"
    return f'{_word(entry.peer)} - {user} [{when}] "{request}" {entry.status} {entry.sent or "-"} "-" "{agent}"'


def json_line(entry: AccessEntry) -> str:
    """Return a line of JSON. docs/guides/monitoring.md lists the keys; a key without a value is absent."""
    fields = {
        "time": f"{datetime.fromtimestamp(entry.time, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "id": entry.request_id,
        "client": entry.peer,
        "token": entry.token,
        "method": entry.method,
        "target": shown(entry.target),
        "archive": entry.archive,
        "snapshot": entry.snapshot.partition("/")[2],
        "path": entry.path,
        "status": entry.status,
        "bytes": entry.sent,
        "seconds": round(entry.seconds, 4),
        "cache": entry.cache.lower().strip("-"),
        "proof": entry.proof.strip("-"),
        "outcome": entry.outcome,
        "reason": entry.reason,
        "agent": entry.agent[:_AGENT_LENGTH],
    }
    return json.dumps({key: value for key, value in fields.items() if value != ""})  # ASCII, and on one line


def _word(text: str) -> str:
    """Return a field that ends at a space."""
    return _quoted(text).replace(" ", "_") or "-"


def _quoted(text: str) -> str:
    """Return a text for a place between quotes."""
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", plain(text))


FORMS: Mapping[str, Callable[[AccessEntry], str] | None] = {
    "short": None,
    "combined": combined,
    "json": json_line,
    "off": None,
}
"""The values of the setting `access_log`. Short lines go to the log of the program."""


class AccessLog:
    """Writes one line for each answer. `output` takes a batch of lines as bytes, and may block."""

    def __init__(self, form: str, output: Callable[[bytes], object]) -> None:
        self.form = form
        self._output = output
        self._waiting: deque[tuple[Callable[[AccessEntry], str], AccessEntry]] = deque()
        self._dropped = 0
        self._flushing = threading.Lock()

    def __call__(self, entry: AccessEntry) -> None:
        """Log one answer. It never waits and never raises."""
        render = FORMS[self.form]
        if render is None:
            if self.form == "short":
                write(entry)
        elif len(self._waiting) < MAX_WAITING:
            entry.agent, entry.path = entry.agent[:_AGENT_LENGTH], entry.path[:_TEXT_LENGTH]
            if len(entry.target) > _TEXT_LENGTH:  # a cut of the text itself could leave a part of a password
                entry.target = shown(entry.target)
            self._waiting.append((render, entry))
        else:
            self._dropped += 1

    async def run(self) -> Never:
        """Write the waiting lines, batch by batch, until cancelled. Call `close` afterwards."""
        while True:
            await asyncio.sleep(BATCH_SECONDS)
            if self._waiting:
                await asyncio.to_thread(self.flush)

    async def close(self) -> None:
        """Write the last lines, for at most `FLUSH_SECONDS`. A thread that needs longer does not delay the exit."""
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()

        def write_last() -> None:
            self.flush()
            with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
                loop.call_soon_threadsafe(ended.set)

        threading.Thread(target=write_last, name="access log", daemon=True).start()
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await ended.wait()
        except TimeoutError:
            _log.warning("The last lines of the access log were not read within %g s", FLUSH_SECONDS)

    def flush(self) -> None:
        """Write the lines that wait. An output that fails loses them, and that is logged."""
        with self._flushing:
            batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
            lost, self._dropped = self._dropped, 0
            try:
                if batch:
                    self._output("".join(f"{render(entry)}\n" for render, entry in batch).encode("ascii"))
            except OSError as error:
                lost += len(batch)
                _log.warning("The access log cannot be written: %s", error.strerror)
        if lost:
            _log.warning("%d lines of the access log were lost", lost)
