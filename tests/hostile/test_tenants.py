"""Whoever may write in one namespace, at the real size of the attack, over HTTP into ``serve``."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import msgspec
import pytest

from exporter.model.resource import EVENTS, POLICY_REPORTS, REPORTS
from exporter.view.summary import describe_cut
from tests.apiserver.faults import Answer
from tests.app.commands import serving
from tests.app.running import total
from tests.endtoend.town import town
from tests.hostile.objects import EVIL
from tests.hostile.tenants import OTHER, Target, alertmanager, blocked, report
from tests.tools import eventually

pytestmark = pytest.mark.tier("simulator")

OWN: Final = "policyreport_exporter_"
CONFIG: Final = """
birth_hold: 0
alerting:
  interval: 10
  resolve_delay: 0
  alertmanagers: [{{url: "{0}"}}]
"""
LONG_NUMBER: Final = b"9" * 5_000
ODD_LIST: Final = (
    b'{"kind":"ReportList","metadata":{"resourceVersion":"1000"},"items":['
    b'{"metadata":{"name":"odd","namespace":"evil","resourceVersion":"' + LONG_NUMBER + b'"},'
    b'"summary":{"pass":' + LONG_NUMBER + b"}}]}"
)
"""Python refuses to read a number of more than 4,300 digits."""


def failed(policy: str, **more: object) -> dict[str, Any]:
    fixed = {"policy": policy, "result": "fail", "source": "kyverno", "severity": "critical"}
    return fixed | {"timestamp": {"seconds": 1_600_000_000}} | more


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One process for all attacks of this module, which has read a list that is odd."""
    directory = tmp_path_factory.mktemp("attacked")
    with ExitStack() as stack:
        here, manager = stack.enter_context(town()), stack.enter_context(alertmanager())
        here.api.faults.add(Answer(200, body=ODD_LIST), REPORTS.name, "list", times=None)
        (directory / "config.yaml").write_text(CONFIG.format(manager.url))
        command = stack.enter_context(serving(directory, here.url, "--config.file=config.yaml"))
        found = Target(here, command, manager)
        found.begin()
        yield found


def test_c1_a_thousand_old_critical_failures_resolve_and_hide_no_alert(target: Target) -> None:
    with target.unharmed():
        target.write(report("c1", [failed(f"c1-{n}") for n in range(1_000)]))
        target.until("policyreport_results", 1_000, namespace=EVIL, result="fail")
        target.manager.hears("", "PolicyAlertsFolded")


def test_m7_a_report_that_is_rewritten_keeps_no_alert_of_others_out(target: Target) -> None:
    with target.unharmed():
        for look in range(4):
            target.write(report("m7", [failed(f"m7-{look}-{n}") for n in range(1_000)]))
            target.until("policyreport_results", 1, namespace=EVIL, policy=f"m7-{look}-0")


def test_m1_10_100_forged_events_keep_no_blocked_request_of_others_out(target: Target) -> None:
    with target.unharmed():
        target.emit(*map(blocked, range(10_100)))
        target.until(f"{OWN}objects", 10_100, resource=EVENTS.name)


def test_m3_20_000_named_resources_fold_no_row_of_others(target: Target) -> None:
    named = [
        [failed("m3", resources=[{"kind": "Pod", "name": f"x{r}-{n}"}]) for n in range(1_000)]
        for r in range(20)
    ]
    reports = [report(f"m3-{at}", each) for at, each in enumerate(named)]
    for each in reports:
        del each["scope"]
    with target.unharmed():
        target.write(*reports)
        target.until("policyreport_results", 20_000, namespace=EVIL, policy="m3")


