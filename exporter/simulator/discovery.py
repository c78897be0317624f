"""Discovery: which groups, versions and resources there are, in both formats in use."""

from typing import Any

from exporter.simulator.registry import Registry, Served
from exporter.simulator.status import PathNotFound
from exporter.simulator.store import encode

Object = dict[str, Any]

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
VERBS = ["create", "delete", "get", "list", "update", "watch"]
VERSION = {
    "major": "1",
    "minor": "33",
    "gitVersion": "v1.33.0+simulator",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2025-04-23T13:23:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}


def answer(registry: Registry, path: str, accept: str) -> tuple[bytes, str]:
    """Return the document at a path, and its content type. Raises PathNotFound."""
    match path.strip("/").split("/"):
        case ["api" | "apis" as root] if "apidiscovery.k8s.io" in accept:
            return encode(aggregated(registry, core=root == "api")), AGGREGATED
        case ["version"]:
            found: Object | None = VERSION
        case ["api"]:
            found = core_versions()
        case ["apis"]:
            found = groups(registry)
        case ["apis", name]:
            found = group(registry, name)
        case ["api", version]:
            found = resources(registry, "", version)
        case ["apis", name, version]:
            found = resources(registry, name, version)
        case _:
            found = None
    if found is None:
        raise PathNotFound
    return encode(found), "application/json"


def core_versions() -> Object:
    """Answer ``/api`` in the plain format."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def groups(registry: Registry) -> Object:
    """``/apis`` in the plain format."""
    named = [_group(name, versions) for name, versions in _versions(registry).items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": named}


def group(registry: Registry, name: str) -> Object | None:
    """``/apis/GROUP``."""
    versions = _versions(registry).get(name)
    meta = {"kind": "APIGroup", "apiVersion": "v1"}
    return meta | _group(name, versions) if versions else None


def resources(registry: Registry, group: str, version: str) -> Object | None:
    """``/apis/GROUP/VERSION``, None where nothing of it is served."""
    found = _versions(registry).get(group, {}).get(version)
    if not found:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": found[0].group_version,
        "resources": [_resource(served) for served in found],
    }


def aggregated(registry: Registry, *, core: bool) -> Object:
    """Answer ``/api`` or ``/apis`` with everything in one document."""
    items = [
        {
            "metadata": {"name": name, "creationTimestamp": None} if name else {},
            "versions": [
                {
                    "version": version,
                    "resources": [_discovered(served) for served in found],
                    "freshness": "Current",
                }
                for version, found in versions.items()
            ],
        }
        for name, versions in _versions(registry).items()
        if core is not bool(name)
    ]
    meta = {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2"}
    return {**meta, "metadata": {}, "items": items}


def _versions(registry: Registry) -> dict[str, dict[str, list[Served]]]:
    found: dict[str, dict[str, list[Served]]] = {}
    for served in registry.served():
        resource = served.resource
        found.setdefault(resource.group, {}).setdefault(resource.version, []).append(served)
    return found


def _group(name: str, versions: dict[str, list[Served]]) -> Object:
    listed = [{"groupVersion": f"{name}/{each}", "version": each} for each in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _resource(served: Served) -> Object:
    resource = served.resource
    entry: Object = {
        "name": resource.plural,
        "singularName": served.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": VERBS,
        "shortNames": list(served.short_names),
        "categories": list(served.categories),
    }
    return {key: value for key, value in entry.items() if value != []}


def _discovered(served: Served) -> Object:
    resource = served.resource
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    entry: Object = {
        "resource": resource.plural,
        "responseKind": kind,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": served.singular,
        "verbs": VERBS,
        "shortNames": list(served.short_names),
        "categories": list(served.categories),
    }
    return {key: value for key, value in entry.items() if value != []}
