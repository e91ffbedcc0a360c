"""The names and hosts that the addresses of clients are read against, under a configuration."""

from __future__ import annotations

from snapproxy.archives import HISTORIES
from snapproxy.config import Config
from snapproxy.core.address import AddressBook
from snapproxy.core.time_spec import parse_time
from snapproxy.families import FAMILIES


def address_book(
    config: Config, *, pinned: str = "", passes: tuple[tuple[str, int], ...] = (), capture: str = ""
) -> AddressBook:
    """Return the address book. The parameters are those of `wiring.application.build`."""
    return AddressBook(
        archives=config.archives,
        histories=HISTORIES,
        default_when=parse_time(pinned) if pinned else config.default_when,
        default_capture=capture,
        challenged=frozenset()
        if pinned
        else frozenset(each.name for each in FAMILIES.values() if each.waits_for_challenge),
        passes=(*config.passes, *passes),
        connect=config.connect,
        serves_live=config.serves_live,
    )
