"""Grafana's dashboard-linter, rule by rule, and what we ask beyond it.

Left out, with the reason: template-job-rule, template-instance-rule, target-job-rule and
target-instance-rule hold on policy-exporter only, because the other dashboards aggregate over
every replica; target-logql-rule and target-logql-auto-rule, because there is no Loki query;
template-on-time-change-reload-rule for variables that are not queries.
"""

import re

import promql_parser
import pytest

from grafana.classic import Dashboard, Panel, Variable
from grafana.dashboards.promql import BY_POLICY, FLEET, PODS_ONLY
from grafana.dashboards.variables import COUNTS, KYVERNO
from tests.grafana.boards import (
    BOARDS,
    IDS,
    PANELS,
    Selector,
    expressions,
    label_values,
    runnable,
    selectors,
    targets,
)

COUNTER_FUNCTIONS = {"rate", "irate", "increase"}
# Window functions may look further back where that is their meaning.
WINDOWS = {"$__rate_interval", "$__range", "$__interval"}
# "Blocked in 5 minutes" says its window in its title,
# and the fleet expects every cluster of the last week.
FIXED_WINDOWS = {
    ("policy-enforcement", 101): {"5m"},
    ("policy-fleet", 102): {"1w"},
    ("policy-fleet", 201): {"1w"},
}

# Metrics that only tell zero from unknown.
GUARDS = {
    "policyreport_results",
    "policyreport_exporter_synced",
    "policyreport_exporter_build_info",
    FLEET,
    BY_POLICY,
    PODS_ONLY,
}

boards = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
panels = pytest.mark.parametrize(("board", "panel"), PANELS, ids=IDS)
VARIABLES = [(board, v) for board in BOARDS.values() for v in board.templating.list]
variables = pytest.mark.parametrize(
    ("board", "variable"), VARIABLES, ids=[f"{b.uid}-{v.name}" for b, v in VARIABLES]
)


@boards
def test_template_datasource_rule(board: Dashboard) -> None:
    first = board.templating.list[0]
    found = (first.name, first.type, first.label, first.query)
    assert found == ("datasource", "datasource", "Data source", "prometheus")


@pytest.mark.parametrize("name", ["job", "instance"])
def test_template_job_and_instance_rule(name: str) -> None:
    listed = {v.name: v for v in BOARDS["policy-exporter.json"].templating.list}
    variable = listed[name]
    assert (variable.label, variable.multi, variable.all_value) == (name.title(), True, ".+")


@variables
def test_template_label_promql_rule(board: Dashboard, variable: Variable) -> None:
    if variable.type == "query":
        selector, _ = label_values(variable)
        promql_parser.parse(runnable(selector))


@variables
def test_template_on_time_change_reload_rule(board: Dashboard, variable: Variable) -> None:
    if variable.type == "query":
        assert variable.refresh == 2


@variables
def test_choices_are_sorted_and_all_matches_series_without_the_label(
    board: Dashboard, variable: Variable
) -> None:
    if variable.type == "query":
        assert (variable.sort, variable.multi, variable.include_all) == (1, True, True)
        every = {"job": ".+", "instance": ".+", "source": KYVERNO}
        assert variable.all_value == every.get(variable.name, ".*")


@variables
def test_every_variable_is_used(board: Dashboard, variable: Variable) -> None:
    if variable.type != "datasource":
        assert any(f"${variable.name}" in expr for expr in expressions(board))


@panels
def test_panel_datasource_rule(board: Dashboard, panel: Panel) -> None:
    sources = [panel.datasource, *(target.datasource for target in panel.targets)]
    assert {(s["type"], s["uid"]) for s in sources} == {("prometheus", "${datasource}")}


@panels
def test_panel_title_description_rule(board: Dashboard, panel: Panel) -> None:
    assert panel.title
    assert len(panel.description) > 60
    assert panel.description.endswith(".")


@panels
def test_descriptions_name_the_metric(board: Dashboard, panel: Panel) -> None:
    for target in panel.targets:
        for selector in selectors(target.expr):
            # A recorded series is called after its metric: level:metric:operation.
            name = selector.metric.split(":")[-2 if ":" in selector.metric else 0]
            for ending in ("_bucket", "_unmet", "_total"):
                name = name.removesuffix(ending)
            assert name in panel.description or GUARDS & {name, selector.metric}, name


@panels
def test_panel_units_rule(board: Dashboard, panel: Panel) -> None:
    assert panel.fields.defaults["unit"]


