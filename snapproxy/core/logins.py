"""The protocol for the credentials of upstream requests: used by `upstream`, implemented in `oci`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Logins(Protocol):
    """The logins for places that may require one. `url` is the address of the first request; redirects get no login.

    It never raises for a fault of a place or in the user's files: an unusable login counts as absent.
    """

    async def header(self, url: str) -> str | None:
        """Return the Authorization header to send.

        '' if the place has not required one, None while a login is known to be refused.
        """

    async def answer(self, url: str, challenges: Sequence[str], refused: str) -> str | None:
        """Return the Authorization that the WWW-Authenticate headers of a 401 require, different from `refused`.

        None if no other one is available.
        """

    def shut(self, url: str) -> None:
        """Record that the login for this place was refused: no request is sent to the place for a while."""
