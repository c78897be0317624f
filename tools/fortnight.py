"""A believable fortnight of six clusters, as the history of a Prometheus.

What the exporter would have shown every twenty minutes of two working weeks: releases on working
days break a check now and then and are fixed within hours or days; a policy is introduced in mode
audit, fixed over a week and enforced; one evening a controller retries a refused request for half
an hour. The families and labels are those of the catalogue; a test holds them against it. The same
seed gives the same fortnight.
"""

import math
import random
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

import yaml

from alerts.build import HERE as ALERTS
from grafana.build import HERE as BOARDS
from tests.servers import Prometheus, prometheus
from tests.tools import own_directory, tool

STEP: Final = 1200
LOOKBACK: Final = STEP + 300
# The recording rules are evaluated 593.2 s after each STEP (a hash of file and group): just before
# the end here, so that the last recorded values are as new as what the exporter shows.
END: Final = datetime(2026, 9, 18, 13, 49, 54, tzinfo=UTC).timestamp()
GROUP: Final = "recorded"
START: Final = END - 15 * 86400
TIMES: Final = range(int(START) - 4, int(END) + 1, STEP)
LATELY: Final = range(int(END) - 5 * 3600, int(END) + 1, 60)
DENSE: Final = sorted({*TIMES, *LATELY})
HOUR, DAY = 3600, 86400
EVENTS: Final = "policyviolation_events_total"
Samples = Iterable[tuple[int, float]]
TEAMS: Final = {
    "cart": "shop", "catalog": "shop", "checkout": "shop", "search": "shop",
    "billing": "payments", "ledger": "payments", "payouts": "payments",
    "login": "identity", "profiles": "identity",
    "ingress-nginx": "platform", "monitoring": "platform", "ci": "platform",
}  # fmt: skip


class Policy(NamedTuple):
    """A policy and how it is used; ``since`` and ``enforced`` are days from the start."""

    name: str
    rule: str
    severity: str
    category: str
    mode: str
    title: str
    since: float = -90
    enforced: float = 99


NEW: Final = "require-pod-probes"
POLICIES: Final = (
    Policy("disallow-privileged-containers", "privileged-containers", "critical",
           "Pod Security", "enforce", "Disallow privileged containers"),
    Policy("disallow-host-path", "host-path", "high", "Pod Security", "enforce",
           "Disallow hostPath"),
    Policy("require-run-as-nonroot", "run-as-non-root", "high", "Pod Security", "audit",
           "Require runAsNonRoot"),
    Policy("disallow-latest-tag", "require-image-tag", "medium", "Best Practices", "enforce",
           "Disallow the tag latest"),
    Policy("require-requests-limits", "validate-resources", "medium", "Best Practices", "audit",
           "Require requests and limits"),
    Policy("require-labels", "check-team", "low", "Best Practices", "enforce", "Require labels"),
    Policy("restrict-image-registries", "validate-registries", "high", "Supply Chain", "enforce",
           "Restrict image registries"),
    Policy("verify-image-signatures", "verify-signature", "high", "Supply Chain", "audit",
           "Verify image signatures"),
    Policy(NEW, "validate-probes", "medium", "Best Practices", "audit",
           "Require probes", 4.42, 12.4),
)  # fmt: skip


LESSER: Final = tuple(p for p in POLICIES[:-1] if p.severity in {"medium", "low"})


class Failure(NamedTuple):
    """A workload that fails a policy from one moment to another, in unix seconds."""

    namespace: str
    policy: Policy
    workload: str
    begins: float
    ends: float


def working(moment: float) -> bool:
    """Say whether people are at work."""
    when = datetime.fromtimestamp(moment, UTC)
    return when.weekday() < 5 and 7 <= when.hour < 17


