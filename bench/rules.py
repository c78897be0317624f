"""``python -m bench.rules``: the CPU that a Prometheus needs to evaluate all rules.

Two Prometheus scrape the same exposition, one with the rules and one without; the difference of
their CPU time is what the rules cost. Time on the clock means nothing on a busy machine, CPU time
does.

The Prometheus with the rules has the history that they look back at, up to a week. Otherwise the
ranges would be all but empty. Groups are evaluated HURRY times as often as installed, so that
minutes give the mean of many evaluations; what is measured is then given for a minute as installed.
"""

import argparse
import json
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from alerts.build import HERE
from tests.servers import Prometheus, prometheus
from tests.tools import eventually, fetch, tool

KINDS = ("Deployment", "StatefulSet", "ReplicaSet", "Job", "Pod")
CONTROLLED = ("ReplicaSet", "Job", "Pod")
WORKLOAD = 'workload_kind="Deployment"'
SEVERITIES = ("critical", "high", "medium", "low", "none")
POLICIES = 25
HURRY = 6
MINUTE, HOUR, DAY = 60, 3600, 86_400
CONFIG = """
global: {{scrape_interval: 1m, scrape_timeout: 50s, evaluation_interval: 10s}}
rule_files: [{files}]
scrape_configs:
  - {{job_name: exporter, honor_labels: true, static_configs: [{{targets: ["{target}"]}}]}}
"""
NAMES = ("recording.rules.yaml", "alerts.rules.yaml")
INTERVAL = re.compile(r"^  interval: (\d+)m$", re.MULTILINE)
PACE = "prometheus_rule_group_iterations_total"
MISSED = "prometheus_rule_group_iterations_missed_total"
PACED_BY = "policy-report-recording"  # evaluated each minute


def exposition(series: int) -> Iterator[str]:
    """Yield a cluster with this many series of results, one check in ten failing."""
    namespaces = series // (POLICIES * len(KINDS) * 2)
    for number in range(namespaces):
        namespace = f'namespace="ns-{number}",team="team-{number % 40}"'
        yield f"policyreport_namespace_info{{{namespace}}} 1"
        yield f'policyreport_reports{{{namespace},group="wgpolicyk8s.io"}} 30'
        for policy in range(POLICIES):
            severity = SEVERITIES[policy % len(SEVERITIES)]
            judged = f'policy="policy-{policy}",severity="{severity}",source="kyverno"'
            failing = (number + policy) % 10 == 0
            yield from _policy(namespace, judged, failing=failing)
    for policy in range(POLICIES):
        own = f'policy="policy-{policy}",policy_kind="ClusterPolicy",source="kyverno"'
        yield f'policyreport_policy_info{{{own},mode="enforce",background="true"}} 1'
        yield f"policyreport_policy_ready{{{own}}} 1"
        yield f"policyreport_policy_last_changed_timestamp_seconds{{{own}}} 1000000"
    yield 'policyreport_exporter_build_info{version="1"} 1'
    yield f"process_start_time_seconds {time.time() - 86400}"


def _policy(namespace: str, judged: str, *, failing: bool) -> Iterator[str]:
    """Yield what one namespace shows of one policy."""
    for kind in KINDS:
        owned = f'kind="{kind}",controlled="{str(kind in CONTROLLED).lower()}"'
        labels = f'{namespace},{owned},{judged},rule="check",category="Best Practices"'
        yield f'policyreport_results{{{labels},result="pass"}} 5'
        yield f'policyreport_results{{{labels},result="fail"}} {3 if failing else 0}'
    if failing:
        yield f"policyreport_oldest_failure_timestamp_seconds{{{namespace},{judged}}} 1700000000"
        yield f"policyreport_failures_opened_total{{{namespace},{judged}}} 7"
        for kind in KINDS:
            owned = f'kind="{kind}",name="web",controlled="{str(kind in CONTROLLED).lower()}"'
            labels = f'{namespace},{owned},{WORKLOAD},workload="web",{judged},rule="check"'
            yield f'policyreport_resource_results{{{labels},result="fail"}} 1'
        labels = f'{namespace},{WORKLOAD},{judged},result="fail"'
        yield f"policyreport_failing_workloads{{{labels}}} 3"
        labels = f'{namespace},kind="Pod",{judged.rpartition(",")[0]},policy_kind="ClusterPolicy"'
        labels = f'{labels},rule="check",outcome="blocked",category="c",controller="admission"'
        yield f"policyviolation_events_total{{{labels}}} 4"


