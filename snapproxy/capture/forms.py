"""The written forms of a record, by the names under which users ask for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from snapproxy.capture import cyclonedx, intoto, sha256sums, spdx
from snapproxy.capture.lock import encode
from snapproxy.core.model import Instant
from snapproxy.core.record import Record

Writer = Callable[[Record, Instant | None], bytes]
"""Write a record. The second argument is the time of documents that need one (SOURCE_DATE_EPOCH), None without."""

FORMS: Mapping[str, Writer] = {
    "lock": lambda record, _: encode(record),
    "sha256sums": lambda record, _: sha256sums.of_packages(record),
    "sha256sums-titled": lambda record, _: sha256sums.of_titles(record),
    "cyclonedx": cyclonedx.write,
    "spdx": spdx.write,
    "in-toto": lambda record, _: intoto.write(record),
}
