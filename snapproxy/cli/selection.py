"""Read the selection of a verb: suites, components, repositories and architectures."""

from __future__ import annotations

from collections.abc import Iterable

from snapproxy.errors import ConfigurationError


def words(values: Iterable[str]) -> tuple[str, ...]:
    """Return the words of a repeated option whose values may be separated by commas, each once."""
    return tuple(dict.fromkeys(word for value in values for word in value.split(",") if word))


def suites_by_archive(values: Iterable[str], archive: str) -> dict[str, tuple[str, ...]]:
    """Return the suites of each archive from `SUITE` and `ARCHIVE:SUITE`; `archive` has those without a name.

    Raises ConfigurationError for an empty name.
    """
    found: dict[str, tuple[str, ...]] = {}
    for word in words(values):
        named, colon, suite = word.rpartition(":")
        if not suite or (colon and not named):
            raise ConfigurationError(f"--suite {word[:40]!a} is not SUITE or ARCHIVE:SUITE")
        found[named or archive] = (*found.get(named or archive, ()), suite)
    return found
