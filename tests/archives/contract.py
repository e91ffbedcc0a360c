"""The contract of every history. A history's own tests subclass `HistoryContract`.

`ServicePlayer` simulates the service: it answers the addresses that the history asks for, from a true list of
snapshots.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Protocol
from urllib.parse import urlsplit

import pytest

from snapproxy.core.history import History, TimelineAnswer
from snapproxy.core.model import LIVE, Archive, Instant, NeedWindow, Refusal, Resolved, Window
from snapproxy.core.time_spec import format_instant, parse_time

NOW: Instant = 1721476800
"""2024-07-20T12:00:00Z."""

ROUNDS = 8
"""As many questions as the executor asks for one answer."""


class ServicePlayer(Protocol):
    """Simulates the upstream service."""

    def __call__(self, url: str) -> TimelineAnswer: ...


def settle(history: History, row: Archive, when: str, play: ServicePlayer, now: Instant = NOW) -> Resolved | Refusal:
    """Do what the executor does: ask what is needed, first choice first, until there is a decision."""
    windows: dict[tuple[Instant, Instant], Window] = {}
    for _ in range(ROUNDS + 1):
        decision = history.resolve(row, parse_time(when), windows, now)
        if not isinstance(decision, NeedWindow):
            return decision
        window = _ask(history, row, decision, play, now)
        if window is None:
            return Refusal(424, "the timeline cannot be read")
        windows[window.start, window.end] = window
    raise AssertionError("the history goes on asking")


def _ask(history: History, row: Archive, need: NeedWindow, play: ServicePlayer, now: Instant) -> Window | None:
    for base in row.snapshot:
        for url in history.timeline_urls(row, base, need):
            window = history.read_window(row, need, url, play(url), now)
            if window is not None:
                return window
    return None


class HistoryContract(ABC):
    """Subclass it and set `history`, `row` and a `player` that lists `snapshots`."""

    history: History
    row: Archive
    snapshots: Sequence[Instant] = tuple(range(NOW - 100 * 86400, NOW, 6 * 3600))
    telling: frozenset[int] = frozenset()
    """Statuses that are an answer by themselves."""

    @abstractmethod
    def player(self) -> ServicePlayer:
        """Return a service that lists `snapshots`."""

    def settle(self, when: str) -> Resolved | Refusal:
        return settle(self.history, self.row, when, self.player())

    def test_live_is_answered_without_asking(self) -> None:
        assert self.history.resolve(self.row, parse_time("live"), {}, NOW) == Resolved(LIVE, NOW)

    def test_a_snapshot_answers_to_its_own_id(self) -> None:
        name = format_instant(self.snapshots[10])
        for when in (name, f"{name}.exact", f"{name}.nearest"):
            answer = self.settle(when)
            assert isinstance(answer, Resolved)
            assert (answer.snapshot, answer.instant) == (self.history.id_of(self.snapshots[10]), self.snapshots[10])

    def test_the_answer_is_never_later_than_the_time(self) -> None:
        for offset in (0, 1, 3600, 5 * 3600):
            answer = self.settle(format_instant(self.snapshots[20] + offset))
            assert isinstance(answer, Resolved)
            assert self.snapshots[20] <= answer.instant <= self.snapshots[20] + offset

    def test_the_future_is_refused_with_a_usable_id(self) -> None:
        answer = self.settle(format_instant(NOW + 1))
        assert isinstance(answer, Refusal)
        assert answer.status == 425
        usable = answer.reason.rpartition(" ")[2]
        assert isinstance(self.settle(usable), Resolved)

    def test_latest_names_a_snapshot_that_answers_to_its_id(self) -> None:
        latest = self.settle("latest")
        assert isinstance(latest, Resolved)
        again = self.settle(format_instant(latest.instant))
        assert isinstance(again, Resolved)
        assert again.snapshot == latest.snapshot

    def test_a_bad_instant_is_refused_by_its_id_and_passed_over_with_a_note(self) -> None:
        bad = replace(self.row, bad=(self.snapshots[10],))
        answer = settle(self.history, bad, format_instant(self.snapshots[10]), self.player())
        assert isinstance(answer, Refusal)
        assert answer.status == 410
        passed = settle(self.history, bad, format_instant(self.snapshots[10]) + ".nearest", self.player())
        assert isinstance(passed, Resolved)
        assert passed.instant < self.snapshots[10]
        assert "marked bad" in passed.note

    def test_every_question_goes_to_the_upstreams_own_host(self) -> None:
        need = NeedWindow(self.snapshots[0], self.snapshots[10], around=self.snapshots[5])
        for base in self.row.snapshot:
            for url in self.history.timeline_urls(self.row, base, need):
                assert urlsplit(url)[:2] == urlsplit(base)[:2]

    @pytest.mark.parametrize(
        "body",
        [
            *[
                b"",
                b"<html>It works!</html>",
                b"{}",
                b"[]",
                b"null",
                b'"x"',
                b"1",
                b'{"result": []}',
                b'{"result": null}',
            ],
            *[
                b"[" * 100_000,
                b"\xff\xfe",
                b'{"result": {"debian": "20240601T000000Z"}}',
                b'{"result": {"debian": [1]}}',
            ],
            *[b'{"result": {"debian": ["20240230T000000Z"]}}', b'{"result": {"debian": ["live", "20240601"]}}'],
            b'{"result": {"debian": ["20240601T000000Z", "../../etc"]}}',
        ],
    )
    def test_nonsense_is_made_out_as_nothing(self, body: bytes) -> None:
        need = NeedWindow(self.snapshots[0], self.snapshots[10], around=self.snapshots[5])
        statuses = (200, 204, 301, 302, 304, 400, 403, 404, 429, 500, 503, 509)
        locations = ("", "http://evil.example/", "https://evil.example/20240601T000000Z/", "\x00", "http://[")
        urls = [url for base in self.row.snapshot for url in self.history.timeline_urls(self.row, base, need)]
        for url, status, location in product(urls, statuses, locations):
            if status in self.telling and not location and not body:
                continue
            answer = TimelineAnswer(status, location, body)
            assert self.history.read_window(self.row, need, url, answer, NOW) is None

    def test_an_address_is_escaped_and_stays_below_its_base(self) -> None:
        base = self.row.snapshot[0]
        for path in ("dists/x/InRelease", "pool/g/g++_1~rc1.deb", "a b/%2e", ""):
            url = self.history.url(self.row, base, self.history.id_of(self.snapshots[10]), path)
            assert url.startswith(base + "/")
            assert url.isascii()
            assert not set(url) & set(" +?#")
