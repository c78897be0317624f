"""Whatever is written, and however a client lists and watches, it ends up knowing the store."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from exporter.model.resource import POLICY_REPORTS
from exporter.simulator.lists import page
from exporter.simulator.query import Form, ListOptions, Token
from exporter.simulator.registry import REGISTRY
from exporter.simulator.store import key_of
from exporter.simulator.watches import Watch
from tests.apiserver import Store

NAME = POLICY_REPORTS.name
SERVED = next(each for each in REGISTRY if each.resource == POLICY_REPORTS)

Objects = dict[str, bytes]


def report(namespace: str, name: str, team: str) -> dict[str, Any]:
    metadata = {"namespace": namespace, "name": name, "labels": {"team": team}}
    head = {"apiVersion": POLICY_REPORTS.api_version, "kind": "PolicyReport"}
    return {**head, "metadata": metadata, "summary": {"fail": len(team)}}


class Client:
    """A mirror that lists page by page and watches from where it is."""

    def __init__(self, store: Store, namespace: str, labels: str) -> None:
        self.store = store
        self.namespace = namespace
        self.options = ListOptions(labels=labels)
        self.objects: dict[str, Any] = {}
        self.version = 0

    def begin(self) -> list[Any]:
        """Take the first page of two; the rest follows at other moments."""
        self.objects, self.version = {}, 0
        return self.more(self.options._replace(limit=2))

    def more(self, options: ListOptions) -> list[Any]:
        found = page(self.store, SERVED, self.namespace, options)
        self.objects |= {stored.key: stored.data for stored in found.objects}
        if token := found.metadata.get("continue"):
            return [options._replace(token=Token.decoded(token))]
        self.version = int(found.metadata["resourceVersion"])
        return []

    def watch(self) -> None:
        options = self.options._replace(version=str(self.version))
        watch = Watch(self.store, SERVED, self.namespace, options, Form())
        for line in watch.news():
            event = json.loads(line.raw)
            metadata = event["object"]["metadata"]
            key = key_of(metadata["namespace"], metadata["name"])
            self._apply(event["type"], key, event["object"])
        self.version = watch.version

    def _apply(self, kind: str, key: str, data: Any) -> None:
        assert (key in self.objects) is (kind != "ADDED")
        if kind == "DELETED":
            del self.objects[key]
        else:
            self.objects[key] = data


steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("put"),
            st.sampled_from(["a", "a-b", "a0"]),
            st.sampled_from("xyz"),
            st.sampled_from(["one", "two"]),
        ),
        st.tuples(
            st.just("delete"),
            st.sampled_from(["a", "a-b", "a0"]),
            st.sampled_from("xyz"),
            st.none(),
        ),
        st.tuples(st.sampled_from(["list", "more", "watch"]), st.none(), st.none(), st.none()),
    ),
    max_size=60,
)


def write(store: Store, step: str, namespace: str, name: str, team: str) -> None:
    there = store.get(NAME, namespace, name)
    if step == "delete":
        if there:
            store.delete(NAME, namespace, name)
    elif there:
        store.replace(NAME, report(namespace, name, team))
    else:
        store.create(NAME, report(namespace, name, team))


@given(steps, st.sampled_from(["", "a", "a-b"]), st.sampled_from(["", "team=one", "team!=one"]))
def test_any_interleaving_of_writes_pages_and_watches_reconstructs_the_store(
    plan: list[tuple[str, str, str, str]], namespace: str, labels: str
) -> None:
    store = Store(lambda: 0.0)
    client = Client(store, namespace, labels)
    left = client.begin()
    for step, *written in plan:
        if step == "list":
            left = client.begin()
        elif step == "more":
            left = client.more(left[0]) if left else []
        elif step == "watch":
            if not left:
                client.watch()
        else:
            write(store, step, *written)
    while left:
        left = client.more(left[0])
    client.watch()
    truth = page(store, SERVED, namespace, ListOptions(labels=labels)).objects
    assert client.objects == {stored.key: stored.data for stored in truth}


@given(steps)
def test_every_remembered_version_can_be_shown_again(
    plan: list[tuple[str, str, str, str]],
) -> None:
    store = Store(lambda: 0.0)
    past: dict[int, Objects] = {}
    for step, *written in plan:
        past[store.version] = {stored.key: stored.raw for stored in store.all(NAME)}
        if step in ("put", "delete"):
            write(store, step, *written)
    for version, then in past.items():
        snapshot = store.snapshot(NAME, version)
        assert {key: stored.raw for key, stored in snapshot.objects.items()} == then
        assert snapshot.keys == sorted(then)


def test_keys_are_in_etcds_order() -> None:
    store = Store(lambda: 0.0)
    for namespace in ("a", "a-b"):
        store.create(NAME, report(namespace, "x", "one"))
    assert store.snapshot(NAME).keys == ["a-b/x", "a/x"]


def test_the_history_is_bounded_and_the_floor_follows() -> None:
    store = Store(lambda: 0.0, history=10)
    for number in range(100):
        store.create(NAME, report("a", f"r{number}", "one"))
    kept = list(store.since(NAME, store.floor))
    assert 10 <= len(kept) <= 20
    assert kept[0].version == store.floor + 1