@pytest.mark.parametrize("wrong", [b"", b"7,"], ids=["good", "malformed"])
def test_m6_a_line_of_1_3_mb_keeps_nobody_waiting(target: Target, wrong: bytes) -> None:
    form = b'{"policy":"m6-%d","result":"fail","source":"kyverno"}'
    results = b",".join([form % n for n in range(1_300_000 // len(form))])
    with target.unharmed():
        target.write(report("m6", b"[%b%b]" % (wrong, results)))
        if wrong:
            labels = {"resource": POLICY_REPORTS.name, "reason": "malformed"}
            target.until(f"{OWN}objects_skipped_total", 1, **labels)
        else:
            target.until(f"{OWN}reports_cut", 1)


def test_a_result_that_names_36_000_resources_keeps_nobody_waiting(target: Target) -> None:
    about = b",".join([b'{"kind":"Pod","name":"m6-%d"}' % n for n in range(1_000_000, 1_036_000)])
    form = b'[{"policy":"m6-one","result":"fail","source":"kyverno","resources":[%b]}]'
    one = report("m6-one", form % about)
    del one["scope"]
    with target.unharmed():
        target.write(one)
        target.until("policyreport_results", 1_000, namespace=EVIL, policy="m6-one")


def test_thousands_of_malformed_reports_leave_others_their_line_in_the_log(target: Target) -> None:
    labels = {"resource": POLICY_REPORTS.name, "reason": "malformed"}
    name = f"{OWN}objects_skipped_total"
    before = total(target.scrape(name), name, **labels) or 0
    with target.unharmed():
        target.write(*(report(f"bad-{n}", [{"policy": n}]) for n in range(3_000)))
        target.until(name, before + 3_000, **labels)
        target.write(report("wrong", [{"policy": 7}], namespace="carts"))
        target.until(name, before + 3_001, **labels)
    log = target.command.log
    assert "skipped: PolicyReport carts/wrong: results[0].policy: expected a string" in log
    assert log.count("skipped: PolicyReport evil/") <= 51


def test_m5_an_alertmanager_that_refuses_everything_for_seconds_is_down_and_then_up(
    target: Target,
) -> None:
    name = f"{OWN}alertmanager_up"

    def is_up() -> float | None:
        return total(target.scrape(name), name)

    with target.unharmed():
        target.manager.status = 400
        eventually(lambda: target.manager.refused >= 3, within=120, what="three refusals")
        eventually(lambda: is_up() == 0, within=120, what="alertmanager_up is 0")
        target.manager.status = 200
        eventually(lambda: is_up() == 1, within=120, what="alertmanager_up is 1")


ADDRESSES: Final = {
    "empty label": "http://a..b:9093",
    "long label": f"http://{'a' * 64}.example:9093",
    "port": "http://127.0.0.1:99999",
}


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
def test_an_address_that_cannot_be_is_refused_by_a_reload_and_nothing_ends(
    target: Target, address: str
) -> None:
    file = target.command.cwd / "config.yaml"
    good = file.read_text()
    try:
        file.write_text(CONFIG.format(address))
        with pytest.raises(HTTPError) as refused:
            urlopen(Request(f"{target.command.url}/-/reload", method="POST"), timeout=120)
        assert "alertmanagers" in refused.value.read().decode()
    finally:
        file.write_text(good)
    name = f"{OWN}config_last_reload_successful"
    assert total(target.scrape(name), name) == 0
    assert target.command.running


def test_a_list_with_numbers_of_5_000_digits_was_read(target: Target) -> None:
    target.until(f"{OWN}synced", 1, resource=REPORTS.name)
    assert "Traceback" not in target.command.log


def hostile_reports() -> Iterator[dict[str, Any]]:
    """150 reports of 1.4 MB, of the five shapes that took most memory."""
    face = "\U0001f600".encode()
    for n in range(150):
        at = b"%d" % n
        forms = (
            b'{"policy":"p%d","result":"fail","source":"kyverno"}',
            b'{"policy":"p' + at + b'-%d","result":"fail","source":"kyverno"}',
            b'{"policy":"p%d","result":"fail","source":"kyverno","message":"'
            + at
            + face
            + b"m" * 1_000
            + b'"}',
            b'{"policy":"' + face + b'%d","rule":"' + at + face + b"r" * 110 + b'",'
            b'"result":"error","source":"kyverno"}',
            b'{"policy":"p","result":"fail","source":"kyverno","resources":[{"kind":"Pod",'
            b'"name":"' + at + b'-%d"}]}',
        )
        form = forms[n % 5]
        rows = b",".join([form % at for at in range(1_400_000 // (len(form) + 3))])
        found = report(f"m2-{n}", b"[%b]" % rows)
        if n % 5 == 4:
            del found["scope"]
        yield found


def test_m2_150_reports_of_1_4_mb_at_the_first_sync_are_cut_and_counted(tmp_path: Path) -> None:
    with ExitStack() as stack:
        here, manager = stack.enter_context(town()), stack.enter_context(alertmanager())
        (tmp_path / "config.yaml").write_text(CONFIG.format(manager.url))
        command = serving(tmp_path, here.url, "--config.file=config.yaml")
        found = Target(here, command, manager)
        sizes = [len(msgspec.json.encode(each)) for each in hostile_reports()]
        assert (len(sizes), min(sizes) > 1_300_000) == (150, True)
        found.write(*hostile_reports())
        stack.enter_context(command)
        found.begin()
        with found.unharmed():
            found.until(f"{OWN}reports_cut", 150)
            page = eventually(lambda: command.get("/", within=120), within=120)
            assert describe_cut(150)[0] in page
            command.get("/?search=nothing", within=120)
        found.until(f"{OWN}results_not_itemised", 1_000_000, result="fail")
        assert "cut: PolicyReport evil/m2-" in command.log
        assert OTHER in page


def test_a_process_under_attack_stops_at_once(target: Target) -> None:
    assert target.command.stop() == 128 + signal.SIGTERM
