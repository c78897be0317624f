"""What a capture costs in one turn of the event loop: work is counted, not time."""

import asyncio
from pathlib import Path

import pytest

from exporter.checkpoint.capture import SLICE_REPORTS, Checkpointer
from exporter.checkpoint.file import StateFile
from exporter.checkpoint.filters import CountingFilters
from exporter.checkpoint.format import decode
from exporter.checkpoint.writer import CheckpointWriter
from exporter.metrics.self_metrics import new_self_metrics
from exporter.model.changes import Applied, Deleted, Init, InitDone
from exporter.model.metadata import Metadata
from exporter.model.report import Reference, Report, Result
from exporter.state.cluster import ClusterState
from exporter.state.failures import Identity
from exporter.state.memory import hash_of
from exporter.state.report_store import ReportKey
from exporter.state.selection import Selection
from tests.metrics.clusters import NOW, REPORTS


def failing(name: str, namespace: str = "team-a", severity: str = "high") -> Report:
    result = Result("p", "r", "fail", severity, source="kyverno")
    subject = Reference("Pod", name, namespace, name)
    return Report.of(Metadata(name, namespace), subject, None, [result])


class Kept:
    """A state whose checkpoints are written; ``encoded`` counts reports by turn of the loop."""

    def __init__(self, directory: Path, *reports: Report) -> None:
        self.state = ClusterState(Selection(), lambda: NOW)
        self.state.apply(Init(REPORTS))
        for report in reports:
            self.state.apply(Applied(REPORTS, report))
        self.state.apply(InitDone(REPORTS))
        self.file = StateFile(directory)
        self.checkpointer = Checkpointer(self.state, [], CountingFilters(), lambda: NOW)
        self.writer = CheckpointWriter(self.file, self.state, self.checkpointer, new_self_metrics())

    @property
    def left(self) -> int:
        """How many reports are to be encoded."""
        return sum(map(len, self.state.ledger.failures.touched.values()))

    async def turns(self) -> list[int]:
        """Commit, and return how many reports each turn of the loop encoded."""
        committing, turns = asyncio.create_task(self.writer.commit()), list[int]()
        while not committing.done():
            before = self.left
            await asyncio.sleep(0)
            turns.append(before - self.left)
        return turns

    def failures(self) -> set[int]:
        body = self.file.read()
        assert body is not None
        return {row.hash for row in decode(body).failures.rows()}


def hashes(*names: str, namespace: str = "team-a") -> set[int]:
    """The hashes of failures as ``failing`` makes them."""
    return {
        hash_of(ReportKey(namespace, name), Identity("Pod", name, "p", "r", "kyverno"))
        for name in names
    }


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    reports = (failing(f"r{n}") for n in range(5_000))
    return Kept(tmp_path, *reports)


async def test_the_first_checkpoint_of_a_large_namespace_is_encoded_in_slices(kept: Kept) -> None:
    turns = await kept.turns()
    assert sum(turns) == 5_000
    assert max(turns) <= SLICE_REPORTS
    assert kept.failures() == hashes(*(f"r{n}" for n in range(5_000)))


async def test_one_new_failure_in_a_large_namespace_is_all_that_is_encoded(kept: Kept) -> None:
    await kept.writer.commit()
    kept.state.apply(Applied(REPORTS, failing("new")))
    kept.state.apply(Deleted(REPORTS, failing("r7")))
    assert sum(await kept.turns()) == 2
    assert kept.failures() == hashes("new", *(f"r{n}" for n in range(5_000) if n != 7))


async def test_a_change_that_touches_200_namespaces_is_encoded_in_slices(tmp_path: Path) -> None:
    places = [(f"r{n}", f"team-{n % 200}") for n in range(2_000)]
    it = Kept(tmp_path, *(failing(*place) for place in places))
    await it.writer.commit()
    for place in places:
        it.state.apply(Applied(REPORTS, failing(*place, severity="critical")))
    turns = await it.turns()
    assert sum(turns) == 2_000
    assert max(turns) <= SLICE_REPORTS
    failures = decode(it.file.read() or b"").failures
    assert {row.group.severity for row in failures.rows()} == {"critical"}
    assert len(failures) == 2_000


async def test_what_changes_between_slices_is_in_the_checkpoint(kept: Kept) -> None:
    committing = asyncio.create_task(kept.writer.commit())
    for n in range(10):
        await asyncio.sleep(0)
        kept.state.apply(Deleted(REPORTS, failing(f"r{n}")))
        kept.state.apply(Applied(REPORTS, failing(f"new{n}")))
    await committing
    await kept.writer.commit()
    assert kept.failures() == hashes(
        *(f"r{n}" for n in range(10, 5_000)), *(f"new{n}" for n in range(10))
    )


async def test_without_a_state_directory_no_changed_reports_are_kept(tmp_path: Path) -> None:
    it = Kept(tmp_path, failing("a"), failing("b"))
    writer = CheckpointWriter(None, it.state, it.checkpointer, new_self_metrics())
    await writer.commit()
    assert not it.state.ledger.failures.touched
    it.state.apply(Deleted(REPORTS, failing("b")))
    taken = it.checkpointer.capture()
    assert taken is not None
    assert {row.hash for row in taken.failures.rows()} == hashes("a")


@pytest.mark.parametrize("listed", [(), (failing("b"),)], ids=["gone", "another"])
async def test_what_ended_during_a_restart_leaves_the_next_checkpoint(
    tmp_path: Path, listed: tuple[Report, ...]
) -> None:
    before = Kept(tmp_path, failing("a"))
    await before.writer.commit()
    again = Kept(tmp_path)
    await again.checkpointer.begin_with(decode(before.file.read() or b""))
    await again.writer.commit()
    assert again.failures() == hashes("a"), "until all is listed, what it was is kept"
    for report in listed:
        again.state.apply(Applied(REPORTS, report))
    again.state.ledger.restore.finish()
    await again.writer.commit()
    assert again.failures() == hashes(*(report.name for report in listed))
