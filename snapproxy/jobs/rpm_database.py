"""Query a copy of rpm's database with the program `rpm`, if this machine has it.

The program gets a copy in a folder of its own, so that it neither enters the root nor writes to it.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from snapproxy.errors import ArchiveDataError
from snapproxy.formats.time_evidence.installed import RPM_QUERY

SECONDS = 60.0
"""Maximum duration of the query; a full installation takes about one second."""

LARGEST = 64 << 20
"""Maximum bytes of the answer that are read."""

FILE = "rpmdb.sqlite"


def query_rpm(database: bytes) -> bytes:
    """Return the answer of rpm for the bytes of a database. Blocks. Raises ArchiveDataError if there is none."""
    rpm = shutil.which("rpm")
    if rpm is None:
        raise ArchiveDataError("The database of rpm was not read", why="The program rpm is not installed here.")
    with tempfile.TemporaryDirectory(prefix="snapproxy-rpm-") as folder:
        Path(folder, FILE).write_bytes(database)
        command = [rpm, "--dbpath", folder, "--define", "_db_backend sqlite", "-qa", "--qf", RPM_QUERY]
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "HOME": folder}
        answer = Path(folder, "answer")
        try:
            with answer.open("wb") as out:
                subprocess.run(  # noqa: S603 -- a fixed command line, without a shell
                    command,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.DEVNULL,
                    timeout=SECONDS,
                    check=True,
                )
        except (subprocess.SubprocessError, OSError) as error:
            raise ArchiveDataError("The database of rpm was not read", why=f"rpm failed: {error}"[:200]) from error
        with answer.open("rb") as file:
            return file.read(LARGEST)
