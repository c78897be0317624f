"""The worst of it over real HTTP into the real command: others' numbers, /metrics, the log."""

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

import bcrypt
import pytest

from exporter.model.resource import EVENTS, POLICY_REPORTS, REPORTS
from tests.apiserver.faults import Answer
from tests.app.commands import Command
from tests.app.running import Cluster, Samples, parse, self_metrics, total
from tests.hostile.objects import EVIL
from tests.kube.kubeconfigs import kubeconfig
from tests.tools import eventually

pytestmark = pytest.mark.tier("simulator")

TOKEN: Final = "the-token-of-the-service-account"
PASSWORD: Final = "the-password-of-prometheus"
MESSAGE: Final = "the message of a violation, maybe with a secret in it"
ANNOTATION: Final = "an annotation that only the object's body has"
STRANGE: Final = 'x\ny"z\\%d%s{}\u202e\0\x1b[31m'
SECRETS: Final = (TOKEN, PASSWORD, MESSAGE, ANNOTATION, "Authorization", "Bearer ", "Basic ")
BROKEN_LIST: Final = (
    b'{"kind":"ReportList","metadata":{"resourceVersion":"1000"},"items":['
    b'{"metadata":{"name":"utf8","namespace":"evil"},"results":[{"policy":"\xff\xfe"}]},'
    b'{"metadata":{"name":"deep","namespace":"evil"},"results":' + b"[" * 5000 + b"]" * 5000 + b"},"
    b'{"metadata":{"name":"huge","namespace":"evil"},"summary":{"pass":1e400}},'
    b'{"metadata":{"name":"sound","namespace":"evil"},"results":[{"policy":"p","result":"fail",'
    b'"source":"kyverno","message":"' + MESSAGE.encode() + b'"}]}]}'
)


def report(name: str, *results: dict[str, Any], **more: object) -> dict[str, Any]:
    metadata = {"name": name, "namespace": EVIL, "annotations": {"note": ANNOTATION}}
    about = {"kind": "Pod", "name": f"pod-{name}", "namespace": "team-a", "uid": name}
    head = {"apiVersion": "wgpolicyk8s.io/v1alpha2", "kind": "PolicyReport", "metadata": metadata}
    return head | {"scope": about, "results": list(results)} | more


def failed(policy: str, **more: object) -> dict[str, Any]:
    fixed = {"policy": policy, "result": "fail", "source": "kyverno", "message": MESSAGE}
    return fixed | more


def hostile_reports() -> list[dict[str, Any]]:
    return [
        report("uid-web", failed("p"), summary={"pass": 2**53, "fail": 0}),
        report("strange", failed(STRANGE, rule=STRANGE), failed("%s%d%%")),
        report("many", *(failed(f"p{n}", timestamp={"seconds": n}) for n in range(5_000))),
        report("large", failed("x" * 3_000_000)),
        report("types", {"policy": {"secret": MESSAGE}, "result": [MESSAGE]}),
        report("future", failed("p", timestamp={"seconds": 2**62, "nanos": -5})),
        report("lying", failed("p"), summary={"pass": -1, "fail": MESSAGE}),
    ]


def forged_events() -> list[dict[str, Any]]:
    events = []
    for number, namespace in enumerate([EVIL] * 20):
        metadata = {"name": f"forged.{number}", "namespace": namespace}
        events.append(
            {
                "apiVersion": "events.k8s.io/v1",
                "kind": "Event",
                "metadata": metadata,
                "eventTime": "2286-11-20T17:46:39.000000Z",
                "reportingController": "kyverno-admission",
                "reason": "PolicyViolation",
                "action": "Resource Blocked",
                "regarding": {"kind": "ClusterPolicy", "name": f"p{number}"},
                "related": {"kind": "Pod", "namespace": "team-a", "name": "web"},
                "note": f"Pod team-a/web: [r] fail (blocked); {MESSAGE}",
                "deprecatedCount": 2**31 - 1,
            }
        )
    return events


def of_others(samples: Samples) -> Samples:
    return {s: v for s, v in samples.items() if dict(s.labels).get("namespace") == "team-a"}


class Guarded:
    """``serve`` behind a password, with a token for the API server."""

    def __init__(self, directory: Path, api: str) -> None:
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        web = directory / "web.yaml"
        web.write_text(f"basic_auth_users: {{prometheus: '{hashed}'}}\n")
        config = directory / "config.yaml"
        config.write_text("birth_hold: 0\n")
        self.command = Command(
            directory,
            "serve",
            f"--kubeconfig={kubeconfig(directory, api, {'token': TOKEN})}",
            f"--web.config.file={web}",
            f"--config.file={config}",
            "--log.level=info",
        )

    def scrape(self) -> Samples:
        request = Request(f"{self.command.url}/metrics")
        credentials = base64.b64encode(f"prometheus:{PASSWORD}".encode()).decode()
        request.add_header("Authorization", f"Basic {credentials}")
        with urlopen(request, timeout=30) as answer:
            return parse(answer.read().decode())

    async def until(self, done: Callable[[Samples], object]) -> Samples:
        def look() -> bool:
            self.seen = self.scrape()
            return bool(done(self.seen))

        await asyncio.to_thread(eventually, look, within=60)
        return self.seen


async def test_hostile_objects_hurt_nobody_else_and_nothing_secret_is_logged(
    tmp_path: Path,
) -> None:
    async with Cluster() as cluster:
        cluster.report("web", "disallow-host-ports")
        guarded = Guarded(tmp_path, cluster.api.url)
        cluster.api.faults.add(Answer(200, body=BROKEN_LIST), REPORTS.name, "list", times=None)
        await asyncio.to_thread(guarded.command.start)
        try:
            before = await guarded.until(lambda s: total(s, "policyreport_results", namespace=EVIL))
            cluster.block()
            alone = await guarded.until(lambda s: total(s, "policyviolation_events_total"))
            for each in hostile_reports():
                cluster.store.create(POLICY_REPORTS.name, each)
            for each in forged_events():
                cluster.store.create(EVENTS.name, each)
            await guarded.until(
                lambda s: (
                    self_metrics(s, "watch_changes_total", resource=EVENTS.name) == 21
                    and self_metrics(s, "objects", resource=POLICY_REPORTS.name)
                    == len(hostile_reports()) - 2
                )
            )
            # Counts of objects are of a later moment than the reports in the same answer.
            after = await asyncio.to_thread(guarded.scrape)
        finally:
            await asyncio.to_thread(guarded.command.stop)
    judge(guarded, before, alone, after)


def judge(guarded: Guarded, before: Samples, alone: Samples, after: Samples) -> None:
    assert (
        self_metrics(before, "objects_skipped_total", resource=REPORTS.name, reason="malformed")
        == 3
    )
    skipped = self_metrics(
        after, "objects_skipped_total", resource=POLICY_REPORTS.name, reason="malformed"
    )
    assert skipped == 3
    counted = total(after, "policyviolation_events_total")
    assert counted == total(alone, "policyviolation_events_total") == 1
    assert total(after, "policyreport_results", namespace=EVIL, result="fail") == 2_005
    assert self_metrics(after, "results_not_itemised", result="fail") == 3_000
    assert self_metrics(after, "reports_cut") == 1
    assert of_others(after) == of_others(alone) != {}
    log = guarded.command.log
    assert "skipped:" in log
    assert [secret for secret in SECRETS if secret in log] == []
    assert len(log) < 20_000, json.dumps(log[:3000])
