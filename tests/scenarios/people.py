"""Who hears of alerts: an Alertmanager in simulated time.

Routes, inhibition and the timing of groups as Alertmanager has them, to the minute; test_people.py
compares routes with amtool and inhibition with a running Alertmanager.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from tests.scenarios.judge import Fired

MATCHER = re.compile(r'^\s*(\w+)\s*(=~|!~|!=|=)\s*"?(.*?)"?\s*$')
UNITS = {"s": 1 / 60, "m": 1.0, "h": 60.0, "d": 1440.0}


class Inhibition(msgspec.Struct, frozen=True):
    source_matchers: list[str] = []
    target_matchers: list[str] = []
    equal: list[str] = []


class Route(msgspec.Struct, frozen=True):
    """A route as written; what is not written comes from its parent."""

    receiver: str = ""
    matchers: list[str] = []
    routes: list["Route"] = []
    group_by: list[str] = []
    group_wait: str = ""
    group_interval: str = ""
    repeat_interval: str = ""
    continues: bool = msgspec.field(default=False, name="continue")


class Configuration(msgspec.Struct, frozen=True):
    route: Route
    inhibit_rules: list[Inhibition] = []


class Notification(NamedTuple):
    """One message: when, to whom, which alerts fire and which are over."""

    minute: int
    receiver: str
    firing: list[Fired]
    resolved: list[Fired]


def read(path: Path) -> Configuration:
    return msgspec.yaml.decode(path.read_bytes(), type=Configuration)


def matches(matchers: Iterable[str], labels: Mapping[str, str]) -> bool:
    return all(_matches(matcher, labels) for matcher in matchers)


@cache
def _parsed(matcher: str) -> tuple[str, str, str]:
    found = MATCHER.match(matcher)
    assert found, matcher
    name, operator, wanted = found.groups()
    return name, operator, wanted


def _matches(matcher: str, labels: Mapping[str, str]) -> bool:
    name, operator, wanted = _parsed(matcher)
    value = labels.get(name, "")
    if operator in {"=", "!="}:
        return (value == wanted) == (operator == "=")
    return (re.fullmatch(wanted, value) is not None) == (operator == "=~")


def routes(config: Configuration, labels: Mapping[str, str]) -> list[Route]:
    """Return the routes that take an alert, complete with what they inherit."""
    return _routes(config.route, labels)


def _routes(route: Route, labels: Mapping[str, str]) -> list[Route]:
    found: list[Route] = []
    for child in route.routes:
        if matches(child.matchers, labels):
            found += _routes(_inherited(child, route), labels)
            if not child.continues:
                break
    return found or [route]


def _inherited(child: Route, parent: Route) -> Route:
    fields = ("receiver", "group_by", "group_wait", "group_interval", "repeat_interval")
    given = {name: getattr(child, name) or getattr(parent, name) for name in fields}
    return msgspec.structs.replace(child, **given)


def mutes(config: Configuration, alerts: Iterable[Fired]) -> list[tuple[Fired, Fired]]:
    """Return each alert with each other one that inhibits it while both fire."""
    given = list(alerts)
    targets = [
        (rule, each)
        for rule in config.inhibit_rules
        for each in given
        if matches(rule.target_matchers, each.labels)
    ]
    return [
        (target, source)
        for rule, target in targets
        for source in given
        if source.labels != target.labels and _inhibits(rule, source.labels, target.labels)
    ]


def _inhibits(rule: Inhibition, source: Mapping[str, str], target: Mapping[str, str]) -> bool:
    if matches(rule.source_matchers, target) and matches(rule.target_matchers, source):
        return False  # as in Alertmanager: what is on both sides does not inhibit its like
    return matches(rule.source_matchers, source) and all(
        source.get(label, "") == target.get(label, "") for label in rule.equal
    )


def told(config: Configuration, fired: Iterable[Fired], until: int) -> list[Notification]:
    """Return every notification up to a minute, in their order."""
    alerts = list(fired)
    groups: dict[tuple[str, ...], tuple[Route, list[Fired]]] = {}
    for alert in alerts:
        for route in routes(config, alert.labels):
            values = (f"{label}={alert.labels.get(label, '')}" for label in route.group_by)
            key = (route.receiver, *route.matchers, *values)
            groups.setdefault(key, (route, []))[1].append(alert)
    inhibitors: dict[int, list[Fired]] = {}
    for target, source in mutes(config, alerts):
        inhibitors.setdefault(id(target), []).append(source)

    def audible(alert: Fired, minute: int) -> bool:
        sources = inhibitors.get(id(alert), [])
        return not any(source.start <= minute < source.end for source in sources)

    found = [
        notification
        for route, members in groups.values()
        for notification in _group(route, members, audible, until)
    ]
    return sorted(found, key=lambda each: (each.minute, each.receiver))


def _group(
    route: Route, members: list[Fired], audible: Callable[[Fired, int], bool], until: int
) -> Iterable[Notification]:
    """Flush one group whenever Alertmanager would, and yield what it sends."""
    known: list[Fired] = []
    last = minute = 0
    wait, interval, repeat = (
        _minutes(text) for text in (route.group_wait, route.group_interval, route.repeat_interval)
    )
    while (following := _flush(members, minute, wait, interval)) is not None:
        minute = following
        if minute > until:
            return
        heard = [each for each in members if audible(each, minute)]
        firing = [each for each in heard if each.start <= minute < each.end]
        over = [each for each in known if each.end <= minute and each in heard]
        news = any(each not in known for each in firing)
        if news or over or (firing and minute - last >= repeat):
            yield Notification(minute, route.receiver, firing, over)
            known, last = firing, minute


def _flush(members: list[Fired], after: int, wait: float, interval: float) -> int | None:
    """Return the next flush: the wait after a group is made, else the interval."""
    if after and any(each.start <= after <= each.end for each in members):
        return round(after + max(interval, 1))
    return min((round(e.start + max(wait, 1)) for e in members if e.start >= after), default=None)


def _minutes(text: str) -> float:
    return sum(float(n) * UNITS[unit] for n, unit in re.findall(r"(\d+)([smhd])", text))
