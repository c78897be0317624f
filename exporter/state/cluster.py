"""The whole state of the cluster as the exporter knows it; each change is applied in one call."""

from collections.abc import Callable
from typing import Final, assert_never

from exporter.model.changes import Applied, Change, Deleted, Init, InitDone, Object, Scope
from exporter.model.event import Event
from exporter.model.metadata import Namespace, OwnedObject
from exporter.model.policy import Policy
from exporter.model.report import Report
from exporter.model.resource import (
    EVENTS,
    NAMESPACES,
    OWNED_RESOURCES,
    POLICY_RESOURCES,
    REPORT_RESOURCES,
)
from exporter.state.ledger import Ledger
from exporter.state.occurrences import FailureCounted, ViolationCounted
from exporter.state.policy_index import Namespaces, PolicyChanged, PolicyIndex
from exporter.state.selection import Selection
from exporter.state.shares import DEFAULT_SHARES, NamespaceShares
from exporter.state.violation_events import CONTROLLERS, ViolationEvents

Occurrence = FailureCounted | ViolationCounted | PolicyChanged
"""What happened in the cluster, reported once, as it is counted."""

FORGOTTEN_AT_ONCE: Final = 400
"""Reports that are forgotten in one turn of the event loop: 5 to 10 ms."""

_REPORT_PLURALS = frozenset((r.group, r.plural) for r in REPORT_RESOURCES)


class ClusterState:
    """Reports, Events, policies and namespaces as the API server sent them, and their counts."""

    def __init__(  # noqa: PLR0913 - the settings of what is counted
        self,
        selection: Selection,
        clock: Callable[[], float],
        *,
        namespace_labels: tuple[str, ...] = (),
        controllers: tuple[str, ...] = CONTROLLERS,
        known_policies_only: bool = False,
        shares: NamespaceShares = DEFAULT_SHARES,
        metadata: bool = False,
    ) -> None:
        self.ledger = Ledger(selection, clock, shares=shares, metadata=metadata)
        self.register = PolicyIndex(clock)
        self.namespaces = Namespaces(namespace_labels)
        self.violation_events = ViolationEvents(
            selection,
            self.register,
            clock,
            controllers=controllers,
            known_policies_only=known_policies_only,
        )
        self._has_listener = False
        self._in_list: set[Scope] = set()

    def report_to(self, listener: Callable[[Occurrence], None]) -> None:
        """Call *listener* with each occurrence from now on, in the change that it comes from."""
        self._has_listener = True
        self.ledger.failures.on_counted = listener
        self.violation_events.on_counted = listener
        self.register.on_changed = listener

    def apply(self, change: Change) -> None:
        """Apply one change: counters and the page are current at once, totals after Ledger.settle.

        Never awaits, so a reader sees each change whole.
        """
        if self._has_listener:
            self._note_version(change)
        if isinstance(change, Applied) and isinstance(change.object, Report):
            self.ledger.apply(change.scope, change.object)  # nearly all of them
            return
        match change:
            case Applied(scope, item):
                self._applied(scope, item)
            case Deleted(scope, item):
                self._deleted(scope, item)
            case Init(scope):
                self._listing(scope)
            case InitDone(scope):
                self._listed(scope)
            case _:
                assert_never(change)

    def forget_some(self, scope: Scope) -> bool:
        """Remove some objects that the list of *scope*, about to end, did not contain.

        False where none is left. So ``InitDone`` need not remove 100,000 reports at once.
        """
        resource = scope.resource
        if (resource.group, resource.plural) not in _REPORT_PLURALS:
            return False
        self.ledger.failures.version = ""
        return self.ledger.forget_some(scope, FORGOTTEN_AT_ONCE)

    def _note_version(self, change: Change) -> None:
        """Note the resourceVersion of a change from a watch, which identifies the change.

        Changes from lists have none: several lists can contain the same version.
        """
        version = ""
        match change:
            case Init(scope):
                self._in_list.add(scope)
            case InitDone(scope):
                self._in_list.discard(scope)
            case Applied(scope, item) | Deleted(scope, item) if scope not in self._in_list:
                version = item.version
        self.ledger.failures.version = self.register.version = version

    def objects(self) -> dict[str, int]:
        """Count the objects that are known, by resource."""
        counts: dict[str, int] = dict(self.ledger.objects())
        counts[EVENTS.name] = self.violation_events.live_objects
        counts[NAMESPACES.name] = len(self.namespaces.labels)
        for resource in POLICY_RESOURCES:
            counts[resource.name] = self.register.count(resource.kind)
        if (owners := self.ledger.owners) is not None:
            counts.update({each.name: owners.count(each.kind) for each in OWNED_RESOURCES})
        return counts

    def _applied(self, scope: Scope, item: Object) -> None:
        match item:
            case Report():
                self.ledger.apply(scope, item)
            case Event():
                self.violation_events.apply(scope, item)
            case Policy():
                self.register.apply(scope, item)
            case Namespace():
                self.namespaces.apply(item)
            case OwnedObject():
                if self.ledger.owners is not None:
                    self.ledger.owners.apply(scope, item)
            case _:
                assert_never(item)

    def _deleted(self, scope: Scope, item: Object) -> None:
        match item:
            case Report():
                self.ledger.delete(scope, item)
            case Event():
                self.violation_events.delete(scope, item)
            case Policy():
                self.register.delete(item)
            case Namespace():
                self.namespaces.delete(item.name)
            case OwnedObject():
                if self.ledger.owners is not None:
                    self.ledger.owners.delete(scope, item)
            case _:
                assert_never(item)

    def _listing(self, scope: Scope) -> None:
        resource = scope.resource
        if (resource.group, resource.plural) in _REPORT_PLURALS:
            self.ledger.begin_list(scope)
        elif resource.plural == EVENTS.plural:
            self.violation_events.begin_list(scope)
        elif resource == NAMESPACES:
            self.namespaces.begin_list()
        elif resource in OWNED_RESOURCES:
            if self.ledger.owners is not None:
                self.ledger.owners.begin_list(scope)
        else:
            self.register.begin_list(scope)

    def _listed(self, scope: Scope) -> None:
        resource = scope.resource
        if (resource.group, resource.plural) in _REPORT_PLURALS:
            self.ledger.end_list(scope)
        elif resource.plural == EVENTS.plural:
            self.violation_events.end_list(scope)
        elif resource == NAMESPACES:
            self.namespaces.end_list()
        elif resource in OWNED_RESOURCES:
            if self.ledger.owners is not None:
                self.ledger.owners.end_list(scope)
        else:
            self.register.end_list(scope)
