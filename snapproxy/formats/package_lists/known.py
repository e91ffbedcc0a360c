"""The known formats, and the recognition of a list by its content."""

from __future__ import annotations

from snapproxy.formats.package_lists.model import LARGEST, MOST_ENTRIES, ListFormat, ListFormatError, PackageList

FORMATS: tuple[ListFormat, ...] = ()
"""All formats, in the order in which they are tried: the ones with an unmistakable beginning first."""


def read_list(data: bytes, formats: tuple[ListFormat, ...] = FORMATS) -> PackageList:
    """Return the list that `data` contains, read by the first format that accepts it.

    Raises ListFormatError. If no format is recognised, its message has the place at which each one failed.
    """
    if len(data) > LARGEST:
        raise ListFormatError("", f"It has {len(data)} bytes; the maximum is {LARGEST}.")
    failures = []
    for each in formats:
        try:
            found = each.read(data)
        except ListFormatError as error:
            if error.is_recognised:
                raise
            failures.append(f"{each.name}: {error.why}")
            continue
        if len(found.entries) > MOST_ENTRIES:
            raise ListFormatError("", f"It has {len(found.entries)} entries; the maximum is {MOST_ENTRIES}.")
        return found
    raise ListFormatError("", "It has none of the known forms.\n" + "\n".join(f"  {line}" for line in failures))
