"""Networks of clients: names, prefixes, mapped addresses, zones."""

from __future__ import annotations

import pytest

from snapproxy.access.networks import ClientNetworks, canonical


@pytest.mark.parametrize(("texts", "address", "is_admitted"), [
    (("loopback",), "127.0.0.9", True),
    (("loopback",), "::1", True),
    (("loopback",), "10.0.0.1", False),
    (("private",), "172.31.255.255", True),
    (("private",), "172.32.0.0", False),
    (("private",), "fe80::1%eth0", True),
    (("private",), "fd00::1", True),
    (("private",), "2001:db8::1", False),
    (("private",), "::ffff:192.168.1.1", True),
    (("private",), "::ffff:8.8.8.8", False),
    (("192.0.2.0/24", "2001:db8::/32"), "192.0.2.255", True),
    (("192.0.2.0/24", "2001:db8::/32"), "2001:db8::1", True),
    (("192.0.2.0/24",), "192.0.3.0", False),
    (("any",), "8.8.8.8", True),
    (("any",), "2001:db8::1", True),
    ((), "127.0.0.1", False),
    (("any",), "-", False),
    (("loopback",), "", False),
])  # fmt: skip
def test_an_address_is_admitted_by_its_network(texts: tuple[str, ...], address: str, is_admitted: bool) -> None:
    assert ClientNetworks(texts).admits(address) == is_admitted


def test_a_network_has_one_form() -> None:
    assert [canonical(each) for each in ("private", "192.0.2.7", "2001:DB8::/32")] == [
        "private", "192.0.2.7/32", "2001:db8::/32",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "localhost", "192.0.2.1/24", "192.0.2.0/33", "2001:db8::/129"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 # the reader of the setting writes the message
        canonical(text)
