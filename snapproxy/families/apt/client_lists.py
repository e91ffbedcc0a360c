"""The names of apt's package lists: /var/lib/apt/lists/HOST_PATH_dists_SUITE_..., from the sources of the client.

A name is the URI of the file without scheme and login, with some characters escaped and slashes replaced by underscores
(apt-pkg/contrib/strutl.cc, URItoFileName). apt reads a list in any compression that its name ends in
(apt-pkg/deb/debindexfile.cc). Without these lists apt has no names to install, only paths of packages.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from snapproxy.core.client_cache import ClientRepository, ClientSettings, RepositoryCache
from snapproxy.core.paths import canonical_path
from snapproxy.errors import ArchiveDataError, ClientError, ConfigurationError
from snapproxy.families.apt.paths import folder_of
from snapproxy.formats.apt_sources import read_apt_sources

_FOLDER = "var/lib/apt/lists"
_ESCAPED = re.compile(r'[\\|{}\[\]<>"^~_=!@#$%&*]|[^!-~]')


class AptLists:
    """apt's package lists; implements `core.client_cache.RepositoryCache`."""

    hint = "--repo-file debian.sources, or the .list file, as it is in the image"

    def repositories(self, settings: ClientSettings) -> tuple[ClientRepository, ...]:
        found: dict[str, ClientRepository] = {}
        for name, text in settings.files.items():
            if not name.endswith((".sources", ".list")):
                raise ConfigurationError(
                    f"{name} is not a file of apt's sources"[:80], why="Their names end in .sources or .list."
                )
            try:
                sources = list(read_apt_sources(name, text))
            except ArchiveDataError as error:
                raise ConfigurationError(f"{name} cannot be read", why=error.why) from error
            for source in sources:
                repository = _repository(name, source.uri, source.suite)
                found[repository.id] = repository
        if not found:
            raise ConfigurationError("No source is enabled", why=f"Read: {', '.join(settings.files)}.")
        return tuple(found.values())

    def base(self, root: str) -> str | None:
        return folder_of(root).strip("/")

    def place(self, path: str) -> str | None:
        return _escape(path)


def _repository(name: str, uri: str, suite: str) -> ClientRepository:
    flat = suite.endswith("/")
    folder = suite.strip("/").removeprefix("./") if flat else f"dists/{suite}"
    try:
        parts = urlsplit(uri)
        base = canonical_path("/".join(filter(None, (parts.path.strip("/"), "" if folder == "." else folder))))
    except (ValueError, ClientError) as error:
        raise _unsupported(name, uri, suite) from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise _unsupported(name, uri, suite)
    host = parts.netloc.rpartition("@")[2]
    prefix = "_".join(_escape(each) for each in (host, *filter(None, unquote(base).split("/"))))
    return ClientRepository(f"{uri} {suite}", f"{_FOLDER}/{prefix}", base, joint="_")


def _unsupported(name: str, uri: str, suite: str) -> ConfigurationError:
    return ConfigurationError(
        f"A source of {name} is not supported"[:80],
        why=f"{uri[:200]} {suite[:100]}: only http and https sources have lists in a capture.",
        hint="Disable it in the file that you name.",
    )


def _escape(path: str) -> str:
    """Return a path as part of a file name (strutl.cc, QuoteString and URItoFileName)."""
    return _ESCAPED.sub(lambda found: "".join(f"%{each:02x}" for each in found[0].encode()), path).replace("/", "_")


APT_LISTS: RepositoryCache = AptLists()
