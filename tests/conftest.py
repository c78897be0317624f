"""Tiers: which tests need real components, what is missing, and what a run left out.

With REQUIRE_ALL_TIERS=1 a test that skips itself, for whatever reason, fails.
"""

import os
import signal
from collections import Counter
from collections.abc import Generator
from types import FrameType

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from tests.scenarios.rows import VARIANTS
from tests.tools import RUNNING
from tools.pins import ASKED_FOR, TIERS, missing

# No deadline: a shared machine pauses for longer than any example takes.
_LONG = bool(os.environ.get("HYPOTHESIS_LONG"))
settings.register_profile(
    "here",
    deadline=None,
    max_examples=500 if _LONG else 60,
    stateful_step_count=40 if _LONG else 30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("here")

ONE_CLUSTER = "tests/kyverno/"
SCENARIOS = "tests/scenarios/test_rows.py"
OUTCOMES = ("passed", "failed", "error", "skipped", "xfailed", "xpassed")


def tier_of(item: pytest.Item) -> str:
    """Return the tier that the nearest marker names, unit where none does."""
    marker = item.get_closest_marker("tier")
    tier = marker.args[0] if marker else "unit"
    if tier not in TIERS:
        raise pytest.UsageError(f"{item.nodeid}: tier {tier!r}, expected one of {', '.join(TIERS)}")
    return str(tier)


def all_required() -> bool:
    return os.environ.get("REQUIRE_ALL_TIERS") == "1"


def enabling(tier: str) -> str:
    return ASKED_FOR.get(tier) or f"make tools ARGS='--tier {tier}'"


def terminate(_signal: int, _frame: FrameType | None) -> None:
    pytest.exit("terminated", returncode=143)


def pytest_configure() -> None:
    """Tear down on SIGTERM too, as on Ctrl-C: a cancelled run leaves no server behind.

    A shell starts what runs in the background with SIGINT ignored, and each program that a test
    starts would inherit that: with a handler here, they start with the signal's default.
    """
    signal.signal(signal.SIGTERM, terminate)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Keeps the tests of one file in one worker, so that servers that a file shares start once.

    The files of ONE_CLUSTER share one cluster; SCENARIOS takes minutes for each variant.
    (``--dist loadgroup`` of xdist 3.8 knows no groups with pytest 9.2: it reads a node's id from
    where it is no longer.)
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if file == SCENARIOS:
            return next((each for each in VARIANTS if each in nodeid.partition("[")[2]), file)
        return ONE_CLUSTER if file.startswith(ONE_CLUSTER) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFile:
    return ByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, and give each report its tier."""
    unasked = {tier for tier in ASKED_FOR if os.environ.get(tier.upper()) != "1"}
    left = [item for item in items if tier_of(item) in unasked]
    items[:] = [item for item in items if tier_of(item) not in unasked]
    config.hook.pytest_deselected(items=left)
    # What waits for real components comes first, so that no worker is left alone with it.
    items.sort(key=lambda item: (tier_of(item) == "unit", item.get_closest_marker("slow") is None))
    lacking = {tier: names for tier in TIERS if (names := missing(tier))}
    for item in items:
        tier = tier_of(item)
        item.user_properties.append(("tier", tier))
        if tier in ASKED_FOR or config.option.markexpr == "slow":
            item.add_marker(pytest.mark.timeout(0))
        if tier in lacking:
            reason = f"the {tier} tier lacks {', '.join(lacking[tier])}: {enabling(tier)}"
            item.add_marker(pytest.mark.skip(reason=reason))


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure; an expected failure is not a skip."""
    if all_required() and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason} (REQUIRE_ALL_TIERS=1: nothing may be skipped)"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    refuse_skip(report)
    if report.failed:
        report.sections += [(f"the end of {each.name}'s log", each.log_tail) for each in RUNNING]
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    refuse_skip(report)
    return report


def counts(reporter: pytest.TerminalReporter) -> dict[str, Counter[str]]:
    """Count the outcomes of each tier that had a test."""
    found: dict[str, Counter[str]] = {}
    for outcome in OUTCOMES:
        for report in reporter.stats.get(outcome, []):
            tier = dict(getattr(report, "user_properties", ())).get("tier")
            if tier:
                found.setdefault(tier, Counter())[outcome] += 1
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which tiers ran, which did not, and what would enable each."""
    terminalreporter.section("tiers")
    found = counts(terminalreporter)
    for tier in TIERS:
        seen = ", ".join(f"{n} {outcome}" for outcome, n in found.get(tier, Counter()).items())
        line = f"{tier:<11} {seen or 'no test selected'}"
        if not seen and tier in ASKED_FOR:
            line += f"; NOT RUN unless asked for: {ASKED_FOR[tier]}"
        if (names := missing(tier, extras=True)) and (seen or tier not in ASKED_FOR):
            line += f"; lacks {', '.join(names)}: {enabling(tier)}"
        terminalreporter.line(line)
