"""The parts of a package's file name. Each family parses its own names (`Family.package_name`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PackageName:
    """A package as named by its file: name, version and architecture in the family's own terms.

    `version` has no epoch if the family's file names have none; `arch` is `source` or `src` for source packages.
    """

    name: str
    version: str
    arch: str
