"""Cleartext signed messages: only the signed text is extracted."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.clearsigned import body, is_clearsigned

GENUINE = Path("tests/data/debian-security/dists/bookworm-security/InRelease").read_bytes()
SIGNATURE = "-----BEGIN PGP SIGNATURE-----\n\niHUEARYIAB0\n=AfjX\n-----END PGP SIGNATURE-----\n"


def message(text: str, *, headers: str = "Hash: SHA256\n", before: str = "", after: str = "") -> bytes:
    escaped = "".join(f"- {line}\n" if line.startswith("-") else f"{line}\n" for line in text.split("\n"))
    return f"{before}-----BEGIN PGP SIGNED MESSAGE-----\n{headers}\n{escaped}{SIGNATURE}{after}".encode()


@given(st.text(st.characters(blacklist_categories=["Cs"])))
def test_the_signed_text_is_extracted_unchanged(text: str) -> None:
    assert body(message(text)) == f"{text}\n".encode()


@given(st.binary())
def test_any_bytes_are_a_message_or_an_archive_data_error(data: bytes) -> None:
    for candidate in (data, b"-----BEGIN PGP SIGNED MESSAGE-----\n\n" + data):
        try:
            body(candidate)
        except ArchiveDataError:
            continue


def test_blanks_after_the_end_carriage_returns_and_several_hash_headers_pass() -> None:
    expected = b"Origin: T\n"
    assert body(message("Origin: T", after="\n \t\n")) == expected
    assert body(message("Origin: T", headers="Hash: SHA256\nHash: SHA512\n")) == expected
    assert body(message("Origin: T", headers="")) == expected
    assert body(message("Origin: T").replace(b"\n", b"\r\n")) == b"Origin: T\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"Origin: T\n",
        b"<html>",
        message("Origin: T", before="\n"),
        message("Origin: T", before="Origin: Evil\n\n"),
        message("Origin: T", after="Origin: Evil\n"),
        message("Origin: T") + message("Origin: Evil"),
        message("Origin: T", headers="Hash: SHA256\nOrigin: Evil\n"),
        message("Origin: T", headers="Hash: SHA256\n \nOrigin: Evil\n"),
        message("Origin: T").replace(b"Origin", b"-Origin"),
        message("Origin: T").replace(b"\n\nOrigin", b"\nOrigin"),
        message("Origin: T").replace(b"=AfjX\n", b"=AfjX\n-----BEGIN PGP SIGNATURE-----\n"),
        message("Origin: T").partition(b"-----BEGIN PGP SIGNATURE")[0],
        message("Origin: T").partition(b"-----END")[0],
    ],
)
def test_what_is_not_exactly_one_signed_message_is_refused(data: bytes) -> None:
    with pytest.raises(ArchiveDataError):
        body(data)


def test_debians_own_root_is_read() -> None:
    assert is_clearsigned(GENUINE)
    assert body(GENUINE).startswith(b"Origin: Debian\nLabel: Debian-Security\n")
    assert body(GENUINE).endswith(b"non-free/source/Sources.xz\n")


def test_every_truncation_of_a_debian_root_is_detected() -> None:
    for kept in range(0, len(GENUINE) - 2, 97):
        with pytest.raises(ArchiveDataError):
            body(GENUINE[:kept])


@pytest.mark.parametrize(
    "text", ["", "\n", "- dash\n-----BEGIN PGP SIGNATURE-----\nend", "Origin: é\n\nFrom: x\n -y", "a\n\n"]
)
def test_the_extracted_text_is_the_text_that_gpg_signs(tmp_path: Path, text: str) -> None:
    gpg = ["gpg", "--homedir", str(tmp_path), "--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback"]
    tmp_path.chmod(0o700)
    subprocess.run([*gpg, "--quick-gen-key", "T <t@example.org>", "ed25519", "sign", "never"], check=True)
    signed = subprocess.run([*gpg, "--clearsign"], input=text.encode(), stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(["gpgconf", "--homedir", str(tmp_path), "--kill", "all"], check=True)
    assert body(signed).decode().rstrip("\n") == text.rstrip("\n")
