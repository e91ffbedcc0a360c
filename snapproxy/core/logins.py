"""How whoever asks upstreams gets the login that one of them wants: a seam between `shell`, which asks, and `oci`, which knows logins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Logins(Protocol):
    """The logins for places that may want one. `url` is what was first asked for; what it redirects to gets none of this.

    Never raises for anything that a place or the user's files did: who cannot be let in has no login.
    """

    async def header(self, url: str) -> str | None:
        """Return the Authorization to send along: '' while none was asked for, None while we are known not to be let in."""

    async def answer(self, url: str, challenges: Sequence[str], refused: str) -> str | None:
        """Return the Authorization that a 401 asks for by its WWW-Authenticate headers, another than `refused`; None for none."""

    def shut(self, url: str) -> None:
        """Learn that the login which was asked for is not taken: the place need not be asked for a while."""
