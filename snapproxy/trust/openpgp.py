"""Run gpgv over a root and return its status lines. `core.signatures` derives the verdict from them.

The program is gpgv, or Sequoia's gpgv-sq, which prints the same status lines. Plain sqv prints none: it answers yes or
no by its own policy, but the policy of snapproxy (an expired key is accepted for signatures made before it expired)
needs the details. Keyrings are only read, never fetched, and the user's `~/.gnupg` is not used.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from snapproxy.base.clock import Clock
from snapproxy.core.model import Archive
from snapproxy.errors import ConfigurationError, SnapproxyError
from snapproxy.formats.armor import dearmor, is_armored

PROGRAMS = ("gpgv", "gpgv-sq")
"""The programs to look for in PATH, best first."""

SECONDS = 20.0
"""Timeout of one check, in seconds. A check takes milliseconds, except with input that was made to be slow."""

MAX_KEYRING = 16 << 20
"""Maximum bytes of a keyring; all of Debian's keys since 2005, removed ones included, are below 1 MiB."""

_MAX_OUTPUT = 1 << 20
"""Maximum bytes of status lines: about 1 KiB for each signature, and no root has a thousand signatures."""

_MAX_CHECKS = 2
"""Maximum number of concurrent checks: more would leave no core for serving requests."""

_log = logging.getLogger(__name__)


class VerifierMissingError(ConfigurationError):
    """No program that checks signatures is installed."""

    def __init__(self, programs: Sequence[str]) -> None:
        super().__init__(
            "No program to check OpenPGP signatures is installed",
            why=f"None of {', '.join(programs)} is in PATH.",
            hint="Install the package gpgv.",
        )


class VerifierFailedError(SnapproxyError):
    """The program crashed, timed out or printed too much: nothing is known about the signature."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The status lines of the program, for `core.signatures.judge`, and the keyrings that were usable."""

    lines: tuple[str, ...]
    keyrings: tuple[str, ...]


def available_keyrings(archive: Archive) -> tuple[str, ...]:
    """Return the readable keyrings of an archive, in its order.

    It reads the disk, so call it at start-up only.
    """
    return tuple(name for name in archive.keyrings if _is_usable(Path(name)))


class OpenPgpVerifier:
    """Checks each signature in a child process. `programs` are looked up in PATH once, at the first check."""

    def __init__(self, *, clock: Clock, programs: Sequence[str] = PROGRAMS, seconds: float = SECONDS) -> None:
        self._clock = clock
        self._programs = programs
        self._seconds = seconds
        self._program = ""
        self._checks = asyncio.Semaphore(_MAX_CHECKS)

    async def verify(self, data: bytes, signature: bytes | None, keyrings: Sequence[str]) -> Evidence:
        """Check `data` against its detached `signature` (None: it contains its own, as InRelease does).

        Missing keyrings are skipped; without any, the lines report every key as unknown. The lines cover only the
        signed part of a clear-signed text: its parser must drop the rest.
        Raise VerifierMissingError, or VerifierFailedError if the check takes too long, prints too much, or cannot run.
        """
        async with self._checks:
            try:
                async with _workspace(data, signature, keyrings) as workspace:
                    output = await self._run(workspace)
            except OSError as error:
                raise VerifierFailedError("The signature check could not be run", why=str(error)) from error
        return Evidence(tuple(output.decode("utf-8", "replace").splitlines()), workspace.keyrings)

    async def _run(self, workspace: _Workspace) -> bytes:
        self._program = self._program or await asyncio.to_thread(_find, self._programs)
        process, output_fd = await _start(self._program, workspace)
        try:
            async with self._clock.timeout(self._seconds):
                output = await _read_output(output_fd)
                status = await process.wait()
        except TimeoutError:
            raise VerifierFailedError(
                "The signature check took too long", why=f"{self._program} did not end within {self._seconds:g} s."
            ) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if status < 0:
            raise VerifierFailedError("The signature check crashed", why=f"{self._program} got signal {-status}.")
        return output


