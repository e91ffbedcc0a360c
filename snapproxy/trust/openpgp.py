"""Runs gpgv over a root and hands back what it said. What that is worth is judged by `core.signatures`, purely.

gpgv, or Sequoia's gpgv-sq, which speaks the same status lines. Plain sqv has none: it says yes or no by its own policy, and
ours (an expired key passes for what it signed in its time) needs the particulars. Keyrings are only read, never fetched, and
the user's own `~/.gnupg` is not looked at.
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
"""What is looked for in PATH, best first."""

SECONDS = 20.0
"""A check takes milliseconds; one that takes this long is being fed something made to be slow."""

KEYRING_MOST = 16 << 20
"""Bytes; all of Debian's keys since 2005, removed ones too, are below one."""

_OUTPUT_MOST = 1 << 20
"""Bytes of status lines: about a kilobyte a signature, and no root has a thousand."""

_AT_ONCE = 2
"""Checks at the same time: more would take the cores from those who are being served."""

_log = logging.getLogger(__name__)


class VerifierMissingError(ConfigurationError):
    """There is no program that checks signatures."""

    def __init__(self, programs: Sequence[str]) -> None:
        super().__init__(
            "no program to check OpenPGP signatures is installed",
            why=f"None of {', '.join(programs)} is in PATH.",
            hint="Install the package gpgv.",
        )


class VerifierFailedError(SnapproxyError):
    """The program did not come to an end we can use, whatever the signature is worth."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the program said (`lines`, status lines for `core.signatures.judge`), and by which of the keyrings asked for."""

    lines: tuple[str, ...]
    keyrings: tuple[str, ...]


def available_keyrings(row: Archive) -> tuple[str, ...]:
    """Return the row's keyrings that can be read here, in its order. Looks at the disk: for start-up, not for the event loop."""
    return tuple(name for name in row.keyrings if _is_usable(Path(name)))


class OpenPgpVerifier:
    """Checks signatures in a process of their own. `programs` are looked up in PATH once, at the first check."""

    def __init__(self, *, clock: Clock, programs: Sequence[str] = PROGRAMS, seconds: float = SECONDS) -> None:
        self._clock = clock
        self._programs = programs
        self._seconds = seconds
        self._program = ""
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def verify(self, data: bytes, signature: bytes | None, keyrings: Sequence[str]) -> Evidence:
        """Check `data` against its detached `signature` (None: it carries its own, as InRelease does).

        Keyrings that are not there are passed over; with none left every key is unknown, and the lines say so. The lines vouch
        for the signed part of a clear-signed text alone: who reads it must cut away what stands around.
        Raises VerifierMissingError, and VerifierFailedError when it takes too long, says too much, or cannot be run.
        """
        async with self._turns:
            try:
                async with _laid_out(data, signature, keyrings) as desk:
                    output = await self._run(desk)
            except OSError as error:
                raise VerifierFailedError("the signature check could not be run", why=str(error)) from error
        return Evidence(tuple(output.decode("utf-8", "replace").splitlines()), desk.keyrings)

    async def _run(self, desk: _Workspace) -> bytes:
        self._program = self._program or await asyncio.to_thread(_find, self._programs)
        process = await asyncio.create_subprocess_exec(
            self._program,
            *desk.arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=desk.folder,
            env={"LC_ALL": "C", "TZ": "UTC", "HOME": str(desk.folder), "PATH": os.defpath},
        )
        try:
            async with self._clock.timeout(self._seconds):
                output = await _read_to_the_end(process)
                status = await process.wait()
        except TimeoutError:
            raise VerifierFailedError("the signature check took too long") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if status < 0:
            raise VerifierFailedError("the signature check crashed", why=f"{self._program} got signal {-status}.")
        return output


@dataclass(frozen=True, slots=True)
class _Workspace:
    """A private folder with everything one check needs."""

    folder: Path
    keyrings: tuple[str, ...]
    arguments: tuple[str, ...]


@asynccontextmanager
async def _laid_out(data: bytes, signature: bytes | None, keyrings: Sequence[str]) -> AsyncIterator[_Workspace]:
    """Lay a desk out, and clear it away even if the caller is cancelled while that happens."""
    laying = asyncio.ensure_future(asyncio.to_thread(_lay_out, data, signature, keyrings))
    try:
        yield await asyncio.shield(laying)
    finally:
        await asyncio.to_thread(shutil.rmtree, (await laying).folder)


def _lay_out(data: bytes, signature: bytes | None, keyrings: Sequence[str]) -> _Workspace:
    folder = Path(tempfile.mkdtemp(prefix="snapproxy-gpgv-"))
    try:
        arguments = ["--homedir", str(folder), "--status-fd", "1"]
        used = []
        for number, name in enumerate(keyrings):
            path = _as_gpgv_reads_it(Path(name), folder / f"keyring-{number}.gpg")
            if path:
                used.append(name)
                arguments += ["--keyring", str(path)]
        if not used:  # gpgv would take ~/.gnupg/trustedkeys.kbx; an empty keyring says what is meant
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


def _as_gpgv_reads_it(keyring: Path, copy: Path) -> Path | None:
    """Return where gpgv finds the keys of `keyring`: the file itself, or `copy` when they come in armor; None if it is unusable."""
    if not _is_usable(keyring):
        return None
    with keyring.open("rb") as file:
        data = file.read(KEYRING_MOST + 1)
    if len(data) > KEYRING_MOST:
        _log.warning("the keyring %s is larger than %d MiB and is not used", keyring, KEYRING_MOST >> 20)
        return None
    if not is_armored(data):
        return keyring.absolute()  # gpgv takes a bare name for one in its own home
    try:
        copy.write_bytes(dearmor(data))
    except ValueError as error:
        _log.warning("the keyring %s is not used: %s", keyring, error)
        return None
    return copy


def _is_usable(keyring: Path) -> bool:
    """Whether it is a plain file, not a pipe or device that would hold the reader, and may be read."""
    try:
        return stat.S_ISREG(keyring.stat().st_mode) and os.access(keyring, os.R_OK)
    except OSError:
        return False


def _find(programs: Sequence[str]) -> str:
    for name in programs:
        if found := shutil.which(name):
            return found
    raise VerifierMissingError(programs)


async def _read_to_the_end(process: asyncio.subprocess.Process) -> bytes:
    """Read the output, bounded: what exceeds it is no verdict on a root."""
    output = bytearray()
    if process.stdout:
        while piece := await process.stdout.read(65536):
            output += piece
            if len(output) > _OUTPUT_MOST:
                raise VerifierFailedError("the signature check said too much")
    return bytes(output)
