"""A toy distribution for the tests of plans: the core contains none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from snapproxy.core.history import History, TimelineAnswer
from snapproxy.core.model import (
    LIVE,
    Archive,
    Checker,
    ExpectedFile,
    Instant,
    Match,
    NeedWindow,
    ObservedRoot,
    Place,
    Proof,
    Refusal,
    Resolved,
    Role,
    Span,
    TimeSpec,
    Window,
)
from snapproxy.core.plan import MAX_ROUNDS, Known, plan, resolve
from snapproxy.core.plan_model import Ask, AskObserved, AskWindow, Need, PlanRequest, Step, StoredFile
from snapproxy.core.resolve_observed import resolve_bracketed
from snapproxy.core.signature_schemes import OpenPgp

NOW = 2_000_000
ROW = Archive("toy", "toy", "toy", snapshot=("http://past/toy",), mirrors=("http://now/toy",))
AT = Resolved("one", 1_000_000)
SPACE = "toy/one"
STRONG = {"sha256": "a" * 64}
ROOT = StoredFile("root", "r", 3, Proof.GPG)


class ToyFamily:
    """`root` lists `index/*`, indexes list `pkg/*`; `index/by-hash/HEX` by hash; `index/sums` lists `beside/*`.

    `root` itself lists `below/*`.
    """

    name = "toy"
    patience = 1.0
    parser = "toy-1"
    keeps_newer_root = True
    how_to_clear_lists = "Remove toy's lists."
    mirror_list_hint = "Give toy a base address."
    drops_older_dates = False
    roots_list_packages = False
    tells_root_dates = True
    waits_for_challenge = False
    scheme = OpenPgp()

    def classify(self, path: str) -> Place:
        if path == "root":
            return Place(Role.ROOT)
        if path.startswith("index/by-hash/"):
            return Place(Role.INDEX, roots=("root",), by_hash=("sha256", path.rpartition("/")[2]))
        if path == "index/extra":
            return Place(Role.INDEX, roots=("root",), may_be_unlisted=True)
        if path.startswith("index/"):
            return Place(Role.INDEX, roots=("root",), lists_files=True)
        if path.startswith("pkg/"):
            return Place(Role.PACKAGE)
        if path.startswith("beside/"):
            return Place(Role.PACKAGE, parents=("index/sums",))
        if path == "mirrors":
            return Place(Role.OTHER, leads_elsewhere=True)
        if path.startswith("below/"):
            return Place(Role.PACKAGE, parents=("root",))
        return Place(Role.OTHER)

    def read_index(self, path: str, data: Iterable[bytes]) -> Iterator[tuple[str, ExpectedFile]]:
        return iter(())

    def checker(self, expected: ExpectedFile) -> Checker:
        raise AssertionError("a plan checks no bytes")

    def lasting_path(self, expected: ExpectedFile) -> str:
        return (
            f"index/by-hash/{expected.digests['sha256']}"
            if expected.path.startswith("index/") and expected.is_strong
            else expected.path
        )

    def signed_file(self, path: str) -> str | None:
        return path.removesuffix(".sig") if path.startswith("pkg/") and path.endswith(".sig") else None

    def beside_root(self, path: str) -> tuple[str, ...]:
        return ()

    def root_forms(self, path: str) -> tuple[str, ...]:
        return (path,)

    def root_date(self, data: bytes) -> Instant | None:
        return None

    def contradiction(self, path: str, data: bytes) -> str:
        return ""

    def signature(self, path: str) -> str | None:
        return None


def seen(snapshot: str, first: Instant, last: Instant) -> ObservedRoot:
    return ObservedRoot("root", Span(first, last, snapshot), None)


class ToyHistory:
    """One snapshot, `one`, once the only window is known; instant 5 lies in a gap."""

    is_observed = False

    def resolve(
        self, row: Archive, when: TimeSpec, windows: Mapping[tuple[Instant, Instant], Window], now: Instant
    ) -> Resolved | Refusal | NeedWindow:
        if (0, NOW) not in windows:
            return NeedWindow(0, NOW)
        return Refusal(410, "gap") if when.instant == 5 else AT

    def newest(
        self, row: Archive, instant: Instant, windows: Mapping[tuple[Instant, Instant], Window], now: Instant
    ) -> Instant | Refusal | NeedWindow | None:
        return 2

    def max_windows(self, row: Archive) -> int:
        return 8

    def id_of(self, instant: Instant) -> str:
        return {1: "before", 9: "after"}.get(instant, "one")

    def timeless(self, path: str) -> str | None:
        return None

    def resolve_observed_root(
        self, row: Archive, when: TimeSpec, sighting: ObservedRoot, now: Instant
    ) -> Resolved | Refusal | None:
        return resolve_bracketed(when, sighting, now)

    def timeline_urls(self, row: Archive, base: str, need: NeedWindow) -> tuple[str, ...]:
        return ()

    def read_window(
        self, row: Archive, need: NeedWindow, url: str, answer: TimelineAnswer, now: Instant
    ) -> Window | None:
        return None

    def url(self, row: Archive, base: str, snapshot: str, path: str) -> str:
        return f"{base}/{snapshot}/{path}"

    def service_url(self, base: str, path: str) -> str | None:
        return None

    def digest_in(self, url: str) -> str | None:
        return None


WINDOW = {AskWindow("toy", 0, NOW): Window(0, NOW, (1_000_000,), NOW)}


def at(path: str, facts: Mapping[Ask, object] | None = None) -> Step:
    """Plan for a file of the settled snapshot; what is not given is known to be nothing."""
    request = PlanRequest(ROW, TimeSpec("one", 1_000_000, Match.EXACT), path)
    return drive(lambda known: plan(request, AT, known, family=ToyFamily(), history=ToyHistory()), facts or {})


def now_of(path: str, facts: Mapping[Ask, object] | None = None) -> Step:
    request = PlanRequest(ROW, TimeSpec(LIVE, None, Match.LIVE), path)
    return drive(lambda known: resolve_and_plan(request, known), facts or {})


def resolve_and_plan(request: PlanRequest, known: Known, history: History | None = None) -> Refusal | Step | Need:
    """Make both decisions, as the planner does."""
    history = history or ToyHistory()
    resolved = resolve(request, known, NOW, family=ToyFamily(), history=history)
    if not isinstance(resolved, Resolved):
        return resolved
    return plan(request, resolved, known, family=ToyFamily(), history=history)


def drive(step_of, facts):
    known = Known()
    for _ in range(MAX_ROUNDS + 8):
        step = step_of(known)
        if not isinstance(step, Need):
            return step
        known = known.plus({ask: facts.get(ask, () if isinstance(ask, AskObserved) else None) for ask in step.asks})
    raise AssertionError("the plan never ended")
