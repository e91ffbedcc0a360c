"""The protocol by which upstream requests get a login: used by `upstream`, implemented in `oci`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Logins(Protocol):
    """The logins for places that may require one. `url` is the address of the first request; redirects get no login.

    Never raises for a fault of a place or in the user's files: an unusable login counts as absent.
    """

    async def header(self, url: str) -> str | None:
        """Return the Authorization header to send.

        '' if the place has not asked for one, None while a login is known to be refused.
        """

    async def answer(self, url: str, challenges: Sequence[str], refused: str) -> str | None:
        """Return the Authorization that a 401 asks for in its WWW-Authenticate headers, different from `refused`.

        None if no other one is available.
        """

    def shut(self, url: str) -> None:
        """Record that the login for this place was refused: the place is not asked for a while."""
