"""Names, labels and annotations of alerts."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from exporter.alerting.alert import Alert, labels_of
from exporter.alerting.blocks import BlockGroup
from exporter.alerting.settings import SEVERITIES, AlertingSettings, Severity
from exporter.alerting.violations import ViolationSummary

VIOLATION: Final = "PolicyViolation"
BLOCKED: Final = "PolicyBlocked"
FOLDED: Final = "PolicyAlertsFolded"

Facts = Mapping[str, str]
"""The labels by which an alert is grouped, with those of its namespace."""


class Wording:
    """Makes alerts from facts, by the settings."""

    def __init__(self, settings: AlertingSettings) -> None:
        self._settings = settings

    def violation(
        self, severity: str, facts: Facts, summary: ViolationSummary, title: str
    ) -> Alert:
        """Describe resources that fail a policy."""
        labels = {
            "severity": _mapped(self._settings.violations.severities, severity),
            "policy_severity": severity,
            "component": "policy",
            "owner": "team",
            **facts,
        }
        who, what = _resources(summary.resources), _what(facts)
        verb = "fails" if summary.resources == 1 else "fail"
        annotations = {
            "summary": f"{who} {verb} {what} {self._where(facts)}.",
            "description": f"{who} {verb} {what}{_titled(title)} {self._where(facts)}; "
            f"failing since {_minute(summary.since)}.",
            "message": summary.message,
            "resources": _listed([_resource(*r) for r in summary.first], summary.resources),
        }
        return self._alert(VIOLATION, labels, annotations, summary.since, "policy-namespace")

    def blocked(self, severity: str, facts: Facts, blocked: BlockGroup, title: str) -> Alert:
        """Describe blocked requests, with the resource of the last one."""
        labels = {
            "severity": _mapped(self._settings.blocks.severities, severity),
            "policy_severity": severity,
            "component": "enforcement",
            "owner": "team",
            **facts,
        }
        span, newest = blocked.latest, blocked.newest
        times = "a request" if span.count == 1 else f"{span.count} requests"
        annotations = {
            "summary": f"{_what(facts)} blocked {times} {self._where(facts)}.",
            "description": f"{_what(facts)}{_titled(title)} blocked {times} {self._where(facts)}, "
            f"last for {_resource(newest.kind, newest.name)} at {_minute(newest.seconds)}.",
            "message": newest.message,
            "resources": ", ".join(_resource(facts.get("kind", ""), n) for n in blocked.recent),
        }
        return self._alert(BLOCKED, labels, annotations, span.first, "policy-enforcement")

    def folded(self, severities: Counter[str], since: float) -> Alert:
        """Describe the alerts that are not sent one by one."""
        count, limit = severities.total(), self._settings.max_alerts
        each = ", ".join(f"{severities[s]} {s}" for s in SEVERITIES if severities[s])
        labels = {"severity": "warning", "component": "pipeline", "owner": "platform"}
        annotations = {
            "summary": f"{count} further policy alerts are not sent individually.",
            "description": f"{count} alerts exceed max_alerts = {limit} or their "
            f"namespace's share of it. By severity of the policy: {each}.",
        }
        return self._alert(FOLDED, labels, annotations, since, "policy-overview")

    def _alert(
        self,
        name: str,
        labels: dict[str, str],
        annotations: dict[str, str],
        starts: float,
        dashboard: str,
    ) -> Alert:
        settings = self._settings
        labels = {**labels, **settings.labels}
        link = self._dashboard(dashboard, labels)
        annotations |= {
            "runbook_url": settings.runbook_url.replace("{alertname}", name),
            "dashboard_url": link,
            **settings.annotations,
        }
        return Alert(
            labels_of({**labels, "alertname": name}),
            {key: text for key, text in annotations.items() if text},
            starts,
            {VIOLATION: "reports", BLOCKED: "events"}.get(name, "both"),  # type: ignore[arg-type]  # literals
            settings.external_url or link,
        )

    def _where(self, facts: Facts) -> str:
        """Name namespace and cluster, as far as the alert is about one."""
        named = self._settings.labels.get("cluster", "")
        cluster = f"cluster {named}" if named else "the cluster"
        match facts.get("namespace"):
            case None:
                return f"in {cluster}"
            case "":
                return "in the cluster scope" + (f" of {cluster}" if named else "")
            case namespace:
                return f"in {namespace}" + (f" of {cluster}" if named else "")

    def _dashboard(self, uid: str, labels: Mapping[str, str]) -> str:
        if not self._settings.grafana_url:
            return ""
        names = [name for name in ("cluster", "namespace", "policy") if labels.get(name)]
        query = urlencode({f"var-{name}": labels[name] for name in names})
        return f"{self._settings.grafana_url.rstrip('/')}/d/{uid}" + (query and f"?{query}")


def _mapped(severities: Mapping[Severity, str], severity: str) -> str:
    """Translate a policy's severity; one that is not mapped stays as it is."""
    return next((mapped for name, mapped in severities.items() if name == severity), severity)


def _what(facts: Facts) -> str:
    rule = facts.get("rule")
    return f"{facts['policy']} ({rule})" if rule else facts["policy"]


def _titled(title: str) -> str:
    return f" “{title}”" if title else ""


def _resources(count: int) -> str:
    return "1 resource" if count == 1 else f"{count} resources"


def _resource(kind: str, name: str) -> str:
    return "/".join(part for part in (kind, name) if part) or "an unnamed resource"


def _listed(names: list[str], count: int) -> str:
    more = count - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _minute(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
