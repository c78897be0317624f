"""What a scrape shows, judged by prometheus-client's parsers, promtool, and a golden file."""

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.metrics.catalogue import CATALOGUE
from exporter.metrics.document import as_json, as_markdown
from exporter.metrics.exposition import Exposition, ExposureSettings, render
from exporter.metrics.self_catalogue import OWN, PROCESS
from exporter.metrics.self_metrics import SelfMetrics
from exporter.model.changes import Applied, Deleted, Init, InitDone
from exporter.model.report import Report
from exporter.state.cluster import ClusterState
from exporter.state.selection import Selection
from tests.metrics.clusters import (
    ALL_EVENTS,
    NOW,
    REPORTS,
    Clock,
    block,
    listed,
    namespace,
    report,
    sample,
)
from tests.tools import tool

GOLDEN = Path(__file__).parent / "golden" / "sample.prom"
DOCS = Path(__file__).parents[2] / "docs"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def text(exposition: Exposition, *names: str, now: float = NOW, openmetrics: bool = False) -> str:
    shots = exposition.take(now, lambda _: True, frozenset(names))
    body = b"".join(render(shots, openmetrics=openmetrics)).decode()
    return body + ("# EOF\n" if openmetrics else "")


def samples(families: Iterable[object]) -> Samples:
    return {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in families
        for s in family.samples  # type: ignore[attr-defined]  # prometheus-client's Metric
    }


def exposed(state: ClusterState, **settings: Any) -> Exposition:
    return Exposition(state, ExposureSettings(birth_hold=0)._replace(**settings))


def test_golden(write_goldens: bool) -> None:
    """Equal state gives equal bytes."""
    body = text(exposed(sample()))
    if write_goldens:
        GOLDEN.write_text(body)
    assert body == GOLDEN.read_text()


def test_both_parsers_read_the_same_samples() -> None:
    state = sample()
    one = samples(parse_text(text(exposed(state))))
    two = samples(parse_openmetrics(text(exposed(state), openmetrics=True)))
    assert one == two
    assert len(one) > 20


strings = st.text(st.characters(codec="utf-8"), max_size=200)


@given(strings, strings, strings)
def test_any_label_value_is_read_back(policy: str, name: str, namespace: str) -> None:
    state = sample()
    state.apply(Applied(REPORTS, report(name or "x", ["fail"], policy=policy, namespace=namespace)))
    body = text(exposed(state), "policyreport_results")
    # Split by newline only, as Prometheus does: Python's text mode would split at \r as well.
    read = samples(parse_text(body.replace("\r", "\N{REPLACEMENT CHARACTER}")))
    expected = {(labels[0], labels[3]) for labels in state.ledger.totals.results}
    clean = {
        tuple(value.replace("\r", "\N{REPLACEMENT CHARACTER}") for value in pair)
        for pair in expected
    }
    assert {(dict(k[1])["namespace"], dict(k[1])["policy"]) for k in read} == clean


@pytest.mark.tier("monitoring")
def test_promtool_finds_nothing_but_the_one_name() -> None:
    """policyreport_summary is the contract's name for what the reports call their summary."""
    self_metrics = SelfMetrics("1.0.0")
    self_metrics.request("events.events.k8s.io", "list", 200, 0.1)
    self_metrics.skipped("events.events.k8s.io", "malformed")
    body = text(exposed(sample()))
    body += self_metrics.render(openmetrics=False).decode()
    done = subprocess.run(
        [tool("promtool"), "check", "metrics"],
        input=body,
        capture_output=True,
        text=True,
        check=False,
    )
    complaint = "policyreport_summary metric name should not include type 'summary'"
    assert (done.stdout + done.stderr).splitlines() == [complaint]


def test_pass_and_fail_are_always_there_and_the_rest_when_not_zero() -> None:
    body = text(exposed(sample()), "policyreport_results")
    results = [line.split('result="')[1].split('"')[0] for line in body.splitlines() if "{" in line]
    assert sorted(results) == [*["fail"] * 4, *["pass"] * 4, "skip"]


