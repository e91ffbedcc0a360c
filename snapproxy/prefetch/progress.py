"""The progress of a prefetch as a line for people: finished files, the current wait, and the expected end.

`FetchState` collects the reports of `fetch_files.FileFetcher`; `progress_line` formats them with the estimate of the
remaining files. Neither does I/O nor reads a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from snapproxy.core.model import Refusal
from snapproxy.core.rate_limit import pace
from snapproxy.prefetch.estimate import Bounds, Estimate, Observed, PlannedFile, UpstreamOutlook
from snapproxy.prefetch.fetch_files import FileOutcome, PrefetchedFile
from snapproxy.prefetch.model import WantedFile

ACTIVE_GAP = 1.0
"""Longest time between two arrivals of bytes, in seconds, that counts as transfer; a longer one is a wait."""


class FetchState:
    """The progress of all files so far (`fetch_files.FetchProgress`).

    `files` is their number. `now` returns monotonic seconds.
    """

    def __init__(self, planned: Mapping[WantedFile, PlannedFile], now: Callable[[], float]) -> None:
        self.files = len(planned)
        self.done = 0
        self.refused = 0
        self.downloaded = 0
        """Files that were not stored before."""
        self.downloaded_mirrored = 0
        """Those of them that have a mirror."""
        self.downloaded_bytes = 0
        """Bytes that have arrived, those of unfinished files included."""
        self.active_seconds = 0.0
        """Seconds in which bytes arrived."""
        self._now = now
        self._last = now()
        self._planned = planned
        self._left = dict.fromkeys(planned)
        self._arrived: dict[tuple[str, str], int] = {}
        self._waiting: dict[WantedFile, Refusal] = {}

    def advance(self, file: WantedFile, done: int, total: int | None) -> None:
        del total
        self._waiting.pop(file, None)
        key = (file.archive.name, file.path)
        gained = max(0, done - self._arrived.get(key, 0))
        self._arrived[key] = max(done, self._arrived.get(key, 0))
        now = self._now()
        if gained:
            self.downloaded_bytes += gained
            self.active_seconds += min(now - self._last, ACTIVE_GAP)
        self._last = now

    def wait(self, file: WantedFile, refusal: Refusal, seconds: float) -> None:
        del seconds
        self._waiting[file] = refusal

    def finish(self, file: WantedFile, outcome: FileOutcome) -> None:
        self._waiting.pop(file, None)
        self._left.pop(file, None)
        self.done += 1
        if isinstance(outcome, PrefetchedFile):
            is_new = outcome.cache != "HIT"
            self.downloaded += is_new
            self.downloaded_mirrored += is_new and bool(self._planned[file].mirror)
        else:
            self.refused += 1

    @property
    def left(self) -> list[WantedFile]:
        """The files that are not finished."""
        return list(self._left)

    @property
    def waits_for(self) -> str:
        """The reason of a refusal that is waited for, '' if no file waits."""
        return next((refusal.reason for refusal in self._waiting.values()), "")

    def observed(self, requests: Mapping[str, int]) -> Observed:
        """Return the observations for an estimate; `requests` were sent to each upstream since the start."""
        return Observed(self.downloaded, self.downloaded_mirrored, requests, self.downloaded_bytes, self.active_seconds)


def progress_line(
    state: FetchState,
    rest: Estimate,
    upstreams: Mapping[str, UpstreamOutlook],
    now: float,
    *,
    size: Callable[[float], str],
    hour: Callable[[float], str],
) -> str:
    """Return the progress as a line without its end. `now` in wall-clock seconds.

    `size` formats bytes, `hour` the time of day of an instant.
    """
    files = f"{state.done} of {state.files} files" + (f", {state.refused} refused" if state.refused else "")
    speed = state.downloaded_bytes / state.active_seconds if state.active_seconds > 0 else 0.0
    arrived = f"{size(state.downloaded_bytes)} downloaded" + (f", {size(speed)}/s" if speed else "")
    parts = [f"{files}, {arrived}", _wait(state, rest, upstreams, now, hour)]
    if rest.files:
        parts.append(_end(rest.seconds, now, hour))
    return "; ".join(filter(None, parts))


def estimate_line(found: Estimate, *, size: Callable[[float], str]) -> str:
    """Return the estimate before the start as a line without its end."""
    stored = f", {found.stored} more are stored" if found.stored else ""
    unsized = f" and {found.unsized} files of unknown size" if found.unsized else ""
    requests = ", ".join(f"{_number(span)} to {name}" for name, span in sorted(found.requests.items()))
    line = f"{found.files} files to download ({size(found.bytes)}{unsized}){stored}"
    return f"{line}; requests: {requests}; time: {_range(found.seconds)}" if found.files else line


def duration(seconds: float) -> str:
    """Return a duration in its two largest units: `45 s`, `12 min`, `1 h 30 min`."""
    whole = max(0, round(seconds))
    if whole < 60:  # noqa: PLR2004 (seconds in a minute)
        return f"{whole} s"
    minutes = round(whole / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004


def _wait(
    state: FetchState,
    rest: Estimate,
    upstreams: Mapping[str, UpstreamOutlook],
    now: float,
    hour: Callable[[float], str],
) -> str:
    """Return the current wait: a cool-down, a rate, or the refusal of a file."""
    cooling = [(each.state.until, name) for name, each in upstreams.items() if each.state.until > now]
    if cooling and rest.files:
        until, name = max(cooling)
        cause = upstreams[name].state.cause
        answered = f" answered {cause}" if cause.isdecimal() else " failed"
        return f"{name}{answered}: cooling down until {hour(until)}"
    if state.waits_for:
        return f"waits: {state.waits_for}"
    if rest.slowest not in upstreams:
        return ""
    slowest = upstreams[rest.slowest]
    rate = pace(slowest.state, slowest.policy, now).requests_per_second
    if rate is None:
        return ""
    text = f"{rate:.2g} requests/s" if rate >= 1 else f"one request in {1 / rate:.1f} s"
    return f"{rest.slowest} is asked at {text}"


def _end(seconds: Bounds, now: float, hour: Callable[[float], str]) -> str:
    ends = dict.fromkeys((hour(now + seconds.best), hour(now + seconds.worst)))
    return f"done in {_range(seconds)}, at {' to '.join(ends)}"


def _range(seconds: Bounds) -> str:
    return " to ".join(dict.fromkeys((duration(seconds.best), duration(seconds.worst))))


def _number(span: Bounds) -> str:
    return " to ".join(dict.fromkeys((str(round(span.best)), str(round(span.worst)))))
