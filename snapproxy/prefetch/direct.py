"""The direct resolver: an address names an archive, a path and perhaps a time, read as the address of a client.

The same reader serves clients' URLs (`core.address`): the services' dated addresses, the hosts of mirrors, and
snapproxy's own mirror form.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import urlsplit

from snapproxy.core.address import AddressBook, read
from snapproxy.core.exchange import FileTarget, ServiceTarget
from snapproxy.core.model import Archive, Match, Refusal, TimeSpec
from snapproxy.core.paths import escape_path

# The time of an address that has none. It marks such an address, and is never requested.
_UNDATED = f"Basic {b64encode(b'live:x').decode()}"
_MARKERS = ("/pool/", "/dists/", "/Packages/", "/repodata/")


@dataclass(frozen=True, slots=True)
class AddressedFile:
    """The file of an address. `when` is None if the address has no time.

    `sha1` is the digest (hex) that the address names in place of a path; `path` is then a file name or ''.
    """

    archive: Archive
    path: str
    when: TimeSpec | None
    sha1: str = ""


def read_file_address(url: str, family: str, book: AddressBook) -> AddressedFile | str:
    """Return the file at an address (decoded once), or a sentence that says why it is out of reach. Never raises."""
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    if "?" in path or "#" in path:
        return f"{url} has a query, and the addresses of archives have none."
    if "@" in host:
        return f"{host.rpartition('@')[2]} requires a login, and archives are read without one."
    target = read("GET", f"{scheme}{separator}{host}{slash}{escape_path(path)}", book, proxy_authorization=_UNDATED)
    match target:
        case FileTarget() if target.path and not target.path.endswith("/"):
            is_undated = target.when.match in (Match.LIVE, Match.LATEST)
            return AddressedFile(target.archive, target.path, None if is_undated else target.when)
        case FileTarget():
            return f"{url} is a folder, not a file."
        case ServiceTarget(sha1=sha1) if sha1:
            name = path.rpartition("/")[2]
            return AddressedFile(target.archive, "" if name == sha1 else name, None, sha1)
        case Refusal(status=400):
            return f"{url} cannot be read: {target.reason}."
        case _:
            return f"No configured archive has the address {url}. {_row(url, family)}"


def _row(url: str, family: str) -> str:
    """Return the configuration with which the archive of an address would be known."""
    parts = urlsplit(url)
    at = min((found for marker in _MARKERS if (found := parts.path.find(marker)) >= 0), default=parts.path.rfind("/"))
    base = f"{parts.netloc}{parts.path[:at]}"
    return (
        f'Add it to the configuration: [archives.NAME] family = "{family or "FAMILY"}", history = "captured", '
        f'mirrors = ["{parts.scheme}://{base}"], hosts = ["{base}/"].'
    )
