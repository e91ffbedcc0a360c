"""The access log: one short line for each answer, through the standard library's logging.

`access_lines` has the other forms. Credentials and tokens are never part of a line.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass

from snapproxy.web.replies import plain

_log = logging.getLogger("snapproxy.access")

_USERINFO = re.compile(r"(?<=//)[^/?#]*@")
_TOKEN = re.compile(r"\.snp-[^/?#@:]*")
_TARGET_LENGTH = 400


@dataclass(slots=True)
class AccessEntry:
    """The fields of one line.

    `sent` is in bytes of the body, `time` that of the request's head, `seconds` from then to the end of the answer.
    `outcome` is done, left (the client closed the connection), stalled (the client took no bytes) or cut (aborted).
    `reason`: of a refusal. `token`: the id of the client's token, '' without one.
    """

    peer: str
    method: str
    target: str
    status: int = 0
    sent: int = 0
    seconds: float = 0.0
    cache: str = "-"
    snapshot: str = "-"
    proof: str = "-"
    outcome: str = "done"
    reason: str = ""
    request_id: str = ""
    time: int = 0
    token: str = ""
    archive: str = ""
    path: str = ""
    version: str = "1.1"
    agent: str = ""


WriteEntry = Callable[[AccessEntry], None]
"""Logs one answer. It never waits and never raises."""


def write(entry: AccessEntry) -> None:
    """Log one answer."""
    _log.info(
        '%s "%s %s" %d %d %.3f %s %s %s %s%s%s',
        plain(entry.peer),
        plain(entry.method),
        shown(entry.target),
        entry.status,
        entry.sent,
        entry.seconds,
        entry.cache,
        plain(entry.snapshot),
        entry.proof,
        entry.outcome,
        f" token={entry.token}" if entry.token else "",
        f' "{plain(entry.reason)}"' if entry.reason else "",
    )


def shown(target: str) -> str:
    """Return a request target for the log: shortened, without credentials, tokens, control characters and quotes."""
    bare = _TOKEN.sub(".snp-", _USERINFO.sub("", target))
    text = plain(bare).replace('"', "%22").replace(" ", "%20")
    return text if len(text) <= _TARGET_LENGTH else text[:_TARGET_LENGTH] + "..."
