"""Read $SOURCE_DATE_EPOCH, the only time that a written document may have."""

from __future__ import annotations

import re
from collections.abc import Mapping

from snapproxy.core.model import Instant
from snapproxy.errors import ConfigurationError

_EPOCH = re.compile(r"[0-9]{1,11}")


def source_date_epoch(environ: Mapping[str, str]) -> Instant | None:
    """Return the time in seconds since 1970, None if unset (reproducible-builds.org/specs/source-date-epoch).

    Raises ConfigurationError for any other text.
    """
    text = environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not _EPOCH.fullmatch(text):
        raise ConfigurationError(
            "SOURCE_DATE_EPOCH is not a number of seconds",
            why=f"It is {text[:40]!r}.",
            hint="Set it to whole seconds since 1970, or unset it.",
        )
    return int(text)
