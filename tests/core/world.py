"""An archive with a true list of snapshots, for the tests of `core.resolve`: the resolver must ask for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from snapproxy.core.model import Archive, Instant, NeedWindow, Refusal, Resolved, TimeSpec, Window
from snapproxy.core.resolve import resolve_listed
from snapproxy.core.time_spec import parse_time
from snapproxy.core.timeline import DAWN

HOUR, DAY = 3600, 86400
ROW = Archive(name="a", family="apt", history="snapshots")
ROUNDS = 8


def at(text: str) -> Instant:
    instant = parse_time(text).instant
    assert instant is not None
    return instant


@dataclass
class World:
    """An archive, its true snapshots, and how its service tells of them."""

    snapshots: Sequence[Instant]
    now: Instant
    row: Archive = ROW
    redirects_only: bool = False
    asked: list[NeedWindow] = field(default_factory=list)

    def listing(self, need: NeedWindow) -> Window:
        told = sorted(each for each in self.snapshots if each <= self.now)
        inside = tuple(each for each in told if need.start <= each < need.end)
        after = next((each for each in told if need.end <= each <= need.end + 32 * DAY), None)
        return Window(need.start, need.end, inside, self.now, after)

    def redirect(self, need: NeedWindow) -> Window:
        assert need.around is not None
        assert need.around <= self.now
        newest = max((each for each in self.snapshots if each <= need.around), default=None)
        return (
            Window(DAWN, need.around + 1, (), self.now)
            if newest is None
            else Window(newest, need.around + 1, (newest,), self.now)
        )

    def resolve(self, when: TimeSpec | str) -> Resolved | Refusal:
        when = parse_time(when) if isinstance(when, str) else when
        windows: dict[tuple[Instant, Instant], Window] = {}
        for _ in range(ROUNDS + 1):
            answer = resolve_listed(self.row, when, windows, self.now)
            if not isinstance(answer, NeedWindow):
                return answer
            assert answer.start < answer.end
            self.asked.append(answer)
            window = self.redirect(answer) if self.redirects_only else self.listing(answer)
            windows[window.start, window.end] = window
        raise AssertionError(f"still asking after {ROUNDS} rounds: {self.asked}")


MAY = [at("20240501") + 6 * HOUR * step for step in range(31 * 4)]  # to 20240531T180000Z
NOW = at("20240720T120000Z")


def steady(*, until: Instant = NOW, row: Archive = ROW, skip: Callable[[Instant], bool] = lambda _: False) -> World:
    """Six-hourly snapshots since March 2005."""
    every = range(at("20050312T060000Z"), until + 1, 6 * HOUR)
    return World([each for each in every if not skip(each)], NOW, row)
