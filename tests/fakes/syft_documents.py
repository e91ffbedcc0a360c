"""Lists of packages in the two forms that syft writes: CycloneDX, and its own JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True)
class SyftPackage:
    """A package that syft finds in an image. `kind` is deb or apk, `checksum` apk's `C:` ('' for deb)."""

    kind: str
    name: str
    version: str
    architecture: str
    checksum: str = ""

    def purl(self, distro: str) -> str:
        name, version = quote(self.name, safe=""), quote(self.version, safe="")
        namespace = distro.partition("-")[0]
        return f"pkg:{self.kind}/{namespace}/{name}@{version}?arch={self.architecture}&distro={distro}"


def cyclonedx(distro: str, packages: Iterable[SyftPackage]) -> str:
    """Return a CycloneDX document. `distro` is the name and the version of the distribution, such as `debian-12`."""
    tool = {"type": "application", "author": "anchore", "name": "syft"}
    return json.dumps(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {"tools": {"components": [tool]}},
            "components": [
                {
                    "bom-ref": f"{each.purl(distro)}&package-id=0",
                    "type": "library",
                    "name": each.name,
                    "version": each.version,
                    "purl": each.purl(distro),
                    "properties": [{"name": name, "value": value} for name, value in _properties(each).items()],
                }
                for each in packages
            ],
        }
    )


def _properties(package: SyftPackage) -> dict[str, str]:
    checksum = {"syft:metadata:pullChecksum": package.checksum} if package.checksum else {}
    return {"syft:package:type": package.kind, **checksum}


def own_json(distro: str, packages: Iterable[SyftPackage]) -> str:
    """Return a document in syft's own format. `distro` as in `cyclonedx`."""
    name, _, version = distro.partition("-")
    return json.dumps(
        {
            "artifacts": [
                {
                    "id": "0",
                    "name": each.name,
                    "version": each.version,
                    "type": each.kind,
                    "foundBy": f"{each.kind}-db-cataloger",
                    "purl": each.purl(distro),
                    "metadata": {
                        "package": each.name,
                        "version": each.version,
                        "architecture": each.architecture,
                        "files": [],
                        **({"pullChecksum": each.checksum} if each.checksum else {}),
                    },
                }
                for each in packages
            ],
            "artifactRelationships": [],
            "files": [],
            "source": {"type": "image"},
            "distro": {"id": name, "versionID": version},
            "descriptor": {"name": "syft", "version": "1.27.0"},
            "schema": {"version": "16.0.36"},
        }
    )
