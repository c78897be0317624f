"""Policy / Journal: what was refused, failed and fixed, with its message, from Loki.

Only for a Loki that has the journal (docs/journal.md), so it is not one of the default dashboards.
"""

from grafana_foundation_sdk.builders import logs, loki
from grafana_foundation_sdk.builders.dashboard import DatasourceVariable
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.loki import LokiQueryType

from grafana.dashboards import panels
from grafana.dashboards import variables as v
from grafana.dashboards.frame import Frame, Section
from grafana.dashboards.panels import BarGauge

LOKI = common.DataSourceRef(type_val="loki", uid="${loki}")
# A line without the label, such as that of a cluster-scoped resource, matches `.*`.
CHOSEN = '| namespace=~"$namespace" | policy=~"$policy" | namespace_labels_$owner=~"$team"'
REFUSED = '="request_blocked"'


def journal() -> Frame:
    """Return the dashboard of auditors, and of on-call engineers who need the message."""
    source = DatasourceVariable("loki").label("Loki").type("loki").build()
    return Frame(
        uid="policy-journal",
        title="Policy / Journal",
        description="Refused requests, and failures that started or ended, with their messages.",
        since="now-24h",
        refresh="1m",
        variables=[source, v.cluster(), *v.scope(), v.policy()],
        annotations=[],
        sections=[
            Section(100, "What was refused, with its message", [_refused(), _repeatedly()]),
            Section(200, "What started to fail, and what was fixed?", _failures()),
            Section(300, "Which policies changed, and is the journal complete?", _completeness()),
        ],
    )


def lines(event_names: str, *steps: str, shown: str = "") -> str:
    """Return the LogQL of the journal's lines; the names of occurrences are a matcher."""
    selector = f'{{job="policy-journal", event_name{event_names}, cluster=~"$cluster"}}'
    shape = [f'| line_format "{shown}"'] if shown else []
    return " ".join((selector, "| json", *steps, *shape))


def _refused() -> logs.Panel:
    shown = "{{.namespace}} {{.resource_kind}}/{{.resource_name}} {{.policy}}: {{.body}}"
    return _log("Refused requests", lines(REFUSED, CHOSEN, shown=shown)).span(16)


def _repeatedly() -> BarGauge:
    by = "namespace, resource_kind, resource_name, policy"
    counted = f"count_over_time({lines(REFUSED, CHOSEN)} [$__range])"
    query = _query(f"topk(10, sum by ({by}) ({counted}))").query_type(LokiQueryType.INSTANT)
    query.legend_format("{{namespace}} {{resource_kind}}/{{resource_name}} {{policy}}")
    panel = panels.ranking("Which requests are refused repeatedly?", query)
    return panel.datasource(LOKI).no_value("nothing was refused").span(8).height(10)


def _failures() -> list[logs.Panel]:
    what = "{{.namespace}} {{.resource_kind}}/{{.resource_name}} {{.policy}}/{{.rule}}: {{.body}}"
    end = "{{.namespace}} {{.resource_name}} {{.policy}}: {{.reason}} after {{.duration_seconds}} s"
    return [
        _log("Failures that started", lines('="failure_opened"', CHOSEN, shown=what)),
        _log("Failures that ended", lines('="failure_closed"', CHOSEN, shown=end)),
    ]


def _completeness() -> list[logs.Panel]:
    change = "{{.policy}} {{.reason}}: {{.former_mode}} to {{.mode}}"
    changed = lines('="policy_changed"', '| policy=~"$policy"', shown=change)
    gap = "{{.event_name}} {{.reason}} {{.seconds}} {{.lines}}"
    return [
        _log("Policies that changed", changed),
        _log("Gaps and starts of the exporter", lines('=~"gap|exporter_started"', shown=gap)),
    ]


def _log(title: str, expr: str) -> logs.Panel:
    return (
        logs.Panel()
        .title(title)
        .datasource(LOKI)
        .with_target(_query(expr).query_type(LokiQueryType.RANGE))
        .show_time(True)
        .wrap_log_message(True)
        .enable_log_details(True)
        .sort_order(common.LogsSortOrder.DESCENDING)
        .dedup_strategy(common.LogsDedupStrategy.NONE)
        .span(12)
        .height(10)
    )


def _query(expr: str) -> loki.Dataquery:
    return loki.Dataquery().datasource(LOKI).ref_id("A").expr(expr)
