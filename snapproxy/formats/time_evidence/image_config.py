"""Read the dates of an image's configuration (OCI image-spec, "Image Configuration"): `created`, labels, history.

The history has one entry for each instruction; its comments (`created_by`) contain the addresses that RUN used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snapproxy.formats.strict_json import read_object
from snapproxy.formats.time_evidence.dates import DatedLine, quoted, read_iso

LARGEST = 4 << 20
"""Maximum size of a configuration in bytes."""

LABELS = ("org.opencontainers.image.created", "org.label-schema.build-date", "build-date")
"""Labels with the date at which an image was built, the standard one first."""

_BASE_LABELS = ("org.opencontainers.image.base.name", "org.opencontainers.image.ref.name")
_MOST_STEPS = 1_000
_LONGEST_STEP = 64 << 10


@dataclass(frozen=True, slots=True)
class ImageDates:
    """The dates of an image.

    `created` is the date of the configuration; `labels` are dates by label; `commands` the instructions of the history
    by their numbers, from 1; `bases` are names of images that labels state.
    """

    created: DatedLine | None
    labels: Mapping[str, DatedLine]
    commands: Mapping[int, str]
    bases: tuple[str, ...]


def read_image_config(data: bytes) -> ImageDates:
    """Read a configuration. Raises ArchiveDataError if it is not a JSON object; other values are left out."""
    value = read_object(data, "The image's configuration")
    inner = _object(value.get("config"))
    labels = {name: text for name, text in _object(inner.get("Labels")).items() if isinstance(text, str)}
    commands = {}
    history = value.get("history")
    for number, step in enumerate(history[:_MOST_STEPS] if isinstance(history, list) else (), 1):
        command = _text(_object(step).get("created_by"))[:_LONGEST_STEP]
        if command:
            commands[number] = command
    dated = {name: found for name in LABELS if (found := _dated(labels.get(name)))}
    bases = tuple(labels[name] for name in _BASE_LABELS if labels.get(name))
    return ImageDates(_dated(value.get("created")), dated, commands, bases)


def _dated(value: Any) -> DatedLine | None:
    instant = read_iso(value) if isinstance(value, str) else None
    return None if instant is None else DatedLine(instant, instant, 0, quoted(value))


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
