"""gpgv, with real keys made by a real gpg, and programs that misbehave."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from snapproxy.base.clock import SystemClock
from snapproxy.core.model import Archive
from snapproxy.trust.openpgp import (
    Evidence,
    OpenPgpVerifier,
    VerifierFailedError,
    VerifierMissingError,
    available_keyrings,
)

RELEASE = b"Origin: Test\nSuite: stable\nDate: Sat, 01 Jun 2024 00:00:00 UTC\n"


class Signer:
    """A gpg home with one key; its public half is in `binary` and, armored, in `armored`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.gpg("--quick-gen-key", "Test Archive <archive@example.org>", "ed25519", "sign", "never")
        keys = self.gpg("--with-colons", "--list-keys").decode()
        self.fingerprint = next(line.split(":")[9] for line in keys.splitlines() if line.startswith("fpr"))
        self.binary, self.armored = home / "archive.gpg", home / "archive.asc"
        self.binary.write_bytes(self.gpg("--export"))
        self.armored.write_bytes(self.gpg("--armor", "--export"))

    def gpg(self, *arguments: str, data: bytes = b"") -> bytes:
        command = [
            "gpg",
            "--homedir",
            str(self.home),
            "--batch",
            "--quiet",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
        ]
        return subprocess.run([*command, *arguments], input=data, capture_output=True, check=True).stdout

    def inline(self, data: bytes) -> bytes:
        return self.gpg("--clear-sign", data=data)

    def detached(self, data: bytes, *, armored: bool) -> bytes:
        return self.gpg("--detach-sign", *(["--armor"] if armored else []), data=data)


@pytest.fixture(scope="module")
def signer() -> Iterator[Signer]:
    with tempfile.TemporaryDirectory(prefix="gpg-") as home:  # not tmp_path: an agent's socket needs a short name
        yield Signer(Path(home))
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=True)


@pytest.fixture
def verifier() -> OpenPgpVerifier:
    return OpenPgpVerifier(clock=SystemClock())


def words(evidence: Evidence) -> set[str]:
    return {line.removeprefix("[GNUPG:] ").split(" ")[0] for line in evidence.lines}


