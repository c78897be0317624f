"""``python -m bench.shards [--full]``: clusters of 10,000 to 10,000,000 reports, by shards.

A shard's reports are applied in its own process. They are made as objects, not decoded: what stays
in memory is the same, and decoding is measured on its own, as are rows instead of reports.
"""

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Final, NamedTuple

import msgspec

from bench.measure import Figures, fresh, memory_mb
from bench.reports import KINDS, NOW, PER_NAMESPACE, Reports, Shape, line, pages, report
from exporter.metrics.exposition import Exposition, ExposureSettings, render
from exporter.model.changes import Applied, Init, InitDone, Scope
from exporter.model.metadata import Metadata
from exporter.model.report import Reference, Report
from exporter.model.resource import POLICY_REPORTS
from exporter.simulator import tables
from exporter.simulator.registry import Registry
from exporter.state.cluster import ClusterState
from exporter.state.selection import Selection
from exporter.wire.codec import codec_for
from exporter.wire.table import TableCodec

SCOPE: Final = Scope(POLICY_REPORTS)
DECODED: Final = 2_000


class Size(NamedTuple):
    """A cluster, and into how many shards it is cut."""

    reports: int
    shards: int

    @property
    def shape(self) -> Shape:
        """The cluster's reports: the larger it is, the more namespaces."""
        return Shape.of(self.reports)


SIZES: Final = (Size(10_000, 1), Size(100_000, 1), Size(1_000_000, 1), Size(1_000_000, 4))
FULL: Final = (*SIZES, Size(10_000_000, 10))


def main() -> None:
    """Measure the sizes, and what decoding less would save."""
    parser = argparse.ArgumentParser(prog="bench.shards")
    parser.add_argument("--full", action="store_true", help="10,000,000 reports too")
    sizes = FULL if parser.parse_args().full else SIZES
    found: dict[str, Figures] = {}
    for size in sizes:
        name = f"{size.reports:,} reports, {size.shards} shards"
        found[name] = _shards(size)
        _show(name, found[name])
    for name, measure in (("decoding", _decoding), ("rows", _rows)):
        found[name] = fresh(measure)
        _show(name, found[name])
    print("\n" + json.dumps(found))


def _show(name: str, figures: Figures) -> None:
    print(f"{name}\n  " + "  ".join(f"{key} {value:,.2f}" for key, value in figures.items()))


