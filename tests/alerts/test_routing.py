"""Where an alert goes, what it mutes, and how it reads."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import yaml

from alerts.build import HERE
from tests.tools import tool

pytestmark = pytest.mark.tier("monitoring")

CONFIG = HERE / "alertmanager.example.yml"
ROUTING = HERE / "routing-tests" / "routing.yml"
AMTOOLS = ("amtool", "amtool31")


class Case(msgspec.Struct):
    """An alert, alone or beside others, and whom it reaches."""

    name: str
    labels: dict[str, str]
    receivers: list[str] = []
    firing: list[dict[str, str]] = []


class Cases(msgspec.Struct):
    tests: list[Case]


CASES = msgspec.yaml.decode(ROUTING.read_bytes(), type=Cases).tests
PLAIN = [case for case in CASES if not case.firing]
INHIBITIONS = range(len(yaml.safe_load(CONFIG.read_text())["inhibit_rules"]))


def run(*command: str | Path) -> tuple[int, str]:
    done = subprocess.run(
        command, cwd=HERE, capture_output=True, text=True, check=False, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


def amlint(*arguments: str | Path) -> tuple[int, str]:
    return run(Path(sys.executable).with_name("amlint"), *arguments)


@pytest.mark.parametrize("program", AMTOOLS)
def test_alertmanager_takes_the_example(program: str) -> None:
    status, output = run(tool(program), "check-config", CONFIG)
    assert status == 0, output


@pytest.mark.parametrize("program", AMTOOLS)
@pytest.mark.parametrize("case", PLAIN, ids=lambda case: case.name)
def test_an_alert_reaches_its_receivers(case: Case, program: str) -> None:
    status, output = run(
        *(tool(program), "config", "routes", "test", f"--config.file={CONFIG}"),
        f"--verify.receivers={','.join(case.receivers)}",
        *(f"{name}={value}" for name, value in case.labels.items()),
    )
    assert status == 0, output


def test_each_route_and_inhibition_behaves_as_written() -> None:
    status, output = amlint("test", CONFIG, ROUTING, "--fail-under", "100")
    assert status == 0, output


@pytest.mark.parametrize("dropped", INHIBITIONS)
def test_no_inhibition_can_go(dropped: int, tmp_path: Path) -> None:
    config = yaml.safe_load(CONFIG.read_text())
    del config["inhibit_rules"][dropped]
    path = tmp_path / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config))
    status, output = amlint("test", path, ROUTING)
    assert status == 1, output


OTHERS = """
groups:
- name: kubernetes-mixin
  rules:
  - {alert: KubeAPIDown, expr: vector(1)}
  - {alert: KubeAPIErrorBudgetBurn, expr: vector(1)}
"""


def test_routes_and_rules_agree(tmp_path: Path) -> None:
    """Alerts of others that the example names are those of kubernetes-mixin."""
    (tmp_path / "others.rules.yaml").write_text(OTHERS)
    rules = ("--rules", "*.rules.yaml", "--rules", tmp_path / "others.rules.yaml")
    status, output = amlint("check", "--strict", CONFIG, *rules)
    assert status == 0, output


def message(**changes: object) -> dict[str, object]:
    """Return what Alertmanager hands to a template for two new violations of one policy."""
    labels = {"alertname": "PolicyNewCriticalViolation", "severity": "critical", "cluster": "eu"}
    labels |= {"owner": "team", "team": "shop", "namespace": "cart", "policy_severity": "critical"}
    annotations = {
        "runbook_url": "https://docs.example/new.md",
        "dashboard_url": "https://g.example/d",
    }
    alerts = [
        {
            "status": "firing",
            "labels": labels | {"policy": policy},
            "annotations": annotations | {"description": f"3 results of {policy} fail in cart."},
            "startsAt": "2026-08-01T09:30:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "",
            "fingerprint": policy,
        }
        for policy in ("require-labels", "restrict-registries")
    ]
    return {
        "receiver": "shop-chat",
        "status": "firing",
        "alerts": alerts,
        "groupLabels": {"namespace": "cart"},
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": "https://alertmanager.example",
    } | changes


def rendered(template: str, data: dict[str, object], program: str, at: Path) -> str:
    """Render with a real Alertmanager's templates."""
    path = at / "data.json"
    path.write_text(json.dumps(data))
    status, output = run(
        *(tool(program), "template", "render", "--template.glob=templates/*.tmpl"),
        *(f"--template.data={path}", f'--template.text={{{{ template "{template}" . }}}}'),
    )
    assert status == 0, output
    return output.strip()


@pytest.mark.parametrize("program", AMTOOLS)
def test_a_message_says_what_where_since_when_and_whose(program: str, tmp_path: Path) -> None:
    assert rendered("policy.title", message(), program, tmp_path) == (
        "2 critical policy alerts in cart (eu)"
    )
    assert rendered("policy.text", message(), program, tmp_path) == (
        "• 3 results of require-labels fail in cart.\n"
        "   cart (eu) · since 2026-08-01 09:30 UTC · team shop · policy severity critical\n"
        "• 3 results of restrict-registries fail in cart.\n"
        "   cart (eu) · since 2026-08-01 09:30 UTC · team shop · policy severity critical\n"
        "What to do: https://docs.example/new.md\n"
        "Dashboard: https://g.example/d"
    )


@pytest.mark.parametrize("program", AMTOOLS)
def test_a_pushed_alert_tells_what_kyverno_said_and_of_whom(program: str, tmp_path: Path) -> None:
    alerts = message()["alerts"]
    assert isinstance(alerts, list)
    annotations = {
        "description": "2 resources fail require-labels (check) in cart.",
        "message": "label team is missing",
        "resources": "Pod/a, Pod/b",
        "dashboard_url": "https://g.example/d/policy-namespace",
    }
    pushed = alerts[0] | {"annotations": annotations}
    data = message(alerts=[pushed], commonAnnotations=annotations)
    lines = rendered("policy.text", data, program, tmp_path).splitlines()
    assert lines == [
        "• 2 resources fail require-labels (check) in cart.",
        "   “label team is missing”",
        "   Pod/a, Pod/b",
        "   cart (eu) · since 2026-08-01 09:30 UTC · team shop · policy severity critical",
        "Dashboard: https://g.example/d/policy-namespace",
    ]


@pytest.mark.parametrize("program", AMTOOLS)
def test_a_long_message_is_cut_and_says_so(program: str, tmp_path: Path) -> None:
    alerts = message()["alerts"]
    assert isinstance(alerts, list)
    text = rendered("policy.text", message(alerts=alerts * 6), program, tmp_path)
    assert text.count("•") == 10
    assert "and more, 12 in total" in text


@pytest.mark.parametrize("program", AMTOOLS)
def test_what_is_over_is_said_to_be(program: str, tmp_path: Path) -> None:
    alerts = message()["alerts"]
    assert isinstance(alerts, list)
    over = [alert | {"status": "resolved", "endsAt": "2026-08-01T10:00:00Z"} for alert in alerts]
    data = message(status="resolved", alerts=over)
    assert rendered("policy.title", data, program, tmp_path).startswith("Resolved: ")
    assert rendered("policy.text", data, program, tmp_path).startswith("2 resolved\n")
    assert rendered("policy.color", data, program, tmp_path) == "good"


@pytest.mark.parametrize("program", AMTOOLS)
def test_a_message_without_a_runbook_links_to_alertmanager(program: str, tmp_path: Path) -> None:
    data = message(commonAnnotations={})
    assert rendered("policy.link", data, program, tmp_path) == "https://alertmanager.example"
