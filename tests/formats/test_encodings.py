"""A stated Content-Encoding is the compression of the file itself, or nothing was encoded, or it is an encoding."""

import bz2
import gzip
import lzma

import pytest
import zstandard

from snapproxy.formats.encodings import is_own_compression

PACKED = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "zstd": zstandard.compress}
SUFFIXES = {"gzip": "x.tar.gz", "bzip2": "Packages.bz2", "xz": "Packages.xz", "zstd": "hello-1-1-any.pkg.tar.zst"}


@pytest.mark.parametrize("prefix", ["", "x-"])
@pytest.mark.parametrize("encoding", PACKED)
def test_the_compression_that_the_suffix_announces_is_no_encoding(encoding: str, prefix: str) -> None:
    first = PACKED[encoding](b"data")
    assert is_own_compression(prefix + encoding, f"pool/{SUFFIXES[encoding]}", first)
    assert not is_own_compression(prefix + encoding, "pool/x.deb", first)
    assert not is_own_compression(prefix + encoding, "pool/x.deb", first[:1]), "a piece may be short"
    assert not is_own_compression(prefix + encoding, "Packages.lz4", first)


def test_a_package_of_apk_is_a_sequence_of_gzip_members() -> None:
    assert is_own_compression("x-gzip", "main/x86_64/x-1-r0.apk", gzip.compress(b""))


@pytest.mark.parametrize("encoding", PACKED)
def test_bytes_that_are_not_compressed_were_not_encoded(encoding: str) -> None:
    assert is_own_compression(encoding, "gpgkey.asc", b"-----BEGIN PGP PUBLIC KEY BLOCK-----")


@pytest.mark.parametrize("encoding", ["br", "deflate", "compress", "gzip, gzip", "x"])
def test_any_other_encoding_is_one(encoding: str) -> None:
    assert not is_own_compression(encoding, "x.gz", b"\x1f\x8b")