@panels
def test_panel_no_targets_rule(board: Dashboard, panel: Panel) -> None:
    assert panel.targets
    refs = [target.ref_id for target in panel.targets]
    assert len(refs) == len(set(refs))


@boards
def test_target_promql_rule(board: Dashboard) -> None:
    for expr in expressions(board):
        promql_parser.parse(runnable(expr))


@panels
def test_target_rate_interval_rule(board: Dashboard, panel: Panel) -> None:
    fixed = FIXED_WINDOWS.get((board.uid, panel.id), set())
    for target in panel.targets:
        for window in windows(target.expr):
            assert window in WINDOWS | fixed, window
        if not target.instant:
            assert "$__range" not in target.expr, "a trend asks for its step, not for its range"


def windows(expr: str) -> list[str]:
    """Return what stands between brackets and after offset."""
    return [part.split("]")[0] for part in expr.split("[")[1:]]


@boards
def test_target_job_and_instance_rule(board: Dashboard) -> None:
    if board.uid != "policy-exporter":
        return
    for panel, target in targets(board):
        for selector in selectors(target.expr):
            matched = {label for label, _ in selector.matchers}
            assert {"cluster", "job", "instance"} <= matched, panel.title


@panels
def test_target_counter_agg_rule(board: Dashboard, panel: Panel) -> None:
    for target in panel.targets:
        for selector in selectors(target.expr):
            if selector.metric.endswith("_total") and not first_blocks(board, panel, selector):
                assert selector.function in COUNTER_FUNCTIONS, selector


def first_blocks(board: Dashboard, panel: Panel, selector: Selector) -> bool:
    """A counter that is above 0 now and was not before: the one question to a bare counter."""
    return (board.uid, panel.id) == ("policy-enforcement", 402) and not selector.window


@boards
def test_uneditable_dashboard(board: Dashboard) -> None:
    assert board.editable is False


@panels
def test_cluster_is_matched_everywhere(board: Dashboard, panel: Panel) -> None:
    for target in panel.targets:
        for selector in selectors(target.expr):
            assert ("cluster", "some") in selector.matchers, selector


@panels
def test_results_and_severities_have_one_colour_everywhere(board: Dashboard, panel: Panel) -> None:
    colors = {"pass": "green", "fail": "red", "error": "purple", "critical": "red"}
    for override in panel.fields.overrides:
        expected = colors.get(override.matcher["options"])
        for item in override.properties:
            if expected and item.id == "color":
                assert item.value == {"mode": "fixed", "fixedColor": expected}


@panels
def test_headline_numbers_ask_for_the_present_and_say_no_data(
    board: Dashboard, panel: Panel
) -> None:
    if panel.type == "stat":
        assert all(target.instant for target in panel.targets)
        assert panel.fields.defaults["noValue"] == "no data"


@panels
def test_nothing_raw_is_asked_for_over_the_whole_range(board: Dashboard, panel: Panel) -> None:
    """Counters over a range come from the recording rules, which are right over replacement."""
    if board.uid != "policy-exporter":
        for target in panel.targets:
            for selector in selectors(target.expr):
                assert selector.window != "1h" or ":" in selector.metric, selector


@panels
def test_families_of_whole_clusters_are_asked_for_recorded(board: Dashboard, panel: Panel) -> None:
    if board.uid in {"policy-fleet", "policy-overview", "policy-namespace", "policy-policy"}:
        for target in panel.targets:
            asked = target.expr.replace("$count", COUNTS["Workloads"])
            families = {selector.metric for selector in selectors(asked)}
            assert not families & {"policyreport_results", "policyviolation_events_total"}


@pytest.mark.parametrize(
    ("source", "mixes_in"),
    [
        ("kyverno", True),
        ("KyvernoValidatingPolicy", True),
        ("KyvernoImageValidatingPolicy", True),
        ("ValidatingAdmissionPolicy", True),
        ("", True),  # of an exporter that reads summaries only
        ("Trivy Vulnerability", False),
        ("Falco", False),
        ("kubewarden", False),
        ("kube-bench", False),
    ],
)
def test_all_sources_are_those_of_kyverno(source: str, mixes_in: bool) -> None:
    assert bool(re.fullmatch(KYVERNO, source)) is mixes_in


@panels
def test_compliance_is_that_of_the_chosen_sources(board: Dashboard, panel: Panel) -> None:
    for target in panel.targets:
        if target.expr.startswith("1 - "):
            asked = [dict(selector.matchers) for selector in selectors(target.expr)]
            assert all(matchers["source"] == "some" for matchers in asked)
