"""What an on-call lives through: the rows of the table in docs/alerting.md, as descriptions.

Rows about namespaces share one cluster, each with namespaces and policies of its own; rows about
exporters have a cluster each. What is described begins at ``AT``, after a past of 26 hours.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.scenarios.world import Cluster, Exporter, Span

HERE = Path(__file__).parent
HOUR = 60
AT = 26 * HOUR
END = AT + 8 * HOUR
FOREVER = 1_000_000
# The attempts of a ReplicaSet in minutes: its back-off doubles up to a quarter of an hour.
RETRIES = (0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 6, 11, 22, 39, 55, 72)
KYVERNO = (("__name__", "up"), ("instance", "k"), ("job", "kyverno-svc-metrics"))
REPORTS_CONTROLLER = (
    ("__name__", "up"),
    ("instance", "r"),
    ("job", "kyverno-reports-controller-metrics"),
)


class Variant(NamedTuple):
    """How clusters are exported and labelled."""

    name: str
    teams: bool = True
    replicas: int = 1
    shards: int = 1
    labelled: bool = True

    def cluster(
        self,
        name: str,
        *,
        up: tuple[Span, ...] = ((0, FOREVER),),
        end: int = AT + 4 * HOUR,
        state: bool = True,
    ) -> Cluster:
        exporters = [
            Exporter(f"{name}-{shard}-{replica}", [*up], shard=(shard, self.shards), state=state)
            for shard in range(self.shards)
            for replica in range(self.replicas)
        ]
        called = name if self.labelled else ""
        made = Cluster(called, end, exporters)
        if self.teams:
            made.teams = {namespace: [(0, "shop")] for namespace in TEAMS}
        return made


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("plain"),
        Variant("no-team", teams=False),
        Variant("two-replicas", replicas=2),
        Variant("two-shards", shards=2),
        Variant("no-cluster", labelled=False),
    )
}
FLEET = [f"fleet-{number}" for number in range(20)]
SMALL = [f"small-{number}" for number in range(4)]
TEAMS = [
    *("new", "stands", "medium", "unrated", "flaps", "person", "retries", "gitops", "renamed"),
    *("rollouts", "jobs", "ci", *FLEET, *SMALL),
]
Row = Callable[[Cluster], None]


def new_critical_violation(cluster: Cluster) -> None:
    policy = cluster.policy("new", "critical")
    cluster.check("new", "Deployment", "web", policy, (AT, AT + 2 * HOUR))


def critical_violation_that_stands(cluster: Cluster) -> None:
    policy = cluster.policy("stands", "critical")
    cluster.check("stands", "Deployment", "web", policy, (AT, FOREVER))


def new_violation_of_a_medium_policy(cluster: Cluster) -> None:
    policy = cluster.policy("medium", "medium")
    cluster.check("medium", "StatefulSet", "db", policy, (AT, FOREVER))


def new_violation_without_severity(cluster: Cluster) -> None:
    policy = cluster.policy("unrated", "none")
    cluster.check("unrated", "Deployment", "web", policy, (AT, FOREVER))


def failure_that_flaps(cluster: Cluster) -> None:
    policy = cluster.policy("flaps", "critical")
    spans = [(AT + HOUR * hour, AT + HOUR * hour + 20) for hour in range(8)]
    cluster.check("flaps", "Deployment", "web", policy, *spans)


def new_policy_in_20_namespaces(cluster: Cluster) -> None:
    policy = cluster.policy("fleet", "high", since=AT)
    for late, namespace in enumerate(FLEET):
        span = (AT + 2 + late, FOREVER)
        cluster.check(namespace, "Deployment", "web", policy, span, lives=span)


def changed_policy_in_4_namespaces(cluster: Cluster) -> None:
    policy = cluster.policy("small", "critical", changes=(AT,))
    for late, namespace in enumerate(SMALL):
        cluster.check(namespace, "Deployment", "web", policy, (AT + 1 + late, FOREVER))


def team_label_changes(cluster: Cluster) -> None:
    """One namespace changes its label, another gets one by a reload."""
    policy = cluster.policy("relabelled", "critical")
    for namespace, before in (("relabelled", "a"), ("late-label", "")):
        for number in range(7):
            cluster.check(namespace, "Deployment", f"web-{number}", policy)
        cluster.check(namespace, "Deployment", "mended", policy, (HOUR, HOUR + 4))
        cluster.block(namespace, "Pod", policy, *range(3 * HOUR, 3 * HOUR + 30))
        if cluster.teams:
            cluster.teams[namespace] = [(0, before), (AT, "b")]


def person_is_blocked_once(cluster: Cluster) -> None:
    for namespace in ("kube-system", "monitoring", "person"):
        cluster.block(namespace, "Pod", cluster.policy(f"once-{namespace}", "high"), AT)


def replicaset_is_refused(cluster: Cluster) -> None:
    for namespace in ("retries", "cattle-system"):
        policy = cluster.policy(f"refuses-{namespace}", "high")
        cluster.block(namespace, "ReplicaSet", policy, *(AT + minute for minute in RETRIES))


def gitops_is_refused(cluster: Cluster) -> None:
    policy = cluster.policy("gitops", "high")
    cluster.block("gitops", "Deployment", policy, *range(AT, AT + 3 * HOUR, 3))


def ordinary_life(cluster: Cluster, phase: int = 0) -> None:
    """Hourly roll-outs of old debt, nightly jobs, Pods of CI, a change of a policy a day.

    ``phase`` moves the roll-outs, nights and builds by some minutes.
    """
    debt = cluster.policy(
        "debt", "critical", changes=tuple(range(10 * HOUR + phase, cluster.minutes, 24 * HOUR))
    )
    cluster.check("rollouts", "Deployment", "web", debt)
    for start in range(phase % HOUR, cluster.minutes, HOUR):
        span = (start, min(start + HOUR + 3, cluster.minutes + 1))
        cluster.check("rollouts", "ReplicaSet", f"web-{start}", debt, lives=span, controlled=True)
        for number in range(3):
            cluster.check(
                "rollouts", "Pod", f"web-{start}-{number}", debt, lives=span, controlled=True
            )
    cluster.check("jobs", "CronJob", "night", debt)
    for night in range(2 * HOUR + phase, cluster.minutes, 24 * HOUR):
        span = (night, night + 30)
        cluster.check("jobs", "Job", f"night-{night}", debt, lives=span, controlled=True)
        cluster.check("jobs", "Pod", f"night-{night}-x", debt, lives=span, controlled=True)
    build = cluster.policy("builds", "critical")
    for start in range(phase % 30, cluster.minutes, 30):
        cluster.check("ci", "Pod", f"build-{start}", build, lives=(start, start + 12))
    renamed = [cluster.policy("old-name", "high"), cluster.policy("new-name", "high", since=AT)]
    cluster.check("renamed", "Deployment", "web", renamed[0], lives=(-HOUR, AT))
    cluster.check("renamed", "Deployment", "web", renamed[1], lives=(AT, FOREVER))


IN_NAMESPACES: tuple[Row, ...] = (
    new_critical_violation,
    critical_violation_that_stands,
    new_violation_of_a_medium_policy,
    new_violation_without_severity,
    failure_that_flaps,
    new_policy_in_20_namespaces,
    changed_policy_in_4_namespaces,
    team_label_changes,
    person_is_blocked_once,
    replicaset_is_refused,
    gitops_is_refused,
    ordinary_life,
)


def town(variant: Variant) -> Cluster:
    """All rows about namespaces, in one cluster."""
    cluster = variant.cluster("town", end=END)
    for row in IN_NAMESPACES:
        row(cluster)
    return cluster


def debtor(cluster: Cluster) -> Cluster:
    """Add what every cluster has: old failures, and a new one that is not fixed."""
    old, new = cluster.policy("old", "critical"), cluster.policy("recent", "critical")
    for namespace in ("one", "two", "three", "four"):
        cluster.check(namespace, "Deployment", "web", old)
        cluster.check(namespace, "Deployment", "api", new, (25 * HOUR, FOREVER))
    cluster.policy("guard", "high", enforces=True)
    return cluster


def first_hour(variant: Variant) -> Cluster:
    cluster = variant.cluster("fresh", end=3 * HOUR)
    old, new, block = (cluster.policy(name, "critical") for name in ("labels", "probes", "block"))
    for number in range(500):
        cluster.check("debt", "Deployment", f"web-{number}", old)
    for name in ("one", "two", "three", "four", "five", "six"):
        cluster.check(name, "Deployment", "web", old)
    cluster.check("debt", "Pod", "new", new, (10, FOREVER))
    for kind, name in (("ReplicaSet", "web"), ("Pod", "web-1"), ("Pod", "web-2")):
        # A roll-out shows its failures anew; that of the Deployment is as old as before.
        cluster.check("one", kind, name, old, lives=(7, FOREVER), controlled=True)
    for minute in range(2 * HOUR):
        cluster.block("debt", "Pod", block, minute, minute)
    return cluster


def api_server_upgrade(variant: Variant) -> Cluster:
    cluster = debtor(variant.cluster("upgrade"))
    for exporter in cluster.exporters:
        exporter.watch_down = [(AT, AT + 10)]
    return cluster


def stuck_watch(variant: Variant) -> Cluster:
    cluster = debtor(variant.cluster("stuck"))
    for exporter in cluster.exporters:
        exporter.watch_down = [(AT, FOREVER)]
    return cluster


def scale_down(variant: Variant) -> Cluster:
    cluster = debtor(variant._replace(shards=3).cluster("scaled", up=((0, AT),)))
    cluster.exporters.append(Exporter("scaled-alone", [(AT, FOREVER)]))
    return cluster


def lost_shard(variant: Variant) -> Cluster:
    cluster = debtor(variant._replace(shards=3).cluster("lost"))
    for number in range(9):
        cluster.check(f"spread-{number}", "Deployment", "web", cluster.policies[0])
    for exporter in cluster.exporters:
        if exporter.shard[0] == 1:
            exporter.up = [(0, AT)]
    return cluster


def replaced_pod(variant: Variant, *, state: bool) -> Cluster:
    name = "replaced-with-state" if state else "replaced"
    cluster = debtor(variant.cluster(name, up=((0, AT),), state=state))
    after = debtor(variant.cluster(f"{name}-again", up=((AT + 2, FOREVER),), state=state)).exporters
    if state:
        for exporter in after:
            exporter.up.insert(0, (0, 0))
    cluster.exporters += after
    return cluster


def crash_loop(variant: Variant) -> Cluster:
    cluster = debtor(variant.cluster("crashes"))
    starts = (AT, AT + 2, AT + 4, AT + 7, AT + 12, *range(AT + 18, AT + 4 * HOUR, 6))
    for exporter in cluster.exporters[:1]:
        exporter.up = [(0, AT - 1), *((start, start + 1) for start in starts)]
        exporter.gone = False
    return cluster


def kyverno_down(variant: Variant) -> Cluster:
    cluster = debtor(variant.cluster("kyverno"))
    cluster.extra = {KYVERNO: [(0, 1), (AT, None)], REPORTS_CONTROLLER: [(0, 1), (AT, 0)]}
    return cluster


def weakened_while_away(variant: Variant) -> Cluster:
    cluster = debtor(variant.cluster("weakened", up=((0, AT), (AT + 3 * HOUR, FOREVER))))
    cluster.policy("weakened", "high", enforces=True, audit=AT + HOUR)
    return cluster


def exporter_down(variant: Variant) -> Cluster:
    return debtor(variant.cluster("down", up=((0, AT),)))


def block_burst(variant: Variant) -> Cluster:
    cluster = debtor(variant.cluster("burst"))
    policy = cluster.policy("burst", "high")
    cluster.block("one", "Deployment", policy, *(AT + number // 4 for number in range(40)))
    return cluster


ABOUT_EXPORTERS: dict[str, Callable[[Variant], Cluster]] = {
    "fresh": first_hour,
    "upgrade": api_server_upgrade,
    "stuck": stuck_watch,
    "scaled": scale_down,
    "lost": lost_shard,
    "replaced": partial(replaced_pod, state=False),
    "replaced_with_state": partial(replaced_pod, state=True),
    "crashes": crash_loop,
    "kyverno": kyverno_down,
    "weakened": weakened_while_away,
    "down": exporter_down,
    "burst": block_burst,
}

IN_VARIANT = {
    "no-team": (),
    "two-replicas": ("upgrade", "replaced", "crashes", "weakened", "down"),
    "two-shards": ("upgrade", "scaled", "lost", "replaced_with_state", "weakened"),
    "no-cluster": ("lost", "kyverno", "down"),
}
"""Rows about exporters that a variant other than "plain" may change; SCENARIOS=all asks for all."""


def all_asked_for() -> bool:
    """Whether a long run asks for everything."""
    return os.environ.get("SCENARIOS") == "all"


def asked(variant: str) -> list[str]:
    """Name the rows about exporters that are judged in a variant."""
    every = [*ABOUT_EXPORTERS]
    if all_asked_for():
        return every
    return [row for row in every if row in IN_VARIANT.get(variant, every)]
