"""Labels of namespaces follow the cluster: changed, deleted, and gone when a list is over."""

import msgspec

from exporter.model.changes import Applied, Deleted, Init, InitDone, Scope
from exporter.model.metadata import Namespace
from exporter.model.resource import NAMESPACES
from exporter.state.cluster import ClusterState
from exporter.state.selection import Selection

SCOPE = Scope(NAMESPACES)


def namespace(name: str, **labels: str) -> Namespace:
    return msgspec.convert({"metadata": {"name": name, "labels": labels}}, Namespace)


def known(*items: Namespace) -> ClusterState:
    state = ClusterState(Selection(), lambda: 0.0, namespace_labels=("team",))
    state.apply(Init(SCOPE))
    for item in items:
        state.apply(Applied(SCOPE, item))
    state.apply(InitDone(SCOPE))
    state.namespaces.changed.clear()
    return state


def test_only_a_wanted_label_that_changes_is_a_change() -> None:
    state = known(namespace("a", team="shop"))
    state.apply(Applied(SCOPE, namespace("a", team="shop", other="x")))
    assert state.namespaces.changed == set()
    state.apply(Applied(SCOPE, namespace("a", team="web")))
    assert (state.namespaces.changed, state.namespaces.labels["a"]) == ({"a"}, ("web",))


def test_a_deleted_namespace_has_no_labels_and_is_forgotten_once() -> None:
    state = known(namespace("a", team="shop"))
    for _ in range(2):
        state.apply(Deleted(SCOPE, namespace("a")))
    assert (state.namespaces.labels, state.namespaces.info.rows) == ({}, {})
    assert state.namespaces.changed == {"a"}


def test_what_a_list_does_not_bring_is_gone_when_it_ends() -> None:
    state = known(namespace("a", team="shop"), namespace("b"))
    state.apply(Init(SCOPE))
    state.apply(Applied(SCOPE, namespace("b")))
    assert set(state.namespaces.labels) == {"a", "b"}
    state.apply(InitDone(SCOPE))
    assert set(state.namespaces.labels) == {"b"}
