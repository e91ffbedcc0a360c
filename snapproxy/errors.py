"""The errors of snapproxy: one base class, with a subclass for each party at fault.

Each class has the HTTP status of the answer to a client, and a hint that says what to do. The web layer turns an error
into an answer, the command line into one line; neither prints a traceback.
"""

from __future__ import annotations

from typing import Protocol


class SnapproxyError(Exception):
    """A failure with a known cause.

    `reason` is a fixed text, at most 80 ASCII characters, never text from a client or an upstream: apt and pacman print
    it. `why` and `hint` may be longer: the cause, and what to do about it.
    """

    status = 500

    def __init__(self, reason: str, *, why: str = "", hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        return "\n".join(line for line in (self.reason, self.why, self.hint) if line)

    @property
    def sentences(self) -> str:
        """The three parts on one line, for an error that is quoted within another."""
        return " ".join(part if part.endswith((".", ":")) else f"{part}." for part in str(self).splitlines())


class TerminatedError(Exception):
    """SIGTERM ended the work of a verb; its tasks and processes have been stopped. `main` exits with 143."""


class ClientError(SnapproxyError):
    """The request is malformed or not allowed."""

    status = 400


class UpstreamError(SnapproxyError):
    """An archive did not answer, or answered without the requested file."""

    status = 504


class ArchiveDataError(SnapproxyError):
    """An archive sent data that contradicts its own index or breaks its format."""

    status = 502


class SurplusError(ArchiveDataError):
    """An index is followed by surplus bytes, which clients ignore."""


class Drop(Protocol):
    """Receive the error of one entry of an index that cannot be used, while the rest of the index can."""

    def __call__(self, error: ArchiveDataError, path: str = "") -> None:
        """Process an unusable entry. `path` is the file that it concerns, '' if the entry does not tell."""


def refuse_entry(error: ArchiveDataError, path: str = "") -> None:  # noqa: ARG001 -- the signature of `Drop`
    """Raise the error, so that an index with an unusable entry is refused as a whole; implements `Drop`."""
    raise error


class RecordError(SnapproxyError):
    """A record of a build's files (a lock, an artifact, a capture) is invalid, or cannot be written as requested."""

    status = 500


class StorageError(SnapproxyError):
    """The local disk failed."""

    status = 500


class ConfigurationError(SnapproxyError):
    """The settings are invalid."""

    status = 500
