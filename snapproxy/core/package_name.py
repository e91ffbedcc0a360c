"""What a package's file name says of it. How a name is read is each family's own (`Family.package_name`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PackageName:
    """A package as its file name tells it: name, version and architecture in the family's own words.

    `version` lacks an epoch where file names have none (apt's pool, rpm); `arch` is `source` or `src` for source packages.
    """

    name: str
    version: str
    arch: str
