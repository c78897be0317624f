"""POST, PUT and DELETE of objects."""

import random
from typing import Any

import msgspec

from exporter.simulator.query import Address
from exporter.simulator.registry import Served
from exporter.simulator.status import Refusal, already_exists, not_found
from exporter.simulator.store import Conflict, Store, StoredObject
from exporter.simulator.views import to_stored

Object = dict[str, Any]


def create(store: Store, served: Served, at: Address, body: bytes, manager: str) -> StoredObject:
    """Add the object in a request's body. Raises Refusal."""
    data = _decoded(body, served, at)
    metadata = data["metadata"]
    if "name" not in metadata and "generateName" in metadata:
        metadata["name"] = metadata["generateName"] + f"{random.getrandbits(20):05x}"
    if not metadata.get("name"):
        raise Refusal(422, f"{served.resource.kind} is invalid: metadata.name: Required value")
    metadata.pop("uid", None)
    metadata.pop("creationTimestamp", None)
    try:
        return store.create(served.storage, to_stored(data, served), manager)
    except Conflict as error:
        raise already_exists(served.resource, metadata["name"]) from error


def replace(store: Store, served: Served, at: Address, body: bytes, manager: str) -> StoredObject:
    """Put the object in a request's body in the place of the one that is there. Raises Refusal."""
    data = _decoded(body, served, at)
    data["metadata"].setdefault("name", at.name)
    if store.get(served.storage, at.namespace, at.name) is None:
        raise not_found(served.resource, at.name)
    try:
        return store.replace(served.storage, to_stored(data, served), manager)
    except Conflict as error:
        message = f'Operation cannot be fulfilled on {served.resource.name} "{at.name}": {error}'
        raise Refusal(409, message) from error


def delete(store: Store, served: Served, at: Address) -> Object:
    """Remove the object; the answer is a Status that names it. Raises Refusal."""
    try:
        gone = store.delete(served.storage, at.namespace, at.name)
    except Conflict as error:
        raise not_found(served.resource, at.name) from error
    resource = served.resource
    uid = gone.data["metadata"]["uid"]
    details = {"name": at.name, "group": resource.group, "kind": resource.plural, "uid": uid}
    meta = {"kind": "Status", "apiVersion": "v1", "metadata": {}}
    return {**meta, "status": "Success", "details": details}


def _decoded(body: bytes, served: Served, at: Address) -> Object:
    try:
        data = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise Refusal(400, f"the object provided is unrecognized: {error}") from error
    resource = served.resource
    if (data.get("apiVersion"), data.get("kind")) != (resource.api_version, resource.kind):
        raise Refusal(400, f"expected {resource.api_version} {resource.kind} in the request's body")
    metadata = data.setdefault("metadata", {})
    if resource.namespaced and metadata.setdefault("namespace", at.namespace) != at.namespace:
        raise Refusal(400, "the namespace of the provided object does not match the request")
    return data
