"""Raw signatures, with real keys: the verdict on a root signed by them."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from snapproxy.core.model import Archive
from snapproxy.core.signatures import Verdict
from snapproxy.families.apk import APK
from snapproxy.trust import raw_signatures
from tests.fakes.adb import EC_ID, RSA_ID, blocks, changed, container, genuine
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


async def judged(data: bytes, *keyrings: Path, path: str = "x86_64/APKINDEX.tar.gz") -> Verdict:
    found = APK.scheme.seals(path, data)
    return await raw_signatures.verify(found, [str(each) for each in keyrings])


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
    """A distribution's folder and the user's may contain different keys of the same name."""
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
    assert (await judged(index(PACKAGES), keys)).reason == "The root has no signature"


@pytest.mark.parametrize("name", ["../keys/k.rsa.pub", "/etc/passwd", ".hidden", "..", "folder"])
async def test_a_signature_cannot_select_a_file_elsewhere(keys: Path, name: str) -> None:
    (keys / "folder").mkdir()
    outsider = RsaKey(name, bits=1024)
    (keys.parent / "k.rsa.pub").write_bytes(outsider.public)
    (keys / ".hidden").write_bytes(outsider.public)
    assert not (await judged(index(PACKAGES, outsider), keys)).good


async def test_a_key_named_by_file_that_is_not_rsa_is_not_used(keys: Path, caplog: pytest.LogCaptureFixture) -> None:
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
    assert raw_signatures.available_keys(row) == (str(keys), str(keys / KEY.name))


# --- keys that are named by their digest: version 3 -------------------------------------------------------------------

INDEX_3 = genuine("Packages.adb")


async def judged_3(data: bytes, *keyrings: Path) -> Verdict:
    return await judged(data, *keyrings, path="x86_64/Packages.adb")


@pytest.fixture
def keys_3(tmp_path: Path) -> Path:
    """A folder with both keys that signed the genuine index, under arbitrary names, and with other files."""
    folder = tmp_path / "keys-3"
    OTHER.write(folder)
    (folder / "one.pub").write_bytes(genuine("rsa.pub"))
    (folder / "two.pub").write_bytes(genuine("ec.pub"))
    (folder / "notes.txt").write_text("no key\n")
    (folder / "folder").mkdir()
    return folder


async def test_keys_are_found_by_their_id_under_any_name(keys_3: Path) -> None:
    assert await judged_3(INDEX_3, keys_3) == Verdict(signers=(RSA_ID, EC_ID))


@pytest.mark.parametrize(("left", "signer"), [("one.pub", RSA_ID), ("two.pub", EC_ID)])
async def test_one_of_its_keys_suffices(keys_3: Path, left: str, signer: str) -> None:
    assert (await judged_3(INDEX_3, keys_3 / left)).signers == (signer,)


async def test_a_point_may_be_compressed(tmp_path: Path) -> None:
    """OpenSSL keeps the form that the key's file has, and apk digests that."""
    key = load_pem_public_key(genuine("ec.pub"))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    short = key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    head = hashlib.sha512(short).digest()[:16]
    metadata, _, (kind, signature) = blocks(INDEX_3)
    (tmp_path / "ec.pub").write_bytes(genuine("ec.pub"))
    other = container(b"indx", metadata, (kind, signature[:2] + head + signature[18:]))
    assert (await judged_3(other, tmp_path)).reason == "The root's signature is bad", (
        "found, and another head is signed"
    )


async def test_an_index_of_version_3_with_changed_bytes(keys_3: Path) -> None:
    def change(block: bytearray) -> None:
        block[:] = block.replace(b"1.0-r0", b"1.1-r0")

    verdict = await judged_3(changed(INDEX_3, change), keys_3)
    assert (verdict.good, verdict.reason) == (False, "The root's signature is bad")
    assert RSA_ID in verdict.why


async def test_an_index_of_version_3_by_an_unknown_key(keys: Path, tmp_path: Path) -> None:
    for keyring in (keys, keys / KEY.name, tmp_path / "missing"):
        assert (await judged_3(INDEX_3, keyring)).reason == "The root is signed by a key that is in no keyring"


async def test_an_index_of_version_3_without_a_signature(keys_3: Path) -> None:
    bare = container(b"indx", blocks(INDEX_3)[0])
    assert (await judged_3(bare, keys_3)).reason == "The root has no signature"


async def test_a_hidden_file_is_not_a_key(keys_3: Path) -> None:
    for name in ("one.pub", "two.pub"):
        (keys_3 / name).rename(keys_3 / f".{name}")
    assert not (await judged_3(INDEX_3, keys_3)).good
