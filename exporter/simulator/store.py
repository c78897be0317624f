"""The objects of the simulated cluster, their history, and one resource version for all."""

import random
import uuid
from bisect import bisect_right
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from exporter.simulator.managed import managed_fields


def rfc3339(seconds: float) -> str:
    """``2026-08-20T08:01:46Z``."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339_micro(seconds: float) -> str:
    """``2026-08-20T08:01:46.804523Z``, as Events have it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse(text: str) -> float:
    """Seconds since 1970 of either spelling."""
    return datetime.fromisoformat(text).timestamp()


def duration(seconds: float) -> str:  # noqa: PLR0911 - a table of thresholds
    """How kubectl prints an age: 45s, 2m29s, 12m, 179m, 7h30m, 9h, 5d4h, 30d, 2y."""
    if seconds < -1:
        return "<invalid>"
    whole = max(int(seconds), 0)
    if whole < 120:
        return f"{whole}s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if minutes < 10:
        return _pair(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _pair(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _pair(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    years = days // 365
    return _pair(years, "y", days % 365, "d") if years < 8 else f"{years}y"


def _pair(big: int, unit: str, small: int, small_unit: str) -> str:
    return f"{big}{unit}{small}{small_unit}" if small else f"{big}{unit}"


Object = dict[str, Any]
encode = msgspec.json.Encoder().encode


class Compacted(Exception):  # noqa: N818 - the name says what happened
    """The history that was asked for is gone."""


class Conflict(Exception):  # noqa: N818
    """The object exists already, does not exist, or is not the one that was meant."""


class StoredObject(NamedTuple):
    """One version of an object: as data, and as the JSON that goes out.

    Never mutated: a change makes a new one.
    """

    key: str
    namespace: str
    version: int
    data: Object
    raw: bytes


class HistoryEntry(NamedTuple):
    """One write. ``new`` is None for a deletion, whose ``last`` is what watchers are shown."""

    version: int
    storage: str
    old: StoredObject | None
    new: StoredObject | None
    last: StoredObject


class StoreSnapshot(NamedTuple):
    """The objects of one storage at one version, by key, with the keys in etcd's order."""

    version: int
    keys: list[str]
    objects: dict[str, StoredObject]


class Store:
    """Objects by storage and key, in versions that only grow.

    Invariant: for every version since ``floor``, ``snapshot`` gives exactly what was there then.
    ``clock`` gives seconds since 1970; ``history`` is how many writes are remembered.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        seed: int = 0,
        history: int = 20_000,
        version: int = 1000,
    ) -> None:
        self.clock = clock
        self.version = version
        self.floor = version
        self._history = history
        self._random = random.Random(seed)  # noqa: S311 - names, not secrets
        self._objects: dict[str, dict[str, StoredObject]] = {}
        self._keys: dict[str, list[str]] = {}
        self._log: list[HistoryEntry] = []
        self._listeners: list[Callable[[], None]] = []

    def uid(self) -> str:
        """Make a random, repeatable UID."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def get(self, storage: str, namespace: str, name: str) -> StoredObject | None:
        """Return the object, None where there is none."""
        return self._objects.get(storage, {}).get(key_of(namespace, name))

    def all(self, storage: str) -> list[StoredObject]:
        """Every object of a storage, in no order that means anything."""
        return list(self._objects.get(storage, {}).values())

    def create(self, storage: str, data: Object, manager: str = "kyverno") -> StoredObject:
        """Add an object. The server's part of metadata is filled in; a uid that is given stays."""
        metadata = data["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        if self.get(storage, namespace, name):
            raise Conflict(f'"{name}" already exists')
        self_metrics = {
            "uid": metadata.get("uid") or self.uid(),
            "creationTimestamp": metadata.get("creationTimestamp") or rfc3339(self.clock()),
        }
        if not is_builtin(data):
            self_metrics["generation"] = 1
        return self._put(storage, data, self_metrics, manager)

    def replace(self, storage: str, data: Object, manager: str = "kyverno") -> StoredObject:
        """Change an object; like a real server, an update that changes nothing writes nothing."""
        metadata = data["metadata"]
        old = self.get(storage, metadata.get("namespace", ""), metadata["name"])
        if old is None:
            raise Conflict(f'"{metadata["name"]}" not found')
        wanted = metadata.get("resourceVersion", "")
        if wanted and wanted != str(old.version):
            raise Conflict("the object has been modified; please apply your changes to the latest")
        if _substance(data) == _substance(old.data):
            return old
        kept = {key: old.data["metadata"][key] for key in ("uid", "creationTimestamp")}
        if "generation" in old.data["metadata"]:
            changed = _without(data) != _without(old.data)
            kept["generation"] = old.data["metadata"]["generation"] + changed
        return self._put(storage, data, kept, manager)

    def delete(self, storage: str, namespace: str, name: str) -> StoredObject:
        """Remove an object; watchers see its last state, at the version of the deletion."""
        old = self.get(storage, namespace, name)
        if old is None:
            raise Conflict(f'"{name}" not found')
        del self._objects[storage][old.key]
        self._keys.pop(storage, None)
        self.version += 1
        metadata = old.data["metadata"] | {"resourceVersion": str(self.version)}
        data = old.data | {"metadata": metadata}
        last = StoredObject(old.key, old.namespace, self.version, data, encode(data))
        self._record(HistoryEntry(self.version, storage, old, None, last))
        return last

    def compact(self, version: int | None = None) -> None:
        """Forget what happened up to ``version``; without one, everything."""
        self.floor = max(self.floor, self.version if version is None else version)
        del self._log[: bisect_right(self._log, self.floor, key=_version_of)]
        self._wake()

    def tick(self) -> None:
        """Let the version grow as writes to resources that are not simulated do."""
        self.version += 1
        self._wake()

    def snapshot(self, storage: str, version: int | None = None) -> StoreSnapshot:
        """Return the objects at a version, by undoing what came after it.

        Raises Compacted where that is no longer known.
        """
        objects = self._objects.get(storage, {})
        if version is None or version >= self.version:
            return StoreSnapshot(self.version, self._sorted(storage), objects)
        undone: dict[str, StoredObject | None] = {}
        for entry in self.since(storage, version):
            undone.setdefault(entry.last.key, entry.old)
        if not undone:
            return StoreSnapshot(version, self._sorted(storage), objects)
        then = {**objects, **{key: old for key, old in undone.items() if old}}
        for key in [key for key, old in undone.items() if old is None]:
            then.pop(key, None)
        return StoreSnapshot(version, sorted(then), then)

    def since(self, storage: str, version: int) -> Iterator[HistoryEntry]:
        """Return the writes after a version, oldest first. Raises Compacted at once."""
        if version < self.floor:
            raise Compacted(f"too old resource version: {version} ({self.floor})")
        start = bisect_right(self._log, version, key=_version_of)
        return (entry for entry in self._log[start:] if entry.storage == storage)

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener`` after every write; the result ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _sorted(self, storage: str) -> list[str]:
        if storage not in self._keys:
            self._keys[storage] = sorted(self._objects.get(storage, {}))
        return self._keys[storage]

    def _put(self, storage: str, data: Object, self_metrics: Object, manager: str) -> StoredObject:
        self.version += 1
        given = {k: v for k, v in data["metadata"].items() if k not in _SERVER_FIELDS}
        body = {"apiVersion": data["apiVersion"], "kind": data["kind"], "metadata": given}
        body |= {key: value for key, value in data.items() if key not in body}
        managed = managed_fields(body, manager, rfc3339(self.clock()))
        self_metrics = self_metrics | {
            "resourceVersion": str(self.version),
            "managedFields": managed,
        }
        body["metadata"] = given | self_metrics
        namespace = given.get("namespace", "")
        key = key_of(namespace, given["name"])
        new = StoredObject(key, namespace, self.version, body, encode(body))
        objects = self._objects.setdefault(storage, {})
        old = objects.get(key)
        if old is None:
            self._keys.pop(storage, None)
        objects[key] = new
        self._record(HistoryEntry(self.version, storage, old, new, new))
        return new

    def _record(self, entry: HistoryEntry) -> None:
        self._log.append(entry)
        if len(self._log) > 2 * self._history:
            self.floor = self._log[-self._history - 1].version
            del self._log[: -self._history]
        self._wake()

    def _wake(self) -> None:
        for listener in list(self._listeners):
            listener()


def key_of(namespace: str, name: str) -> str:
    """Spell the key as etcd orders it: ``a-b/x`` comes before ``a/x``."""
    return f"{namespace}/{name}" if namespace else name


def is_builtin(data: Object) -> bool:
    """Whether the type is compiled into the server; those have no generation here."""
    return data["apiVersion"] in ("v1", "events.k8s.io/v1", "apps/v1", "batch/v1")


_SERVER_FIELDS = frozenset(
    ("uid", "creationTimestamp", "generation", "resourceVersion", "managedFields")
)


def _substance(data: Object) -> Object:
    metadata = {k: v for k, v in data["metadata"].items() if k not in _SERVER_FIELDS}
    return data | {"metadata": metadata}


def _without(data: Object) -> Object:
    return {key: value for key, value in data.items() if key not in ("metadata", "status")}


def _version_of(entry: HistoryEntry) -> int:
    return entry.version
