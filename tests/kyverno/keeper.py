"""Stands in for the controller-manager: garbage, ended namespaces, default ServiceAccounts."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException

from tests.cluster.harness import ControlPlane, service_account
from tests.kyverno.api import Api, Object, collection

EVERY_SECONDS = 1.0
OWNED = (
    "/apis/wgpolicyk8s.io/v1alpha2/policyreports",
    "/apis/wgpolicyk8s.io/v1alpha2/clusterpolicyreports",
    "/apis/openreports.io/v1alpha1/reports",
    "/apis/openreports.io/v1alpha1/clusterreports",
    "/apis/reports.kyverno.io/v1/ephemeralreports",
    "/apis/reports.kyverno.io/v1/clusterephemeralreports",
    "/api/v1/pods",
    "/apis/apps/v1/replicasets",
)
"""What is deleted once its owner is gone."""


class Keeper:
    """Does what Kyverno and the tests expect of a cluster's controllers."""

    def __init__(self, plane: ControlPlane) -> None:
        self._api = Api(plane)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        self._api.close()

    def _run(self) -> None:
        while not self._over.wait(EVERY_SECONDS):
            # Away, or gone since it was listed: the next round finds it again.
            with suppress(OSError, HTTPException, AssertionError):
                self.round()

    def round(self) -> None:
        """Do once what is to be done now."""
        namespaces = self._api.items("/api/v1/namespaces")
        accounts = [each["metadata"] for each in self._api.items("/api/v1/serviceaccounts")]
        served = {each["namespace"] for each in accounts if each["name"] == "default"}
        for namespace in namespaces:
            name = namespace["metadata"]["name"]
            if namespace["status"]["phase"] == "Terminating":
                self._end(namespace)
            elif name not in served:
                path = f"/api/v1/namespaces/{name}/serviceaccounts"
                self._api.call("POST", path, service_account(name, "default"))
        self._collect_garbage()

    def _end(self, namespace: Object) -> None:
        name = namespace["metadata"]["name"]
        for path in self._namespaced(name):
            self._api.call("DELETE", path)
        if not any(self._api.items(path) for path in self._namespaced(name)):
            namespace = {**namespace, "spec": {"finalizers": []}}
            self._api.call("PUT", f"/api/v1/namespaces/{name}/finalize", namespace)

    def _namespaced(self, namespace: str) -> Iterator[str]:
        """Yield the collections of a namespace whose objects can be deleted together."""
        groups = self._api.get("/apis")["groups"]
        versions = [group["preferredVersion"]["groupVersion"] for group in groups]
        for path in ("/api/v1", *(f"/apis/{version}" for version in versions)):
            for each in self._api.get(path)["resources"]:
                if each["namespaced"] and "deletecollection" in each["verbs"]:
                    yield f"{path}/namespaces/{namespace}/{each['name']}"

    def _collect_garbage(self) -> None:
        # Owners are listed after what they own, so that what is new has its owner.
        owned = [(path, each["metadata"]) for path in OWNED for each in self._api.items(path)]
        known: dict[str, set[str]] = {}
        for path, meta in owned:
            owners = meta.get("ownerReferences", [])
            if owners and not any(self._exists(owner, known) for owner in owners):
                within = f"/namespaces/{meta['namespace']}" if "namespace" in meta else ""
                group, _, name = path.rpartition("/")
                self._api.call("DELETE", f"{group}{within}/{name}/{meta['name']}")

    def _exists(self, owner: Object, known: dict[str, set[str]]) -> bool:
        path = collection(owner["apiVersion"], owner["kind"])
        if path not in known:
            known[path] = {each["metadata"]["uid"] for each in self._api.items(path)}
        return owner["uid"] in known[path]


@contextmanager
def keeping(plane: ControlPlane) -> Iterator[None]:
    """Keep a cluster in order for a while."""
    keeper = Keeper(plane)
    keeper.start()
    try:
        yield
    finally:
        keeper.stop()
