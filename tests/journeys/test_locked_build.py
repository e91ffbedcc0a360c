"""A build that is recorded online and replayed without network.

The replay runs in a network name space without routes, and is traced.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from snapproxy.capture.lock_reader import decode
from tests.fakes import proxy as snapproxy_process
from tests.fakes.apt_root import AptRoot
from tests.fakes.arch import REPO, ArchWorld
from tests.fakes.content import epoch, stamp
from tests.fakes.forms import DEBIAN, sources
from tests.fakes.proxy import command, configuration, environment
from tests.fakes.world import FIRST, SECOND, World

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(os.geteuid() != 0, reason="a network name space of one's own takes root"),
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]

MakeRoot = Callable[[str], AptRoot]
BUILD = "apt-get update && apt-get install --download-only -y xz-utils"


def online(settings: Path, root: AptRoot, *options: str, script: str = BUILD) -> subprocess.CompletedProcess[str]:
    arguments = ("run", "--config", str(settings), *options, "--", "sh", "-c", script)
    return snapproxy_process.run(*arguments, extra=root.environment())


def cut_off(
    settings: Path, root: AptRoot, trace: Path, *options: str, script: str = BUILD
) -> subprocess.CompletedProcess[str]:
    """Run with the loopback interface alone.

    Every system call of snapproxy's own threads that touches the network is recorded.
    """
    ours = command("run", "--config", str(settings), *options, "--", "sh", "-c", script)
    alone = [
        "unshare",
        "--net",
        "sh",
        "-c",
        'ip link set lo up && exec strace -f -qq -e trace=network,execve -o "$0" "$@"',
    ]
    return subprocess.run(
        [*alone, str(trace), *ours], env={**environment(), **root.environment(), "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_a_locked_build_is_the_same_where_nothing_is_reachable(
    world: World, tmp_path: Path, apt_root: MakeRoot
) -> None:
    settings = configuration(tmp_path / "snapproxy", world)
    first, second = (sources(apt_root(name), world, DEBIAN) for name in ("online", "offline"))
    lock = tmp_path / "snapproxy.lock.json"
    recorded = online(settings, first, "--at", FIRST, "--lock", str(lock))
    assert recorded.returncode == 0, recorded.stdout + recorded.stderr
    assert f"{lock} locks " in recorded.stderr
    world.reset()

    trace = tmp_path / "trace"
    replayed = cut_off(settings, second, trace, "--locked", str(lock), "--offline")
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert second.fetched() == first.fetched()
    assert len(second.fetched()) > 1
    assert second.candidates("xz-utils") == {"xz-utils": world.first.versions["xz-utils"]}
    assert world.log.requests() == []
    assert '"127.0.0.1"' in trace.read_text()
    assert not leaves(trace.read_text()), "apt alone connects, and to nobody but the proxy"


def test_a_used_store_and_a_fresh_one_write_the_same_lock(world: World, tmp_path: Path, apt_root: MakeRoot) -> None:
    """The used store has seen the same root before and after the time of the lock."""
    before, first, _, after = [each for each in world.archives["debian"].ids if each < SECOND][:4]
    at, locks = stamp(epoch(first) + 60), []
    for name, others in (("fresh", ()), ("used", (before, after))):
        settings = configuration(tmp_path / name, world)
        for when in others:
            done = online(settings, sources(apt_root(f"{name}-{when}"), world, DEBIAN), "--at", when)
            assert done.returncode == 0, done.stdout + done.stderr
        lock = tmp_path / f"{name}.json"
        done = online(settings, sources(apt_root(name), world, DEBIAN), "--at", at, "--lock", str(lock))
        assert done.returncode == 0, done.stdout + done.stderr
        locks.append(lock.read_bytes())
    assert locks[0] == locks[1]
    assert f'"snapshot":"{first}"'.encode() in locks[0]


def test_what_a_lock_does_not_hold_is_refused_aloud(world: World, tmp_path: Path, apt_root: MakeRoot) -> None:
    settings = configuration(tmp_path / "snapproxy", world)
    root, lock = sources(apt_root("root"), world, DEBIAN), tmp_path / "a.json"
    recorded = online(settings, root, "--at", FIRST, "--lock", str(lock), script="apt-get update")
    assert recorded.returncode == 0, recorded.stdout + recorded.stderr
    world.reset()
    for options in ((), ("--offline",)):
        done = online(settings, root, "--locked", str(lock), *options)
        text = done.stdout + done.stderr
        assert done.returncode == 100, text
        assert "424  Not in the replayed record" in text
    assert world.log.requests() == [], "not even asked for, though it could have been had"


def leaves(trace: str) -> list[str]:
    """Return the calls that lead to another machine."""
    calls = re.findall(r"^.*(?:connect|sendto|sendmsg|sendmmsg)\(.*sin6?_(?:port|addr).*$", trace, re.MULTILINE)
    return [call for call in calls if '"127.0.0.1"' not in call]


def test_days_and_lasting_names_of_arch_linux_are_brought_again(arch: ArchWorld, tmp_path: Path) -> None:
    """The archive's own addresses: a day is a folder, and packages have an address without a time.

    The second store is empty.
    """
    file = arch.old.file
    paths = (f"repos/2024/06/02/{REPO}/core.db", f"repos/2024/06/02/{REPO}/{file}", f"packages/d/dummy/{file}")
    script = "p=${http_proxy##*/}; p=${p##*@}; " + "; ".join(
        f"curl -s --noproxy '*' http://$p/{path} | sha256sum" for path in paths
    )
    first, second = (str(arch.configuration(tmp_path / name)) for name in ("first", "second"))
    lock = str(tmp_path / "a.json")
    recorded = snapproxy_process.run("run", "--config", first, "--at", FIRST, "--lock", lock, "--", "sh", "-c", script)
    assert recorded.returncode == 0, recorded.stderr
    held = {
        entry.requested: entry.sha256 for entry in decode(Path(lock).read_bytes()).entries if entry.path.endswith(file)
    }
    assert held == dict.fromkeys(("2024/06/02", "packages"), hashlib.sha256(arch.old.data).hexdigest())
    replayed = snapproxy_process.run("run", "--config", second, "--locked", lock, "--", "sh", "-c", script)
    assert replayed.stdout == recorded.stdout
    assert "2 from upstream" in replayed.stderr
