"""Repeats an observation for as long as we serve: every so often, never quite at the same second as everybody else."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from typing import Never

from snapproxy.base.clock import Clock
from snapproxy.core.model import Instant, Refusal
from snapproxy.core.time_spec import format_instant
from snapproxy.errors import SnapproxyError
from snapproxy.jobs.sweep import Swept
from snapproxy_storage import StorageFailure

log = logging.getLogger(__name__)

JITTER = 0.1
"""By which part of its period an observation may come early or late: many machines are started on the hour."""

FIRST_SECONDS = 30.0
"""How long the first observation may be put off after a start, so that clients go first."""


async def repeat(
    sweep: Callable[[], Awaitable[Swept | Refusal]], every: float, last: Instant | None, clock: Clock, *, what: str
) -> Never:
    """Observe every `every` seconds, the first time when that long has passed since `last`. A failure waits for the next turn."""
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
                log.info("%s: %s", what, _words(outcome))
        await clock.sleep(every * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - no secret


def _words(swept: Swept) -> str:
    """Say what an observation came to, in a line."""
    told = f"{len(swept.roots)} roots observed at {format_instant(swept.at)}, {len(swept.changed)} of them new"
    if swept.packages or swept.missing:
        told += f"; {swept.packages} packages brought, {swept.missing} not to be had"
    return told
