"""Answer the questions about times: the snapshots of an archive, and the observations of its roots."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

from snapproxy.answer.timelines import Timelines
from snapproxy.base.context import RequestContext
from snapproxy.core.model import Archive, NeedWindow, ObservedRoot, Refusal, Resolved, Window
from snapproxy.core.plan import Known
from snapproxy.core.plan_model import AnyAsk, Ask, AskObserved, AskWindow, NotStored, StoredFile
from snapproxy.live.observations import Observations

T = TypeVar("T")

Obtain = Callable[[RequestContext, Resolved, str], Awaitable[StoredFile | NotStored | Refusal | None]]
"""Obtain another file of a resolved snapshot, whole and verified; None if the snapshot has no such file."""


class TimeFacts:
    """Answers to the questions about times. `facts.Facts` answers those about files as well."""

    def __init__(self, timelines: Timelines, observations: Observations) -> None:
        self._timelines = timelines
        self._observations = observations

    def at_hand(self, archive: Archive) -> Known:
        """Return the part of an archive's timeline that is in memory: it is sufficient to resolve most times."""
        return Known(
            {AskWindow(archive.name, window.start, window.end): window for window in self._timelines.at_hand(archive)}
        )

    async def answer(self, ask: Ask[T], context: RequestContext, obtain: Obtain) -> T:
        """Answer one question."""
        known = cast("AnyAsk", ask)
        return cast("T", (await self.learn([known], context, obtain))[known])

    async def learn(self, asks: Sequence[AnyAsk], context: RequestContext, obtain: Obtain) -> dict[AnyAsk, Any]:
        """Answer every question, several concurrently. The answer may include facts that are certain to be needed next.

        `obtain` gets another file of the same snapshot, for questions about one.
        """
        if len(asks) == 1:
            return await self._learn(asks[0], context, obtain)
        learned: dict[AnyAsk, Any] = {}
        for facts in await asyncio.gather(*(self._learn(ask, context, obtain) for ask in asks)):
            learned |= facts
        return learned

    async def _learn(self, ask: AnyAsk, context: RequestContext, obtain: Obtain) -> dict[AnyAsk, Any]:
        del obtain  # no question about a time needs a file
        if not isinstance(ask, AskWindow | AskObserved):
            raise TypeError(f"a question about a file, but only times are resolved: {ask}")
        return {ask: await self._time(ask, context)}

    async def _time(
        self, ask: AskWindow | AskObserved, context: RequestContext
    ) -> Window | Refusal | tuple[ObservedRoot, ...]:
        if isinstance(ask, AskWindow):
            return await self._timelines.window(context, NeedWindow(ask.start, ask.end, ask.around))
        return self._observations.sightings(context.archive, context.history, ask.roots, ask.instant)
