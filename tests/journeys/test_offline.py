"""`serve --offline` in a network name space without routes, traced.

Stored files are served, and no socket is opened to another machine.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.proxy import Snapproxy, command, configuration, environment
from tests.fakes.world import FIRST, SECOND, World

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(os.geteuid() != 0, reason="a network name space of one's own takes root"),
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]

_ASK = """
import http.client, json, sys, time
answers = []
for path in sys.argv[2:]:
    client = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=20)
    began = time.monotonic()
    client.request("GET", path)
    answer = client.getresponse()
    body = answer.read()
    assert time.monotonic() - began < 3, f"{path} was not answered at once"
    text = body.decode() if answer.status >= 400 else ""
    answers.append({"status": answer.status, "reason": answer.reason, "size": len(body), "text": text})
    client.close()
print(json.dumps(answers))
"""


def ask(pid: int, port: int, *paths: str) -> list[dict[str, Any]]:
    """Send a request from inside the name space of process `pid`."""
    enter = ["nsenter", "--net", "--target", str(pid), sys.executable, "-c", _ASK, str(port), *paths]
    done = subprocess.run(enter, capture_output=True, text=True, check=True, timeout=60)
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def get(port: int, *paths: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", _ASK, str(port), *paths], capture_output=True, text=True, check=True, timeout=60
    )
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def test_offline_answers_what_is_stored_and_opens_no_socket(world: World, tmp_path: Path) -> None:
    settings = configuration(tmp_path / "snapproxy", world)
    folder = f"dists/{world.codename}"
    package = next(each for each in world.first.debian.packages if each.name == "xz-utils")
    stored = [f"/debian/{FIRST}/{path}" for path in (f"{folder}/InRelease", f"{folder}/main/binary-amd64/Packages.xz")]
    stored += [f"/debian/{FIRST}/{package.path}", f"/debian/live/{folder}/InRelease", "/mr/binary/xz-utils/"]
    stored += [f"/~build{stored[0]}", f"/~build{stored[1]}"]
    index = f"{folder}/main/binary-amd64"
    absent = [
        f"/debian/{FIRST}/{folder}/main/binary-s390x/Packages.xz",
        f"/debian/{FIRST}/{index}/by-hash/SHA256/{'0' * 64}",
    ]
    recorded = f"/~build/debian/{FIRST}/{index}/Packages.lzma"  # an absence that is recorded in the capture
    lacking = [
        f"/~build/debian/{FIRST}/{package.path}",
        f"/~other/debian/{FIRST}/{folder}/InRelease",
        f"/debian/{FIRST}/pool/main/n/nothing/nothing_1_amd64.deb",
        f"/debian/{FIRST}/{folder}/main/source/Sources.xz",
        f"/debian/{SECOND}/{folder}/InRelease",
        f"/debian/20230101T000000Z/{folder}/InRelease",
        f"/debian/live/{folder}-updates/InRelease",
        "/mr/binary/nothing/",
        f"/file/{'0' * 40}",
    ]
    with Snapproxy(settings) as online:
        before = get(online.port, *stored)
        assert [each["status"] for each in get(online.port, recorded)] == [404]
    assert [each["status"] for each in before] == [200] * len(stored)
    world.reset()

    ready, trace = tmp_path / "ready.json", tmp_path / "trace"
    serve = command(
        "serve", "--offline", "--config", str(settings), "--listen", "127.0.0.1:0", "--ready-file", str(ready)
    )
    script = 'ip link set lo up && exec strace -f -qq -e trace=network -o "$0" "$@"'
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", script, str(trace), *serve],
            env=environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
        )  # fmt: skip
    try:
        said = _wait_for(ready, process, log)
        port = int(said["listen"][0].rstrip("/").rpartition(":")[2])
        assert ask(said["pid"], port, *stored) == before
        absences = ask(said["pid"], port, *absent, recorded)
        refused = ask(said["pid"], port, *lacking)
        os.kill(said["pid"], signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    assert [each["status"] for each in absences] == [404] * 3, "a verified root does not list them, or a capture knows"
    for path, each in zip(lacking, refused, strict=True):
        assert each["status"] == 424, (path, each)
    needed = "\n".join(each["text"] for each in refused)
    assert f"The capture build has no {package.path} of debian at {FIRST}." in needed
    assert "'other'. Existing captures: build." in needed
    assert re.search(rf"The missing file is {folder}/main/source/Sources.xz of debian/[0-9]+T[0-9]+Z\.", needed)
    assert re.search(r"No snapshots of debian are known between 202[23][0-9]{4}T", needed)
    assert world.log.requests() == []
    calls = trace.read_text()
    families = set(re.findall(r"socket\(([A-Z0-9_]+)", calls))
    assert families <= {"AF_INET", "AF_UNIX"}, families
    assert "connect(" not in calls, [line for line in calls.splitlines() if "connect(" in line]
    assert not re.search(r"sendto\([^\n]*sin_port", calls), "no datagram to a resolver either"


def _wait_for(ready: Path, process: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            said: dict[str, Any] = json.loads(ready.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            time.sleep(0.05)
        else:
            return said
    raise AssertionError(log.read_text())
