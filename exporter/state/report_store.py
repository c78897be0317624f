"""What each report contributed, by API group, namespace and name, and which of them count."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple, TypeVar

from exporter.model.changes import Scope
from exporter.model.resource import CLUSTER_POLICY_REPORTS, CLUSTER_REPORTS, POLICY_REPORTS, REPORTS
from exporter.state.contribution import (
    Contribution,
    Group,
    Owned,
    direct_group,
    of_one_engine,
    parts,
)
from exporter.state.profile import Outcome
from exporter.state.shares import NamespaceShares, Usage

DAY: Final = 86_400.0
"""Seconds. A timestamp further in the future is a mistake: it shows no age."""

GROUPS: Final = (REPORTS.group, POLICY_REPORTS.group)
"""Of a report that is the same in both and equally new, the first one's counts."""

RESOURCES: Final = ((REPORTS, CLUSTER_REPORTS), (POLICY_REPORTS, CLUSTER_POLICY_REPORTS))

Pair = tuple[Contribution | None, Contribution | None]
"""What counts of the reports of one namespace and name, in the order of the groups."""


class ReportKey(NamedTuple):
    """Namespace and name of a report; in both API groups there may be one of the same."""

    namespace: str
    name: str


class Dated(NamedTuple):
    """The timestamps of a report (Unix seconds) in which some results lag behind the newest.

    ``oldest`` has the oldest timestamp for each policy and source that lags, in the order of
    ``lagging``, where each is one outcome of the report's profiles.
    """

    newest: float
    lagging: tuple[Outcome, ...]
    oldest: tuple[float, ...]


class ReportStore:
    """Contributions, and during a list those that it has not contained yet.

    A list moves what it finds from the unlisted ones back to the current ones; when it ends, what
    is left unlisted was deleted from the cluster. Nothing is copied or removed before that.
    """

    def __init__(self, usage: Usage) -> None:
        self.changed: set[str] = set()
        self._usage = usage
        self._dates: dict[str, dict[str, float | Dated]] = {}
        self._held: dict[str, dict[str, Contribution]] = {}
        self._unlisted: dict[str, dict[str, Contribution]] = {}

    def __len__(self) -> int:
        return sum(map(len, (*self._held.values(), *self._unlisted.values())))

    @property
    def is_empty(self) -> bool:
        """Whether there is no report at all."""
        return not (self._held or self._unlisted)

    def current(self, namespace: str, name: str) -> Contribution | None:
        """Return the contribution of a report; None for one that the list has not contained yet."""
        names = self._held.get(namespace)
        return None if names is None else names.get(name)

    def unlisted(self, namespace: str, name: str) -> Contribution | None:
        """Return the contribution of a report that the list under way has not contained yet."""
        names = self._unlisted.get(namespace)
        return None if names is None else names.get(name)

    def find(self, place: ReportKey) -> Contribution | None:
        """Look a report's contribution up."""
        namespace, name = place
        found = self.current(namespace, name)
        return self.unlisted(namespace, name) if found is None else found

    def finder(self, namespace: str) -> Callable[[str], Contribution | None] | None:
        """Look up many reports of a namespace by name; None where it has none."""
        held, unlisted = self._held.get(namespace), self._unlisted.get(namespace)
        if held and unlisted:
            return lambda name: held.get(name) or unlisted.get(name)
        found = held or unlisted
        return found.get if found else None

    def newest(self, place: ReportKey) -> float:
        """Give the newest timestamp in a report, in Unix seconds; 0 where there is none."""
        date = self.dates(place.namespace).get(place.name, 0)
        return date.newest if isinstance(date, Dated) else date

    def dates(self, namespace: str) -> Mapping[str, float | Dated]:
        """Give the timestamps of a namespace's reports by name."""
        return self._dates.get(namespace, {})

    def date(self, namespace: str, name: str, date: float | Dated) -> None:
        """Keep the timestamps of a report that is in the store."""
        try:
            self._dates[namespace][name] = date
        except KeyError:
            self._dates[namespace] = {name: date}

    def count(self, namespace: str) -> int:
        """Count the reports of a namespace."""
        return sum(len(held.get(namespace, ())) for held in (self._held, self._unlisted))

    def namespaces(self) -> set[str]:
        """Name the namespaces that have reports."""
        return {*self._held, *self._unlisted}

    def listed(self, namespace: str) -> list[str]:
        """Name the reports of a namespace."""
        return [*self._held.get(namespace, ()), *self._unlisted.get(namespace, ())]

    def put(self, namespace: str, name: str, contribution: Contribution) -> None:
        """Keep a contribution in place of the report's former one."""
        former = None
        if self._unlisted:
            former = _forget(self._unlisted, ReportKey(namespace, name))
        names = self._held.get(namespace)
        if names is None:
            names = self._held[namespace] = {}
        former = names.get(name, former)
        names[name] = contribution
        self.changed.add(namespace)
        if former is not None or not isinstance(contribution, Group):  # else nothing fails
            self._usage.exchange(namespace, former, contribution)

    def replace(self, place: ReportKey, contribution: Contribution) -> None:
        """Exchange a contribution; whether a list has contained its report does not change."""
        for held in (self._held, self._unlisted):
            names = held.get(place.namespace)
            if names and place.name in names:
                names[place.name] = contribution

    def remove(self, place: ReportKey) -> None:
        """Forget a report."""
        for held in (self._held, self._unlisted):
            self._usage.exchange(place.namespace, _forget(held, place), None)
        _forget(self._dates, place)
        self.changed.add(place.namespace)

    def begin_list(self, scope: Scope) -> None:
        """Begin to wait for every report of *scope* again."""
        for namespace in [n for n in self._held if covers(scope, n)]:
            names = self._held.pop(namespace)
            self._unlisted.setdefault(namespace, {}).update(names)

    def vanished(self, scope: Scope, most: int) -> list[tuple[ReportKey, Contribution]]:
        """Return at most *most* reports of *scope* that the list, now ended, did not contain."""
        unlisted = (
            (ReportKey(namespace, name), contribution)
            for namespace, names in self._unlisted.items()
            if covers(scope, namespace)
            for name, contribution in names.items()
        )
        return list(islice(unlisted, most))

    def items(self) -> Iterator[tuple[ReportKey, Contribution]]:
        """Give all contributions, whether listed again or not."""
        for held in (self._held, self._unlisted):
            for namespace, names in held.items():
                for name, contribution in names.items():
                    yield ReportKey(namespace, name), contribution

    def names(self, namespace: str) -> Iterator[tuple[str, Contribution]]:
        """Give the contributions of one namespace by name."""
        for held in (self._held, self._unlisted):
            yield from held.get(namespace, {}).items()


