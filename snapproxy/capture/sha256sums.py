"""Writes lists that `sha256sum -c` checks and repro-get reads: `<sha256>  <name>`, sorted by name."""

from __future__ import annotations

from collections.abc import Iterable

from snapproxy.capture.contents import recorded_files
from snapproxy.core.model import Role
from snapproxy.core.record import Record
from snapproxy.errors import RecordError


def of_packages(record: Record) -> bytes:
    """List the packages, their detached signatures among them, by their paths in their repositories: repro-get's form.

    Raises RecordError when two archives have different packages of one path, which this form cannot tell apart.
    """
    found: dict[str, str] = {}
    for content in recorded_files(record):
        if content.role is Role.PACKAGE and found.setdefault(content.path, content.sha256) != content.sha256:
            raise RecordError(
                "Two packages of this record have one path",
                why=f"{content.path} is not the same in {content.archive} at {content.snapshot} as elsewhere.",
                hint="Use the form that has the archives in its names: sha256sums-titled.",
            )
    return listed(found.items())


def of_titles(record: Record) -> bytes:
    """List every file by its title, as `oras pull` and others lay them down: indexes, roots and signatures, too."""
    return listed((content.title, content.sha256) for content in recorded_files(record))


def listed(files: Iterable[tuple[str, str]]) -> bytes:
    """Write (name, sha256) pairs down. The names are canonical paths: nothing in them needs the escapes that coreutils has."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(files)).encode()
