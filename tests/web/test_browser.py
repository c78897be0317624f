"""The status page in a real browser."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar
from urllib.request import urlopen

import pytest

from exporter.view.values import ClusterConnection
from tests.app.commands import serving
from tests.app.conftest import Beside
from tests.tools import eventually
from tests.web.browser import Browser, browsing
from tests.web.fake_status import EVIL, FakeStatus
from tests.web.fakes import served

pytestmark = pytest.mark.tier("browser")
P = ParamSpec("P")
T = TypeVar("T")

LIVE = "return document.getElementById('live').innerText === 'live'"
LOST = "return document.getElementById('live').innerText === 'reconnecting'"
NEWEST = "return document.querySelector('#blocks li')?.innerText.includes(arguments[0])"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as window:
        yield window


async def aside(act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Let the browser act while this loop serves it."""
    return await asyncio.to_thread(act, *args, **kwargs)


async def test_a_block_shows_within_two_seconds(browser: Browser) -> None:
    status = FakeStatus(time.time())
    async with served(status=status) as server:
        await aside(browser.open, server.url)
        await aside(browser.wait, LIVE)
        status.block("just-now")
        await aside(browser.wait, NEWEST, "just-now", within=2)
        assert await aside(browser.text, "#blocks li .subject") == "Pod/just-now"
        assert await aside(browser.text, "#blocked-count") == "1"
        hidden = "return document.getElementById('no-blocks').hidden"
        assert await aside(browser.run, hidden)


async def test_the_list_of_blocks_stays_bounded(browser: Browser) -> None:
    status = FakeStatus(time.time())
    async with served(status=status) as server:
        await aside(browser.open, server.url)
        await aside(browser.wait, LIVE)
        for number in range(60):
            status.block(f"pod-{number}")
        await aside(browser.wait, NEWEST, "pod-59")
        assert (
            await aside(browser.run, "return document.querySelectorAll('#blocks li').length") == 25
        )


async def test_a_reconnect_brings_what_was_missed_once(browser: Browser) -> None:
    status = FakeStatus(time.time())
    status.block("before")
    async with served(status=status) as server:
        await aside(browser.open, server.url)
        await aside(browser.wait, LIVE)
        address = server.url.removeprefix("http://")
    await aside(browser.wait, LOST)
    status.block("meanwhile")
    async with served(status=status, listen=address):
        await aside(browser.wait, NEWEST, "meanwhile", within=15)
        await aside(browser.wait, LIVE)
        shown = "return [...document.querySelectorAll('#blocks .subject')].map(e => e.innerText)"
        assert await aside(browser.run, shown) == ["Pod/meanwhile", "Pod/before"]


async def test_markup_from_a_cluster_neither_runs_nor_breaks_the_policy(browser: Browser) -> None:
    status = FakeStatus(time.time())
    status.block(EVIL, EVIL)
    async with served(status=status) as server:
        await aside(browser.open, server.url)
        await aside(browser.wait, LIVE)
        status.block(
            EVIL + "<img src=x onerror=alert(2)>", f"<style>*{{display:none}}</style>{EVIL}"
        )
        await aside(browser.wait, NEWEST, "onerror")
        assert EVIL in await aside(browser.text, "#failing")
        assert EVIL in await aside(browser.text, "#blocks")
        injected = "return document.querySelectorAll('main script, main img, main style').length"
        assert await aside(browser.run, injected) == 0
    assert await aside(browser.console) == []


async def test_the_policy_stops_what_would_be_injected(browser: Browser) -> None:
    async with served(status=FakeStatus(time.time())) as server:
        await aside(browser.open, server.url)
        inject = (
            "document.body.insertAdjacentHTML('beforeend', '<p style=\"color:red\" id=in>x</p>')"
        )
        await aside(browser.run, inject)
        colour = "return getComputedStyle(document.getElementById('in')).color"
        assert await aside(browser.run, colour) != "rgb(255, 0, 0)"
    assert any("Content Security Policy" in line for line in await aside(browser.console))


async def test_the_figures_follow_the_state_and_the_form_is_left_alone(browser: Browser) -> None:
    status = FakeStatus(time.time())
    async with served(status=status) as server:
        await aside(browser.open, server.url)
        assert "100,040" in await aside(browser.text, "#figures")
        await aside(browser.run, "document.querySelector('[name=search]').value = 'half typed'")
        status.failures = 7
        await aside(browser.run, "return refresh()")
        assert "47" in await aside(browser.text, "#figures")
        typed = "return document.querySelector('[name=search]').value"
        assert await aside(browser.run, typed) == "half typed"