def _shards(size: Size) -> Figures:
    """Measure one shard of the median size; say how large the largest is."""
    held = [len(list(_namespaces(size, index))) * PER_NAMESPACE for index in range(size.shards)]
    chosen = sorted(range(size.shards), key=held.__getitem__)[size.shards // 2]
    figures = fresh(_shard, size, chosen)
    return figures | {"largest_by_median": max(held) / median(held)}


def _namespaces(size: Size, index: int) -> Iterator[int]:
    mine = Selection(shard=(index, size.shards)).namespace
    return (n for n in range(size.shape.namespaces) if mine(_name(n)))


def _name(namespace: int) -> str:
    return f"namespace-{namespace:05d}"


def _shard(size: Size, index: int) -> Figures:
    state = ClusterState(Selection(shard=(index, size.shards)), time.time)
    before, spent, held = memory_mb()["VmRSS"], 0.0, 0
    state.apply(Init(SCOPE))
    for namespace in _namespaces(size, index):
        batch = list(_reports(size.shape, namespace))
        held += len(batch)
        began = time.process_time()
        for each in batch:
            state.apply(Applied(SCOPE, each))
        spent += time.process_time() - began
    state.apply(InitDone(SCOPE))
    began = time.process_time()
    state.ledger.settle()
    settled = time.process_time() - began
    after = memory_mb()["VmRSS"]
    return _exposed(state) | {
        "reports": held,
        "state_mb": after - before,
        "bytes_per_report": (after - before) * 2**20 / held,
        "apply_us": spent / held * 1e6,
        "settle_s": settled,
    }


def _exposed(state: ClusterState) -> Figures:
    exposition = Exposition(state, ExposureSettings(birth_hold=0))
    shots = exposition.take(time.time(), lambda _: True)
    size = sum(map(len, render(shots, openmetrics=False)))
    series = sum(len(each.series) for each in exposition.projections)
    return {"series": series, "scrape_mb": size / 1e6, "with_series_mb": memory_mb()["VmRSS"]}


def _reports(shape: Shape, namespace: int) -> Iterator[Report]:
    """Make a namespace's reports: the outcomes of a few workloads, and of some that are alone."""
    chance = random.Random(f"{shape.seed} {namespace}")
    models = [_model(shape, namespace, n, 0.0) for n in range(shape.profiles)]
    for number in range(PER_NAMESPACE):
        alone = chance.random() < shape.distinct
        model = _model(shape, namespace, number, 1.0) if alone else chance.choice(models)
        yield _placed(model, namespace, number)


def _model(shape: Shape, namespace: int, number: int, distinct: float) -> Report:
    raw = report(shape._replace(distinct=distinct), namespace + number * shape.namespaces)
    read = codec_for(POLICY_REPORTS).one(msgspec.json.encode(raw))
    if not isinstance(read, Report):
        raise TypeError(read)
    return read


def _placed(model: Report, namespace: int, number: int) -> Report:
    uid = f"{namespace:08x}-6b1f-4c1d-9a3e-{number:012x}"
    where = _name(namespace)
    scope = Reference(KINDS[number % 3], f"workload-{number}-{uid[:8]}", where, uid)
    [piece] = model.pieces
    pieces = (msgspec.structs.replace(piece, about=scope),)
    return Report(Metadata(uid, where), model.summary, model.source, scope, pieces)


class _Place(msgspec.Struct, gc=False):
    namespace: str = ""


class _Placed(msgspec.Struct, gc=False):
    metadata: _Place


class _PlacedLine(msgspec.Struct, gc=False):
    object: _Placed


def _decoding() -> Figures:
    """Compare decoding all watch lines with those of a shard, after a look at each namespace."""
    reports = Reports(Shape(DECODED))
    lines = [line(reports.encode(number)) for number in range(DECODED)]
    whole = codec_for(POLICY_REPORTS).line
    figures = {"all_us": _each(lambda: list(map(whole, lines)))}
    for shards in (1, 3, 10):
        mine = Selection(shard=(0, shards)).namespace
        figures[f"looked_first_{shards}_us"] = _each(partial(_looked_first, whole, lines, mine))
    return figures


def _each(work: Callable[[], object]) -> float:
    """Give the least CPU time of some rounds, by report: of a busy machine it says most."""
    spent = []
    for _ in range(7):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return min(spent) / DECODED * 1e6


def _looked_first(
    whole: Callable[[bytes], object], lines: list[bytes], mine: Callable[[str], bool]
) -> None:
    place = msgspec.json.Decoder(_PlacedLine).decode
    for each in lines:
        if mine(place(each).object.metadata.namespace):
            whole(each)


def _rows() -> Figures:
    """Compare reports with the rows that the API server prints of them."""
    shape = Shape(DECODED)
    served = Registry().find(POLICY_REPORTS.group, POLICY_REPORTS.version, POLICY_REPORTS.plural)
    if served is None:
        raise RuntimeError("policy reports are not served")
    rows = [tables.row(report(shape, n), served, NOW, "Metadata") for n in range(shape.reports)]
    body = msgspec.json.encode(tables.table(served, rows, {"resourceVersion": "1"}))
    whole, codec, bodies = codec_for(POLICY_REPORTS), TableCodec(POLICY_REPORTS), list(pages(shape))
    return {
        "report_bytes": sum(map(len, bodies)) / DECODED,
        "row_bytes": len(body) / DECODED,
        "report_us": _each(lambda: [whole.page(each) for each in bodies]),
        "row_us": _each(lambda: codec.page(body)),
    }


if __name__ == "__main__":
    main()
