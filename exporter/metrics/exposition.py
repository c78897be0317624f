"""One consistent moment of all families, as text in either format."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final, NamedTuple

from exporter.metrics.catalogue import CATALOGUE, Family
from exporter.metrics.projection import Projection
from exporter.metrics.segments import SegmentSnapshot
from exporter.state.cluster import ClusterState

BIRTH_HOLD_SECONDS: Final = 35.0
DROPPABLE: Final = frozenset(
    {
        *("namespace", "kind", "controlled", "workload_kind", "workload"),
        *("rule", "category", "severity", "source", "controller"),
    }
)


class ExposureSettings(NamedTuple):
    """What is exposed of the catalogue, and within which bounds.

    *controlled*: whether objects that another reported object owns have series.
    """

    max_series: int = 200_000
    drop: frozenset[str] = frozenset()
    namespace_labels: tuple[str, ...] = ()
    disabled: frozenset[str] = frozenset()
    limits: Mapping[str, int] = {}
    words: Mapping[str, frozenset[str]] = {}
    birth_hold: float = BIRTH_HOLD_SECONDS
    controlled: bool = True


class FamilySnapshot(NamedTuple):
    """A family at one moment; ``rendered`` is called once its text was made."""

    family: Family
    snapshot: SegmentSnapshot
    rendered: Callable[[], None]


class Exposition:
    """All families of the catalogue, in step with the state."""

    def __init__(self, state: ClusterState, settings: ExposureSettings | None = None) -> None:
        self.settings = settings or ExposureSettings()
        self._state = state
        self.projections = tuple(
            self._projection(family)
            for family in CATALOGUE
            if family.name not in self.settings.disabled
        )
        self._unshown = [f.read(state) for f in CATALOGUE if f.name in self.settings.disabled]

    def settle(self, most: int, *, sums: bool = False) -> bool:
        """Take up at most about *most* changes of the state; True when more may be left.

        With *sums* also in those of which no series are made.

        Rows that many groups share are taken up once, after the last; one family has its turn at
        a time.
        """
        if self._state.ledger.settle(most, sums=sums):
            return True
        for projection in self.projections:
            if projection.behind:
                projection.settle(most)
                return True
        for source in self._unshown:
            source.forget()
        return False

    def take(
        self, now: float, complete: Callable[[str], bool], names: frozenset[str] = frozenset()
    ) -> list[FamilySnapshot]:
        """Take one moment of every family whose kinds are *complete*, in catalogue order.

        *names* chooses families, empty for all.
        """
        self._state.violation_events.recent.expire()
        if complete("reports"):
            self._state.ledger.settle(sums=False)  # before that nothing of it is shown
        relabelled, self._state.namespaces.changed = self._state.namespaces.changed, set()
        snapshots = []
        for projection in self.projections:
            if relabelled:
                projection.relabel(relabelled)
            family = projection.family
            if _chosen(family, names) and complete(family.kinds):
                snapshot = projection.snapshot(now)
                pending = projection.zero_first.pending()
                rendered = partial(projection.zero_first.shown, pending, now)
                snapshots.append(FamilySnapshot(family, snapshot, rendered))
        return snapshots

    def go_on_from(self, former: "Exposition") -> None:
        """Hold births no longer than *former* would have."""
        theirs = {projection.family: projection.zero_first for projection in former.projections}
        for projection in self.projections:
            if projection.family in theirs:
                projection.zero_first.go_on_from(theirs[projection.family])

    def _projection(self, family: Family) -> Projection:
        settings = self.settings
        drop = settings.drop if family.kinds in ("reports", "events") else frozenset()
        default = settings.max_series if family.limit is None else family.limit
        return Projection(
            family,
            self._state,
            limit=settings.limits.get(family.name, default),
            drop=drop,
            extra_names=settings.namespace_labels,
            birth_hold=settings.birth_hold,
            words=settings.words.get(family.name),
            controlled=settings.controlled,
        )


def head(name: str, kind: str, text: str, *, openmetrics: bool) -> bytes:
    """Write the HELP and TYPE of a family; OpenMetrics names counters without ``_total``."""
    if openmetrics:
        text = text.replace('"', r"\"")
        if kind == "counter":
            name = name.removesuffix("_total")
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n".encode()


def _chosen(family: Family, names: frozenset[str]) -> bool:
    return not names or bool(names & {family.name, family.name.removesuffix("_total")})


def render(snapshots: list[FamilySnapshot], *, openmetrics: bool) -> Iterator[bytes]:
    """Render what was taken, segment by segment."""
    for family, snapshot, rendered in snapshots:
        yield head(family.name, family.type, family.help, openmetrics=openmetrics)
        yield from snapshot.render()
        rendered()
