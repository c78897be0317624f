"""Policy / Journal: what was refused, failed and fixed, with its message, from Loki.

Only for a Loki that has the journal (docs/journal.md), so it is not one of the default dashboards.
"""

from grafana_foundation_sdk.builders import logs, loki
from grafana_foundation_sdk.builders.bargauge import Panel as BarGauge
from grafana_foundation_sdk.builders.dashboard import DatasourceVariable
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.loki import LokiQueryType

from grafana.dashboards import panels, variables
from grafana.dashboards.frame import Frame, Section

LOKI = common.DataSourceRef(type_val="loki", uid="${loki}")
# A line without the label, such as that of a cluster-scoped resource, matches `.*`.
CHOSEN = '| namespace=~"$namespace" | policy=~"$policy" | namespace_labels_$owner=~"$team"'
REFUSED = '="request_blocked"'


def journal() -> Frame:
    """Return the dashboard of auditors, and of on-call engineers who need the message."""
    return Frame(
        uid="policy-journal",
        title="Policy / Journal",
        description="Refused requests, and failures that started or ended, with their messages.",
        since="now-24h",
        refresh="1m",
        variables=[
            variables.data_source(),
            DatasourceVariable("loki").label("Loki").type("loki").build(),
            variables.cluster(),
            *variables.scope(),
            variables.policy(),
        ],
        annotations=[],
        sections=[
            Section(100, "What was refused, with its message", [_refused(), _repeatedly()]),
            Section(200, "What started to fail, and what was fixed?", [_opened(), _closed()]),
            Section(
                300, "Which policies changed, and is the journal complete?", [_policies(), _gaps()]
            ),
        ],
    )


def lines(event_names: str, *steps: str) -> str:
    """Return the LogQL of the journal's lines; the names of occurrences are a matcher."""
    selector = f'{{job="policy-journal", event_name{event_names}, cluster=~"$cluster"}}'
    return " ".join((selector, "| json", *steps))


def _refused() -> logs.Panel:
    shown = "{{.namespace}} {{.resource_kind}}/{{.resource_name}} {{.policy}}: {{.body}}"
    return _log(
        "Refused requests",
        "Requests that Kyverno refused, newest first: namespace, resource, policy and Kyverno's "
        "message. Open a line to see all of its fields.",
        lines(REFUSED, CHOSEN, f'| line_format "{shown}"'),
    ).span(16)


def _repeatedly() -> BarGauge:
    by = "namespace, resource_kind, resource_name, policy"
    counted = f"count_over_time({lines(REFUSED, CHOSEN)} [$__range])"
    query = _query(f"topk(10, sum by ({by}) ({counted}))").query_type(LokiQueryType.INSTANT)
    query.legend_format("{{namespace}} {{resource_kind}}/{{resource_name}} {{policy}}")
    panel = panels.ranking(
        "Which requests are refused repeatedly?",
        "The ten resources that were refused most often in the selected time. A controller that "
        "keeps retrying has a high number.",
        query,
    )
    return panel.datasource(LOKI).no_value("nothing was refused").span(8).height(10)


def _opened() -> logs.Panel:
    shown = "{{.namespace}} {{.resource_kind}}/{{.resource_name}} {{.policy}}/{{.rule}}: {{.body}}"
    return _log(
        "Failures that started",
        "Resources that started to fail a rule, with the engine's message.",
        lines('="failure_opened"', CHOSEN, f'| line_format "{shown}"'),
    )


def _closed() -> logs.Panel:
    shown = (
        "{{.namespace}} {{.resource_name}} {{.policy}}: {{.reason}} after {{.duration_seconds}} s"
    )
    return _log(
        "Failures that ended",
        "The reason is pass if the resource was fixed, report_deleted if it was deleted, and "
        "not_reported if the rule no longer applies.",
        lines('="failure_closed"', CHOSEN, f'| line_format "{shown}"'),
    )


def _policies() -> logs.Panel:
    return _log(
        "Policies that changed",
        "Policies that were created, changed or deleted, with their mode before and after.",
        lines(
            '="policy_changed"',
            '| policy=~"$policy"',
            '| line_format "{{.policy}} {{.reason}}: {{.former_mode}} to {{.mode}}"',
        ),
    )


def _gaps() -> logs.Panel:
    return _log(
        "Gaps and starts of the exporter",
        "Times or numbers of lines that may be missing, with the reason, and starts of the "
        "exporter. Empty if nothing is missing.",
        lines(
            '=~"gap|exporter_started"',
            '| line_format "{{.event_name}} {{.reason}} {{.seconds}} {{.lines}}"',
        ),
    )


def _log(title: str, description: str, expr: str) -> logs.Panel:
    return (
        logs.Panel()
        .title(title)
        .description(description)
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
