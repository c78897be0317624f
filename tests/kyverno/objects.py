"""What people ask the cluster for."""

from tests.kyverno.api import Object


def pod(
    namespace: str,
    name: str,
    *,
    image: str = "public.test/app:1",
    labels: dict[str, str] | None = None,
    **spec: object,
) -> Object:
    """Return a Pod of one container."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _named(namespace, name, labels),
        "spec": {"containers": [{"name": "app", "image": image}], **spec},
    }


def workload(
    kind: str,
    namespace: str,
    name: str,
    *,
    image: str = "public.test/app:1",
    labels: dict[str, str] | None = None,
    replicas: int = 1,
    **spec: object,
) -> Object:
    """Return a Deployment, ReplicaSet or StatefulSet, whose Pods carry the labels, too."""
    own = {"app": name, **(labels or {})}
    service = {"serviceName": name} if kind == "StatefulSet" else {}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": _named(namespace, name, labels),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": own},
                "spec": {"containers": [{"name": "app", "image": image}], **spec},
            },
            **service,
        },
    }


def config_map(
    namespace: str, name: str, *, labels: dict[str, str] | None = None, **data: str
) -> Object:
    """Return a ConfigMap."""
    metadata = _named(namespace, name, labels)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def secret(namespace: str, name: str, *, labels: dict[str, str] | None = None) -> Object:
    """Return an empty Secret."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": _named(namespace, name, labels)}


def service(
    namespace: str,
    name: str,
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    kind: str = "ClusterIP",
) -> Object:
    """Return a Service of one port."""
    metadata = {**_named(namespace, name, labels), "annotations": annotations or {}}
    spec = {"type": kind, "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def generated(each: Object) -> Object:
    """Return an object that leaves it to the API server to complete its name."""
    metadata = dict(each["metadata"])
    metadata["generateName"] = f"{metadata.pop('name')}-"
    return {**each, "metadata": metadata}


def _named(namespace: str, name: str, labels: dict[str, str] | None) -> dict[str, object]:
    return {"name": name, "namespace": namespace, "labels": labels or {}}
