"""Raw RSA signatures, with real keys: what a root signed by them is worth."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from snapproxy.core.model import Archive
from snapproxy.core.schemes import RawRsa
from snapproxy.core.signatures import Verdict
from snapproxy.families.apk import APK
from snapproxy.shell import rsa
from tests.fakes.alpine import RsaKey, index, package

KEY = RsaKey("builder@example.org-1.rsa.pub")
OTHER = RsaKey("builder@example.org-2.rsa.pub")
PACKAGES = [package("hello", "1-r0", KEY)]
SIGNED = index(PACKAGES, KEY)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    KEY.write(folder)
    return folder


async def judged(data: bytes, *keyrings: Path) -> Verdict:
    assert isinstance(APK.scheme, RawRsa)
    seals = APK.scheme.seals("x86_64/APKINDEX.tar.gz", data)
    assert seals is not None
    return await rsa.verify(data, seals, [str(each) for each in keyrings])


@pytest.mark.parametrize("algorithm", ["RSA", "RSA256", "RSA512"])
async def test_a_good_signature_by_a_key_in_a_folder(keys: Path, algorithm: str) -> None:
    assert await judged(index(PACKAGES, KEY, algorithm=algorithm), keys) == Verdict(signers=(KEY.name,))


async def test_a_key_may_be_named_as_a_file(keys: Path) -> None:
    assert (await judged(SIGNED, keys / KEY.name)).good


async def test_changed_bytes(keys: Path) -> None:
    verdict = await judged(KEY.sign(b"something else") + index(PACKAGES), keys)
    assert (verdict.good, verdict.reason) == (False, "The root's signature is bad")
    assert KEY.name in verdict.why


async def test_another_key_under_the_same_name(tmp_path: Path) -> None:
    RsaKey(KEY.name).write(tmp_path)
    assert (await judged(SIGNED, tmp_path)).reason == "The root's signature is bad"


async def test_one_of_two_keys_by_the_same_name_suffices(keys: Path, tmp_path: Path) -> None:
    """A distribution's folder and the user's own may hold different keys that were given one name."""
    RsaKey(KEY.name).write(tmp_path / "older")
    assert (await judged(SIGNED, tmp_path / "older", keys)).good


async def test_an_unknown_key_says_what_to_do(keys: Path) -> None:
    verdict = await judged(index(PACKAGES, OTHER), keys)
    assert verdict.reason == "The root is signed by a key that is in no keyring"
    assert "keyrings" in verdict.hint
    assert OTHER.name in verdict.why


async def test_a_signature_by_an_unknown_key_beside_a_good_one_counts_for_nothing(keys: Path) -> None:
    assert (await judged(index(PACKAGES, OTHER, KEY), keys)).signers == (KEY.name,)


async def test_a_bad_signature_beside_a_good_one_is_fatal(keys: Path) -> None:
    OTHER.write(keys)
    body = index(PACKAGES)
    assert not (await judged(OTHER.sign(b"something else") + KEY.sign(body) + body, keys)).good


async def test_a_root_without_a_signature(keys: Path) -> None:
    assert (await judged(index(PACKAGES), keys)).reason == "The root carries no signature"


@pytest.mark.parametrize("name", ["../keys/k.rsa.pub", "/etc/passwd", ".hidden", "..", "folder"])
async def test_a_signature_chooses_no_file_elsewhere(keys: Path, name: str) -> None:
    (keys / "folder").mkdir()
    outsider = RsaKey(name, bits=1024)
    (keys.parent / "k.rsa.pub").write_bytes(outsider.public)
    (keys / ".hidden").write_bytes(outsider.public)
    assert not (await judged(index(PACKAGES, outsider), keys)).good


async def test_what_is_no_rsa_key_is_not_used(keys: Path, caplog: pytest.LogCaptureFixture) -> None:
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    (keys / KEY.name).write_bytes(curve.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert (await judged(SIGNED, keys)).reason == "The root is signed by a key that is in no keyring"
    (keys / KEY.name).write_text("-----BEGIN NONSENSE-----\n")
    with caplog.at_level(logging.WARNING):
        assert not (await judged(SIGNED, keys)).good
    assert "is not used" in caplog.text


def test_available_keys_are_files_and_folders_that_can_be_read(keys: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    names = [keys, keys / KEY.name, tmp_path / "missing", tmp_path / "pipe"]
    row = Archive(name="a", family="apk", history="any-instant", keyrings=tuple(map(str, names)))
    assert rsa.available_keys(row) == (str(keys), str(keys / KEY.name))
