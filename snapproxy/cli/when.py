"""Infer when a root, an image, a Dockerfile or a list of packages was made."""

from __future__ import annotations

import argparse
import platform
import shlex
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from snapproxy.archives import HISTORIES, find_archive
from snapproxy.base.clock import SystemClock
from snapproxy.cli.application import build, when_made
from snapproxy.cli.execution import result_of, run_async
from snapproxy.cli.messages import print_json, printable
from snapproxy.cli.registry_access import access_of
from snapproxy.config import Config, load
from snapproxy.core.address import AddressBook
from snapproxy.core.model import Instant
from snapproxy.core.time_evidence import MEANINGS, TimeEvidence
from snapproxy.core.time_spec import format_instant
from snapproxy.jobs.subject_evidence import SubjectEvidence, subject_evidence
from snapproxy.jobs.when import Subject, of_list, of_stages

MOST_SHOWN = 30
"""Maximum number of lines of evidence that are printed for people; --json has all."""

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
"""Go's names of architectures, as image indexes have them, by the kernel's."""

_COMMANDS = {"apt": "apt-get update", "pacman": "pacman -Syu", "apk": "apk update", "rpm": "dnf makecache"}


def main(arguments: argparse.Namespace) -> int:
    """Run the verb and return the exit code."""
    config = load(arguments.config)
    if arguments.archive:
        find_archive({each.name: each for each in config.archives}, arguments.archive)
    # Evidence is read as the user, who may read files that the owner of the store may not.
    subjects = _subjects(run_async(_collect(config, arguments)), arguments)
    if arguments.json:
        print_json([as_json(each) for each in subjects])
    else:
        print("\n\n".join("\n".join(map(printable, lines(each))) for each in subjects))
    return 0


async def _collect(config: Config, arguments: argparse.Namespace) -> SubjectEvidence:
    machine = _MACHINES.get(platform.machine(), platform.machine())
    book = AddressBook(archives=config.archives, histories=HISTORIES)
    return await subject_evidence(arguments.subject, access_of(arguments), SystemClock(), book, machine)


def _subjects(found: SubjectEvidence, arguments: argparse.Namespace) -> Sequence[Subject]:
    if found.root is not None:
        return [result_of(arguments, partial(_compare, found))]
    now = SystemClock().now()
    if found.stages:
        return of_stages(found.stages, found.name, now)
    return [of_list(found.listed, found.name, now)]


async def _compare(found: SubjectEvidence, config: Config, arguments: argparse.Namespace) -> Subject:
    """Compare the packages of a root with the archive's lists, with the store and upstream."""
    async with build(config, offline=arguments.offline) as app:
        return await when_made(app, found, arguments.archive)


def lines(subject: Subject) -> Iterator[str]:
    """Return the verdict on a subject for people: the interval, the confidence, warnings, the evidence, what to use."""
    verdict = subject.verdict
    packages = f", {subject.packages} packages of {subject.family}" if subject.family else ""
    yield f"{subject.name} ({subject.kind}{packages})"
    if verdict.earliest is None and verdict.latest is None:
        yield "  made        cannot tell"
    else:
        yield f"  made        {_span(verdict.earliest, verdict.latest)}"
    yield f"  confidence  {verdict.confidence}: {MEANINGS[verdict.confidence]}"
    for warning in subject.warnings:
        yield f"  warning     {warning}"
    for each in verdict.evidence[:MOST_SHOWN]:
        yield f"  evidence    {each.where}: {each.kind}, {_span(each.first, each.last)}: {each.says}"
    if len(verdict.evidence) > MOST_SHOWN:
        yield f"  evidence    and {len(verdict.evidence) - MOST_SHOWN} more; --json prints all"
    for note in subject.notes:
        yield f"  note        {note}"
    if verdict.at is not None:
        yield f"  use         {format_instant(verdict.at)}"
        yield f"  next        {_next(subject)}"


def as_json(subject: Subject) -> dict[str, Any]:
    """Return the verdict on a subject as JSON."""
    verdict = subject.verdict
    return {
        "subject": subject.name,
        "kind": subject.kind,
        "family": subject.family,
        "packages": subject.packages,
        "earliest": _text(verdict.earliest),
        "latest": _text(verdict.latest),
        "at": _text(verdict.at),
        "confidence": verdict.confidence.value,
        "meaning": MEANINGS[verdict.confidence],
        "warnings": list(subject.warnings),
        "contradictions": [each.sentence for each in verdict.contradictions],
        "newer_than_pin": verdict.is_newer_than_pin,
        "evidence": [_evidence_json(each) for each in verdict.evidence],
        "notes": list(subject.notes),
        "next": None if verdict.at is None else _next(subject),
    }


def _evidence_json(evidence: TimeEvidence) -> dict[str, Any]:
    return {
        "kind": evidence.kind.value,
        "file": evidence.place,
        "line": evidence.line or None,
        "earliest": _text(evidence.first),
        "latest": _text(evidence.last),
        "says": evidence.says,
        "archive": evidence.archive or None,
    }


def _next(subject: Subject) -> str:
    """Return the command line to use next."""
    at = subject.verdict.at
    command = "docker build ." if subject.kind == "stage" else _COMMANDS.get(subject.family, "COMMAND")
    return shlex.join(["snapproxy", "run", "--at", "" if at is None else format_instant(at), "--", *command.split()])


def _text(instant: Instant | None) -> str | None:
    return None if instant is None else format_instant(instant)


def _span(first: Instant | None, last: Instant | None) -> str:
    if first is not None and first == last:
        return format_instant(first)
    if first is not None and last is not None:
        return f"{format_instant(first)} to {format_instant(last)}"
    if first is not None:
        return f"not before {format_instant(first)}"
    return "no date" if last is None else f"not after {format_instant(last)}"
