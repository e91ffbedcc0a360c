"""The digest by which verified bytes are looked up."""

from __future__ import annotations

import pytest

from snapproxy.core.expected_files import identity
from snapproxy.core.model import ExpectedFile

EVERY = {"own-part": "p", "md5": "m", "sha1": "1", "sha512": "5", "sha256": "2"}


@pytest.mark.parametrize("best", ["sha256", "sha512", "sha1", "md5", "own-part"])
def test_the_best_digest_names_the_bytes(best: str) -> None:
    order = ["own-part", "md5", "sha1", "sha512", "sha256"]
    given = {name: EVERY[name] for name in order[: order.index(best) + 1]}
    assert identity(ExpectedFile("x", 1, given)) == (best, EVERY[best])


def test_without_a_digest_nothing_does() -> None:
    assert identity(ExpectedFile("x", 1, {})) is None


def test_several_of_a_family_s_own_are_taken_in_one_order() -> None:
    assert identity(ExpectedFile("x", 1, {"b": "2", "a": "1"})) == ("a", "1")
