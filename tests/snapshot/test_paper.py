"""The HTML output in a browser: it needs nothing else, and is two sheets on paper."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.snapshot.inputs import json_of, report, result, saved, taken
from tests.web.browser import Browser, browsing

pytestmark = pytest.mark.tier("browser")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as found:
        yield found


def page(directory: Path) -> Path:
    """Write the page of a snapshot in which every list is longer than paper is."""
    long = "a message that is longer than a line of paper " * 10

    def reports(prefix: str) -> list[dict[str, object]]:
        return [
            report(
                f"{prefix}-{number}-with-a-long-name",
                *(result(f"policy-{each}", "fail", message=long) for each in range(20)),
                metadata={"name": f"{prefix}{number}", "namespace": f"team-{number}"},
            )
            for number in range(20)
        ]

    broken = [report(f"bad-{number}", {"policy": 7}) for number in range(2)]
    json_of(directory / "old.json", saved(directory / "old", *reports("old")))
    path = saved(directory / "new", *reports("new"), *broken)
    made = directory / "page.html"
    assert taken(path, f"--baseline={directory / 'old.json'}", f"--output=html={made}") == 0
    return made


def test_a_long_page_is_two_sheets_and_asks_for_nothing(browser: Browser, tmp_path: Path) -> None:
    browser.open(page(tmp_path).as_uri())
    assert browser.console() == []
    assert browser.run("return performance.getEntriesByType('resource').length") == 0
    printed = browser.pdf()
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 2


def test_the_page_has_the_colours_of_the_reader(browser: Browser, tmp_path: Path) -> None:
    browser.open(page(tmp_path).as_uri())
    grounds = []
    for dark in (False, True):
        browser.view(1000, 800, dark=dark)
        grounds.append(browser.run("return getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(246, 247, 249)", "rgb(18, 22, 28)"]
    browser.view(400, 800)
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.run(wide) == 0