async def test_filters_work_by_a_form(browser: Browser) -> None:
    status = FakeStatus(time.time())
    async with served(status=status) as server:
        await aside(browser.open, server.url)
        await aside(
            browser.run,
            "document.querySelector('[name=namespace]').value = '(cluster)';"
            "document.querySelector('[name=severity]').value = 'high';"
            "document.querySelector('form button').click()",
        )
        await aside(browser.wait, "return location.search.includes('severity=high')")
        assert status.queries[-1].namespace == ""
        assert status.queries[-1].severity == "high"
        kept = "return document.querySelector('[name=namespace]').value"
        assert await aside(browser.wait, kept) == "(cluster)"


@pytest.mark.parametrize("width", [360, 768, 1400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_nothing_is_wider_than_the_screen_and_all_text_can_be_read(
    browser: Browser, width: int, dark: bool
) -> None:  # fmt: skip
    status = FakeStatus(time.time())
    status.block(EVIL, "x" * 400)
    async with served(status=status) as server:
        await aside(browser.view, width, 900, dark=dark)
        await aside(browser.open, server.url)
        overflow = "return document.documentElement.scrollWidth - innerWidth"
        assert await aside(browser.run, overflow) == 0
        assert await aside(browser.run, FAINTEST) == []


async def test_on_a_phone_the_name_of_a_resource_is_one_line(browser: Browser) -> None:
    async with served(status=FakeStatus(time.time())) as server:
        await aside(browser.view, 360, 900)
        await aside(browser.open, server.url)
        assert await aside(browser.run, LINES) == [1, 1, 1, 1]


async def test_blocks_are_live_only_while_events_are_watched(browser: Browser) -> None:
    partial = ClusterConnection("partial", "Not readable: events", 1.0, counted=True)
    status = FakeStatus(time.time(), connection=partial)
    async with served(status=status) as server:
        await aside(browser.open, server.url)
        await aside(browser.wait, LIVE_IS, "live")
        status.events = False
        await aside(browser.wait, LIVE_IS, "Events are not watched")


LINES = """
return [...document.querySelectorAll('#watched tbody th')].map(
  name => Math.round(name.offsetHeight / parseFloat(getComputedStyle(name).lineHeight)));
"""
LIVE_IS = "return document.getElementById('live').innerText === arguments[0]"
STATE = "return document.getElementById('state').className.includes(arguments[0])"


async def test_a_lost_api_server_turns_the_page_red_and_back_without_a_reload(
    browser: Browser, tmp_path: Path
) -> None:
    beside = await asyncio.to_thread(Beside, tmp_path)
    command = serving(tmp_path, beside.api.url)
    try:
        await asyncio.to_thread(command.start)
        await aside(eventually, lambda: ready(command.url))
        await aside(browser.open, command.url)
        await aside(browser.wait, STATE, "good")
        await aside(browser.run, "window.mark = 'the same page'")
        port = int(beside.api.url.rpartition(":")[2])
        await aside(beside.run, beside.api.stop())
        await aside(browser.wait, STATE, "bad", within=15)
        said = await aside(browser.text, "#connection")
        assert "Not connected to the API server since" in said
        assert "connection refused" in said
        assert "The numbers below are from" in said
        good = "return document.querySelectorAll('.chip.good, #live.on').length"
        assert await aside(browser.run, good) == 0
        await aside(beside.run, beside.api.start(port=port))
        await aside(browser.wait, STATE, "good", within=60)
        assert await aside(browser.run, "return window.mark") == "the same page"
        hidden = "return document.getElementById('connection').hidden"
        assert await aside(browser.run, hidden)
    finally:
        await asyncio.to_thread(command.stop)
        await asyncio.to_thread(beside.close)


def ready(url: str) -> bool:
    try:
        with urlopen(f"{url}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


async def test_an_exporter_that_is_gone_leaves_nothing_green(browser: Browser) -> None:
    status = FakeStatus(time.time())
    async with served(status=status) as server:
        await aside(browser.open, server.url)
        await aside(browser.wait, STATE, "good")
        address = server.url.removeprefix("http://")
    await aside(browser.wait, STATE, "bad", within=15)
    assert "has not responded since" in await aside(browser.text, "#connection")
    async with served(status=status, listen=address):
        await aside(browser.wait, STATE, "good", within=15)


# WCAG AA: text has a contrast of at least 4.5 to 1 with the nearest ground that is painted.
FAINTEST = """
const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const parts = colour => colour.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const ground = element => {
  const colour = parts(getComputedStyle(element).backgroundColor);
  return colour.length === 3 || colour[3] === 1 ? colour : ground(element.parentElement);
};
const faint = [];
for (const element of document.body.querySelectorAll('*')) {
  const own = [...element.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  if (!own || !element.checkVisibility()) continue;
  const levels = [light(parts(getComputedStyle(element).color)), light(ground(element))];
  const contrast = (Math.max(...levels) + 0.05) / (Math.min(...levels) + 0.05);
  if (contrast < 4.5) faint.push(`${element.className} ${element.innerText}: ${contrast}`);
}
return [...new Set(faint)];
"""
