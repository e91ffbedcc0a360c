"""Repeat work periodically while the server runs, with random jitter."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from typing import Never

from snapproxy.base.clock import Clock
from snapproxy.core.model import Instant, Refusal
from snapproxy.errors import SnapproxyError
from snapproxy_storage import StorageFailure

log = logging.getLogger(__name__)

JITTER = 0.1
"""Jitter as a fraction of the period: many machines start on the hour."""

FIRST_SECONDS = 30.0
"""Maximum random delay of the first repetition after a start, in seconds, so that clients are served first."""


async def repeat(
    work: Callable[[], Awaitable[str | Refusal]], every: float, last: Instant | None, clock: Clock, *, what: str
) -> Never:
    """Do the work every `every` seconds, at first `every` seconds after `last`.

    `work` returns a summary of its result, which is logged. A failure is logged, and retried after the next period.
    `what` names the work in both lines.
    """
    due = 0.0 if last is None else max(0.0, min(every, last + every - clock.now()))
    await clock.sleep(due + random.uniform(0.0, min(FIRST_SECONDS, every * JITTER)))  # noqa: S311 - no secret
    while True:
        try:
            outcome = await work()
        except (SnapproxyError, StorageFailure) as failure:
            log.warning("%s failed: %s", what, failure)
        else:
            if isinstance(outcome, Refusal):
                log.warning("%s failed: %s (%s)", what, outcome.reason, outcome.why)
            else:
                log.info("%s: %s", what, outcome)
        await clock.sleep(every * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - no secret
