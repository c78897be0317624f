"""A rescan: updates that change timestamps only, against decoding them and nothing else."""

import time
from collections.abc import Iterable
from typing import NamedTuple

from bench.baseline import decode_line
from bench.measure import Figures, fresh
from bench.product import SCOPE
from bench.reports import NOW, Reports, Shape, line, pages
from exporter.app.memory import prepare_for_sync
from exporter.model.changes import Applied, Init, InitDone
from exporter.model.resource import POLICY_REPORTS
from exporter.state.cluster import ClusterState
from exporter.state.selection import Selection
from exporter.wire.codec import Codec, codec_for

HOUR = 3600
_AT_ONCE = 500


def compare(shape: Shape, changes: int) -> dict[str, Figures]:
    """Rescan some of the set, interleaved with decoding the same lines."""
    figures = fresh(_rescan, shape, changes)
    over = figures["applied_us"] / figures["decode_us"]
    return {"rescan": figures, "ratios": {"rescan / decode, cpu": over}}


class Known(NamedTuple):
    """What was listed, and who decoded it: a watch goes on with the same codec."""

    state: ClusterState
    codec: Codec


def filled(bodies: Iterable[bytes]) -> Known:
    """Make the state that a list's pages amount to."""
    state, codec = ClusterState(Selection(), time.time), codec_for(POLICY_REPORTS)
    state.apply(Init(SCOPE))
    for body in bodies:
        for item in codec.page(body).objects:
            state.apply(Applied(SCOPE, item))
    state.apply(InitDone(SCOPE))
    return Known(state, codec)


def _rescan(shape: Shape, changes: int) -> Figures:
    known = filled(pages(shape))
    prepare_for_sync()
    return rescanned(known, shape, changes)


def rescanned(known: Known, shape: Shape, changes: int) -> Figures:
    """Decode lines about so many reports, and apply them, turn and turn about."""
    reports, (state, codec) = Reports(shape), known
    lines = [
        line(reports.encode(shape.at(n), NOW + HOUR, shape.reports + 2 + n)) for n in range(changes)
    ]
    decode = applied = 0.0
    for first in range(0, changes, _AT_ONCE):
        part = lines[first : first + _AT_ONCE]
        began = time.process_time()
        for raw in part:
            decode_line(raw)
        between = time.process_time()
        for raw in part:
            changed = codec.line(raw).object
            if changed is not None:
                state.apply(Applied(SCOPE, changed))
        decode += between - began
        applied += time.process_time() - between
    return {"decode_us": decode / changes * 1e6, "applied_us": applied / changes * 1e6}