class Cluster:
    """One cluster's fortnight: its workloads, their failures, its refused requests."""

    def __init__(self, name: str, namespaces: int, seed: int, pace: float = 1.0) -> None:
        self.name = name
        self.random = random.Random(seed)
        self.namespaces = list(TEAMS)[:namespaces]
        self.workloads = {n: self.random.randint(6, 16) for n in self.namespaces}
        failures = [*self._standing(), *self._introduced(), *self._released(pace)]
        # Prometheus shows a series for the look-back after its last sample: none ends so late.
        self.failures = [
            f._replace(ends=END + HOUR) if END - LOOKBACK - STEP < f.ends <= END else f
            for f in failures
        ]
        self.blocks = sorted(self._blocked(pace))

    def _standing(self) -> Iterator[Failure]:
        for namespace in self.namespaces:
            if self.random.random() < 0.5:
                policy = self.random.choice(LESSER)
                begins = START - self.random.uniform(2, 20) * DAY
                ends = self._mended(START + self.random.uniform(1, 12) * DAY)
                yield Failure(namespace, policy, f"{namespace}-batch", begins, ends)

    def _introduced(self) -> Iterator[Failure]:
        policy = POLICIES[-1]
        begins = START + policy.since * DAY
        for namespace, count in self.workloads.items():
            for number in range(round(count * self.random.uniform(0.2, 0.6))):
                ends = self._mended(begins + self.random.uniform(0.3, 7.5) * DAY)
                yield Failure(namespace, policy, f"{namespace}-{number}", begins, ends)

    def _released(self, pace: float) -> Iterator[Failure]:
        moment = START
        while (moment := moment + self.random.expovariate(pace / (1.5 * HOUR))) < END:
            if working(moment):
                namespace = self.random.choice(self.namespaces)
                severe = (POLICIES[2], POLICIES[7]) if moment < END - 3 * DAY else ()
                policy = self.random.choice((*LESSER, *LESSER, *severe))
                ends = self._mended(moment + self.random.expovariate(1 / (9 * HOUR)))
                yield Failure(
                    namespace, policy, f"{namespace}-{self.random.randint(0, 5)}", moment, ends
                )

    def _mended(self, moment: float) -> float:
        """Return the next moment at which somebody is there to mend it."""
        while not working(moment):
            moment += HOUR
        return moment

    def _blocked(self, pace: float) -> Iterator[tuple[float, str, Policy, str]]:
        moment, enforced = START, [p for p in POLICIES if p.mode == "enforce"][1:]
        while (moment := moment + self.random.expovariate(pace / (2 * HOUR))) < END:
            if working(moment):
                policies = [*enforced, *(p for p in POLICIES if START + p.enforced * DAY < moment)]
                namespace = self.random.choice(self.namespaces)
                yield moment, namespace, self.random.choice(policies), "Deployment"
        for number in range(38):
            yield (
                START + 7.78 * DAY + 45 * number,
                self.namespaces[4 % len(self.namespaces)],
                POLICIES[6],
                "Pod",
            )
        yield END - 22 * 60, self.namespaces[0], POLICIES[3], "Deployment"

    def series(self) -> Iterator[tuple[str, Samples]]:
        """Return every series of this cluster with its samples."""
        for namespace in self.namespaces:
            for policy in POLICIES:
                yield from self._of_policy(namespace, policy)
            yield from self._of_namespace(namespace)
        yield from chain.from_iterable(map(self._about, POLICIES))
        yield from self._of_exporter()

    def _about(self, policy: Policy) -> Iterator[tuple[str, Samples]]:
        enforced = START + policy.enforced * DAY
        labels = {"policy": policy.name, "policy_kind": "ClusterPolicy", "source": "kyverno"}
        mode = "enforce" if enforced < END else policy.mode
        more = {"mode": mode, "background": "true", "severity": policy.severity}
        more |= {"category": policy.category, "title": policy.title}
        changed = "policyreport_policy_last_changed_timestamp_seconds"
        at = enforced if enforced < END else START + policy.since * DAY
        yield self._line("policyreport_policy_info", labels | more), [(t, 1) for t in LATELY]
        yield self._line("policyreport_policy_ready", labels), [(t, 1) for t in LATELY]
        yield self._line(changed, labels), [(t, at) for t in LATELY]

    def _of_policy(self, namespace: str, policy: Policy) -> Iterator[tuple[str, Samples]]:
        mine = [f for f in self.failures if (f.namespace, f.policy) == (namespace, policy)]
        known = [t for t in TIMES if t >= START + policy.since * DAY]
        failing = {t: len({f.workload for f in mine if f.begins <= t < f.ends}) for t in known}
        common = {"namespace": namespace, "team": TEAMS[namespace], "policy": policy.name}
        rated = {"severity": policy.severity, "source": "kyverno"}
        checked = {"rule": policy.rule, "category": policy.category}
        for kind, copies in (("Deployment", 1), ("Pod", 2)):
            every, labels = copies * self.workloads[namespace], common | rated | checked
            labels |= {"kind": kind, "controlled": _controlled(kind)}
            fails = {t: copies * count for t, count in failing.items()}
            passes = {t: every - count for t, count in fails.items()}
            for result, counts in (("fail", fails), ("pass", passes)):
                yield (
                    self._line("policyreport_results", labels | {"result": result}),
                    counts.items(),
                )
        if namespace == "ci" and policy.severity == "high":
            labels = common | rated | checked | {"kind": "Deployment", "result": "skip"}
            labels["controlled"] = "false"
            yield self._line("policyreport_results", labels), [(t, 2) for t in known]
        flow = common | rated
        if mine:
            opened, closed = [f.begins for f in mine], [f.ends for f in mine]
            yield self._counter("policyreport_failures_opened_total", flow, opened, known)
            yield self._counter("policyreport_failures_closed_total", flow, closed, known)
        since = {t: [f.begins for f in mine if f.begins <= t < f.ends] for t in known}
        yield (
            self._line("policyreport_oldest_failure_timestamp_seconds", flow),
            [(t, min(begun)) for t, begun in since.items() if begun],
        )
        failed = flow | {"workload_kind": "Deployment", "result": "fail"}
        yield (
            self._line("policyreport_failing_workloads", failed),
            [(t, count) for t, count in failing.items() if count],
        )
        latest = {f.workload: f.begins for f in mine if f.begins <= END < f.ends}
        for workload, begins in latest.items():
            pods = (("Pod", f"{workload}-5d59d67564-{suffix}") for suffix in ("8x7kq", "zl2tn"))
            for kind, name in (("Deployment", workload), *pods):
                named = failed | {"workload": workload, "kind": kind, "name": name}
                named |= {"rule": policy.rule, "controlled": _controlled(kind)}
                yield (
                    self._line("policyreport_resource_results", named),
                    [(t, 1) for t in LATELY if begins <= t],
                )
        yield from self._refused(namespace, policy)

    def _refused(self, namespace: str, policy: Policy) -> Iterator[tuple[str, Samples]]:
        introduced = START + policy.since * DAY
        mine = [b for b in self.blocks if (b[1], b[2]) == (namespace, policy)]
        common = {"namespace": namespace, "team": TEAMS[namespace], "policy": policy.name}
        for kind in sorted({b[3] for b in mine}):
            labels = common | {
                "kind": kind, "policy_kind": "ClusterPolicy", "rule": policy.rule,
                "outcome": "blocked", "severity": policy.severity, "category": policy.category,
                "controller": "admission",
            }  # fmt: skip
            yield self._counter(EVENTS, labels, [b[0] for b in mine if b[3] == kind], DENSE)
        # What failed before a policy came is found by a scan, not at admission.
        allowed = [
            f.begins
            for f in self.failures
            if (f.namespace, f.policy) == (namespace, policy) and f.begins != introduced
        ]
        if policy.mode == "audit":
            labels = common | {
                "kind": "Deployment", "policy_kind": "ClusterPolicy", "rule": policy.rule,
                "outcome": "allowed", "severity": policy.severity, "category": policy.category,
                "controller": "admission",
            }  # fmt: skip
            yield self._counter(EVENTS, labels, allowed, DENSE)

        if mine:
            live = [(t, sum(t - HOUR < b[0] <= t for b in mine)) for t in LATELY]
            yield self._line("policyviolation_live_events", common | {"outcome": "blocked"}), live
        for moment, _, _, kind in mine:
            if moment > END - HOUR:
                labels = common | {"kind": kind, "name": f"{namespace}-web", "rule": policy.rule}
                yield (
                    self._line("policyviolation_recent_block_timestamp_seconds", labels),
                    [(t, moment) for t in LATELY if t >= moment],
                )

    def _of_namespace(self, namespace: str) -> Iterator[tuple[str, Samples]]:
        team = {"namespace": namespace, "team": TEAMS[namespace]}
        every = self.workloads[namespace]
        mine = [f for f in self.failures if f.namespace == namespace]
        failing = {t: len({f.workload for f in mine if f.begins <= t < f.ends}) for t in TIMES}
        for status in ("fail", "pass"):
            labels = team | {"kind": "Deployment", "controlled": "false", "status": status}
            yield (
                self._line("policyreport_resources", labels),
                [(t, count if status == "fail" else every - count) for t, count in failing.items()],
            )
        yield (
            self._line("policyreport_reports", team | {"group": "wgpolicyk8s.io"}),
            [(t, 3 * every) for t in TIMES],
        )

    def _of_exporter(self) -> Iterator[tuple[str, Samples]]:
        where = {"job": "policy-report-exporter", "instance": f"{self.name}:10480"}
        own = "policyreport_exporter"
        source = where | {"source": "kyverno"}
        yield (
            self._line("policyreport_newest_result_timestamp_seconds", source),
            [(t, t - t % HOUR - 40) for t in TIMES],
        )
        build = where | {"version": "1.0.0", "revision": "", "python": "3.13"}
        yield self._line(f"{own}_build_info", build), [(t, 1) for t in TIMES]
        reports = sum(self.workloads.values()) * 3
        objects = {
            "policyreports.wgpolicyk8s.io": reports, "clusterpolicyreports.wgpolicyk8s.io": 4,
            "clusterpolicies.kyverno.io": len(POLICIES), "events.events.k8s.io": 420,
            "namespaces": len(self.namespaces), "reports.openreports.io": 0,
        }  # fmt: skip
        for resource, count in objects.items():
            labels, is_served = (
                where | {"resource": resource},
                float(not resource.startswith("reports")),
            )
            for family in ("served", "watch_up", "synced"):
                yield self._line(f"{own}_{family}", labels), [(t, is_served) for t in TIMES]
            yield self._line(f"{own}_objects", labels), [(t, count) for t in LATELY]
            yield (
                self._line(f"{own}_last_change_timestamp_seconds", labels),
                [(t, t - 60 - t % 840) for t in LATELY],
            )
            yield (
                self._line(f"{own}_last_sync_timestamp_seconds", labels),
                [(t, START) for t in LATELY],
            )
            rate = count * (1 / HOUR if "reports" in resource else 1e-5)
            labels = labels | {"change": "modified"}
            yield self._line(f"{own}_watch_changes_total", labels), self._ramp(rate)
            labels = where | {"resource": resource, "reason": "expired"}
            yield self._line(f"{own}_relists_total", labels), [(t, 0) for t in LATELY]
            labels = where | {"resource": resource, "reason": "timeout"}
            yield self._line(f"{own}_watch_restarts_total", labels), self._ramp(is_served / 480)
        served = len(objects) - 1
        for verb, rate in (("watch", served / 480), ("list", served / 14400)):
            labels = where | {"verb": verb, "code": "200"}
            yield self._line(f"{own}_api_requests_total", labels), self._ramp(rate)
        for verb, rate in (("watch", 1 / 60), ("list", 1 / 1800)):
            for bound, share in (("0.01", 0.55), ("0.05", 0.93), ("0.25", 1.0), ("+Inf", 1.0)):
                bucket = f"{own}_api_request_duration_seconds_bucket"
                labels = where | {"verb": verb, "le": bound}
                yield self._line(bucket, labels), self._ramp(rate * share)
        families = {"results": 40 * len(self.namespaces), "resource_results": 60, "resources": 30}
        for family, count in families.items():
            labels = where | {"family": f"policyreport_{family}"}
            limit = 20_000 if family == "resource_results" else 200_000
            yield self._line(f"{own}_series", labels), [(t, count) for t in LATELY]
            yield self._line(f"{own}_series_limit", labels), [(t, limit) for t in LATELY]
            yield self._line(f"{own}_series_folded_total", labels), [(t, 0) for t in LATELY]
        manager = where | {"alertmanager": "alertmanager:9093"}
        yield self._line(f"{own}_alerts_sent_total", manager), self._ramp(1 / 120)
        plain: dict[str, Callable[[int], float]] = {
            f"{own}_event_gap_seconds_total": lambda _: 0,
            f"{own}_config_last_reload_successful": lambda _: 1,
            f"{own}_render_duration_seconds": lambda t: 0.012 + t % 1700 / 1e6,
            f"{own}_exposition_bytes": lambda t: 181_000 + t % 900,
            f"{own}_checkpoint_last_success_timestamp_seconds": lambda t: t - 5 - t % 7,
            f"{own}_event_loop_lag_seconds": lambda t: 0.002 + t % 1100 / 4e5,
            "process_resident_memory_bytes": lambda t: 71e6 + t % 7000 * 300,
            "process_cpu_seconds_total": lambda t: 0.013 * (t - START) + math.sin(t / 600),
            "process_start_time_seconds": lambda _: START,
        }
        skipped = {"resource": "policyreports.wgpolicyk8s.io", "reason": "malformed"}
        yield self._line(f"{own}_objects_skipped_total", where | skipped), [(t, 0) for t in LATELY]
        for family, of in plain.items():
            yield self._line(family, where), [(t, of(t)) for t in LATELY]
        kyverno = {"job": "kyverno", "instance": "kyverno:8000"}
        for bound, share in (("0.01", 0.6), ("0.05", 0.97), ("0.25", 1.0), ("+Inf", 1.0)):
            bucket = "kyverno_admission_review_duration_seconds_bucket"
            yield self._line(bucket, kyverno | {"le": bound}), self._ramp(0.8 * share)
        for allowed, rate in (("true", 0.8), ("false", 0.004)):
            labels = kyverno | {"request_allowed": allowed}
            yield self._line("kyverno_admission_requests_total", labels), self._ramp(rate)
        labels = kyverno | {"controller_name": "background-scan-controller"}
        yield self._line("kyverno_controller_drop_total", labels), [(t, 0) for t in LATELY]

    def _counter(
        self,
        family: str,
        labels: dict[str, str],
        moments: list[float],
        known: Iterable[int] = TIMES,
    ) -> tuple[str, Samples]:
        return self._line(family, labels), [
            (t, sum(START < m <= t for m in moments)) for t in known
        ]

    def _ramp(self, rate: float) -> list[tuple[int, float]]:
        return [(t, round(rate * (t - START), 3)) for t in LATELY]

    def _line(self, family: str, labels: dict[str, str]) -> str:
        pairs = (f'{name}="{value}"' for name, value in ({"cluster": self.name} | labels).items())
        return f"{family}{{{','.join(pairs)}}}"