def test_a_family_is_absent_until_it_is_complete() -> None:
    exposition = exposed(sample())
    shots = exposition.take(NOW, lambda kinds: kinds == "events")
    names = {shot.family.name for shot in shots}
    assert names == {f.name for f in CATALOGUE if f.kinds == "events"}


def test_what_vanishes_leaves_no_series() -> None:
    state = sample()
    exposition = exposed(state)
    text(exposition)
    for name in ("u1", "u2"):
        state.apply(Deleted(REPORTS, report(name, [])))
    body = text(
        exposition, "policyreport_results", "policyreport_resource_results", "policyreport_summary"
    )
    assert "{" not in body


def test_namespace_labels_stand_behind_the_namespace_and_follow_it() -> None:
    state = sample(namespace_labels=("team",))
    exposition = exposed(state, namespace_labels=("team",))
    assert 'namespace="team-a",team="shop",kind="Pod"' in text(exposition, "policyreport_results")
    state.apply(Applied(ALL_EVENTS, namespace("team-a", team="carts")))
    assert 'namespace="team-a",team="carts",kind="Pod"' in text(exposition, "policyreport_results")


def test_a_new_counter_is_shown_at_zero_until_it_was_held_long_enough() -> None:
    state = sample()
    exposition = Exposition(state, ExposureSettings(birth_hold=35))

    def shown(now: float) -> list[float]:
        return list(
            samples(parse_text(text(exposition, "policyviolation_events_total", now=now))).values()
        )

    assert shown(NOW) == [0]
    assert shown(NOW + 34) == [0]
    assert shown(NOW + 35) == [1]
    state.apply(Applied(ALL_EVENTS, block(2)))
    assert shown(NOW + 36) == [2]


def test_a_hold_begins_when_the_zero_was_first_shown() -> None:
    """However late the first scrape comes, it sees the series at 0."""
    exposition = Exposition(sample(), ExposureSettings(birth_hold=35))
    assert " 0\n" in text(exposition, "policyviolation_events_total", now=NOW + 500)


def test_names_choose_families() -> None:
    body = text(exposed(sample()), "policyreport_reports", "policyviolation_events")
    assert {line.split()[2] for line in body.splitlines() if line.startswith("# TYPE")} == {
        "policyreport_reports",
        "policyviolation_events_total",
    }


def test_sums_without_namespaces_are_those_of_all_namespaces() -> None:
    state = sample()
    for number in range(3):
        scope = f"team-{number}"
        state.apply(Applied(REPORTS, report("u1", ["fail", "pass"], namespace=scope)))
    dropped = exposed(state, drop=frozenset({"namespace"}))
    for family in ("policyreport_results", "policyreport_resources", "policyreport_reports"):
        found = samples(parse_text(text(dropped, family)))
        assert sum(found.values()) == sum(
            samples(parse_text(text(exposed(state), family))).values()
        )
        assert not any("namespace" in dict(labels) for _, labels in found)


def test_label_values_are_cut_at_128_characters() -> None:
    state = sample()
    state.apply(Applied(REPORTS, report("u3", ["fail"], policy="x" * 1_000_000)))
    state.ledger.settle()
    labels = [key for key in state.ledger.totals.results if key[3].startswith("xx")]
    assert [len(key[3]) for key in labels] == [128]


def test_a_snapshot_does_not_change_while_it_is_rendered() -> None:
    state = sample()
    exposition = exposed(state)
    before = text(exposition)
    shots = exposition.take(NOW, lambda _: True)
    state.apply(Applied(REPORTS, report("u9", ["fail", "fail"], namespace="zzz")))
    exposition.take(NOW, lambda _: True)
    assert b"".join(render(shots, openmetrics=False)).decode() == before


