"""What became of the rows, judged once for each variant."""

from collections.abc import Iterator
from functools import cache

from alerts.build import HERE as ALERTS
from tests.scenarios import rows
from tests.scenarios.judge import Fired, run
from tests.scenarios.people import Configuration, Notification, read, told
from tests.scenarios.world import Cluster
from tests.tools import tool

EXAMPLE = read(ALERTS / "alertmanager.example.yml")
STACK = read(rows.HERE / "kube-prometheus-stack.yml")
NEWS = {"PolicyNewViolation", "PolicyNewCriticalViolation"}


class Lived:
    """The alerts of one variant, and who was told."""

    def __init__(self, fired: list[Fired], until: int) -> None:
        self.fired = fired
        self.until = until
        self._told: dict[str, list[Notification]] = {}

    def alerts(self, **labels: str | set[str]) -> list[Fired]:
        """Find alerts; a set is a choice. Those for a list (info) are left out unless asked for."""
        wanted = {"alertname": labels.pop("name")} if "name" in labels else {}
        found = [each for each in self.fired if _fits(each, wanted | labels)]
        quiet = {"info", "none"} if "severity" not in labels and not wanted else set()
        return [each for each in found if each.labels["severity"] not in quiet]

    def told(self, config: Configuration = EXAMPLE) -> list[Notification]:
        """Return all notifications; InfoInhibitor is an alert of kube-prometheus-stack only."""
        key = "stack" if config is STACK else "example"
        if key not in self._told:
            fired = [each for each in self.fired if config is STACK or each.name != "InfoInhibitor"]
            self._told[key] = told(config, fired, self.until)
        return self._told[key]

    def messages(
        self, config: Configuration = EXAMPLE, **labels: str | set[str]
    ) -> list[Notification]:
        """Return the notifications about some alerts, with nothing else in them."""
        return [*self._messages(config, labels)]

    def _messages(
        self, config: Configuration, labels: dict[str, str | set[str]]
    ) -> Iterator[Notification]:
        for each in self.told(config):
            firing = [alert for alert in each.firing if _fits(alert, labels)]
            over = [alert for alert in each.resolved if _fits(alert, labels)]
            if firing or over:
                yield each._replace(firing=firing, resolved=over)


def _fits(alert: Fired, labels: dict[str, str | set[str]]) -> bool:
    return all(
        alert.labels.get(name, "") in (wanted if isinstance(wanted, set) else {wanted})
        for name, wanted in labels.items()
    )


@cache
def town(variant: str) -> Lived:
    return live(rows.town(rows.VARIANTS[variant]))


def about(variant: str, row: str) -> Lived:
    """Return what became of a row about exporters."""
    if rows.VARIANTS[variant].labelled:
        return _together(variant)[row]
    return _alone(variant, row)


@cache
def _alone(variant: str, row: str) -> Lived:
    return live(rows.ABOUT_EXPORTERS[row](rows.VARIANTS[variant]))


@cache
def _together(variant: str) -> dict[str, Lived]:
    """Judge all rows of a variant in one Prometheus, where the label ``cluster`` separates them."""
    made = {row: rows.ABOUT_EXPORTERS[row](rows.VARIANTS[variant]) for row in rows.asked(variant)}
    whole = live(*made.values())
    return {row: Lived(_of(cluster, whole), cluster.minutes) for row, cluster in made.items()}


def _of(cluster: Cluster, whole: Lived) -> list[Fired]:
    """Take the alerts of a cluster, as they were when its description ends."""
    return [
        each._replace(end=min(each.end, cluster.minutes + 1))
        for each in whole.fired
        if each.labels.get("cluster") == cluster.name and each.start <= cluster.minutes
    ]


def live(*clusters: Cluster) -> Lived:
    fired, output = run(clusters, tool("promtool"))
    assert "err: " not in output, output[:3000]
    return Lived(fired, max(cluster.minutes for cluster in clusters))