class ReportStores:
    """The stores of both API groups."""

    def __init__(self, clock: Callable[[], float], shares: NamespaceShares) -> None:
        self.usage = Usage(shares)
        one, other = self.stores = (ReportStore(self.usage), ReportStore(self.usage))
        self._of = {GROUPS[0]: (one, other), GROUPS[1]: (other, one)}
        self._clock = clock

    def of(self, scope: Scope) -> tuple[ReportStore, ReportStore]:
        """Give the store of a scope's API group, and that of the other group."""
        return self._of[scope.resource.group]

    def counting(self, place: ReportKey) -> Pair:
        """Choose what counts of the reports of one name: all, or the newer of one engine's two.

        Kyverno's reports stay in the group that it no longer writes to.
        """
        one, other = (store.find(place) for store in self.stores)
        if one is None or other is None or not of_one_engine(one, other):
            return one, other
        latest = self._clock() + DAY
        stamps = (store.newest(place) for store in self.stores)
        newest, others = (stamp if stamp < latest else 0 for stamp in stamps)
        return (None, other) if others > newest else (one, None)

    def items(self) -> Iterator[tuple[ReportKey, Contribution]]:
        """Give what counts of each namespace and name that a report has."""
        for namespace in {n for store in self.stores for n in store.namespaces()}:
            yield from self.items_in(namespace)

    def items_in(self, namespace: str) -> Iterator[tuple[ReportKey, Contribution]]:
        """Give what counts of each name that a report in a namespace has."""
        names = [name for store in self.stores for name, _ in store.names(namespace)]
        for name in dict.fromkeys(names) if all(map(len, self.stores)) else names:
            place = ReportKey(namespace, name)
            found = merged(self.counting(place))
            if found is not None:
                yield place, found

    def about(
        self, namespace: str, reports: Mapping[str, Sequence[Owned]]
    ) -> Iterator[tuple[int, str, str, Contribution, Sequence[Owned]]]:
        """Give what reports of these names contribute, in both groups and of the cluster, too.

        That is the group's number, the report's namespace and name, its contribution and what it
        is about.
        """
        for slot, store in enumerate(self.stores):
            for where in {"", namespace}:
                find = store.finder(where)
                if find is None:
                    continue
                for name, owned in reports.items():
                    found = find(name)
                    if found:
                        yield slot, where, name, found, owned

    def copies(self) -> int:
        """Count the reports that do not count, as the other group has them newer."""
        fewer, more = sorted(self.stores, key=len)
        places = (place for place, _ in fewer.items() if more.find(place) is not None)
        return sum(None in self.counting(place) for place in places)

    def objects(self) -> Counter[str]:
        """Count the reports that are known, by resource."""
        counts: Counter[str] = Counter()
        for store, resources in zip(self.stores, RESOURCES, strict=True):
            for namespace in store.namespaces():
                counts[resources[not namespace].name] += store.count(namespace)
        return counts


def merged(pair: Pair) -> Contribution | None:
    """Take the reports of one name for one contribution, the same object where it is alone."""
    one, other = pair
    if one is None or other is None:
        return other if one is None else one
    return (*parts(one), *parts(other))


def has_switched(before: Pair, after: Pair) -> bool:
    """Whether the report of one group counts instead of that of the other."""
    return any(
        before[slot] and not before[1 - slot] and after[1 - slot] and not after[slot]
        for slot in (0, 1)
    )


Value = TypeVar("Value", Contribution, float | Dated)


def _forget(held: dict[str, dict[str, Value]], place: ReportKey) -> Value | None:
    names = held.get(place.namespace)
    if names is None:
        return None
    value = names.pop(place.name, None)
    if not names:
        del held[place.namespace]
    return value


def covers(scope: Scope, namespace: str) -> bool:
    """Return whether a list of *scope* contains a namespace's reports ("" for cluster reports)."""
    if scope.namespace:
        return namespace == scope.namespace
    return bool(namespace) == scope.resource.namespaced


def covers_resource(store: ReportStore, place: ReportKey) -> bool:
    """Whether a store has a report of this name that is about the resource of this uid."""
    contribution = store.find(place)
    return contribution is not None and direct_group(contribution) is not None
