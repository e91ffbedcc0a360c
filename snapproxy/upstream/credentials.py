"""The credentials of archives: read from a file or a systemd credential, and found for one address.

A file is read again when it has changed. A file that other users can read or write is refused. Secrets leave this
module only as the value of an Authorization header.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from snapproxy.errors import ConfigurationError
from snapproxy.formats.auth_conf import AuthEntry, Withheld, find_entry, read_auth_conf

FILE, SYSTEMD = "file:", "systemd:"
"""The two kinds of places that a setting can name: `file:/PATH` and `systemd:NAME`."""

FOLDER_VARIABLE = "CREDENTIALS_DIRECTORY"
"""The variable in which systemd names the folder of a service's credentials (systemd.exec(5), Credentials)."""

_MOST = 64 << 10
"""Maximum size of a file in bytes."""

_OTHERS = stat.S_IROTH | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class _Read:
    """A file that was read: its identity, by which a change is noticed, and its entries."""

    identity: tuple[int, ...]
    entries: tuple[AuthEntry, ...]


@dataclass(frozen=True, slots=True)
class UpstreamLogin:
    """The place of the credentials of an archive or of the upstream proxy.

    `setting` is the key of the setting, `place` its value. `over_http`: they may be sent over plain http.
    """

    setting: str
    place: str
    over_http: bool = False

    def __str__(self) -> str:
        """Return the setting and its value, for messages. The value is no secret."""
        return f'{self.setting} = "{self.place}"'


@dataclass(frozen=True, slots=True)
class LoginUse:
    """The credentials for one request. `text` says what was done with them, for the refusal of a request that fails.

    `is_unusable`: the file cannot be used, so the request must not be sent.
    """

    text: str
    authorization: str = field(default="", repr=False)
    is_unusable: bool = False


class CredentialFiles:
    """The files that settings name, kept in memory until they change. `environ` has the folder of systemd's."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._folder = environ.get(FOLDER_VARIABLE, "")
        self._read: dict[str, _Read] = {}

    async def use(self, login: UpstreamLogin | None, url: str) -> LoginUse:
        """Return the credentials of an archive for an address. `login` is None where they must not be sent."""
        if login is None:
            return LoginUse("The credentials of the archive are sent to its own bases only, so this request had none.")
        return await asyncio.to_thread(self.find, login, url)

    def find(self, login: UpstreamLogin, url: str) -> LoginUse:
        """Return the credentials for an address that may have them. Reads the file if it has changed."""
        try:
            entries = self._entries(login.place)
        except ConfigurationError as error:
            return LoginUse(f"{login}: {error.why} {error.hint}".rstrip(), is_unusable=True)
        entry = find_entry(entries, url, over_http=login.over_http)
        if isinstance(entry, Withheld):
            return LoginUse(f"Without credentials ({login}): {entry.value}.")
        return LoginUse(f"The credentials that were sent: {login}.", entry.authorization)

    def _entries(self, place: str) -> tuple[AuthEntry, ...]:
        path = self._path(place)
        try:
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
                found = os.fstat(file.fileno())
                _check(path, found)
                identity = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
                known = self._read.get(place)
                if known is None or known.identity != identity:
                    known = self._read[place] = _Read(identity, _parsed(path, file.read(_MOST + 1)))
                return known.entries
        except OSError as error:
            raise _unusable(path, f"it cannot be opened: {error.strerror}") from None

    def _path(self, place: str) -> Path:
        if place.startswith(FILE):
            return Path(place.removeprefix(FILE))
        if not self._folder:
            raise ConfigurationError(
                "The credentials file cannot be used",
                why=f"{place} is a credential of the systemd service, and ${FOLDER_VARIABLE} is not set.",
                hint=f"Add LoadCredential={place.removeprefix(SYSTEMD)}:/PATH to the unit, or name a file with file:.",
            )
        return Path(self._folder, place.removeprefix(SYSTEMD))


def _check(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise _unusable(path, "it is not a regular file")
    if found.st_mode & _OTHERS:
        raise ConfigurationError(
            "The credentials file cannot be used",
            why=f"{path} has the mode {stat.S_IMODE(found.st_mode):04o}: other users can read or write it.",
            hint=f"Run: chmod o-rw {path}",
        )


def _parsed(path: Path, data: bytes) -> tuple[AuthEntry, ...]:
    if len(data) > _MOST:
        raise _unusable(path, f"it has more than {_MOST >> 10} KiB")
    try:
        return read_auth_conf(data.decode())
    except UnicodeDecodeError:
        raise _unusable(path, "it is not UTF-8 text") from None
    except ConfigurationError as error:
        raise _unusable(path, error.why.rstrip(".")) from None


def _unusable(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError("The credentials file cannot be used", why=f"{path}: {why}.")
