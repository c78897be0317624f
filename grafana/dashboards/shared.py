"""Panels that more than one dashboard shows, over the matchers that the dashboard gives."""

from collections.abc import Mapping

from grafana.dashboards import palette, panels, tables
from grafana.dashboards import promql as q
from grafana.dashboards.palette import DAY, HOUR
from grafana.dashboards.panels import Panel
from grafana.dashboards.tables import Column, value

# Events are read, and rules are evaluated.
BLOCKS_KNOWN = f"{q.EVENTS_SYNCED} and on () group({q.of(q.FLEET, q.CLUSTER)})"
TARGET = "vector($target)"
URGENCY = {"1": ("critical", "red"), "2": ("warning", "orange"), "3": ("info", "blue")}


def compliance(share: str) -> Panel:
    """Return the headline share."""
    stat = panels.number("Compliance", share, palette.ratio())
    return stat.having(unit="percentunit", decimals=1, min=0, max=1)


def oldest(every: str, *matchers: str) -> Panel:
    """How long the longest failure has lasted."""
    age = q.known(f"time() - min({q.of(q.SINCE, *matchers)})", every)
    return panels.number("Oldest failure", age, palette.age(7 * DAY, 30 * DAY)).having(unit="s")


def opened(*matchers: str) -> Panel:
    """How many checks began to fail in the range."""
    new = q.while_known(q.happened(q.OPENED, *matchers), q.RESULTS_KNOWN)
    return panels.number("New failures", new).having(decimals=0)


def blocked(*matchers: str) -> Panel:
    """How many requests were refused in the range."""
    grown = q.happened(q.VIOLATED, *matchers, q.BLOCKED)
    return panels.number("Blocked requests", q.while_known(grown, BLOCKS_KNOWN)).having(decimals=0)


def age_of_data(*matchers: str) -> Panel:
    """How old the newest result is."""
    newest = q.of(q.NEWEST, *(matchers or (q.CLUSTER,)))
    oldest = f"max(time() - max by (cluster) ({newest}))"
    stat = panels.number("Age of the data", oldest, palette.age(2 * HOUR, 3 * HOUR))
    return stat.having(unit="s")


def shares(title: str, queries: Mapping[str, str], interval: str) -> Panel:
    """Compliance over time, in percent."""
    panel = panels.lines(title, queries).having(unit="percentunit", decimals=1, max=1)
    return panel.settings(interval=interval)


def opened_and_closed(*matchers: str) -> Panel:
    """Flow of failures, new ones up and fixed ones down."""
    # Zeros between what is recorded, or a bar would be as wide as the time until the next.
    new = q.known(q.happened(q.OPENED, *matchers, window="$__interval"), q.RESULTS_KNOWN)
    fixed = q.known(q.happened(q.CLOSED, *matchers, window="$__interval"), q.RESULTS_KNOWN)
    panel = panels.bars("New and fixed failures", {"new": new, "fixed": f"-({fixed})"})
    return panels.painted(panel.settings(interval="10m"), {"new": "orange", "fixed": "green"})


def outcomes(*matchers: str) -> Panel:
    """Violations at admission, refused and allowed."""

    def of(outcome: str) -> str:
        happened = q.happened(q.VIOLATED, *matchers, outcome, window="$__interval")
        return q.known(happened, BLOCKS_KNOWN)

    drawn = {"blocked": of(q.BLOCKED), "allowed": of(q.ALLOWED)}
    panel = panels.bars("Violations at admission", drawn)
    return panels.painted(panel, {"blocked": "red", "allowed": "orange"})


def recent_blocks(*matchers: str) -> Panel:
    """Return the newest refused requests by name."""
    newest = q.now("policyviolation_recent_block_timestamp_seconds", *matchers)
    by = "cluster, namespace, kind, name, policy, rule"
    return tables.table_of(
        "What was blocked just now?",
        [
            value("When", f"1000 * max by ({by}) (topk(100, {newest}))")
            .having(unit="dateTimeFromNow")
            .wide(145),
            tables.namespace().wide(110),
            Column("kind", "Kind").wide(100),
            Column("name", "Name"),
            tables.policy(),
            Column("rule", "Rule"),
            tables.cluster(),
        ],
        sort=["-When"],
    ).having(noValue="nothing was blocked in the last hour")


def failing_workloads(*matchers: str) -> Panel:
    """Which workloads fail what, by name."""
    by = "cluster, namespace, workload_kind, workload, policy, rule, result, severity"
    objects = f"group by ({by}, kind, name) ({q.of(q.RESOURCES, *matchers)})"
    worst = f"topk by (severity) (200, count by ({by}) ({objects}))"
    return tables.table_of(
        "Which workloads fail?",
        [
            tables.severity(),
            tables.namespace(),
            Column("workload_kind", "Kind").wide(120),
            Column("workload", "Workload"),
            tables.policy(),
            Column("rule", "Rule"),
            tables.result(),
            value("Objects", q.ranked(worst)).wide(85),
            tables.cluster(),
        ],
        sort=["Severity", "Namespace", "Workload"],
        hidden=("severity",),
    ).height(11)


def unscored(*matchers: str) -> Panel:
    """Exceptions in force, and what could not be evaluated."""
    by = "cluster, namespace, policy, rule, result"
    found = q.of(q.UNMET, *matchers, 'result=~"error|warn|skip"')
    return tables.table_of(
        "Exceptions, skipped and not evaluated",
        [
            tables.policy(),
            Column("rule", "Rule"),
            tables.namespace(),
            tables.result(),
            value("Checks", f"topk(200, {q.total(found, by)})").wide(90),
            tables.cluster(),
        ],
        sort=["-Checks"],
    ).having(noValue="no skipped checks, errors or warnings")


def alerts() -> Panel:
    """Return the alerts of this project's rules that fire now."""
    by = "cluster, namespace, policy, alertname, severity"
    ours = ('alertname=~"(Policy|Kyverno).+"', 'alertname!~".+Watchdog"')
    firing = q.of("ALERTS", q.CLUSTER, 'alertstate="firing"', *ours)
    return tables.table_of(
        "Firing alerts",
        [
            Column("rank", "Urgency").words(URGENCY).wide(80),
            Column("alertname", "Alert"),
            tables.namespace().wide(110),
            tables.policy(),
            tables.cluster(),
        ],
        rows_of=q.ranked(q.total(firing, by), [word for word, _ in URGENCY.values()]),
        sort=["Urgency", "Alert"],
        hidden=("severity",),
    ).having(noValue="no alert fires")
