"""What each report of one API group contributed, by namespace and name."""

from collections.abc import Iterator
from typing import NamedTuple

from exporter.model.changes import Scope
from exporter.state.contribution import Contribution


class ReportKey(NamedTuple):
    """Where a report lies."""

    namespace: str
    name: str


class ReportStore:
    """Contributions, and during a list those that it has not brought again yet.

    A list moves what it finds from ``unlisted`` back to the shelf; when it ends, what is left
    there is gone from the cluster. Nothing is copied and nothing vanishes before that.
    """

    def __init__(self) -> None:
        self.changed: set[str] = set()
        self._held: dict[str, dict[str, Contribution]] = {}
        self._unlisted: dict[str, dict[str, Contribution]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether there is no report at all."""
        return not (self._held or self._unlisted)

    def current(self, namespace: str, name: str) -> Contribution | None:
        """Give the contribution of a report that no list is waited for to bring."""
        names = self._held.get(namespace)
        return None if names is None else names.get(name)

    def unlisted(self, namespace: str, name: str) -> Contribution | None:
        """Give the contribution of a report that a list has not brought again yet."""
        names = self._unlisted.get(namespace)
        return None if names is None else names.get(name)

    def find(self, place: ReportKey) -> Contribution | None:
        """Look a report's contribution up."""
        namespace, name = place
        found = self.current(namespace, name)
        return self.unlisted(namespace, name) if found is None else found

    def count(self, namespace: str) -> int:
        """Count the reports of a namespace."""
        return sum(len(held.get(namespace, ())) for held in (self._held, self._unlisted))

    def namespaces(self) -> set[str]:
        """Name the namespaces that have reports."""
        return {*self._held, *self._unlisted}

    def put(self, namespace: str, name: str, contribution: Contribution) -> None:
        """Keep a contribution in place of the report's former one."""
        if self._unlisted:
            self._forget(self._unlisted, ReportKey(namespace, name))
        names = self._held.get(namespace)
        if names is None:
            names = self._held[namespace] = {}
        names[name] = contribution
        self.changed.add(namespace)

    def remove(self, place: ReportKey) -> None:
        """Forget a report."""
        self._forget(self._held, place)
        self._forget(self._unlisted, place)
        self.changed.add(place.namespace)

    def begin_list(self, scope: Scope) -> None:
        """Begin to wait for every report of *scope* again."""
        for namespace in [n for n in self._held if covers(scope, n)]:
            names = self._held.pop(namespace)
            self._unlisted.setdefault(namespace, {}).update(names)

    def vanished(self, scope: Scope) -> list[ReportKey]:
        """Name the reports of *scope* that the list, now ended, did not bring."""
        waited = [n for n in self._unlisted if covers(scope, n)]
        return [ReportKey(n, name) for n in waited for name in self._unlisted[n]]

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

    @staticmethod
    def _forget(held: dict[str, dict[str, Contribution]], place: ReportKey) -> None:
        names = held.get(place.namespace)
        if names is not None:
            names.pop(place.name, None)
            if not names:
                del held[place.namespace]


def covers(scope: Scope, namespace: str) -> bool:
    """Cluster reports lie in no namespace, so one shelf serves both resources of a group."""
    if scope.namespace:
        return namespace == scope.namespace
    return bool(namespace) == scope.resource.namespaced