def _controlled(kind: str) -> str:
    """Return whether another reported object owns objects of this kind."""
    return str(kind == "Pod").lower()


def clusters() -> list[Cluster]:
    """Return the company's clusters, the largest first."""
    return [
        Cluster("prod-eu", 12, 7),
        Cluster("prod-us", 7, 11, 0.7),
        Cluster("staging-eu", 5, 13, 0.8),
        Cluster("staging-us", 4, 17, 0.8),
        Cluster("dev", 4, 19, 1.2),
        Cluster("edge", 2, 23, 0.3),
    ]


def write(path: Path, company: Iterable[Cluster]) -> None:
    """Write the history as OpenMetrics, with timestamps."""
    with path.open("w", encoding="utf-8") as file:
        for cluster in company:
            for series, samples in cluster.series():
                file.writelines(f"{series} {value} {moment}\n" for moment, value in samples)
        file.write("# EOF\n")


@contextmanager
def remembered(company: Iterable[Cluster]) -> Iterator[Prometheus]:
    """Run a Prometheus that has the history, and what the recording rules make of it."""
    with own_directory() as home:
        write(home / "history.txt", company)
        _promtool("create-blocks-from", "openmetrics", f"{home}/history.txt", f"{home}/data")
        (home / "history.txt").unlink()
        flags = ["--storage.tsdb.retention.time=10y", f"--query.lookback-delta={LOOKBACK}s"]
        for rules in _levels():
            (home / "rules.yaml").write_text(rules, encoding="utf-8")
            with prometheus("", flags=flags, data=home / "data") as server:
                _promtool(
                    "create-blocks-from",
                    "rules",
                    *(f"--start={START:.0f}", f"--end={END:.0f}", f"--eval-interval={STEP}s"),
                    *(f"--url={server.url}", f"--output-dir={home}/made", "rules.yaml"),
                    cwd=home,
                )
            for block in (home / "made").iterdir():
                block.rename(home / "data" / block.name)
        with prometheus("", flags=flags, data=home / "data") as server:
            yield server


