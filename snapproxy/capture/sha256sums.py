"""Write lists that `sha256sum -c` checks and repro-get parses: `<sha256> <name>`, sorted by name."""

from __future__ import annotations

from collections.abc import Iterable

from snapproxy.capture.contents import recorded_files
from snapproxy.core.model import Role
from snapproxy.core.record import Record
from snapproxy.errors import RecordError


def of_packages(record: Record) -> bytes:
    """Return the list of packages and detached signatures by their paths in their repositories: repro-get's format.

    Raises RecordError if two archives have different packages at one path, which this format cannot distinguish.
    """
    found: dict[str, str] = {}
    for content in recorded_files(record):
        if content.role is Role.PACKAGE and found.setdefault(content.path, content.sha256) != content.sha256:
            raise RecordError(
                "Two packages of this record have the same path",
                why=f"The content of {content.path} in {content.archive} at {content.snapshot} "
                f"differs from another one of that path.",
                hint="Use the format with the archives in its names: sha256sums-titled.",
            )
    return listed(found.items())


def of_titles(record: Record) -> bytes:
    """Return the list of all files, including indexes, roots and signatures.

    Files are listed by title, which is the path that `oras pull` writes.
    """
    return listed((content.title, content.sha256) for content in recorded_files(record))


def listed(files: Iterable[tuple[str, str]]) -> bytes:
    """Return the list of (name, sha256) pairs. The names are canonical paths, which need no escapes of coreutils."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(files)).encode()
