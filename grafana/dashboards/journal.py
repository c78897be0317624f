"""Policy / Journal: what was refused, failed and fixed, with its message, from Loki.

Only for a Loki that has the journal (docs/journal.md), so it is not one of the default dashboards.
"""

from grafana.classic import JsonDict
from grafana.dashboards import panels
from grafana.dashboards.frame import Frame, Section
from grafana.dashboards.panels import Panel

LOKI: JsonDict = {"type": "loki", "uid": "${loki}"}
# A line without the label, such as that of a cluster-scoped resource, matches `.*`.
CHOSEN = '| namespace=~"$namespace" | policy=~"$policy" | namespace_labels_$owner=~"$team"'
REFUSED = '="request_blocked"'


def journal() -> Frame:
    """Return the dashboard of auditors, and of on-call engineers who need the message."""
    return Frame(
        "policy-journal",
        [],
        [
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


def _refused() -> Panel:
    shown = "{{.namespace}} {{.resource_kind}}/{{.resource_name}} {{.policy}}: {{.body}}"
    return _log("Refused requests", lines(REFUSED, CHOSEN, shown=shown)).span(16)


def _repeatedly() -> Panel:
    by = "namespace, resource_kind, resource_name, policy"
    counted = f"count_over_time({lines(REFUSED, CHOSEN)} [$__range])"
    legend = "{{namespace}} {{resource_kind}}/{{resource_name}} {{policy}}"
    query = _query(f"topk(10, sum by ({by}) ({counted}))", "instant") | {"legendFormat": legend}
    panel = panels.ranking("Which requests are refused repeatedly?", query)
    panel.settings(datasource=LOKI).having(noValue="nothing was refused")
    return panel.span(8).height(10)


def _failures() -> list[Panel]:
    what = "{{.namespace}} {{.resource_kind}}/{{.resource_name}} {{.policy}}/{{.rule}}: {{.body}}"
    end = "{{.namespace}} {{.resource_name}} {{.policy}}: {{.reason}} after {{.duration_seconds}} s"
    return [
        _log("Failures that started", lines('="failure_opened"', CHOSEN, shown=what)),
        _log("Failures that ended", lines('="failure_closed"', CHOSEN, shown=end)),
    ]


def _completeness() -> list[Panel]:
    change = "{{.policy}} {{.reason}}: {{.former_mode}} to {{.mode}}"
    changed = lines('="policy_changed"', '| policy=~"$policy"', shown=change)
    gap = "{{.event_name}} {{.reason}} {{.seconds}} {{.lines}}"
    return [
        _log("Policies that changed", changed),
        _log("Gaps and starts of the exporter", lines('=~"gap|exporter_started"', shown=gap)),
    ]


def _log(title: str, expr: str) -> Panel:
    return Panel("log", title, [_query(expr, "range")]).settings(datasource=LOKI)


def _query(expr: str, kind: str) -> JsonDict:
    return {"datasource": LOKI, "expr": expr, "queryType": kind, "refId": "A"}
