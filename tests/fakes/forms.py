"""The forms in which a user points apt at snapproxy."""

from __future__ import annotations

from collections.abc import Iterable

from tests.fakes.apt_root import AptRoot
from tests.fakes.proxy import Snapproxy
from tests.fakes.world import GenuineWorld, World

DEBIAN = "http://ftp.debian.org/debian"
UBUNTU = "http://archive.ubuntu.com/ubuntu"
SECURITY = "http://security.debian.org/debian-security"


def keyring_of(world: World | GenuineWorld, root: AptRoot) -> str:
    """Copy the world's keyring into the root; return the name to write after `signed-by=`."""
    return root.keyring(world.keyring if isinstance(world, GenuineWorld) else world.key.keyring)


def sources(root: AptRoot, world: World | GenuineWorld, base: str, suites: Iterable[str] = ()) -> AptRoot:
    """Write one-line sources for `base`: the stable suite, or the named ones."""
    key = keyring_of(world, root)
    root.sources(*(f"deb [signed-by={key}] {base} {suite} main" for suite in suites or [world.codename]))
    return root


def mirror_form(
    root: AptRoot, world: World | GenuineWorld, at: Snapproxy, when: str, suites: Iterable[str] = ()
) -> AptRoot:
    """State the time in the sources."""
    return sources(root, world, f"{at.url}/debian/{when}", suites)


def proxy_form(
    root: AptRoot, world: World | GenuineWorld, at: Snapproxy, when: str, suites: Iterable[str] = ()
) -> AptRoot:
    """State the time in the proxy's address and leave the sources as a distribution ships them."""
    root.configure(f'Acquire::http::Proxy "{at.proxy(when)}";')
    return sources(root, world, DEBIAN, suites)


def trouble(text: str) -> list[str]:
    """Return the lines in which apt reports an error or a retry."""
    return [line for line in text.splitlines() if line.startswith(("E:", "W:", "Err:", "Ign:"))]
