"""The digest by which verified bytes are looked up."""

from __future__ import annotations

import pytest

from snapproxy.core.expected_files import identity
from snapproxy.core.model import ExpectedFile, Proof

EVERY = {"own-part": "p", "md5": "m", "sha1": "1", "sha224": "4", "sha384": "3", "sha512": "5", "sha256": "2"}


@pytest.mark.parametrize("best", ["sha256", "sha512", "sha384", "sha224", "sha1", "md5", "own-part"])
def test_the_best_digest_names_the_bytes(best: str) -> None:
    order = list(EVERY)
    given = {name: EVERY[name] for name in order[: order.index(best) + 1]}
    assert identity(ExpectedFile("x", 1, given)) == (best, EVERY[best])


@pytest.mark.parametrize("algorithm", ["sha224", "sha256", "sha384", "sha512"])
def test_any_source_may_supply_bytes_that_sha_2_verifies(algorithm: str) -> None:
    assert ExpectedFile("x", 1, {algorithm: EVERY[algorithm]}).is_strong


def test_without_a_digest_nothing_does() -> None:
    assert identity(ExpectedFile("x", 1, {})) is None


def test_several_of_a_family_s_own_are_taken_in_one_order() -> None:
    assert identity(ExpectedFile("x", 1, {"b": "2", "a": "1"})) == ("a", "1")


@pytest.mark.parametrize(
    ("algorithms", "proof"),
    [
        ({"md5"}, Proof.INDEX),
        ({"sha1"}, Proof.INDEX),
        ({"md5", "sha1"}, Proof.INDEX),
        (set(), Proof.INDEX),
        ({"md5", "sha256"}, Proof.GPG),
        ({"sha512"}, Proof.GPG),
        ({"sha384"}, Proof.GPG),
        ({"apk-identity-160"}, Proof.GPG),
    ],
)
def test_a_weak_digest_gives_no_proof_of_a_signature(algorithms: set[str], proof: Proof) -> None:
    expected = ExpectedFile("x", 1, dict.fromkeys(algorithms, "00"))
    assert expected.proof_by(Proof.GPG) is proof
    assert expected.proof_by(Proof.INDEX) is expected.proof_by(Proof.NONE) is Proof.INDEX
