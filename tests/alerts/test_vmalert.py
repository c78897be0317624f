"""vmalert loads the rules, and with VictoriaMetrics they behave as they do with Prometheus."""

import re
import subprocess
from pathlib import Path

import msgspec
import pytest

from alerts.build import HERE as ALERTS
from tests.alerts.rulebook import TESTS, Case, Expected, Moment, TestFile, alerts, suite_of, write
from tests.tools import tool

pytestmark = pytest.mark.tier("vmalert")

EPOCH = 946_684_800
"""When the tests of vmalert-tool begin, in unix seconds (2000-01-01); promtool begins at 0."""
TIMES = re.compile(r"^process_start_time_seconds|timestamp", re.ASCII)
FIRST_SAMPLE = "increase() and changes() count the first sample of a series"
OTHERWISE = {
    "KyvernoWebhookFailingOpen": FIRST_SAMPLE,
    "PolicyExporterDataIncomplete": FIRST_SAMPLE,
    "PolicyExporterRestarting": FIRST_SAMPLE,
}


def run(*command: str | Path) -> tuple[int, str]:
    done = subprocess.run(
        command, cwd=ALERTS, capture_output=True, text=True, check=False, timeout=3600
    )
    return done.returncode, done.stdout + done.stderr


def later(series: dict[str, str]) -> dict[str, str]:
    """Move the times that a series shows to where vmalert-tool begins."""
    if not TIMES.search(series["series"].partition("{")[0]):
        return series
    words = [
        re.sub(r"^-?[\d.]+", lambda found: f"{float(found[0]) + EPOCH:.15g}", word)
        for word in series["values"].split()
    ]
    return series | {"values": " ".join(words)}


def finer(series: dict[str, str]) -> dict[str, str]:
    """Repeat samples that are five minutes apart each minute: vmalert-tool evaluates as often."""
    words = [word.partition("x") for word in series["values"].split()]
    repeated = [f"{value}x{(int(times or 0) + 1) * 5 - 1}" for value, _, times in words]
    return series | {"values": " ".join(repeated)}


def expected(alert: Expected) -> Expected:
    """Add the label that vmalert keeps where a rule overrides ``severity``; move what is dated."""
    labels = dict(alert.exp_labels)
    given = labels.get("policy_severity", labels["severity"])
    if given != labels["severity"]:
        labels["exported_severity"] = given
    texts = {
        name: text.replace("1970-01-01", "2000-01-01")
        for name, text in alert.exp_annotations.items()
    }
    return Expected(labels, texts)


def moved(case: Case) -> Case:
    moments = [
        Moment(each.eval_time, each.alertname, [expected(alert) for alert in each.exp_alerts])
        for each in case.alert_rule_test
    ]
    series = [later(each) for each in case.input_series]
    if case.interval == "5m":
        series = [finer(each) for each in series]
    return msgspec.structs.replace(
        case, interval="1m", input_series=series, alert_rule_test=moments
    )


def adapted(suite: TestFile) -> TestFile:
    files = [str((TESTS / file).resolve()) for file in suite.rule_files]
    cases = [moved(case) for case in suite.tests]
    return msgspec.structs.replace(suite, rule_files=files, evaluation_interval="1m", tests=cases)


@pytest.mark.parametrize("file", sorted(ALERTS.glob("*.rules.yaml")), ids=lambda path: path.name)
def test_vmalert_loads_the_rules(file: Path) -> None:
    status, output = run(tool("vmalert"), "-dryRun", f"-rule={file}")
    assert status == 0, output


def test_vmalert_refuses_a_rule_that_it_cannot_parse(tmp_path: Path) -> None:
    text = (
        (ALERTS / "watchdog.rules.yaml").read_text().replace("max by (cluster)", "max by cluster")
    )
    (tmp_path / "broken.yaml").write_text(text)
    status, _ = run(tool("vmalert"), "-dryRun", f"-rule={tmp_path / 'broken.yaml'}")
    assert status != 0


class DifferentError(Exception):
    """An alert fires where it should not, or does not fire, or reads otherwise."""


def unlike(name: str) -> list[pytest.MarkDecorator]:
    reason = OTHERWISE.get(name)
    return [pytest.mark.xfail(reason=reason, raises=DifferentError, strict=True)] if reason else []


@pytest.mark.parametrize("name", [pytest.param(name, marks=unlike(name)) for name in alerts()])
def test_an_alert_behaves_as_it_does_with_prometheus(name: str, tmp_path: Path) -> None:
    write(tmp_path / "tests.yaml", adapted(suite_of(name)))
    unittest = (tool("vmalert-tool"), "unittest", "-disableAlertgroupLabel")
    status, output = run(*unittest, f"-files={tmp_path / 'tests.yaml'}")
    if "got:" in output:
        raise DifferentError(output)
    assert status == 0, output
