"""A real Collector reads what a real exporter writes and rotates, and jq finds answers in it."""

import asyncio
import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from exporter.journal.line import rfc3339
from exporter.simulator.checks import CHECKS
from tests.app.commands import Command, serving
from tests.app.running import EVENTS_TOTAL, Cluster, total
from tests.journal.collector import collecting, records
from tests.journal.reading import CLOSED, OPENED, read_lines
from tests.journal.test_queries import JQ, TUESDAY
from tests.journal.test_shipping import lines
from tests.tools import answers, eventually, tool

pytestmark = pytest.mark.tier("monitoring")

CONFIG: Final = """
birth_hold: 0
checkpoint_interval: 0.2
labels: {namespace_labels: [team]}
journal: {file: journal.jsonl, rotate: {bytes: 65536, keep: 1000}}
"""
"""Files of the smallest size, about a hundred lines each, and none is deleted."""

PODS: Final = tuple(f"web-{number}" for number in range(40))
POLICIES: Final = tuple(check.reported_policy for check in CHECKS[:3])
ROUNDS: Final = 21
BLOCKS: Final = 60
"""Blocked requests in a round; in each, all Pods also begin or cease to fail all policies."""

COUNTED: Final = {"request_blocked", "failure_opened", "failure_closed"}

Fields = dict[str, Any]


class Shipped(NamedTuple):
    """What an exporter wrote and counted, and what the Collector made of it.

    The exporter wrote *files* files; *directory* has all of their lines in one.
    """

    directory: Path
    lines: list[Fields]
    files: int
    counted: int
    records: list[Fields]


class Busy:
    """A cluster in which much happens, and an exporter that counts it."""

    def __init__(self, cluster: Cluster, command: Command) -> None:
        self.cluster = cluster
        self.command = command
        self.rounds = 0

    @property
    def happened(self) -> int:
        """How many occurrences the exporter must count."""
        return self.cluster.blocked + self.rounds * len(PODS) * len(POLICIES)

    async def go_on(self, rounds: int) -> None:
        """Let things happen, and wait until they are counted."""
        for _ in range(rounds):
            self.cluster.block(BLOCKS)
            for pod in PODS:
                self.cluster.report(pod, *(() if self.rounds % 2 else POLICIES))
            self.rounds += 1
            await asyncio.sleep(0)
        await asyncio.to_thread(eventually, self._counted, within=120)

    def _counted(self) -> bool:
        samples = self.command.scrape() or {}
        counts = [total(samples, name) or 0 for name in (EVENTS_TOTAL, OPENED, CLOSED)]
        return sum(counts) == self.happened


