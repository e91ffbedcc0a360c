"""The Grafana board and the alert rules use metrics that exist, and Prometheus accepts and evaluates the rules."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from snapproxy.base.metrics import Kind, Metric
from snapproxy.monitoring.measured import ALL

FOLDER = Path(__file__).parents[2] / "docs/monitoring"
RULES = FOLDER / "alerts.yml"
BOARD = json.loads((FOLDER / "grafana-dashboard.json").read_text(encoding="utf-8"))
METRICS = {metric.name: metric for metric in ALL}
EXPRESSIONS = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]


def metric_of(name: str) -> Metric | None:
    return METRICS.get(name) or METRICS.get(re.sub("_(bucket|sum|count)$", "", name))


def used(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each metric of an expression, and the labels by which it is selected."""
    for name, selection in re.findall(r"\b(snapproxy_\w+)(?:\{([^}]*)\})?", text):
        yield name, re.findall(r"(\w+)\s*[=!]~?\s*\"", selection)


@pytest.mark.parametrize("text", [*EXPRESSIONS, RULES.read_text(encoding="utf-8")])
def test_every_metric_and_label_exists(text: str) -> None:
    for name, labels in used(text):
        metric = metric_of(name)
        assert metric is not None, name
        assert set(labels) <= {"instance", "job", "le", *metric.labels}, name


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_a_counter_is_used_as_one(text: str) -> None:
    counters = [name for name, _ in used(text) if (metric := metric_of(name)) and metric.kind is not Kind.GAUGE]
    assert len(counters) == len(re.findall(r"(?:rate|increase)\(snapproxy_", text))


def test_the_board_shows_what_operators_look_for() -> None:
    names = {name for text in EXPRESSIONS for name, _ in used(text)}
    assert {
        "snapproxy_saved_bytes_total",
        "snapproxy_upstream_wait_seconds_total",
        "snapproxy_upstream_throttled_total",
        "snapproxy_store_quota_bytes",
        "snapproxy_gc_reclaimed_bytes_total",
    } <= names
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells


def promtool(*arguments: str) -> None:
    result = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_promtool_accepts_the_rules() -> None:
    promtool("check", "rules", str(RULES))


def scenario(series: dict[str, str], alert: str, *fires: dict[str, str]) -> dict[str, Any]:
    """Return a test of promtool: after 20 minutes of `series`, `alert` fires with these labels."""
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {"eval_time": "20m", "alertname": alert, "exp_alerts": [{"exp_labels": labels} for labels in fires]}
        ],
    }


def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    """The annotations are not compared: promtool compares them only if they are given."""
    rules = re.sub(r"\n        annotations:\n(          .*\n)+", "\n", RULES.read_text(encoding="utf-8"))
    (tmp_path / "rules.yml").write_text(rules, encoding="utf-8")
    failures = "snapproxy_verification_failures_total"
    requests, refusals = "snapproxy_requests_total", "snapproxy_refusals_total"
    tests = [
        scenario({f'{failures}{{archive="debian"}}': "_x15 1x10"}, "SnapproxyVerificationFailed",
                 {"severity": "critical", "archive": "debian"}),
        scenario({f'{failures}{{archive="debian"}}': "3x10 4x15"}, "SnapproxyVerificationFailed",
                 {"severity": "critical", "archive": "debian"}),
        scenario({"snapproxy_disk_free_bytes": "10x30", "snapproxy_disk_size_bytes": "100x30"},
                 "SnapproxyDiskAlmostFull", {"severity": "warning"}),
        scenario({"snapproxy_disk_free_bytes": "20x30", "snapproxy_disk_size_bytes": "100x30"},
                 "SnapproxyDiskAlmostFull"),
        scenario({f'{requests}{{archive="a",outcome="hit",instance="i"}}': "0+10x30",
                  f'{refusals}{{archive="a",status="503",instance="i"}}': "0+2x30"},
                 "SnapproxyManyFailures", {"severity": "warning", "instance": "i"}),
        scenario({f'{requests}{{archive="a",outcome="hit",instance="i"}}': "0+10x30",
                  f'{refusals}{{archive="a",status="429",instance="i"}}': "0+2x30"},
                 "SnapproxyManyFailures", {"severity": "warning", "instance": "i"}),
        scenario({"snapproxy_store_protected_bytes": "91x30", "snapproxy_store_quota_bytes": "100x30"},
                 "SnapproxyQuotaExceededByPins", {"severity": "warning"}),
        scenario({"snapproxy_store_protected_bytes": "89x30", "snapproxy_store_quota_bytes": "100x30"},
                 "SnapproxyQuotaExceededByPins"),
        scenario({f'{requests}{{archive="a",outcome="hit",instance="i"}}': "0+10x30",
                  f'{refusals}{{archive="a",status="404",instance="i"}}': "0+50x30"}, "SnapproxyManyFailures"),
        scenario({'snapproxy_last_observation_timestamp_seconds{archive="alpine"}': "-25000x30"},
                 "SnapproxyNotObserved", {"severity": "warning", "archive": "alpine"}),
        scenario({'snapproxy_upstream_cool_down_end_timestamp_seconds{host="h"}': "3600x30"},
                 "SnapproxyUpstreamCoolsDown", {"severity": "warning", "host": "h"}),
    ]  # fmt: skip
    plan = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "tests.yml").write_text(json.dumps(plan), encoding="utf-8")
    promtool("test", "rules", str(tmp_path / "tests.yml"))