@dataclass(frozen=True, slots=True)
class _Workspace:
    """A private folder with the files and arguments of one check."""

    folder: Path
    keyrings: tuple[str, ...]
    arguments: tuple[str, ...]


@asynccontextmanager
async def _workspace(data: bytes, signature: bytes | None, keyrings: Sequence[str]) -> AsyncIterator[_Workspace]:
    """Create a workspace, and remove it even if the caller is cancelled while it is created."""
    creating = asyncio.ensure_future(asyncio.to_thread(_create_workspace, data, signature, keyrings))
    try:
        yield await asyncio.shield(creating)
    finally:
        await asyncio.to_thread(shutil.rmtree, (await creating).folder)


def _create_workspace(data: bytes, signature: bytes | None, keyrings: Sequence[str]) -> _Workspace:
    folder = Path(tempfile.mkdtemp(prefix="snapproxy-gpgv-"))
    try:
        arguments = ["--homedir", str(folder), "--status-fd", "1"]
        used = []
        for number, name in enumerate(keyrings):
            path = _readable_by_gpgv(Path(name), folder / f"keyring-{number}.gpg")
            if path:
                used.append(name)
                arguments += ["--keyring", str(path)]
        if not used:  # without --keyring gpgv uses ~/.gnupg/trustedkeys.kbx
            (folder / "none.gpg").touch()
            arguments += ["--keyring", str(folder / "none.gpg")]
        (folder / "data").write_bytes(data)
        if signature is not None:
            (folder / "signature").write_bytes(signature)
            arguments.append("signature")
    except BaseException:
        shutil.rmtree(folder)
        raise
    return _Workspace(folder, tuple(used), (*arguments, "data"))


def _readable_by_gpgv(keyring: Path, copy: Path) -> Path | None:
    """Return the file that gpgv reads for `keyring`: itself, or `copy` for an armored one; None if it is unusable."""
    if not _is_usable(keyring):
        return None
    with keyring.open("rb") as file:
        data = file.read(MAX_KEYRING + 1)
    if len(data) > MAX_KEYRING:
        _log.warning("The keyring %s is larger than %d MiB and is not used", keyring, MAX_KEYRING >> 20)
        return None
    if not is_armored(data):
        return keyring.absolute()  # gpgv looks for a name without slashes in its home folder
    try:
        copy.write_bytes(dearmor(data))
    except ValueError as error:
        _log.warning("The keyring %s is not used: %s", keyring, error)
        return None
    return copy


def _is_usable(keyring: Path) -> bool:
    """Return whether it is a readable regular file: a pipe or a device would block the reader."""
    try:
        return stat.S_ISREG(keyring.stat().st_mode) and os.access(keyring, os.R_OK)
    except OSError:
        return False


def _find(programs: Sequence[str]) -> str:
    for name in programs:
        if found := shutil.which(name):
            return found
    raise VerifierMissingError(programs)


async def _start(program: str, workspace: _Workspace) -> tuple[asyncio.subprocess.Process, int]:
    """Start the program; return it and the descriptor to read its output from.

    This module creates the pipe. With a pipe of asyncio, `Process.wait` (Python 3.11) also waits for the end of the
    output, which is never reached once reading has paused because the buffer is full, or while a grandchild has the
    pipe open.
    """
    read_end, write_end = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *workspace.arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=write_end,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=workspace.folder,
            env={"LC_ALL": "C", "TZ": "UTC", "HOME": str(workspace.folder), "PATH": os.defpath},
        )
    except BaseException:
        os.close(read_end)
        raise
    finally:
        os.close(write_end)
    return process, read_end


async def _read_output(fd: int) -> bytes:
    """Read the pipe to its end and close it. Raise VerifierFailedError as soon as the output exceeds the limit."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb", buffering=0)
    )
    output = bytearray()
    try:
        while piece := await reader.read(65536):
            output += piece
            if len(output) > _MAX_OUTPUT:
                raise VerifierFailedError(
                    "The signature check printed too much", why=f"The limit is {_MAX_OUTPUT >> 20} MiB of status lines."
                )
    finally:
        transport.close()
    return bytes(output)