@pytest.fixture(autouse=True)
def desks(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Temporary files are created in a folder of the test, which must be empty after it."""
    folder = tmp_path_factory.mktemp("desks")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


async def test_a_clear_signed_root(verifier: OpenPgpVerifier, signer: Signer) -> None:
    evidence = await verifier.verify(signer.inline(RELEASE), None, [str(signer.binary)])
    assert {"NEWSIG", "GOODSIG", "VALIDSIG"} <= words(evidence)
    assert any(signer.fingerprint in line for line in evidence.lines)
    assert evidence.keyrings == (str(signer.binary),)


@pytest.mark.parametrize("armored", [True, False])
async def test_a_detached_signature(verifier: OpenPgpVerifier, signer: Signer, armored: bool) -> None:
    signature = signer.detached(RELEASE, armored=armored)
    assert "GOODSIG" in words(await verifier.verify(RELEASE, signature, [str(signer.binary)]))
    assert "BADSIG" in words(await verifier.verify(RELEASE + b"x", signature, [str(signer.binary)]))


async def test_a_keyring_in_armor(verifier: OpenPgpVerifier, signer: Signer) -> None:
    evidence = await verifier.verify(signer.inline(RELEASE), None, [str(signer.armored)])
    assert "GOODSIG" in words(evidence)
    assert evidence.keyrings == (str(signer.armored),)


async def test_a_changed_root(verifier: OpenPgpVerifier, signer: Signer) -> None:
    changed = signer.inline(RELEASE).replace(b"stable", b"stolen")
    assert "BADSIG" in words(await verifier.verify(changed, None, [str(signer.binary)]))


async def test_without_a_usable_keyring_every_key_is_unknown(
    verifier: OpenPgpVerifier, signer: Signer, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.asc"
    damaged.write_bytes(signer.armored.read_bytes()[:-60])
    evidence = await verifier.verify(signer.inline(RELEASE), None, [str(tmp_path / "missing.gpg"), str(damaged)])
    assert "NO_PUBKEY" in words(evidence)
    assert "GOODSIG" not in words(evidence)
    assert evidence.keyrings == ()


async def test_the_keyring_of_the_user_is_not_used(
    verifier: OpenPgpVerifier, signer: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trustedkeys.gpg").write_bytes(signer.binary.read_bytes())
    monkeypatch.setenv("GNUPGHOME", str(tmp_path))
    assert "NO_PUBKEY" in words(await verifier.verify(signer.inline(RELEASE), None, []))


async def test_a_relative_keyring_is_relative_to_us(
    verifier: OpenPgpVerifier, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(signer.home)
    assert "GOODSIG" in words(await verifier.verify(signer.inline(RELEASE), None, ["archive.gpg"]))


async def test_an_unsigned_root_has_no_good_signature(verifier: OpenPgpVerifier, signer: Signer) -> None:
    assert "GOODSIG" not in words(await verifier.verify(RELEASE, None, [str(signer.binary)]))


async def test_the_lines_are_the_same_in_any_locale(
    verifier: OpenPgpVerifier, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = signer.inline(RELEASE)
    before = await verifier.verify(signed, None, [str(signer.binary)])
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("LANGUAGE", "de")
    assert await verifier.verify(signed, None, [str(signer.binary)]) == before


def program(folder: Path, script: str) -> str:
    path = folder / "gpgv"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def misbehaving(folder: Path, script: str, *, seconds: float = 5.0) -> OpenPgpVerifier:
    return OpenPgpVerifier(clock=SystemClock(), programs=[program(folder, script)], seconds=seconds)


async def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    with pytest.raises(VerifierFailedError, match="too long"):
        await misbehaving(tmp_path, "exec sleep 60", seconds=0.2).verify(RELEASE, None, [])


@pytest.mark.parametrize("script", ["exec cat /dev/zero", "cat /dev/zero; :"], ids=["itself", "its child"])
async def test_a_program_that_never_stops_printing_is_ended(tmp_path: Path, script: str) -> None:
    """The limit on its output ends it, long before the one on its time, even if a child of it goes on printing."""
    with pytest.raises(VerifierFailedError, match="too much"):
        await asyncio.wait_for(misbehaving(tmp_path, script, seconds=600.0).verify(RELEASE, None, []), 60)


async def test_a_program_that_crashes_gives_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(VerifierFailedError, match="crashed"):
        await misbehaving(tmp_path, 'echo "[GNUPG:] GOODSIG x"; kill -SEGV $$').verify(RELEASE, None, [])


async def test_a_program_that_cannot_be_run(tmp_path: Path) -> None:
    verifier = misbehaving(tmp_path, "")
    (tmp_path / "gpgv").write_text("#!/nonexistent\n")
    with pytest.raises(VerifierFailedError, match="could not be run"):
        await verifier.verify(RELEASE, None, [])


async def test_no_program_is_an_error_that_says_what_to_install() -> None:
    verifier = OpenPgpVerifier(clock=SystemClock(), programs=["no-such-gpgv"])
    with pytest.raises(VerifierMissingError, match="Install the package gpgv"):
        await verifier.verify(RELEASE, None, [])


async def test_a_cancelled_check_leaves_neither_process_nor_files(tmp_path: Path) -> None:
    verifier = misbehaving(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 60", seconds=60)
    check = asyncio.create_task(verifier.verify(RELEASE, None, []))
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        await asyncio.sleep(0.01)
    check.cancel()
    await asyncio.wait({check})
    assert check.cancelled()
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


@pytest.mark.parametrize("steps", range(6))
async def test_a_check_cancelled_at_its_start_leaves_no_files(verifier: OpenPgpVerifier, steps: int) -> None:
    check = asyncio.create_task(verifier.verify(RELEASE, None, []))
    for _ in range(steps):
        await asyncio.sleep(0)
    check.cancel()
    await asyncio.wait({check})


def test_available_keyrings_are_plain_files_that_can_be_read(tmp_path: Path) -> None:
    there = tmp_path / "archive.gpg"
    there.touch()
    row = Archive(
        "x", "apt", "snapshots", keyrings=(str(tmp_path / "missing.gpg"), str(there), str(tmp_path), "/dev/zero")
    )
    assert available_keyrings(row) == (str(there),)
