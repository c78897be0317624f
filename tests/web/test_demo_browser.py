"""The status page in a real browser, over the commands as people start them."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from exporter.model.resource import EVENTS, POLICY_REPORTS
from exporter.simulator import kyverno
from exporter.simulator.checks import BASELINE
from exporter.simulator.kyverno import ReportTarget
from tests.app.commands import Command, serving
from tests.endtoend.town import town
from tests.tools import eventually, fetch, free_port
from tests.web.browser import Browser, browsing

pytestmark = [pytest.mark.tier("browser"), pytest.mark.slow]

EVIL = "<script>alert(1)</script>"
MARKUP = f"{EVIL}<img src=x onerror=alert(2)>"
LIVE = "return document.getElementById('live').innerText === 'live'"
NEWEST = "return document.querySelector('#blocks li')?.innerText.includes(arguments[0])"
COLUMN = "return [...document.querySelectorAll(arguments[0])].map(e => e.innerText)"


class Demo(NamedTuple):
    """The demo, standing still, and the address of its API server."""

    exporter: Command
    api: str

    def failing(self) -> Counter[str]:
        """Count failing checks by namespace from a scrape, of the objects that count by default."""
        samples = self.exporter.scrape()
        assert samples is not None
        found: Counter[str] = Counter()
        for series, value in samples.items():
            labels = dict(series.labels)
            if series.name != "policyreport_results" or labels["controlled"] == "true":
                continue
            if labels["result"] in ("fail", "error"):
                found[labels["namespace"]] += int(value)
        return found

    def report(self, target: ReportTarget, message: str) -> None:
        result = kyverno.result(BASELINE, "fail", target, time.time()) | {"message": message}
        path = POLICY_REPORTS.path(target.namespace)
        fetch(self.api + path, post=msgspec.json.encode(kyverno.report(target, [result])))

    def block(self, target: ReportTarget, message: str = "", name: str = "") -> None:
        event = kyverno.policy_event(BASELINE, target, time.time(), blocked=True)
        event["note"] += message
        event["related"]["name"] = name or target.name
        fetch(self.api + EVENTS.path("default"), post=msgspec.json.encode(event))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as window:
        yield window


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    api = f"127.0.0.1:{free_port()}"
    arguments = (f"--demo.api-address={api}", "--demo.speed=0")
    with Command(tmp_path_factory.mktemp("demo"), "demo", *arguments) as exporter:
        yield Demo(exporter, f"http://{api}")


@pytest.fixture
def page(browser: Browser, demo: Demo) -> Browser:
    """Open the demo's page, and wait until it hears of blocked requests."""
    browser.view(1400, 1000)
    browser.open(demo.exporter.url)
    browser.wait(LIVE)
    browser.console()
    return browser


def column(page: Browser, selector: str) -> list[str]:
    return msgspec.convert(page.run(COLUMN, selector), list[str])


def numbers(page: Browser, selector: str) -> list[int]:
    return [int(text.replace(",", "")) for text in column(page, selector)]


def test_the_worst_namespace_comes_first(page: Browser, demo: Demo) -> None:
    failing = demo.failing()
    worst, count = failing.most_common(1)[0]
    assert column(page, "#namespaces tbody th")[0] == worst
    shown = numbers(page, "#namespaces tbody td:nth-of-type(2)")
    assert shown[0] == count
    assert shown == sorted(shown, reverse=True)
    assert f"{failing.total():,}" in page.text("#figures")


def test_the_chips_add_up_to_the_failing_results(page: Browser, demo: Demo) -> None:
    chips = column(page, "#figures .chip")
    assert sum(int(chip.split()[1].replace(",", "")) for chip in chips) == demo.failing().total()


def test_a_click_on_the_worst_namespace_lists_what_fails_there(page: Browser, demo: Demo) -> None:
    worst, count = demo.failing().most_common(1)[0]
    page.run("document.querySelector('#namespaces tbody a').click()")
    page.wait("return location.search.includes('namespace=')")
    page.wait(LIVE)
    assert set(column(page, "#failing tbody .namespace")) == {f"{worst}/"}
    assert f"{count}" in page.text("#failing nav, #failing p.faint")


def test_filters_narrow_what_is_listed(page: Browser) -> None:
    before = len(column(page, "#failing tbody tr"))
    page.run(
        "document.querySelector('[name=search]').value = 'PAYMENTS-API';"
        "document.querySelector('[name=severity]').value = 'critical';"
        "document.querySelector('form button').click()"
    )
    page.wait("return location.search.includes('severity=critical')")
    page.wait(LIVE)
    subjects = column(page, "#failing tbody .subject")
    assert 0 < len(subjects) < before
    assert all("payments-api" in each for each in subjects)
    assert set(column(page, "#failing tbody .chip")) == {"critical"}


def test_a_block_shows_live_within_two_seconds(page: Browser, demo: Demo) -> None:
    assert "privileged-pod" not in column(page, "#blocks .subject")[0]
    demo.block(ReportTarget("Pod", "carts", "just-now", "uid-just-now"))
    page.wait(NEWEST, "just-now", within=2)
    assert "carts/" in page.text("#blocks li")
    assert BASELINE.policy in page.text("#blocks li")
    assert "privileged is forbidden" in page.text("#blocks li .message")


def test_markup_from_the_cluster_is_text(page: Browser, demo: Demo) -> None:
    target = ReportTarget("Deployment", "carts", EVIL, "uid-markup")
    # An Event names its resource twice; its note has no place for a slash.
    demo.block(target._replace(name="x"), MARKUP, EVIL)
    page.wait(NEWEST, EVIL, within=2)
    demo.report(target, f"no {MARKUP}")
    eventually(lambda: b"uid-markup" in fetch(demo.api + POLICY_REPORTS.path("carts")))
    page.open(f"{demo.exporter.url}/?search=onerror")
    page.wait(LIVE)
    assert EVIL in page.text("#failing .subject")
    assert MARKUP in page.text("#failing .message")
    assert EVIL in page.text("#blocks .subject")
    assert MARKUP in page.text("#blocks .message")
    injected = "return document.querySelectorAll('main script, main img').length"
    assert page.run(injected) == 0
    assert page.console() == []


def test_a_restart_of_the_exporter_loses_no_block_and_shows_none_twice(
    browser: Browser, tmp_path: Path
) -> None:
    with town() as here, serving(tmp_path, here.url) as exporter:
        for number in range(30):
            here.block("carts", f"before-{number}")
        eventually(lambda: '"before-29"' in exporter.get("/api/v1/blocks"))
        browser.open(exporter.url)
        browser.wait(LIVE)
        here.block("carts", "live")
        browser.wait(NEWEST, "live", within=2)
        exporter.kill()
        browser.wait("return document.getElementById('live').innerText === 'reconnecting'")
        here.block("carts", "meanwhile")
        exporter.start()
        browser.wait(NEWEST, "meanwhile", within=20)
        here.block("carts", "after")
        browser.wait(NEWEST, "after", within=2)
        newest = [f"before-{number}" for number in range(29, 7, -1)]
        expected = [f"Pod/{name}" for name in ("after", "meanwhile", "live", *newest)]
        assert column(browser, "#blocks .subject") == expected