def test_a_dozen_thousand_series_stay_sorted_and_exact() -> None:
    state = ClusterState(sample().ledger._selection, Clock())
    exposition = exposed(state)
    for number in range(4_000):
        state.apply(
            Applied(
                REPORTS,
                report(
                    f"u{number}",
                    ["pass", "fail"],
                    namespace=f"n{number % 997}",
                    policy=f"p{number % 13}-",
                ),
            )
        )
        if number % 700 == 0:
            exposition.take(NOW, lambda _: True)
    body = text(exposition, "policyreport_results")
    lines = [line for line in body.splitlines() if not line.startswith("#")]
    keys = [line.rpartition(" ")[0] for line in lines]
    assert len(lines) == len(set(keys)) > 10_000
    assert sum(float(line.rpartition(" ")[2]) for line in lines) == 8_000
    namespaces = [key.split('namespace="')[1].split('"')[0] for key in keys]
    assert namespaces == sorted(namespaces)


def test_own_metrics_read_back() -> None:
    self_metrics = SelfMetrics("1.2.3")
    self_metrics.request("a", "list", 200, 0.5)
    self_metrics.change("a", "added")
    read = samples(parse_openmetrics(self_metrics.render(openmetrics=True).decode() + "# EOF\n"))
    assert (
        read[
            "policyreport_exporter_api_requests_total",
            (("code", "200"), ("verb", "list")),
        ]
        == 1
    )
    assert any(name == "process_cpu_seconds_total" for name, _ in read)


@pytest.mark.parametrize(
    "name", ["policyreport_exporter_watch_up", "process_cpu_seconds_total", "nothing"]
)
def test_own_families_are_chosen_by_name(name: str) -> None:
    self_metrics = SelfMetrics("1.2.3")
    self_metrics.readings.on("watch_up", lambda: [(("events.events.k8s.io",), 1.0)])
    body = self_metrics.render(openmetrics=False, names=frozenset([name])).decode()
    found = {line.split()[2] for line in body.splitlines() if line.startswith("# TYPE")}
    assert found == ({name} - {"nothing"})


def test_the_documentation_is_current() -> None:
    assert (DOCS / "metrics.md").read_text() == as_markdown(), "run `make docs`"


def test_every_family_is_in_the_json_catalogue() -> None:
    body = as_json()
    assert all(f'"{f.name}"' in body for f in CATALOGUE)
    assert all(f'"{f.full_name}"' in body for f in (*OWN, *PROCESS))


def test_every_row_of_the_documentation_has_a_stability() -> None:
    rows = [line for line in as_markdown().splitlines() if line.startswith("| `")]
    assert len(rows) == len(CATALOGUE) + len(OWN) + len(PROCESS)
    assert {row.split(" | ")[3] for row in rows} == {"stable", "experimental"}


def test_a_relist_changes_no_byte() -> None:
    state = sample()
    exposition = exposed(state)
    before = text(exposition)
    listed(
        state,
        REPORTS,
        report("u1", ["pass", "fail"], severity="high"),
        report("u2", ["pass", "skip"]),
    )
    assert text(exposition) == before


def test_an_unknown_report_shape_counts_for_nothing() -> None:
    state = sample()
    before = text(exposed(state), "policyreport_results")
    state.apply(Applied(REPORTS, Report(report("u4", []).metadata)))
    assert text(exposed(state), "policyreport_results") == before


def test_a_scrape_during_the_first_list_takes_nothing_of_reports_up() -> None:
    state = ClusterState(Selection(), Clock())
    state.apply(Init(REPORTS))
    for number in range(1_000):
        state.apply(Applied(REPORTS, report(f"u{number}", ["fail"])))
    exposition = Exposition(state)
    exposition.take(NOW, lambda kinds: kinds == "events")
    assert not state.ledger.totals.results
    state.apply(InitDone(REPORTS))
    exposition.take(NOW, lambda _: True)
    assert state.ledger.totals.results
