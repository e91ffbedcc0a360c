"""Find registry logins in the files and credential helpers of docker, podman and skopeo (containers-auth.json(5)).

This module only reads.

If the user names a file (an option, or REGISTRY_AUTH_FILE), no other file is read, as with skopeo. Otherwise the files
are searched in the order of `files`, and the first login for the registry is used.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import os
import re
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snapproxy.core.clock import Clock
from snapproxy.errors import ArchiveDataError, ConfigurationError
from snapproxy.formats.strict_json import read_object
from snapproxy.oci.places import HUB

HELPER_SECONDS = 60.0
"""How long a helper may take, in seconds: it may ask the user to unlock a key ring."""

_FILE_LIMIT = 1 << 20
_DRAIN_SECONDS = 1.0
_ANSWER_LIMIT = 64 << 10
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HUB_KEY = "https://index.docker.io/v1/"
_TOKEN_USER = "<token>"  # noqa: S105 # a helper returns this as user name when the secret is an identity token
_NOT_FOUND = "credentials not found in native keychain"


@dataclass(frozen=True, slots=True)
class Login:
    """A user name and password, or an identity token instead of both. The secrets are not part of `repr`."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


class Keychain:
    """Finds logins. `authfile` and `login` are a file and a login from the command line; `login` takes precedence."""

    def __init__(
        self, environ: Mapping[str, str], *, clock: Clock, authfile: Path | None = None, login: Login | None = None
    ) -> None:
        self._environ = environ
        self._clock = clock
        self._authfile = authfile
        self._login = login

    async def find(self, registry: str, repository: str) -> Login | None:
        """Return the login for a repository, None without one.

        Raises ConfigurationError for an invalid file or a failing helper.
        """
        if self._login is not None:
            return self._login
        named = self._authfile or _path(self._environ.get("REGISTRY_AUTH_FILE", ""))
        if named is not None:
            if not await asyncio.to_thread(named.is_file):
                raise ConfigurationError(
                    "The credentials file does not exist",
                    why=f"{named}.",
                    hint="Check --authfile or REGISTRY_AUTH_FILE, or create the file with: skopeo login REGISTRY",
                )
            return await self._in_file(named, registry, repository)
        for path in files(self._environ):
            if found := await self._in_file(path, registry, repository):
                return found
        return None

    async def _in_file(self, path: Path, registry: str, repository: str) -> Login | None:
        value = await asyncio.to_thread(_read, path)
        helpers = _object(path, value, "credHelpers")
        for key in _hosts(registry):
            if key in helpers:
                return await self._ask(path, helpers[key], registry)
        auths = {_key(name): each for name, each in _object(path, value, "auths").items()}
        for key in _keys(registry, repository):
            if found := _login(path, auths.get(key)):
                return found
        store = value.get("credsStore")
        return await self._ask(path, store, registry) if store else None

    async def _ask(self, path: Path, helper: Any, registry: str) -> Login | None:
        """Run `docker-credential-NAME get`, the host on its standard input (docker's credential helper protocol)."""
        if not isinstance(helper, str) or not _HELPER.fullmatch(helper):
            raise ConfigurationError(
                "The name of a credential helper is invalid", why=f"{path} names {helper!r}."[:300]
            )
        program = f"docker-credential-{helper}"
        host = _HUB_KEY if registry == HUB else registry
        try:
            async with self._clock.timeout(HELPER_SECONDS):
                status, output = await _run(program, host, self._environ)
        except TimeoutError:
            raise _helper_failed(program, f"it did not answer within {HELPER_SECONDS:.0f} s") from None
        except OSError as error:
            raise _helper_failed(program, f"{path} names it, but it cannot be run: {error.strerror}") from error
        if status:
            text = output.decode(errors="replace").strip()
            if _NOT_FOUND in text:
                return None
            raise _helper_failed(program, f"it exited with status {status}: {text[:200]!r}")
        return _read_output(program, output)


