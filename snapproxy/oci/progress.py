"""How far a copy is, for whoever wants to show it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Is told how far each blob is, by its digest; bytes. A blob that begins again goes back to the bytes it has."""

    def advance(self, path: str, done: int, total: int | None) -> None: ...

    def finish(self, path: str) -> None: ...


class _Silent:
    def advance(self, path: str, done: int, total: int | None) -> None:
        """Nobody watches."""

    def finish(self, path: str) -> None:
        """Nobody watches."""


SILENT: Progress = _Silent()
