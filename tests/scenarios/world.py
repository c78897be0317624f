"""Clusters, what happens in them, and what their exporters would show of it, minute by minute.

Everything is in minutes from the start of a test. Nothing changes between the moments that a
description names, so a series is a list of steps.
"""

import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

Labels = tuple[tuple[str, str], ...]
Span = tuple[int, int]
Values = dict[Labels, float]

REPORTS, EVENTS, POLICIES = (
    "policyreports.wgpolicyk8s.io",
    "events.events.k8s.io",
    "clusterpolicies.kyverno.io",
)
RESOURCES = (REPORTS, EVENTS, POLICIES)
BLOCK_LABELS = {"rule": "r", "outcome": "blocked", "category": "c", "controller": "admission"}


@dataclass(frozen=True)
class Policy:
    """A policy; ``changes`` are the minutes of its changes, ``audit`` when it stops enforcing."""

    name: str
    severity: str = "medium"
    changes: tuple[int, ...] = ()
    since: int = -100_000
    enforces: bool = False
    audit: int | None = None

    def last_changed(self, at: int) -> int:
        return max((minute for minute in (self.since, *self.changes) if minute <= at), default=0)


@dataclass(frozen=True)
class Check:
    """A resource that a policy judges: when it is there, and when it fails."""

    namespace: str
    kind: str
    name: str
    policy: Policy
    fails: tuple[Span, ...]
    lives: Span
    controlled: bool = False

    def alive(self, at: int) -> bool:
        return self.lives[0] <= at < self.lives[1]

    def failing(self, at: int) -> bool:
        return self.alive(at) and any(start <= at < end for start, end in self.fails)

    def begins(self) -> list[int]:
        return [max(start, self.lives[0]) for start, _ in self.fails]


@dataclass(frozen=True)
class Block:
    """One refused request."""

    minute: int
    namespace: str
    kind: str
    policy: Policy


@dataclass
class Exporter:
    """One instance; each span of ``up`` is a process, which without ``state`` knows nothing."""

    instance: str
    up: list[Span]
    state: bool = True
    shard: tuple[int, int] = (0, 1)
    unsynced: list[Span] = field(default_factory=list)
    watch_down: list[Span] = field(default_factory=list)
    gone: bool = True  # while it is not up, its target is not there either; else up is 0

    def process(self, at: int) -> Span | None:
        return next((span for span in self.up if span[0] <= at < span[1]), None)

    def first_look(self, at: int) -> int:
        """Return since when its knowledge goes back, in the process that runs at this minute."""
        span = self.process(at)
        assert span is not None
        return self.up[0][0] if self.state else span[0]

    def takes(self, namespace: str) -> bool:
        index, shards = self.shard
        return (zlib.crc32(namespace.encode()) if namespace else 0) % shards == index


@dataclass
class Cluster:
    """A cluster by the label that its Prometheus adds; empty is no label."""

    name: str
    minutes: int
    exporters: list[Exporter] = field(default_factory=list)
    policies: list[Policy] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    teams: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """The label ``team`` of a namespace, and from when; an empty one is no label at all."""
    extra: dict[Labels, list[tuple[int, float | None]]] = field(default_factory=dict)
    """Series of others: steps of (from, value)."""

    def policy(self, name: str, severity: str = "medium", **rest: object) -> Policy:
        made = Policy(name, severity, **rest)  # type: ignore[arg-type]
        self.policies.append(made)
        return made

    def check(
        self,
        namespace: str,
        kind: str,
        name: str,
        policy: Policy,
        *fails: Span,
        lives: Span | None = None,
        controlled: bool = False,
    ) -> None:
        """Add a resource; without a span it fails from before the start to the end."""
        whole = (-10_000, self.minutes + 1)
        given = fails or (lives or whole,)
        self.checks.append(Check(namespace, kind, name, policy, given, lives or whole, controlled))

    def block(self, namespace: str, kind: str, policy: Policy, *minutes: int) -> None:
        self.blocks += [Block(minute, namespace, kind, policy) for minute in minutes]

    def team(self, namespace: str, at: int) -> dict[str, str]:
        named = [team for start, team in self.teams.get(namespace, []) if start <= at]
        return {"team": named[-1]} if named and named[-1] else {}

    def moments(self) -> list[int]:
        """Return every minute at which something may look different from the minute before."""
        found = {0, self.minutes}
        for exporter in self.exporters:
            for start, end in [*exporter.up, *exporter.unsynced, *exporter.watch_down]:
                found |= {start, start + 1, end}
        for policy in self.policies:
            found |= {policy.since, *policy.changes}
            found |= {policy.audit} if policy.audit is not None else set()
        for check in self.checks:
            found |= {*check.lives, *(edge for span in check.fails for edge in span)}
            found |= {start + 1 for start in check.begins()}
        for block in self.blocks:
            found |= {block.minute, block.minute + 1}
        for named in self.teams.values():
            found |= {start for start, _ in named}
        return sorted(minute for minute in found if 0 <= minute <= self.minutes)


