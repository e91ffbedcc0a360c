"""pacman: Arch Linux, its ports, and every repository that repo-add makes.

The root is the database itself, `<repo>.db`: it promises packages directly, with no index between. What paths are is read in `paths`, what
databases promise in `indexes`. Facts about the client were measured with pacman 6.0.2, 7.0.0 and 7.1.0 (docs/clients.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from snapproxy.core.model import Checker, ExpectedFile, Instant, Place, Role
from snapproxy.core.package_name import PackageName
from snapproxy.core.signature_schemes import OpenPgp
from snapproxy.families.pacman.indexes import read_index
from snapproxy.families.pacman.package_names import package_name
from snapproxy.families.pacman.paths import classify
from snapproxy.formats.digests import DigestChecker

PARSER = "pacman-1"
"""The version of what `indexes` yields: a promise table built by another version is built again."""


class Pacman:
    """pacman's format and its client's habits; fulfils `core.model.Family`."""

    name = "pacman"
    # pacman aborts a transfer that brings no byte for 10 s, and passes a host over after three errors.
    patience = 8.0
    parser = PARSER
    # An older database replaces a newer one as soon as its bytes arrive: nothing has to be refused.
    keeps_newer_root = False
    how_to_clear_lists = ""
    mirror_list_hint = ""
    # ... but libcurl throws them away, in silence, when the Last-Modified of a 200 is not newer than the copy it asked about.
    drops_older_dates = True
    roots_list_packages = True
    purl_type = "alpm"
    tells_root_dates = True
    scheme = OpenPgp()

    def classify(self, path: str) -> Place:
        return classify(path)

    def read_index(self, path: str, data: Iterable[bytes]) -> Iterator[tuple[str, ExpectedFile]]:
        return read_index(path, data)

    def checker(self, expected: ExpectedFile) -> Checker:
        return DigestChecker(expected.size, expected.digests)

    def lasting_path(self, expected: ExpectedFile) -> str:
        return expected.path

    def root_date(self, data: bytes) -> Instant | None:
        return None

    def signature(self, path: str) -> str | None:
        return f"{path}.sig" if classify(path).role is Role.ROOT else None

    def package_name(self, path: str) -> PackageName | None:
        return package_name(path)


PACMAN = Pacman()