def _promtool(*words: str, cwd: Path | None = None) -> None:
    # One block for all: each further one reads the whole history once more.
    argv = [str(tool("promtool")), "tsdb", *words[:2], "--max-block-duration=1000h", *words[2:]]
    subprocess.run(argv, check=True, capture_output=True, cwd=cwd)


def _levels() -> list[str]:
    """Return the dashboards' recording rules in files, which need only what those before made.

    They are evaluated every STEP seconds here: what they compare with an interval ago is that old.
    Rules for alerts are left out: they read what they recorded before.
    """
    text = (ALERTS / "recording.rules.yaml").read_text(encoding="utf-8")
    # The group's offset within the interval adds to the age of the sample before.
    text = text.replace("[5m] offset 1m", f"[{STEP + 300}s] offset {STEP}s")
    groups = yaml.safe_load(text.replace("offset 1m", f"offset {STEP}s"))["groups"]
    every = {rule["record"]: rule for group in groups for rule in group["rules"]}
    boards = "".join(path.read_text(encoding="utf-8") for path in BOARDS.glob("*.json"))
    needed = {name for name in every if _asks(boards, name)}
    while more := {n for r in needed for n in every if _asks(every[r]["expr"], n)} - needed:
        needed |= more
    made: list[str] = []
    while needed:
        level = [n for n in needed if not any(_asks(every[n]["expr"], name) for name in needed)]
        if not level:
            raise ValueError(f"recording rules that read each other: {sorted(needed)}")
        rules = [every[name] for name in sorted(level)]
        made.append(yaml.safe_dump({"groups": [{"name": GROUP, "rules": rules}]}))
        needed -= set(level)
    return made


def _asks(expr: str, name: str) -> bool:
    return re.search(rf"(?<![\w:]){re.escape(name)}(?![\w:])", expr) is not None