def files(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the files that may contain credentials if the user named none, in the order of precedence."""
    home = _path(environ.get("HOME", "")) or Path("/")
    runtime, config = _path(environ.get("XDG_RUNTIME_DIR", "")), _path(environ.get("XDG_CONFIG_HOME", ""))
    docker = _path(environ.get("DOCKER_CONFIG", ""))
    if runtime:
        yield runtime / "containers" / "auth.json"
    yield (config or home / ".config") / "containers" / "auth.json"
    if docker:
        yield docker / "config.json"
    yield home / ".docker" / "config.json"


async def _run(program: str, host: str, environ: Mapping[str, str]) -> tuple[int, bytes]:
    """Run a helper; return its exit status and its output, at most _ANSWER_LIMIT bytes.

    Its process group is killed in the end.
    """
    process = await asyncio.create_subprocess_exec(
        program,
        "get",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=dict(environ),
        start_new_session=True,
    )
    if process.stdin is None or process.stdout is None:
        raise OSError("no pipe")
    try:
        with contextlib.suppress(ConnectionError):  # a helper may answer without reading its input
            process.stdin.write(host.encode())
            await process.stdin.drain()
        process.stdin.close()
        output = b""
        while len(output) <= _ANSWER_LIMIT and (piece := await process.stdout.read(_ANSWER_LIMIT + 1)):
            output += piece
        if len(output) > _ANSWER_LIMIT:
            raise _helper_failed(program, f"its output exceeds {_ANSWER_LIMIT} bytes")
        return await process.wait(), output
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(
                process.pid, signal.SIGKILL
            )  # its child processes keep the pipes open, and `wait` would not return
        # Read first: asyncio stops reading a full pipe and misses its end, for which Python 3.11's `wait` waits.
        with contextlib.suppress(TimeoutError):  # a process outside the process group keeps the pipe open
            async with asyncio.timeout(_DRAIN_SECONDS):
                while await process.stdout.read(_ANSWER_LIMIT):
                    pass
                await process.wait()


def _read_output(program: str, output: bytes) -> Login:
    try:
        value = read_object(output, "Its output")
    except ArchiveDataError as error:
        raise _helper_failed(program, f"its output cannot be read: {error.why.rstrip('.')}") from None
    user, secret = value.get("Username"), value.get("Secret")
    if not isinstance(user, str) or not isinstance(secret, str):
        raise _helper_failed(program, "its output has no Username and Secret")
    return Login(identity_token=secret) if user == _TOKEN_USER else Login(user, secret)


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(_FILE_LIMIT + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigurationError("A credentials file cannot be read", why=f"{path}: {error.strerror}.") from error
    if len(data) > _FILE_LIMIT:
        raise ConfigurationError("A credentials file is too long", why=f"{path} has more than 1 MiB.")
    try:
        return read_object(data, "The file") if data.strip() else {}
    except ArchiveDataError as error:
        raise ConfigurationError("A credentials file cannot be read", why=f"{path}: {error.why}") from None


def _object(path: Path, value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigurationError("A credentials file cannot be read", why=f"{path}: {name} is not a JSON object.")
    return found


def _login(path: Path, entry: Any) -> Login | None:
    """Read an entry of `auths`. An empty one is ignored: docker writes it when a helper has the login."""
    if not isinstance(entry, dict):
        return None
    token, pair = entry.get("identitytoken"), entry.get("auth")
    if isinstance(token, str) and token:
        return Login(identity_token=token)
    if not isinstance(pair, str) or not pair:
        return None
    try:
        user, colon, password = base64.b64decode(pair, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        colon = user = password = ""
    if not colon:
        raise ConfigurationError(
            "A credentials file cannot be read", why=f"{path}: an auth is not the base64 form of user:password."
        )
    return Login(user, password.rstrip("\0"))


def _keys(registry: str, repository: str) -> Iterator[str]:
    """Yield the keys that an entry may have, the most specific first: keys of podman may contain a path."""
    parts = repository.split("/")
    for host in _hosts(registry):
        yield from ("/".join((host, *parts[:count])) for count in range(len(parts), -1, -1))


def _hosts(registry: str) -> tuple[str, ...]:
    return (HUB, "index.docker.io", _HUB_KEY, "registry-1.docker.io") if registry == HUB else (registry,)


def _key(name: str) -> str:
    """Return a key in the form of `_keys`: old versions of docker wrote whole URLs."""
    scheme, separator, rest = name.partition("://")
    return rest.partition("/")[0] if separator and scheme in {"http", "https"} else name.rstrip("/")


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _helper_failed(program: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        "A credential helper failed",
        why=f"{program}: {why}.",
        hint="Repair the helper, or log in again with: skopeo login REGISTRY",
    )