@contextmanager
def serving(text: bytes) -> Iterator[str]:
    """Serve an exposition and yield its address."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text)

        def log_request(self, *_: object) -> None:
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def cpu(server: Prometheus) -> float:
    """Return the seconds of CPU that a child has used."""
    with open(f"/proc/{server.process.pid}/stat") as stat:  # noqa: PTH123 - not a file
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def hurried(rules: str) -> str:
    """Return a rule file whose groups are evaluated HURRY times as often."""
    return INTERVAL.sub(lambda found: f"  interval: {int(found[1]) * MINUTE // HURRY}s", rules)


def history(series: int, now: int) -> Iterator[str]:
    """Yield, as OpenMetrics, what the rules recorded before ``now`` and look back at."""
    week, days, hour = now - 7 * DAY, now - 2 * DAY, now - HOUR - 30 * MINUTE
    yield from _over("cluster:policyreport_exporters:count", [""], range(days, now, MINUTE), 1)
    yield from _over("cluster:policyreport_reports:sum", [""], range(days, now, MINUTE), 3000)
    policies = [f'policy="policy-{policy}"' for policy in range(POLICIES)]
    blocks = "cluster_policy:policyviolation_blocks:increase15m"
    yield from _over(blocks, policies, _aligned(week, now, 15 * MINUTE), 3)
    judged = [
        f'namespace="ns-{number}",policy="policy-{policy}",severity="{SEVERITIES[policy % 5]}"'
        for number in range(series // (POLICIES * len(KINDS) * 2))
        for policy in range(POLICIES)
    ]
    level = "cluster_namespace_policy_severity:policyreport_failing_workloads"
    # A subquery looks at whole half hours.
    yield from _over(f"{level}:max30m", judged, _aligned(days, now, 30 * MINUTE), 5)
    yield from _over(f"{level}:sum", judged, range(hour, now, MINUTE), 5)
    yield from _over(f"{level}:baseline", judged, range(hour, now, MINUTE), 5)
    yield "# EOF"


def _aligned(start: int, end: int, step: int) -> range:
    return range(start - start % step, end, step)


def _over(name: str, series: Iterable[str], times: range, value: int) -> Iterator[str]:
    for labels in series:
        for at in times:
            yield f"{name}{{{labels}}} {value} {at}"


def fill(storage: Path, series: int) -> None:
    """Write the history as blocks of a storage."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"{line}\n" for line in history(series, int(time.time())))
        file.flush()
        command = (tool("promtool3"), "tsdb", "create-blocks-from", "openmetrics", "--quiet")
        whole = "--max-block-duration=744h"  # each block costs a pass over the file
        subprocess.run([*command, whole, file.name, storage], check=True)


def figure(server: Prometheus, line: str) -> float:
    """Return one of the server's own metrics, by a pattern for its name and labels."""
    own = fetch(f"{server.url}/metrics").decode()
    found = re.search(rf"^{line} (\S+)$", own, re.MULTILINE)
    return float(found[1]) if found else 0.0


def evaluations(server: Prometheus) -> float:
    """Return how often the group that is evaluated each minute was."""
    return figure(server, f"{PACE}{{.*{PACED_BY}.*}}")


def scraped(server: Prometheus, series: int) -> bool:
    return figure(server, "prometheus_tsdb_head_series") > series


def measured(ruled: Prometheus, bare: Prometheus, minutes: int) -> tuple[float, float]:
    """Return the CPU of both for a number of evaluations, in seconds for each evaluation."""
    start = evaluations(ruled)
    before = cpu(ruled), cpu(bare)
    eventually(
        lambda: evaluations(ruled) >= start + minutes,
        within=10 * 60,
        every=0.5,
        what=f"{minutes} evaluations",
    )
    done = evaluations(ruled) - start
    return (cpu(ruled) - before[0]) / done, (cpu(bare) - before[1]) / done


def missing(server: Prometheus) -> int:
    """Return how many evaluations the server left out."""
    own = fetch(f"{server.url}/metrics").decode()
    lines = [line for line in own.splitlines() if line.startswith(f"{MISSED}{{")]
    return int(sum(float(line.rpartition(" ")[2]) for line in lines))


def slowest(server: Prometheus) -> list[tuple[float, str]]:
    """Return each rule with the time of its last evaluation, in seconds."""
    answer = json.loads(fetch(f"{server.url}/api/v1/rules"))
    rules = [rule for group in answer["data"]["groups"] for rule in group["rules"]]
    return sorted(((rule["evaluationTime"], rule["name"]) for rule in rules), reverse=True)


def main() -> None:
    """Measure and print the seconds of CPU a minute, with and without the rules."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=125_000)
    parser.add_argument(
        "--minutes", type=int, default=10, help="evaluations of each minute's rules"
    )
    parser.add_argument("--program", default="prometheus3")
    arguments = parser.parse_args()
    rules = {name: hurried((HERE / name).read_text()) for name in NAMES}
    text = "\n".join([*exposition(arguments.series), ""]).encode()
    print(f"{text.count(b'policyreport_results{')} series of results")
    with ExitStack() as stack:
        target = stack.enter_context(serving(text))
        storage = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        fill(storage, arguments.series)
        ruled, bare = (
            stack.enter_context(
                prometheus(
                    CONFIG.format(target=target, files=", ".join(files)),
                    files=files,
                    program=arguments.program,
                    data=data,
                )
            )
            for files, data in ((rules, storage), ({}, Path("data")))
        )
        for server in (ruled, bare):
            eventually(
                partial(scraped, server, arguments.series),
                within=5 * 60,
                every=1,
                what="the first scrape",
            )
        # What is made once is not counted: each group is evaluated once, the slowest each 50 s.
        start = evaluations(ruled)
        eventually(lambda: evaluations(ruled) >= start + 6, within=10 * 60, every=0.5)
        with_rules, without = measured(ruled, bare, arguments.minutes)
        print(f"rules: {with_rules - without:.2f} seconds of CPU a minute")
        if missed := missing(ruled):
            print(f"missed evaluations: {missed}; the figure is too low, the machine too busy")
        print("the slowest rules, in seconds on the clock:")
        for seconds, name in slowest(ruled)[:12]:
            print(f"{seconds:8.3f} {name}")


if __name__ == "__main__":
    main()
