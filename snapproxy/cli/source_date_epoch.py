"""Read $SOURCE_DATE_EPOCH, the only time that a written document may have."""

from __future__ import annotations

import re
from collections.abc import Mapping

from snapproxy.core.model import Instant
from snapproxy.errors import ConfigurationError

_EPOCH = re.compile(r"[0-9]{1,11}")


def source_date_epoch(environ: Mapping[str, str]) -> Instant | None:
    """Return the time that documents may bear, None without one (reproducible-builds.org/specs/source-date-epoch)."""
    text = environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not _EPOCH.fullmatch(text):
        raise ConfigurationError(
            "SOURCE_DATE_EPOCH is no time",
            why=f"It is {text[:40]!r}.",
            hint="Set it to seconds since 1970, or unset it.",
        )
    return int(text)
