"""What breaks if a policy enforces: verdicts, objects, exceptions, exit statuses."""

import json
import re
from pathlib import Path

import pytest

from exporter.model.resource import Resource
from exporter.simulator.registry import Served
from exporter.snapshot.reading import POLICY_EXCEPTIONS
from tests.apiserver.faults import Answer
from tests.app.conftest import Beside
from tests.snapshot.inputs import Object, Text, json_of, report, result, saved, taken

pytestmark = pytest.mark.tier("simulator")


def policy(name: str, action: str = "Audit", **spec: object) -> Object:
    return {
        "apiVersion": "kyverno.io/v1",
        "kind": "ClusterPolicy",
        "metadata": {"name": name},
        "spec": {"rules": [{"name": "r", "validate": {"failureAction": action}}], **spec},
    }


def namespace(name: str, **labels: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


STATES: dict[str, tuple[list[Object], str, int]] = {
    "nothing fails": ([policy("p"), report("web", result("p", "pass"))], "ready", 0),
    "something fails": ([policy("p"), report("web", result("p", "fail"))], "would block", 1),
    "something is not evaluated": (
        [policy("p"), report("web", result("p", "error"))],
        "would block",
        1,
    ),
    "it enforces already": (
        [policy("p", "Enforce"), report("web", result("p", "fail"))],
        "enforced",
        0,
    ),
    "nothing was evaluated": ([policy("p"), report("web", result("q", "pass"))], "unknown", 2),
    "a report is malformed": (
        [policy("p"), report("web", result("p", "pass")), report("bad", {"policy": 7})],
        "unknown",
        3,
    ),
    "results are not itemised": (
        [policy("p"), report("web", result("p", "pass"), summary={"pass": 1, "fail": 2})],
        "unknown",
        3,
    ),
    "the policy was not read": ([report("web", result("p", "fail"))], "would block", 1),
}


@pytest.mark.parametrize(("items", "verdict", "status"), STATES.values(), ids=STATES.keys())
def test_a_policy_is_ready_only_if_that_is_known(
    items: list[Object], verdict: str, status: int, tmp_path: Path, capsys: Text
) -> None:
    path = saved(tmp_path / "list", *items)
    assert taken(path, "--if-enforced=p", "--output=json") == status
    [found] = json.loads(capsys.readouterr().out)["if_enforced"]
    assert found["verdict"] == verdict


def test_a_policy_that_does_not_exist_is_no_policy_that_is_ready(
    tmp_path: Path, capsys: Text
) -> None:
    path = saved(tmp_path / "list", policy("p"), report("web", result("p", "pass")))
    assert taken(path, "--if-enforced=q") == 2
    assert "--if-enforced q: no report and no policy matches" in capsys.readouterr().err


def test_what_would_be_refused_is_listed_with_its_namespaces_team(
    tmp_path: Path, capsys: Text
) -> None:
    items = [
        policy("p", background=False),
        report("web", result("p", "fail"), result("p", "fail", rule="s"), result("q", "fail")),
        report("api", result("p", "error")),
        report("db", result("p", "skip")),
        namespace("shop", team="storefront", other="x"),
    ]
    path = saved(tmp_path / "list", *items)
    [found] = json_of(tmp_path / "json", path, "--if-enforced=p")["if_enforced"]
    assert [(w["name"], w["rules"], w["results"], w["labels"]) for w in found["workloads"]] == [
        ("api", ["r"], ["error"], {"team": "storefront"}),
        ("web", ["r", "s"], ["fail"], {"team": "storefront"}),
    ]
    assert (found["failing"], found["unevaluated"], found["skipped"]) == (2, 1, 1)
    assert found["modes"] == ["audit"]
    assert found["notes"][0].startswith("background scans skip this policy")
    capsys.readouterr()
    outputs = [f"--output={form}={tmp_path / form}" for form in ("table", "markdown", "html")]
    assert taken(path, "--if-enforced=p", *outputs) == 1
    for form in ("table", "markdown", "html"):
        text = (tmp_path / form).read_text()
        assert "would block" in text, form
        assert "team=storefront" in text, form
        assert "q is violated" not in text, form


def test_a_comment_about_hundreds_of_policies_has_those_that_would_block(
    tmp_path: Path, capsys: Text
) -> None:
    policies = [policy(f"policy-{number}") for number in range(600)]
    path = saved(tmp_path / "list", *policies, report("web", result("policy-599", "fail")))
    assert taken(path, "--if-enforced=*", "--limit=600", "--output=markdown") == 1
    out = capsys.readouterr().out
    assert len(out) <= 65_536
    row, *_ = re.findall(r"(?m)^\| <code>policy-599</code>.*", out)
    assert "would block" in row


def serve(beside: Beside, wanted: Resource, *items: Object) -> None:
    """Let the API server have PolicyExceptions, which the sample cluster has not."""
    registry = beside.api.registry
    registry._known[wanted[:3]] = Served(wanted, wanted.name, "policyexception")
    registry.start(wanted)
    for item in items:
        beside.api.store.create(wanted.name, item)


def exception(wanted: Resource, name: str, **spec: object) -> Object:
    return {
        "apiVersion": wanted.api_version,
        "kind": "PolicyException",
        "metadata": {"name": name, "namespace": "carts"},
        "spec": spec,
    }


def test_the_exceptions_in_force_are_named(beside: Beside, tmp_path: Path) -> None:
    old, cel = POLICY_EXCEPTIONS
    named = {"policyName": "require-labels", "ruleNames": ["check-team"]}
    items = [exception(old, "for-carts", exceptions=[named])]
    beside.do(lambda: serve(beside, old, *items))
    refs = [{"name": "require-labels", "kind": "ValidatingPolicy"}]
    beside.do(lambda: serve(beside, cel, exception(cel, "by-cel", policyRefs=refs)))
    access = f"--kubeconfig={beside.kubeconfig}"
    found = json_of(tmp_path / "json", access, "--if-enforced=require-*")["if_enforced"]
    exceptions = {each["policy"]: each["exceptions"] for each in found}
    assert exceptions["require-labels"] == ["carts/by-cel", "carts/for-carts"]
    assert exceptions["require-probes"] == []


def test_exceptions_that_may_not_be_read_are_not_none(
    beside: Beside, tmp_path: Path, capsys: Text
) -> None:
    wanted = POLICY_EXCEPTIONS[0]
    beside.do(lambda: serve(beside, wanted))
    beside.do(lambda: beside.api.faults.add(Answer(403, "no"), wanted.name, times=None))
    access = f"--kubeconfig={beside.kubeconfig}"
    [found] = json_of(tmp_path / "json", access, "--if-enforced=require-labels")["if_enforced"]
    assert found["exceptions"] is None
    assert "not read: policyexceptions.kyverno.io: no (403)" in capsys.readouterr().err


USAGE = {
    "a filter of policies": ["--if-enforced=p", "--policy=q"],
    "a severity": ["--if-enforced=p", "--severity=high"],
    "a result": ["--if-enforced=p", "--result=fail"],
    "metrics": ["--if-enforced=p", "--output=prometheus"],
}


@pytest.mark.parametrize("flags", USAGE.values(), ids=USAGE.keys())
def test_what_narrows_the_results_of_a_policy_is_refused(flags: list[str], capsys: Text) -> None:
    assert taken("x", *flags) == 2
    assert "cannot be combined with" in capsys.readouterr().err


TEAMS: dict[str, tuple[list[str], int, set[str]]] = {
    "of one team": (["--team=team=storefront"], 0, {"shop"}),
    "of no team": (["--team=team=payments"], 2, set()),
    "of a team, judged": (["--team=team=storefront", "--fail-on=fail"], 1, {"shop"}),
}


@pytest.mark.parametrize(("flags", "status", "shown"), TEAMS.values(), ids=TEAMS.keys())
def test_one_team_can_be_asked_for(
    flags: list[str], status: int, shown: set[str], tmp_path: Path, capsys: Text
) -> None:
    other = report("web", result("p", "fail"), metadata={"name": "o", "namespace": "other"})
    items = [report("web", result("p", "fail")), other, namespace("shop", team="storefront")]
    path = saved(tmp_path / "list", *items)
    gate = [] if "--fail-on=fail" in flags else ["--fail-on=warn"] if status else []
    assert taken(path, *flags, *gate, f"--output=json={tmp_path / 'json'}") == status
    made = json.loads((tmp_path / "json").read_text())
    assert {each["namespace"] for each in made["failing"]} == shown
    assert {each["name"] for each in made["namespaces"]} == shown
    if not shown:
        assert "no namespace has this label and value" in capsys.readouterr().err


def test_a_kind_that_is_asked_for_is_shown_whatever_is_counted(
    tmp_path: Path, capsys: Text
) -> None:
    copy = report("old", result("p", "fail"))
    copy["scope"]["kind"] = "ReplicaSet"
    path = saved(tmp_path / "list", copy, report("web", result("p", "fail")))
    assert taken(path, "--kind=ReplicaSet", "-o", "csv") == 0
    assert ",ReplicaSet,old," in capsys.readouterr().out
    assert taken(path, "--kind=Deploymnet", "--fail-on=fail") == 2


def workload(*pods: Object) -> list[Object]:
    """Write the reports on a Deployment, its ReplicaSet and its Pods, each with a result."""
    kinds = (("Deployment", "web"), ("ReplicaSet", "web-6d4b75cb6d"))
    items = [report("web", result("p", "fail")), report("x", result("p", "fail")), *pods]
    for item, (kind, name) in zip(items, kinds, strict=False):
        item["scope"] |= {"kind": kind, "name": name}
    return items


def pod(suffix: str, *results: Object) -> Object:
    made = report(f"web-6d4b75cb6d-{suffix}", *results)
    made["scope"]["kind"] = "Pod"
    return made


def test_a_workload_is_one_line_with_the_number_of_its_objects(
    tmp_path: Path, capsys: Text
) -> None:
    pods = [pod("x7k2p", result("p", "fail")), pod("b4zql", result("p", "fail"))]
    only_pods = pod("fw9dc", result("pods-only", "fail", message="only the Pod has it"))
    path = saved(tmp_path / "list", *workload(*pods, only_pods))
    assert taken(path, "--group-by=workload") == 0
    out = capsys.readouterr().out
    rows = [line.split("\t") for line in out.splitlines() if line.startswith("high\tfail")]
    assert [(row[3], "/".join(row[4:7]), row[7]) for row in rows] == [
        ("4", "shop/Deployment/web", "p"),
        ("1", "shop/Deployment/web", "pods-only"),
    ]
    assert rows[1][-1] == "only the Pod has it"
    made = json_of(tmp_path / "json", path, "--group-by=workload", "--count=objects")
    assert sum(each["objects"] for each in made["by_workload"]) == len(made["failing"]) == 5
    assert taken(path, "--group-by=none") == 0
    assert "by workload" not in capsys.readouterr().out


def test_a_policy_that_only_pods_violate_is_not_ready(tmp_path: Path, capsys: Text) -> None:
    items = workload(pod("x7k2p", result("pods-only", "fail")))
    path = saved(tmp_path / "list", policy("pods-only"), *items)
    assert taken(path, "--if-enforced=pods-only", "--output=json") == 1
    [found] = json.loads(capsys.readouterr().out)["if_enforced"]
    assert (found["verdict"], found["failing"]) == ("would block", 0)
    assert [(each["kind"], each["name"]) for each in found["workloads"]] == [("Deployment", "web")]
    assert "1 more failing result of objects that another object owns" in found["notes"]


def test_an_old_replica_set_is_named_and_not_its_deployment(tmp_path: Path, capsys: Text) -> None:
    items = workload(pod("x7k2p", result("p", "pass")))
    items[0]["results"] = [result("p", "pass")]
    path = saved(tmp_path / "list", policy("p"), *items)
    assert taken(path, "--if-enforced=p", "--output=json") == 1
    [found] = json.loads(capsys.readouterr().out)["if_enforced"]
    named = [(each["kind"], each["name"]) for each in found["workloads"]]
    assert named == [("ReplicaSet", "web-6d4b75cb6d")]


def test_the_gate_names_how_many_results_the_sums_do_not_count(
    tmp_path: Path, capsys: Text
) -> None:
    path = saved(tmp_path / "list", *workload(pod("x7k2p", result("p", "fail"))))
    assert taken(path, "--fail-on=fail") == 1
    printed = capsys.readouterr()
    assert "1 failing result (1 high) on 1 of 1 resource" in printed.out
    head = "--fail-on fail: failed: 3 failing results (3 high), 2 of them on objects that another"
    assert printed.err.startswith(f"{head} reported object owns\n")


LIMITS = {"--limit=2": 2, "--all": 40, "--limit=40": 40}


@pytest.mark.parametrize(("flag", "rows"), LIMITS.items())
def test_lists_are_as_long_as_is_asked_for(
    flag: str, rows: int, tmp_path: Path, capsys: Text
) -> None:
    items = [report(f"w{n}", result("p", "fail")) for n in range(40)]
    assert taken(saved(tmp_path / "list", *items), flag) == 0
    out = capsys.readouterr().out
    assert sum(line.startswith("high\tfail\t") for line in out.splitlines()) == rows
    assert ("first 2 of 40" in out) == (rows == 2)


@pytest.mark.parametrize("text", ["0", "-1", "many", ""])
def test_a_limit_is_a_number_of_rows(text: str, capsys: Text) -> None:
    assert taken("x", f"--limit={text}") == 2
    assert f"--limit {text}: expected a number of rows" in capsys.readouterr().err


def test_kubectls_short_flags_mean_the_same(beside: Beside, capsys: Text) -> None:
    access = f"--kubeconfig={beside.kubeconfig}"
    assert taken(access, "-n", "carts", "-o", "csv") == 0
    namespaces = {line.split(",")[3] for line in capsys.readouterr().out.splitlines()[1:]}
    assert namespaces == {"carts"}
    assert taken(access, "-A", "-o", "csv") == 0
    assert taken(access, "-A", "-n", "carts") == 2
