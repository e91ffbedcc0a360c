"""The layout of dnf's cache: /var/cache/dnf/ID-HASH/{repodata,packages}, named after .repo files (libdnf, Repo.cpp).

HASH is the beginning of the SHA-256 of an address with its variables replaced: `metalink`, otherwise `mirrorlist`,
otherwise the first `baseurl` (`Repo::Impl::getHash`). dnf5 uses the same names below another folder. dnf creates the
other files itself (`.solv` files), except the keyring of a repository with `repo_gpgcheck`: a `pubring.gpg` of GnuPG,
which consists of the keys only.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from configparser import ConfigParser, Error, SectionProxy
from urllib.parse import urlsplit

from snapproxy.core.client_cache import ClientRepository, ClientSettings, RepositoryCache
from snapproxy.core.model import Role
from snapproxy.core.paths import canonical_path
from snapproxy.errors import ClientError, ConfigurationError
from snapproxy.families.rpm.paths import METADATA, ROOT, classify
from snapproxy.formats.armor import dearmor, is_armored

_FOLDER = "var/cache/dnf"
_DIGITS = 16
_ID = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_.:-]{1,120}")  # libdnf, Repo::verifyId
_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)\}|(?P<bare>\w+))", re.ASCII)
_BETWEEN = re.compile(r"[\s,]+")
_OFF = frozenset({"0", "no", "false", "off"})
_ON = frozenset({"1", "yes", "true", "on"})
# The tag of a public key packet, in the old and the new format (RFC 9580, sections 4.2 and 5.5.1.1).
_PUBLIC_KEY = frozenset({b"\x98", b"\x99", b"\x9a", b"\xc6"})
_KEPT = frozenset({Role.ROOT, Role.INDEX, Role.SIGNATURE})


class DnfCache:
    """dnf's cache; implements `core.client_cache.RepositoryCache`."""

    hint = "--repo-file NAME.repo, and for the variables in it: --var releasever=40 --var basearch=x86_64"

    def repositories(self, settings: ClientSettings) -> tuple[ClientRepository, ...]:
        found: dict[str, ClientRepository] = {}
        for name, text in settings.files.items():
            for section in _sections(name, text):
                if section.name in found:
                    raise ConfigurationError(
                        f"The repository {section.name} is defined twice"[:80],
                        why=f"The second definition is in {name}.",
                    )
                found[section.name] = _repository(section, settings)
        if not found:
            raise ConfigurationError("No repository is enabled", why=f"Read: {', '.join(settings.files)}.")
        return tuple(found.values())

    def base(self, root: str) -> str | None:
        suffix = f"/{METADATA}/{ROOT}"
        return f"/{root}".removesuffix(suffix).lstrip("/") if f"/{root}".endswith(suffix) else None

    def place(self, path: str) -> str | None:
        role, name = classify(path).role, path.rpartition("/")[2]
        if role is Role.PACKAGE:
            return f"packages/{name}"
        return path if role in _KEPT else None


def _sections(name: str, text: str) -> Iterator[SectionProxy]:
    """Parse a .repo file (yum.conf(5)), and yield the sections of its enabled repositories."""
    parser = ConfigParser(interpolation=None, delimiters=("=",), default_section="", empty_lines_in_values=False)
    try:
        parser.read_string(text, name)
    except Error as error:
        raise ConfigurationError(f"{name} cannot be read", why=" ".join(str(error).split())[:200]) from error
    for title in parser.sections():
        if title == "main" or parser[title].get("enabled", "1").strip().lower() in _OFF:
            continue
        if not _ID.fullmatch(title):
            raise ConfigurationError(
                "Invalid repository id",
                why=f"{name} has a section [{title[:120]}].",
                hint="An id may contain letters, digits and - _ . : only.",
            )
        yield parser[title]


def _repository(section: SectionProxy, settings: ClientSettings) -> ClientRepository:
    name, listed = section.name, section.get("baseurl", "")
    bases = _BETWEEN.split(listed)
    if not bases[0]:  # dnf 4 uses the empty first item of a list as the first address, and fails
        raise ConfigurationError(
            f"The repository {name} has no baseurl"[:80],
            why="The baseurl identifies the repository in the capture. "
            "If there is a metalink= or mirrorlist=, dnf's cache folder is named after that.",
            hint="Add the recorded address on the same line as the key: baseurl=http://HOST/PATH",
        )
    base = _substitute(name, bases[0], settings.variables)
    hashed_address = (
        _substitute(name, section.get("metalink", "") or section.get("mirrorlist", ""), settings.variables) or base
    )
    digits = hashlib.sha256(hashed_address.encode()).hexdigest()[:_DIGITS]
    checks = section.get("repo_gpgcheck", "0").strip().lower() in _ON
    made = {"pubring/pubring.gpg": _keys(name, settings.keys)} if checks else {}
    return ClientRepository(name, f"{_FOLDER}/{name}-{digits}", _path(name, base), made)


def _keys(name: str, keys: bytes) -> bytes:
    """Return the keyring of a repository with a signed root. Without it, dnf -C discards metadata (lrHandlePerform)."""
    if not keys:
        raise ConfigurationError(
            f"No key was named for the repository {name}"[:80],
            why="It has repo_gpgcheck=1, and dnf --cacheonly verifies the signature with a keyring in its cache.",
            hint="Name the key file of its gpgkey=: --repo-key FILE",
        )
    try:
        inner = dearmor(keys) if is_armored(keys) else keys
    except ValueError:
        inner = b""
    if inner[:1] not in _PUBLIC_KEY:
        raise ConfigurationError("The keys of --repo-key cannot be read", why="They are not OpenPGP public keys.")
    return inner


def _substitute(name: str, text: str, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        variable = match["braced"] or match["bare"]
        if variable not in variables:
            raise ConfigurationError(
                f"The variable ${variable} has no value"[:80],
                why=f"The address of the repository {name} contains it, and dnf's cache folder depends on the address.",
                hint=f"Set it to the value in the image that will use the cache: --var {variable}=VALUE",
            )
        return variables[variable]

    return _VARIABLE.sub(value, text)


def _path(name: str, url: str) -> str:
    try:
        return canonical_path(urlsplit(url).path.strip("/"))
    except (ValueError, ClientError) as error:
        why = f"baseurl={url[:200]}"
        raise ConfigurationError(f"The repository {name} has an invalid baseurl"[:80], why=why) from error


DNF_CACHE: RepositoryCache = DnfCache()
