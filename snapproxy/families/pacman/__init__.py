"""pacman: Arch Linux, its ports, and every repository made by repo-add.

The root is the database itself, `<repo>.db`: it lists packages directly, without a separate index. `paths` classifies
paths, `indexes` reads databases. The client behaviour was measured with pacman 6.0.2, 7.0.0 and 7.1.0
(docs/explain/clients.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from snapproxy.core.model import Checker, ExpectedFile, Instant, Place, Role
from snapproxy.core.package_name import PackageName
from snapproxy.core.signature_schemes import OpenPgp
from snapproxy.errors import Drop, refuse_entry
from snapproxy.families.pacman.indexes import read_index
from snapproxy.families.pacman.package_names import package_name
from snapproxy.families.pacman.paths import SIGNATURE, classify, files_of
from snapproxy.formats.digests import DigestChecker

PARSER = "pacman-2"
"""The version of the entries that `indexes` yields. An index table built by another version is rebuilt."""


class Pacman:
    """pacman's format and its client's behaviour; implements `core.model.Family`."""

    name = "pacman"
    # pacman aborts a transfer after 10 s without a byte, and skips a host after three errors.
    patience = 8.0
    parser = PARSER
    # pacman replaces a newer database with an older one that it downloads, so no request has to be refused.
    keeps_newer_root = False
    how_to_clear_lists = ""
    mirror_list_hint = ""
    # However, libcurl silently discards a 200 whose Last-Modified is not newer than the copy that the client has.
    drops_older_dates = True
    roots_list_packages = True
    purl_type = "alpm"
    tells_root_dates = True
    waits_for_challenge = False
    scheme = OpenPgp()

    def classify(self, path: str) -> Place:
        return classify(path)

    def read_index(
        self, path: str, data: Iterable[bytes], drop: Drop = refuse_entry
    ) -> Iterator[tuple[str, ExpectedFile]]:
        return read_index(path, data, drop)

    def checker(self, expected: ExpectedFile) -> Checker:
        return DigestChecker(expected.size, expected.digests)

    def lasting_path(self, expected: ExpectedFile) -> str:
        return expected.path

    def root_date(self, data: bytes) -> Instant | None:
        return None

    def contradiction(self, path: str, data: bytes) -> str:
        """Return '': a root does not name its place."""
        return ""

    def signature(self, path: str) -> str | None:
        is_signed = not path.endswith(SIGNATURE) and classify(path).role in (Role.ROOT, Role.PACKAGE)
        return f"{path}{SIGNATURE}" if is_signed else None

    def root_forms(self, path: str) -> tuple[str, ...]:
        return (path,)

    def signed_file(self, path: str) -> str | None:
        place = classify(path)
        is_signature = path.endswith(SIGNATURE) and (place.role is Role.PACKAGE or place.is_unlisted)
        return path.removesuffix(SIGNATURE) if is_signature else None

    def beside_root(self, path: str) -> tuple[str, ...]:
        """Return the database of files, `<repo>.files`, and its signature."""
        files = files_of(path)
        return () if files is None else (files, f"{files}{SIGNATURE}")

    def package_name(self, path: str) -> PackageName | None:
        return package_name(path)


PACMAN = Pacman()
