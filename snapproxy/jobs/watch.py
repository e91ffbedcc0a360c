"""Repeat an observation periodically while the server runs, with random jitter."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from typing import Never

from snapproxy.base.clock import Clock
from snapproxy.core.model import Instant, Refusal
from snapproxy.core.time_spec import format_instant
from snapproxy.errors import SnapproxyError
from snapproxy.jobs.sweep import Observation
from snapproxy_storage import StorageFailure

log = logging.getLogger(__name__)

JITTER = 0.1
"""Jitter as a fraction of the period: many machines start on the hour."""

FIRST_SECONDS = 30.0
"""Maximum random delay of the first observation after a start, in seconds, so that clients are served first."""


async def repeat(
    sweep: Callable[[], Awaitable[Observation | Refusal]],
    every: float,
    last: Instant | None,
    clock: Clock,
    *,
    what: str,
) -> Never:
    """Observe every `every` seconds, at first `every` seconds after `last`.

    A failure is logged, and retried after the next period.
    """
    due = 0.0 if last is None else max(0.0, min(every, last + every - clock.now()))
    await clock.sleep(due + random.uniform(0.0, min(FIRST_SECONDS, every * JITTER)))  # noqa: S311 - no secret
    while True:
        try:
            outcome = await sweep()
        except (SnapproxyError, StorageFailure) as failure:
            log.warning("%s was not observed: %s", what, failure)
        else:
            if isinstance(outcome, Refusal):
                log.warning("%s was not observed: %s (%s)", what, outcome.reason, outcome.why)
            else:
                log.info("%s: %s", what, _summary(outcome))
        await clock.sleep(every * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - no secret


def _summary(swept: Observation) -> str:
    """Return a summary of an observation, in one line."""
    text = f"{len(swept.roots)} roots observed at {format_instant(swept.at)}, {len(swept.changed)} of them new"
    if swept.packages or swept.missing:
        text += f"; {swept.packages} packages fetched, {swept.missing} unavailable"
    if swept.dropped:
        text += f"; unusable entries of indexes that were dropped: {swept.dropped}"
    return text
