"""Who controls each object, in two hundred bytes."""

from collections.abc import Iterator
from sys import intern
from typing import Final

from exporter.model.changes import Scope
from exporter.model.metadata import OwnedObject, OwnerReference
from exporter.model.report import clip
from exporter.model.resource import OWNED_RESOURCES
from exporter.state.report_store import covers

_NO_CONTROLLER: Final = frozenset({"Node"})
"""Kinds of controller that create no copies: a static Pod is its own workload."""
_UUID_LENGTH: Final = 36

_Key = int | str
"""A uid, as a number where it is a UUID: that takes half of the memory."""


def _key(uid: str) -> _Key:
    if len(uid) == _UUID_LENGTH and uid[8] == uid[13] == uid[18] == uid[23] == "-":
        try:
            return int(uid.replace("-", ""), 16)
        except ValueError:
            pass
    return clip(uid)


def _uid(key: _Key) -> str:
    if not isinstance(key, int):
        return key
    digits = f"{key:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


class Controller:
    """What objects name as their controller; *count* are the objects, which share it."""

    __slots__ = ("count", "key", "kind", "name")

    def __init__(self, reference: OwnerReference, key: _Key) -> None:
        self.kind = intern(clip(reference.kind))
        self.name = clip(reference.name)
        self.key = key
        self.count = 0

    @property
    def uid(self) -> str:
        """The uid."""
        return _uid(self.key)


class Unknown:
    """Instead of a controller, where the metadata of an object are not known."""


UNKNOWN: Final = Unknown()
_ByKey = dict[_Key, Controller | None]


class _Objects:
    """The controllers of the objects of one kind by namespace, None where they have none.

    As in a ReportStore, a list moves what it finds from ``unlisted`` back to ``held``.
    """

    def __init__(self) -> None:
        self.held: dict[str, _ByKey] = {}
        self.unlisted: dict[str, _ByKey] = {}

    def places(self, namespace: str) -> Iterator[_ByKey]:
        for of_namespaces in (self.held, self.unlisted):
            if (objects := of_namespaces.get(namespace)) is not None:
                yield objects


class Controllers:
    """The controllers of Pods, ReplicaSets and Jobs, by the uids of these."""

    def __init__(self) -> None:
        self._objects = {resource.kind: _Objects() for resource in OWNED_RESOURCES}
        self._shared: dict[str, dict[_Key, Controller]] = {}

    def __contains__(self, kind: str) -> bool:
        """Whether the metadata of a kind are followed."""
        return kind in self._objects

    def count(self, kind: str) -> int:
        """Count the objects of a kind."""
        objects = self._objects[kind]
        return sum(map(len, (*objects.held.values(), *objects.unlisted.values())))

    def of(self, namespace: str, uid: str) -> Controller | Unknown | None:
        """Give the controller of an object."""
        key = _key(uid)
        for kind in self._objects:
            found = self._find(kind, namespace, key)
            if not isinstance(found, Unknown):
                return found
        return UNKNOWN

    def above(self, namespace: str, controller: Controller) -> Controller | Unknown | None:
        """Give the controller of a controller whose kind is followed."""
        return self._find(controller.kind, namespace, controller.key)

    def _find(self, kind: str, namespace: str, key: _Key) -> Controller | Unknown | None:
        objects = self._objects[kind]
        by_key = objects.held.get(namespace)
        if by_key is not None and key in by_key:
            return by_key[key]
        by_key = objects.unlisted.get(namespace)
        return UNKNOWN if by_key is None else by_key.get(key, UNKNOWN)

    def are_used(self, namespace: str, uid: str) -> bool:
        """Whether any object has this controller."""
        shared = self._shared.get(namespace)
        return shared is not None and _key(uid) in shared

    def controlled_by(self, namespace: str, uids: set[str]) -> Iterator[str]:
        """Give the uids of what some controllers control: a look at all of the namespace."""
        keys = set(map(_key, uids))
        for objects in self._objects.values():
            for by_key in objects.places(namespace):
                for key, each in by_key.items():
                    if each is not None and each.key in keys:
                        yield _uid(key)

    def put(self, kind: str, item: OwnedObject) -> bool:
        """Know who controls an object; True where that is new."""
        namespace, key, objects = item.namespace, _key(item.metadata.uid), self._objects[kind]
        controller = self._take(namespace, item.controller)
        former = self._remove(objects, namespace, key)
        by_key = objects.held.get(namespace)
        if by_key is None:
            by_key = objects.held[namespace] = {}
        by_key[key] = controller
        return former is not controller

    def remove(self, kind: str, item: OwnedObject) -> None:
        """Forget an object."""
        self._remove(self._objects[kind], item.namespace, _key(item.metadata.uid))

    def begin_list(self, scope: Scope) -> None:
        """Wait for every object of *scope* again; nothing is forgotten yet."""
        objects = self._objects[scope.resource.kind]
        for namespace in [n for n in objects.held if covers(scope, n)]:
            by_key = objects.held.pop(namespace)
            former = objects.unlisted.setdefault(namespace, by_key)
            if former is not by_key:
                former.update(by_key)

    def end_list(self, scope: Scope) -> None:
        """Forget the objects of *scope* that the list did not contain."""
        unlisted = self._objects[scope.resource.kind].unlisted
        for namespace in [n for n in unlisted if covers(scope, n)]:
            for controller in unlisted.pop(namespace).values():
                self._release(namespace, controller)

    def _remove(self, objects: _Objects, namespace: str, key: _Key) -> Controller | Unknown | None:
        for of_namespaces in (objects.held, objects.unlisted):
            by_key = of_namespaces.get(namespace)
            if by_key is None or key not in by_key:
                continue
            controller = by_key.pop(key)
            if not by_key:
                del of_namespaces[namespace]
            self._release(namespace, controller)
            return controller
        return UNKNOWN

    def _take(self, namespace: str, reference: OwnerReference | None) -> Controller | None:
        """Give the one controller that all objects share which name it: a uid is of one object."""
        if reference is None or reference.kind in _NO_CONTROLLER:
            return None
        shared, key = self._shared.setdefault(namespace, {}), _key(reference.uid)
        controller = shared.get(key)
        if controller is None:
            controller = shared[key] = Controller(reference, key)
        controller.count += 1
        return controller

    def _release(self, namespace: str, controller: Controller | None) -> None:
        if controller is None:
            return
        controller.count -= 1
        if not controller.count:
            shared = self._shared[namespace]
            del shared[controller.key]
            if not shared:
                del self._shared[namespace]
