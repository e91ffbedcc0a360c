"""The one decision about what lies in no snapshot: the present, folders, and names that outlast every snapshot."""

from __future__ import annotations

from collections.abc import Mapping

from snapproxy.core.exchange import Moved
from snapproxy.core.model import LIVE, ExpectedFile, Match, Proof, Refusal, Resolved, Role, TimeSpec
from snapproxy.core.plan import plan
from snapproxy.core.plan_model import (
    Ask,
    AskFile,
    AskListed,
    AskListedAnywhere,
    AskName,
    AskObserved,
    AskSize,
    Fetch,
    ListedFile,
    NotStored,
    PlanRequest,
    Serve,
    Step,
    StoredFile,
)
from tests.core.toy import AT, ROW, SPACE, STRONG, WINDOW, ToyFamily, ToyHistory, drive, now_of, resolve_and_plan


class TestLive:
    def test_a_live_root_is_obtained_and_carries_its_staleness(self):
        stale = StoredFile("root", "r", 3, Proof.GPG, {"X-Snapproxy-Stale": "as of then"})
        step = now_of("root", {AskFile("toy/live", ("root",), Resolved(LIVE, 0)): stale})
        assert isinstance(step, Serve)
        assert step.notes == stale.notes

    def test_an_index_of_a_stale_set_says_so_too(self):
        stale = StoredFile("root", "r", 3, Proof.GPG, {"X-Snapproxy-Stale": "as of then"})
        facts = {
            AskFile("toy/live", ("root",), Resolved(LIVE, 0), for_lookup=True): stale,
            AskListed("toy/live", "r", "root", "index/p"): ExpectedFile("index/p", 7, STRONG),
        }
        for held in (None, 7):
            step = now_of("index/p", facts | {AskSize(STRONG["sha256"]): held})
            assert isinstance(step, Serve if held else Fetch)
            assert step.notes == stale.notes

    def test_a_file_that_is_still_arriving_is_served_by_its_own_fetch(self):
        step = now_of("other", {AskFile("toy/live", ("other",), Resolved(LIVE, 0)): NotStored()})
        assert isinstance(step, Fetch)
        assert (step.key, step.proof) == ("name:toy/live/other", Proof.NONE)

    def test_live_never_asks_the_past(self):
        facts = {AskListedAnywhere("toy/live", "pkg/x"): ListedFile(ExpectedFile("pkg/x", 7, STRONG), Proof.GPG)}
        step = now_of("pkg/x", facts)
        assert isinstance(step, Fetch)
        assert not any(source.last_resort for source in step.sources)

    def test_live_absence_is_a_404(self):
        step = now_of("other")
        assert isinstance(step, Refusal)
        assert step.status == 404


class TestFolders:
    def test_a_folder_between_two_snapshots_is_sent_to_the_snapshot_s_own(self):
        request = PlanRequest(ROW, TimeSpec("w", 3, Match.AT), "", base="/archive/toy/")
        step = drive(
            lambda known: resolve_and_plan(request, known),
            {**WINDOW, AskObserved("toy", (), 3): ()},
        )
        assert step == Moved("/archive/toy/one/", "one")

    def test_a_snapshot_s_own_folder_is_not_listed(self):
        request = PlanRequest(ROW, TimeSpec("one", 3, Match.AT), "sub/")
        listed = drive(
            lambda known: resolve_and_plan(request, known),
            {**WINDOW, AskObserved("toy", (), 3): ()},
        )
        assert isinstance(listed, Refusal)
        assert listed.status == 404


class TimelessHistory(ToyHistory):
    """Keeps `pkg/X` at `kept/X` outside every snapshot too."""

    def timeless(self, path: str) -> str | None:
        return f"kept/{path.rpartition('/')[2]}" if path.startswith(("pkg/", "kept/")) else None


class TestTimeless:
    SPACE = "toy/always"

    def at(self, path: str, facts: Mapping[Ask, object], resolved: Resolved = AT) -> Step:
        request = PlanRequest(ROW, TimeSpec("one", 1_000_000, Match.EXACT), path)
        return drive(lambda known: plan(request, resolved, known, family=ToyFamily(), history=TimelessHistory()), facts)

    def test_a_promised_package_is_named_outside_every_snapshot_as_well(self):
        facts = {AskListedAnywhere(SPACE, "pkg/x"): ListedFile(ExpectedFile("pkg/x", 7, STRONG), Proof.INDEX)}
        step = self.at("pkg/x", facts)
        assert isinstance(step, Fetch)
        assert (step.space, step.path, step.also) == (SPACE, "pkg/x", "kept/x")
        assert [source.url for source in step.sources] == [
            "http://now/toy/pkg/x",
            "http://past/toy/always/kept/x",
            "http://past/toy/one/pkg/x",
        ]
        held = self.at("pkg/x", {**facts, AskSize("a" * 64): 7})
        assert isinstance(held, Serve)
        assert (held.name_it, held.also) == (True, "kept/x")

    def test_a_package_that_nothing_vouches_for_is_the_one_of_that_name(self):
        step = self.at("pkg/x", {})
        assert isinstance(step, Fetch)
        assert (step.key, step.space, step.path) == ("name:toy/always/kept/x", self.SPACE, "kept/x")
        held = self.at("pkg/x", {AskName(self.SPACE, "kept/x"): StoredFile("kept/x", "d", 4, Proof.INDEX)})
        assert held == Serve(self.SPACE, "kept/x", "d", 4, Proof.INDEX, Role.PACKAGE, AT)

    def test_asked_for_without_a_snapshot_it_has_one_name_whatever_the_spelling(self):
        always = Resolved("always", 0)
        step = self.at("pkg/x", {AskName(self.SPACE, "kept/x"): StoredFile("kept/x", "d", 4, Proof.INDEX)}, always)
        assert isinstance(step, Serve)
        assert step.path == "kept/x"

    def test_a_promise_goes_before_the_name_that_is_common_to_all_snapshots(self):
        facts = {
            AskListedAnywhere(SPACE, "pkg/x"): ListedFile(ExpectedFile("pkg/x", 7, STRONG), Proof.INDEX),
            AskName(self.SPACE, "kept/x"): StoredFile("kept/x", "other", 4, Proof.INDEX),
        }
        step = self.at("pkg/x", facts)
        assert isinstance(step, Fetch)
        assert step.key == f"sha256:{'a' * 64}"