def labelled(name: str, labels: dict[str, str]) -> Labels:
    return (("__name__", name), *sorted((k, v) for k, v in labels.items() if v))


def series(cluster: Cluster) -> dict[Labels, list[tuple[int, int, float]]]:
    """Return each series as steps of (from, to, value); what no step covers is absent."""
    steps: dict[Labels, list[tuple[int, int, float]]] = defaultdict(list)
    for start, end in pairwise([*cluster.moments(), cluster.minutes + 1]):
        for exporter in cluster.exporters:
            for labels, value in exposed(cluster, exporter, start).items():
                steps[labels].append((start, end, value))
    for labels, given in cluster.extra.items():
        own = dict(labels) | ({"cluster": cluster.name} if cluster.name else {})
        key = labelled(own.pop("__name__"), own)
        for (start, shown), (end, _) in pairwise([*given, (cluster.minutes + 1, None)]):
            if shown is not None:
                steps[key].append((start, end, shown))
    return steps


def exposed(cluster: Cluster, exporter: Exporter, at: int) -> Values:
    """Return what one scrape of one exporter shows, with the labels that the scrape adds."""
    scrape = {"job": "exporter", "instance": exporter.instance, "cluster": cluster.name}
    process = exporter.process(at)
    if process is None:
        return {} if exporter.gone else {labelled("up", scrape): 0}
    seen: Values = {
        labelled("up", scrape): 1,
        labelled("policyreport_exporter_build_info", scrape | {"version": "1"}): 1,
        labelled("process_start_time_seconds", scrape): process[0] * 60,
    }
    for name, value in _own(exporter, at):
        for resource in RESOURCES:
            seen[labelled(name, scrape | {"resource": resource})] = value
    if any(start <= at < end for start, end in exporter.unsynced):
        return seen
    for part in (_results, _failures, _blocks, _policies):
        for name, labels, value in part(cluster, exporter, at):
            seen[labelled(name, scrape | labels)] = value
    return seen


def _own(exporter: Exporter, at: int) -> Iterator[tuple[str, float]]:
    yield "policyreport_exporter_served", 1
    yield "policyreport_exporter_synced", float(not _within(exporter.unsynced, at))
    yield "policyreport_exporter_watch_up", float(not _within(exporter.watch_down, at))


def _within(spans: list[Span], at: int) -> bool:
    return any(start <= at < end for start, end in spans)


Shown = Iterator[tuple[str, dict[str, str], float]]


