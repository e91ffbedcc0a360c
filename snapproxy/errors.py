"""Every failure snapproxy can name, on one root, branched by whose fault it is.

An error knows the HTTP status a client should see and a hint that says what to do. The web layer
turns it into an answer, the command line into one line; nobody shows a traceback for these.
"""

from __future__ import annotations


class SnapproxyError(Exception):
    """Something that went wrong and that we can explain.

    `reason` is our own words, at most 80 ASCII characters, never text from a client or an upstream:
    apt and pacman print it. `why` and `hint` may be longer: what we saw, and what to do about it.
    """

    status = 500

    def __init__(self, reason: str, *, why: str = "", hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        return "\n".join(line for line in (self.reason, self.why, self.hint) if line)


class ClientError(SnapproxyError):
    """The request cannot be understood or may not be made."""

    status = 400


class UpstreamError(SnapproxyError):
    """An archive did not answer, or did not answer with what was asked."""

    status = 504


class ArchiveDataError(SnapproxyError):
    """An archive answered, and what it said breaks its own promise or the format's rules."""

    status = 502


class RecordError(SnapproxyError):
    """A record of what a build was served (a lock, an artifact, a capture) breaks its own rules, or cannot be written as asked."""

    status = 500


class StorageError(SnapproxyError):
    """Our own disk failed us."""

    status = 500


class ConfigurationError(SnapproxyError):
    """The settings cannot be used as they stand."""

    status = 500
