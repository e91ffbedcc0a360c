"""The context of a request: its archive with family and history, and its deadline."""

from __future__ import annotations

from dataclasses import dataclass

from snapproxy.core.exchange import PRESENT, ClientPresence
from snapproxy.core.history import History
from snapproxy.core.model import Archive, Family


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The context of one request.

    `deadline` is the end of the client timeout, in monotonic seconds, and `patience` its length. `background`: no
    client waits. `via` is the Via header of the client's request, `client` the state of its connection.
    """

    archive: Archive
    family: Family
    history: History
    deadline: float
    patience: float
    background: bool = False
    via: str = ""
    client: ClientPresence = PRESENT
