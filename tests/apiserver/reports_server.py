"""How Kyverno's reports-server, an aggregated API, lists and watches: unlike etcd."""

from collections.abc import Iterator
from typing import Any

from exporter.simulator.lists import SimulatedPage
from exporter.simulator.query import Form, ListOptions
from exporter.simulator.registry import Served
from exporter.simulator.store import Store, StoredObject, encode
from exporter.simulator.watches import SimulatedLine, Watch

SERVED_BY = {"kyverno.reports-server.io/served-by": "reports-server"}


def marked(stored: StoredObject) -> StoredObject:
    """Show the object as that server does: annotated."""
    metadata = stored.data["metadata"]
    annotations = metadata.get("annotations", {}) | SERVED_BY
    data: dict[str, Any] = stored.data | {"metadata": metadata | {"annotations": annotations}}
    return stored._replace(data=data, raw=encode(data))


def page(store: Store, served: Served, namespace: str) -> SimulatedPage:
    """Return the whole list at once; no limit, no field selector, and always version 1."""
    keys, objects = store.snapshot(served.storage)[1:]
    chosen = [objects[key] for key in keys if namespace in ("", objects[key].namespace)]
    return SimulatedPage([marked(stored) for stored in chosen], {"resourceVersion": "1"})


class BroadcastWatch(Watch):
    """Version "" or "0" means only the future, any other replays everything first.

    Live events come from all namespaces, whatever was selected.
    """

    def __init__(
        self, store: Store, served: Served, namespace: str, options: ListOptions, form: Form
    ) -> None:
        replay = options.version not in ("", "0")
        super().__init__(store, served, namespace, options._replace(labels="", fields=""), form)
        self.version = store.version
        self._replay = page(store, served, namespace).objects if replay else []

    def initial(self) -> Iterator[SimulatedLine]:
        """Everything there is, as ADDED, for a client that comes with the list's version."""
        for stored in self._replay:
            yield self._line("ADDED", stored)
        self._replay = []

    def _selects(self, _: StoredObject) -> bool:
        return True

    def _shown(self, stored: StoredObject) -> bytes:
        return super()._shown(marked(stored))