def ids(of: list[Fields]) -> set[str]:
    return {each["id"] for each in of}


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    tool("otelcol")
    directory = tmp_path_factory.mktemp("shipped")
    counted = asyncio.run(ship(directory))
    lines = read_lines(directory / "journal.jsonl")
    files = len(list(directory.glob("journal.jsonl*")))
    whole = directory / "whole"
    whole.mkdir()
    (whole / "journal.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return Shipped(whole, lines, files, counted, records(directory / "copy.json"))


async def ship(directory: Path) -> int:
    """Let thousands of things happen, and return how many; for a while there is no Collector."""
    (directory / "config.yaml").write_text(CONFIG)
    journal, copy = directory / "journal.jsonl", directory / "copy.json"
    state = f"--state.dir={directory / 'state'}"
    async with Cluster() as cluster:
        for pod in PODS:
            cluster.report(pod)
        command = serving(directory, cluster.api.url, "--config.file=config.yaml", state)
        await asyncio.to_thread(command.start)
        try:
            await asyncio.to_thread(eventually, lambda: answers(f"{command.url}/-/ready"))
            busy = Busy(cluster, command)
            with collecting(f"{journal}*", copy):
                await busy.go_on(ROUNDS // 3)
            await busy.go_on(ROUNDS // 3)
            for action in ("Audit", "Enforce"):
                cluster.world.add_policy(CHECKS[0]._replace(action=action))
            with collecting(f"{journal}*", copy):
                await busy.go_on(ROUNDS // 3)
                await asyncio.to_thread(command.stop)
                read = partial(arrived, copy, ids(read_lines(journal)))
                await asyncio.to_thread(eventually, read, within=60)
        finally:
            await asyncio.to_thread(command.stop)
    return busy.happened


def arrived(copy: Path, wanted: set[str]) -> bool:
    return {each["attributes"]["id"] for each in records(copy)} >= wanted


def test_over_rotation_and_a_restart_each_line_arrives(shipped: Shipped) -> None:
    of_counters = [line for line in shipped.lines if line["event_name"] in COUNTED]
    assert len(ids(of_counters)) == shipped.counted > 3000
    assert shipped.files > 20
    assert {each["attributes"]["id"] for each in shipped.records} == ids(shipped.lines)


def test_a_record_has_all_that_its_line_has(shipped: Shipped) -> None:
    lines = {line["id"]: line for line in shipped.lines}
    for record in shipped.records:
        fields = {k: v for k, v in record["attributes"].items() if not k.startswith("log.")}
        line = lines[fields["id"]]
        body = record["body"]["stringValue"]
        assert fields == {k: v for k, v in line.items() if k != "body"}
        assert body == line.get("body", body)
        assert record["severityText"] == line["severity_text"]
        assert rfc3339(int(record["timeUnixNano"]) / 1e9) == line["observed_timestamp"]
        assert record["resource"] == {"service.name": "policy-journal"}


def cri(stream: str, line: bytes) -> bytes:
    """Write a line as container runtimes do."""
    return b"2026-11-28T12:00:00.000000000Z %b F %b" % (stream.encode(), line)


def test_of_a_container_s_output_the_journal_is_read_and_nothing_else(tmp_path: Path) -> None:
    pod = tmp_path / "monitoring_policy-report-exporter-0_6c596216-ae0f-4bc8-a36b-cb0167e98363"
    log, copy = pod / "exporter" / "0.log", tmp_path / "copy.json"
    log.parent.mkdir(parents=True)
    own = cri("stderr", b'ts=2026-11-28T12:00:00Z level=info msg="ready"\n')
    include = str(tmp_path / "*_policy-report-exporter-*/*/*.log")
    with collecting(include, copy, is_file=False):
        for first in (0, 200):
            log.write_bytes(b"".join(own + cri("stdout", line) for line in lines(first, 200)))
            eventually(partial(arrived, copy, {f"{n:032x}" for n in range(first + 200)}))
            log.rename(log.with_name("0.log.20261128-120000"))  # as the kubelet does
    found = records(copy)
    assert len(found) == 400
    assert {each["resource"]["k8s.namespace.name"] for each in found} == {"monitoring"}


Count = Callable[[list[Fields]], int]


def named(name: str, **fields: str) -> Count:
    """Count the lines of a kind with these values."""

    def count(of: list[Fields]) -> int:
        chosen = (line for line in of if line["event_name"] == name)
        return sum(fields.items() <= line.items() for line in chosen)

    return count


def distinct(name: str, *fields: str) -> Count:
    """Count the different values of some fields among the lines of a kind; queries show ten."""

    def count(of: list[Fields]) -> int:
        chosen = (line for line in of if line["event_name"] == name)
        return min(len({json.dumps([line[f] for f in fields]) for line in chosen}), 10)

    return count


def followed(of: list[Fields]) -> int:
    """Count the failures of the policy that changed since the second in which it did."""
    changed = min(line["timestamp"][:19] for line in of if line["event_name"] == "policy_changed")
    opened = named("failure_opened", policy=POLICIES[0])
    return opened([line for line in of if line["observed_timestamp"][:19] >= changed])


ANSWERS: Final[dict[str, Count]] = {
    "Which requests were refused on Tuesday?": named("request_blocked"),
    "How long has this check failed?": named("failure_opened", resource_name="web-1"),
    "How was it fixed, and after how long?": named("failure_closed"),
    "Which teams are refused most often?": distinct("request_blocked", "namespace_labels"),
    "What is still open?": lambda _: len(PODS) * len(POLICIES),
    "How long does a fix take, by policy?": distinct("failure_closed", "policy"),
    "Which policies were changed, and which started to block?": lambda _: 1,
    "Which failures followed the change of a policy?": followed,
    "Which requests are refused repeatedly?": distinct("request_blocked", "resource_name"),
    "Is the journal complete?": named("exporter_started"),
}
"""How many lines the answer to each of the page's questions has."""


@pytest.mark.parametrize("question", JQ)
def test_jq_answers_a_question_from_a_real_journal(question: str, shipped: Shipped) -> None:
    today = shipped.lines[0]["timestamp"][:10]
    command = JQ[question].replace("jq ", f"{tool('jq')} ", 1).replace(TUESDAY, today)
    for example, real in (("payments", "team-a"), ("checkout", "web-1")):
        command = command.replace(f'"{example}"', f'"{real}"')
    done = subprocess.run(
        command, shell=True, cwd=shipped.directory, check=True, capture_output=True, text=True
    )
    assert len(done.stdout.splitlines()) == ANSWERS[question](shipped.lines)
