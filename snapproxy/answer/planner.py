"""Make a plan: find the snapshot once, then decide about the file at that snapshot.

`core.plan` makes the decisions. `answer.facts` provides the facts, or `answer.time_facts` if only times are resolved.
The planner repeats a decision until it needs no further fact.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

from snapproxy.answer.time_facts import Obtain, TimeFacts
from snapproxy.base.clock import Clock
from snapproxy.base.context import RequestContext
from snapproxy.base.names import Names
from snapproxy.core import plan as planning
from snapproxy.core.exchange import Conditions
from snapproxy.core.history import History
from snapproxy.core.model import LIVE, Archive, Family, Match, Refusal, Resolved, TimeSpec
from snapproxy.core.plan import MAX_ROUNDS, UNDECIDED, Known, space_of
from snapproxy.core.plan_model import AskName, Need, PlanRequest, Step

T = TypeVar("T")

log = logging.getLogger(__name__)

BACKGROUND_SECONDS = 3600.0
"""Maximum time for one file of a background job, in seconds."""

MAX_RESOLVED = 1024
"""Maximum number of cached resolved times. A build requests one time of a few archives."""

_FIXED = frozenset({Match.AT, Match.EXACT})
"""Matches whose answer can no longer change: `live`, `latest` and `.nearest` follow what the archive publishes."""


def request_context(
    archive: Archive,
    conditions: Conditions,
    families: Mapping[str, Family],
    histories: Mapping[str, History],
    patience: Mapping[str, float],
    clock: Clock,
) -> RequestContext:
    """Return the context of a request. `patience`: the client timeout by family, if it is not the family's own."""
    family = families[archive.family]
    wait = BACKGROUND_SECONDS if conditions.background else patience.get(archive.family, family.patience)
    deadline = clock.monotonic() + wait
    history = histories[archive.history]
    return RequestContext(
        archive, family, history, deadline, wait, conditions.background, conditions.via, conditions.client
    )


class Planner:
    """Resolve times and plan files.

    `obtain`, an argument of each method, gets another file of the same snapshot, for facts about one.
    """

    def __init__(self, facts: TimeFacts, names: Names, clock: Clock) -> None:
        self._facts = facts
        self._names = names
        self._clock = clock
        self._resolved: dict[tuple[str, TimeSpec], tuple[Archive, Resolved]] = {}

    async def resolve(self, request: PlanRequest, context: RequestContext, obtain: Obtain) -> Resolved | Refusal:
        """Return the snapshot that answers for the time of `request`.

        The answer to a fixed time is cached: it cannot change, unless a snapshot is marked bad, and then `context` has
        another archive value. An answer that is proved for one root only depends on the path and is looked up each
        time.
        """
        archive, key = context.archive, (context.archive.name, request.when)
        remembered = self._resolved.get(key)
        if remembered is not None and remembered[0] is archive:
            return remembered[1]
        now, family, history = self._clock.now(), context.family, context.history

        def decide(known: Known) -> Resolved | Refusal | Need:
            return planning.resolve(request, known, now, family=family, history=history)

        rounds = MAX_ROUNDS + history.max_windows(archive)
        known = self._facts.at_hand(archive)
        answer: Resolved | Refusal = await self._decided(decide, known, context, obtain, rounds=rounds)
        is_whole = isinstance(answer, Resolved) and not answer.is_for_one_root and not history.is_observed
        if isinstance(answer, Resolved) and is_whole and request.when.match in _FIXED:
            while len(self._resolved) >= MAX_RESOLVED:
                self._resolved.pop(next(iter(self._resolved)))
            self._resolved[key] = (archive, answer)
        return answer

    async def plan(self, request: PlanRequest, resolved: Resolved, context: RequestContext, obtain: Obtain) -> Step:
        """Return what to do about the file of `request` at the snapshot `resolved`."""
        family, history = context.family, context.history

        def decide(known: Known) -> Step | Need:
            return planning.plan(request, resolved, known, family=family, history=history)

        return await self._decided(decide, self._name(request, resolved), context, obtain, rounds=MAX_ROUNDS)

    def _name(self, request: PlanRequest, resolved: Resolved) -> Known:
        """Return the stored file of the requested name.

        It answers the first question of every plan, so that a hit needs no other.
        """
        if resolved.snapshot == LIVE:
            return Known()
        ask = AskName(space_of(request.archive, resolved), request.path)
        return Known({ask: self._names.stored(ask.space, ask.path)})

    async def _decided(
        self,
        decide: Callable[[Known], T | Need],
        known: Known,
        context: RequestContext,
        obtain: Obtain,
        *,
        rounds: int,
    ) -> T | Refusal:
        """Decide, answer the questions of the decision, and decide again until it has no further question.

        An archive whose answers never settle a decision is refused.
        """
        for _ in range(rounds):
            decision = decide(known)
            if not isinstance(decision, Need):
                return decision
            known = known.plus(await self._facts.learn(decision.asks, context, obtain))
        log.warning("%s: no decision after %d rounds of questions", context.archive.name, rounds)
        return UNDECIDED
