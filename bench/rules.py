"""``python -m bench.rules``: the CPU that a Prometheus needs to evaluate all rules.

Two Prometheus scrape the same exposition once a minute, one with the rules and one without; the
difference of their CPU time is what the rules cost. Time on the clock means nothing on a busy
machine, CPU time does.
"""

import argparse
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from alerts.build import HERE
from tests.servers import Prometheus, prometheus
from tests.tools import fetch

KINDS = ("Deployment", "StatefulSet", "ReplicaSet", "Job", "Pod")
SEVERITIES = ("critical", "high", "medium", "low", "none")
POLICIES = 25
CONFIG = """
global: {{scrape_interval: 1m, scrape_timeout: 50s, evaluation_interval: 1m}}
rule_files: [{files}]
scrape_configs:
  - {{job_name: exporter, honor_labels: true, static_configs: [{{targets: ["{target}"]}}]}}
"""
NAMES = ("recording.rules.yaml", "alerts.rules.yaml")


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
        labels = f'{namespace},kind="{kind}",{judged},rule="check",category="Best Practices"'
        yield f'policyreport_results{{{labels},result="pass"}} 5'
        yield f'policyreport_results{{{labels},result="fail"}} {3 if failing else 0}'
    if failing:
        yield f"policyreport_oldest_failure_timestamp_seconds{{{namespace},{judged}}} 1700000000"
        yield f"policyreport_failures_opened_total{{{namespace},{judged}}} 7"
        for kind in KINDS:
            labels = f'{namespace},kind="{kind}",name="web",{judged},rule="check",result="fail"'
            yield f"policyreport_resource_results{{{labels}}} 1"


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
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def cpu(server: Prometheus) -> float:
    """Return the seconds of CPU that a child has used."""
    with open(f"/proc/{server.process.pid}/stat") as stat:  # noqa: PTH123 - not a file
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main() -> None:
    """Measure and print the seconds of CPU a minute, with and without the rules."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=125_000)
    parser.add_argument("--minutes", type=int, default=5)
    parser.add_argument("--program", default="prometheus3")
    arguments = parser.parse_args()
    rules = {name: (HERE / name).read_text() for name in NAMES}
    text = "\n".join([*exposition(arguments.series), ""]).encode()
    print(f"{text.count(b'policyreport_results{')} series of results")
    with ExitStack() as stack:
        target = stack.enter_context(serving(text))
        servers = [
            stack.enter_context(
                prometheus(
                    CONFIG.format(target=target, files=", ".join(files)),
                    files=files,
                    program=arguments.program,
                )
            )
            for files in (rules, {})
        ]
        time.sleep(150)  # two scrapes and evaluations: what is made once is not counted
        before = [cpu(server) for server in servers]
        time.sleep(60 * arguments.minutes)
        used = [(cpu(s) - b) / arguments.minutes for s, b in zip(servers, before, strict=True)]
        own = fetch(f"{servers[0].url}/metrics").decode().splitlines()
        print(f"with rules {used[0]:.2f}, without {used[1]:.2f} seconds of CPU a minute")
        print(f"rules: {used[0] - used[1]:.2f} seconds of CPU a minute")
        print(*(line for line in own if "rule_group_last_duration_seconds{" in line), sep="\n")


if __name__ == "__main__":
    main()
