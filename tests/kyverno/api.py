"""What the API server itself answers, as JSON over plain HTTP: no client library is between."""

import json
import threading
import time
from collections.abc import Iterable, Mapping
from http.client import HTTPSConnection
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from tests.cluster.harness import ControlPlane

Object = Mapping[str, Any]
"""A Kubernetes object, whatever it is."""

CEL_GROUP = "policies.kyverno.io/v1"
PLURALS = {
    "ClusterPolicy": "clusterpolicies",
    "Policy": "policies",
    "ValidatingPolicy": "validatingpolicies",
    "NamespacedValidatingPolicy": "namespacedvalidatingpolicies",
    "ImageValidatingPolicy": "imagevalidatingpolicies",
    "MutatingPolicy": "mutatingpolicies",
    "GeneratingPolicy": "generatingpolicies",
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "PolicyReport": "policyreports",
    "ClusterPolicyReport": "clusterpolicyreports",
    "Report": "reports",
    "ClusterReport": "clusterreports",
}
MERGE = "application/merge-patch+json"
CACHE_BUILT_SECONDS = 60


class Answer(NamedTuple):
    """One answer; ``warnings`` are the texts of its Warning headers."""

    status: int
    body: Object
    warnings: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        return self.status >= 400

    @property
    def message(self) -> str:
        """Why a request was refused."""
        return str(self.body.get("message", ""))


class Api:
    """Calls of the administrator, a connection for each thread."""

    def __init__(self, plane: ControlPlane) -> None:
        self._address = urlsplit(plane.server).netloc
        self._tls = plane.tls()
        self._mine = threading.local()
        self._opened: list[HTTPSConnection] = []

    def call(
        self, method: str, path: str, body: Object | None = None, media: str = "application/json"
    ) -> Answer:
        """Send one request, once; OSError where the API server is away."""
        connection = getattr(self._mine, "connection", None)
        if connection is None:
            connection = HTTPSConnection(self._address, timeout=60, context=self._tls)
            self._mine.connection = connection
            self._opened.append(connection)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": media})
            with connection.getresponse() as answer:
                warned = answer.headers.get_all("Warning") or ()
                return Answer(answer.status, _object(answer.read()), tuple(warned))
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Close the connections of all threads."""
        for connection in self._opened:
            connection.close()

    def get(self, path: str) -> Object:
        """Return what is at a path; AssertionError where it is refused."""
        answer = self._read(path)
        assert not answer.refused, f"GET {path}: {answer.status} {answer.message}"
        return answer.body

    def _read(self, path: str) -> Answer:
        """Ask again while an API server that has just started builds its cache."""
        deadline = time.monotonic() + CACHE_BUILT_SECONDS
        while (answer := self.call("GET", path)).status == 429 and time.monotonic() < deadline:
            time.sleep(1)
        return answer

    def found(self, path: str) -> Object | None:
        """Return what is at a path, None where nothing is."""
        answer = self._read(path)
        return None if answer.status == 404 else self.get(path)

    def items(self, path: str) -> list[Object]:
        """Return the objects of a collection, none where its kind is not served."""
        found = self.found(path)
        return [] if found is None else list(found["items"])

    def must(self, method: str, path: str, body: Object | None = None, media: str = "") -> Object:
        """Send a request that succeeds; a PATCH is a merge patch unless told otherwise."""
        media = media or (MERGE if method == "PATCH" else "application/json")
        answer = self.call(method, path, body, media)
        assert not answer.refused, f"{method} {path}: {answer.status} {answer.message}"
        return answer.body

    def apply(self, objects: Iterable[Object]) -> None:
        """Create or change objects by server-side apply."""
        for each in objects:
            query = urlencode({"fieldManager": "test", "force": "true"})
            self.must("PATCH", f"{place(each)}?{query}", each, "application/apply-patch+yaml")


def _object(content: bytes) -> Object:
    """Read an answer; what is not served is told in plain text."""
    if content.startswith(b"{"):
        found: Object = json.loads(content)
        return found
    return {"message": content.decode()}


def collection(api_version: str, kind: str, namespace: str = "") -> str:
    """Return the path of a collection."""
    group = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"{group}{within}/{PLURALS.get(kind) or plural(kind)}"


def plural(kind: str) -> str:
    """Return the plural of a kind that forms it as English does."""
    word = kind.lower()
    if word.endswith("y"):
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith("s") else f"{word}s"


def place(each: Object) -> str:
    """Return the path of an object."""
    meta = each["metadata"]
    where = collection(each["apiVersion"], each["kind"], meta.get("namespace", ""))
    return f"{where}/{meta['name']}"
