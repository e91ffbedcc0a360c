"""The dates of installation in the logs of package managers."""

from __future__ import annotations

import pytest

from snapproxy.formats.time_evidence.dates import UNKNOWN_ZONE
from snapproxy.formats.time_evidence.install_logs import EASTERNMOST, last_installation

DPKG = b"""\
2024-06-01 11:59:58 startup archives unpack
2024-06-01 11:59:59 install bash:amd64 <none> 5.2.15-2+b7
2024-06-01 12:00:00 status unpacked bash:amd64 5.2.15-2+b7
2024-06-01 12:00:01 status installed bash:amd64 5.2.15-2+b7
2024-06-02 12:00:00 status config-files vim:amd64 2:9.0
2024-06-03 12:00:00 remove vim:amd64 2:9.0 <none>
"""
APT = b"""\

Start-Date: 2024-06-01  12:00:01
Commandline: apt-get install bash
Install: bash:amd64 (5.2.15-2+b7)
End-Date: 2024-06-01  12:00:05
"""
PACMAN = b"""\
[2024-06-01T11:00:00+0000] [PACMAN] Running 'pacman -Syu'
[2024-06-01T14:00:01+0200] [ALPM] upgraded bash (5.2.021-1 -> 5.2.026-2)
[2024-06-02T12:00:00+0000] [ALPM] removed vim (9.1-1)
"""
DNF4 = b"""\
2024-06-01T12:00:00+0000 INFO --- logging initialized ---
2024-06-01T12:00:01+0000 SUBDEBUG Installed: bash-5.2.26-3.fc40.x86_64
2024-06-02T12:00:01+0000 SUBDEBUG Erase: vim-9.1-1.fc40.x86_64
"""
DNF5 = b"""\
2024-06-01T12:00:00+0000 [41] INFO DNF5 start
2024-06-01T12:00:01+0000 [41] INFO [rpm] Install: bash-5.2.26-3.fc40.x86_64
"""
NOON = 1717243201


@pytest.mark.parametrize(("name", "data", "line"), [
    ("pacman.log", PACMAN, 2), ("dnf.rpm.log", DNF4, 2), ("dnf5.log", DNF5, 2),
])  # fmt: skip
def test_a_log_with_zones_gives_one_instant(name: str, data: bytes, line: int) -> None:
    found = last_installation(name, data)
    assert found is not None
    assert (found.first, found.last, found.line) == (NOON, NOON, line)


@pytest.mark.parametrize(("name", "data", "line"), [("dpkg.log", DPKG, 4), ("history.log", APT, 2)])
def test_a_local_time_may_be_of_any_zone(name: str, data: bytes, line: int) -> None:
    found = last_installation(name, data)
    assert found is not None
    assert (found.first, found.last, found.line) == (NOON - EASTERNMOST, NOON + UNKNOWN_ZONE, line)


def test_the_line_is_quoted_in_printable_ascii() -> None:
    hostile = b"[2024-06-01T12:00:01+0000] [ALPM] installed \x1b[2Jx\xff" + b"y" * 1000
    found = last_installation("pacman.log", hostile)
    assert found is not None
    assert found.text.isascii()
    assert found.text.isprintable()
    assert len(found.text) <= 160


@pytest.mark.parametrize("name", ["dpkg.log", "history.log", "pacman.log", "dnf.rpm.log", "dnf5.log"])
@pytest.mark.parametrize("data", [b"", b"\0" * 5000, b"2024-13-45 99:99:99 status installed a b\n", b"[9999-01-01]\n"])
def test_other_data_has_no_date(name: str, data: bytes) -> None:
    assert last_installation(name, data) is None