def _results(cluster: Cluster, exporter: Exporter, at: int) -> Shown:
    counts: dict[tuple[str, str, str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    reports: dict[str, int] = defaultdict(int)
    workloads: dict[tuple[str, str, Policy], int] = defaultdict(int)
    for check in cluster.checks:
        if not check.alive(at) or not exporter.takes(check.namespace):
            continue
        reports[check.namespace] += 1
        owned = str(check.controlled).lower()
        policy = check.policy
        key = (check.namespace, check.kind, policy.name, policy.severity, owned)
        counts[key][check.failing(at)] += 1
        if check.failing(at):
            labels = _judged(check.namespace, policy) | {"kind": check.kind, "name": check.name}
            labels |= {"rule": "r", "result": "fail", "controlled": owned}
            yield "policyreport_resource_results", labels | cluster.team(check.namespace, at), 1
            if not check.controlled:  # what is controlled fails with its owner here
                workloads[check.namespace, check.kind, policy] += 1
    for (namespace, kind, failed), number in workloads.items():
        labels = _judged(namespace, failed) | {"workload_kind": kind, "result": "fail"}
        yield "policyreport_failing_workloads", labels | cluster.team(namespace, at), number
    for (namespace, kind, name, severity, owned), numbers in counts.items():
        labels = {"namespace": namespace, "kind": kind, "policy": name, "severity": severity}
        labels |= {"rule": "r", "category": "c", "source": "kyverno", "controlled": owned}
        labels |= cluster.team(namespace, at)
        for result, number in zip(("pass", "fail"), numbers, strict=True):
            yield "policyreport_results", labels | {"result": result}, number
    for namespace, number in reports.items():
        yield "policyreport_reports", {"namespace": namespace, "group": "g"}, number
        info = {"namespace": namespace} | cluster.team(namespace, at)
        if namespace:
            yield "policyreport_namespace_info", info, 1


def _judged(namespace: str, policy: Policy) -> dict[str, str]:
    return {
        "namespace": namespace,
        "policy": policy.name,
        "severity": policy.severity,
        "source": "kyverno",
    }


def _failures(cluster: Cluster, exporter: Exporter, at: int) -> Shown:
    """Yield ages, and the counter of failures that began after the first look."""
    look = exporter.first_look(at)
    oldest: dict[tuple[str, Policy], int] = {}
    opened: dict[tuple[str, Policy], list[int]] = defaultdict(list)
    for check in cluster.checks:
        if not exporter.takes(check.namespace):
            continue
        key = (check.namespace, check.policy)
        begins = check.begins()
        opened[key] += [start for start in begins if look < start <= at]
        if check.failing(at):
            since = max(look, *(start for start in begins if start <= at), 0)
            oldest[key] = min(since, oldest.get(key, since))
    for (namespace, policy), since in oldest.items():
        labels = _judged(namespace, policy) | cluster.team(namespace, at)
        yield "policyreport_oldest_failure_timestamp_seconds", labels, since * 60
    for (namespace, policy), starts in opened.items():
        if starts:
            labels = _judged(namespace, policy) | cluster.team(namespace, at)
            yield "policyreport_failures_opened_total", labels, _held(starts, at)


def _held(starts: list[int], at: int) -> int:
    """Count, but show a new series at 0 first."""
    return 0 if min(starts) == at else len(starts)


def _blocks(cluster: Cluster, exporter: Exporter, at: int) -> Shown:
    look = exporter.first_look(at)
    found: dict[tuple[str, str, Policy], list[int]] = defaultdict(list)
    newest: dict[tuple[str, Policy], int] = {}
    for block in cluster.blocks:
        if look < block.minute <= at and exporter.takes(block.namespace):
            found[block.namespace, block.kind, block.policy].append(block.minute)
        if block.minute <= at and exporter.takes(block.namespace):
            key = (block.namespace, block.policy)
            newest[key] = max(block.minute, newest.get(key, 0))
    for (namespace, kind, policy), minutes in found.items():
        labels = {"namespace": namespace, "kind": kind, "policy": policy.name}
        labels |= BLOCK_LABELS | {"policy_kind": "ClusterPolicy", "severity": policy.severity}
        labels |= cluster.team(namespace, at)
        yield "policyviolation_events_total", labels, _held(minutes, at)
    for (namespace, policy), minute in newest.items():
        labels = {"namespace": namespace, "policy": policy.name, "outcome": "blocked"}
        labels |= cluster.team(namespace, at)
        yield "policyviolation_last_event_timestamp_seconds", labels, minute * 60


def _policies(cluster: Cluster, exporter: Exporter, at: int) -> Shown:
    if exporter.shard[0] == 0:
        for policy in cluster.policies:
            if policy.since > at:
                continue
            weak = not policy.enforces or (policy.audit is not None and policy.audit <= at)
            labels = {"policy": policy.name, "policy_kind": "ClusterPolicy", "source": "kyverno"}
            info = {"mode": "audit" if weak else "enforce", "severity": policy.severity}
            yield "policyreport_policy_info", labels | info, 1
            yield "policyreport_policy_ready", labels, 1
            changed = policy.last_changed(at) * 60
            yield "policyreport_policy_last_changed_timestamp_seconds", labels, changed
    live = sum(policy.since <= at for policy in cluster.policies)
    yield "policyreport_exporter_objects", {"resource": POLICIES}, live
